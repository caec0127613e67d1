//! From a library that was built to one that is called: what verifying, staging, loading and publishing take, beside
//! opening a tiny C library, which verifies nothing.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hotswap_engine::{Engine, LogLine, Profile, log_lines};
use libloading::Library;

/// How often it is done.
const ROUNDS: usize = 60;

/// Medians of what `callable` found.
#[derive(Debug, Clone, Copy)]
pub struct Callable {
    /// How large the library is.
    pub bytes: u64,
    /// Opening a C library of one function, finding and calling that, and closing it: in turn with the other, so that
    /// the processor's caches know as little of it.
    pub tiny: Duration,
    /// The same right after that, of another copy: they know the loader and the kernel's part by then.
    pub tiny_again: Duration,
    /// From the monitor's word that an artifact is there until it is current.
    pub whole: Duration,
    /// Of that, reading, hashing and checking the file.
    pub verify: Duration,
    /// Giving it a name of its own.
    pub stage: Duration,
    /// Waiting for the line that says so, mapping, connecting, checking, load hooks.
    pub load: Duration,
}

/// Edits sample-engine to and fro, so that what was built before is found in the store and no compiler runs.
///
/// # Errors
///
/// When it does not build, or there is no C compiler.
pub fn callable() -> Result<Callable, Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let (source, log) = (place.path().join("sample"), place.path().join("hotswap.log"));
    fs::create_dir_all(source.join("src"))?;
    fs::write(source.join("Cargo.toml"), manifest(root))?;
    fs::copy(root.join("Cargo.lock"), source.join("Cargo.lock"))?;
    let text = fs::read_to_string(root.join("sample-engine/src/lib.rs"))?;
    let texts = [&text, &text.replace("call to f1", "call to f1, edited")];
    let file = source.join("src/lib.rs");
    fs::write(&file, texts[0])?;
    let rarely = Duration::from_secs(3_600);
    let builder = Engine::builder(&*source).profile(Profile::Release).log_file(&log);
    let engine = builder.poll_every(rarely).open()?;
    // Built once; from then on it is in the store.
    fs::write(&file, texts[1])?;
    engine.reload()?;
    let warm = fs::metadata(&log)?.len();
    let tiny_library = tiny_library(place.path())?;
    let (mut tiny, mut tiny_again) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        fs::write(&file, texts[round % 2])?;
        engine.reload()?;
        for (turn, times) in [&mut tiny, &mut tiny_again].into_iter().enumerate() {
            // The loader knows it by neither name nor inode.
            let path = place.path().join(format!("{round}-{turn}.so"));
            fs::copy(&tiny_library, &path)?;
            times.push(open(&path)?);
        }
    }
    let text = fs::read(&log)?;
    let lines = log_lines(&text[usize::try_from(warm)?..]).collect::<Result<Vec<LogLine>, _>>()?;
    let of = |event: &str, field: &str| {
        let lines = lines.iter().filter(|line| line.event == event);
        lines.filter_map(|line| line.field(field)?.parse().ok()).collect::<Vec<u64>>()
    };
    let (sent, committed) = (of("notify.sent", "mono_us"), of("swap.commit", "mono_us"));
    let whole = sent.iter().zip(&committed).map(|(sent, committed)| committed - sent).collect();
    let bytes = engine.versions().last().map_or(0, |version| version.bytes);
    Ok(Callable {
        bytes,
        tiny: median(tiny),
        tiny_again: median(tiny_again),
        whole: microseconds(whole),
        verify: microseconds(of("verify.ok", "verify_us")),
        stage: microseconds(of("stage.ok", "stage_us")),
        load: microseconds(of("load.ok", "load_us")),
    })
}

fn manifest(root: &Path) -> String {
    format!(
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n\
         hotswap-module.path = {:?}\nsample-interface.path = {:?}\n[workspace]\n",
        root.join("engine/module"),
        root.join("sample-engine/interface"),
    )
}

/// A library of one function in C.
fn tiny_library(directory: &Path) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let (source, library) = (directory.join("tiny.c"), directory.join("tiny.so"));
    fs::write(&source, "int increment(int number) { return number + 1; }\n")?;
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    match compiler.status()?.success() {
        true => Ok(library),
        false => Err("cc failed".into()),
    }
}

fn open(path: &Path) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    // SAFETY: it has no constructors.
    let library = unsafe { Library::new(path) }?;
    // SAFETY: its one function has this type.
    let increment = unsafe { library.get::<extern "C" fn(i32) -> i32>("increment") }?;
    assert_eq!(increment(1), 2);
    drop(library);
    Ok(start.elapsed())
}

fn microseconds(values: Vec<u64>) -> Duration {
    median(values.into_iter().map(Duration::from_micros).collect())
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
