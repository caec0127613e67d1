//! From a built library to the first call in it, beside loading a tiny C library; and a library of 100 MB.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use hotswap_engine::{
    BuildBackend, BuildJob, Built, Engine, Event, Profile, StopSignal, log_lines,
};
use hotswap_monitor::BuildErrorKind;
use libloading::{Library, Symbol};

use crate::command::run;
use crate::module_crate::{ModuleCrate, Size};
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// How long a load may take before the bench is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any bench runs.
const RARELY: Duration = Duration::from_secs(3_600);

/// The target directory of libraries that are only loaded.
const LOADED: &str = "loaded";

/// How long the large library is.
pub const LARGE_BYTES: usize = 100 * 1024 * 1024;

/// Libraries to load.
#[derive(Debug, Clone)]
pub struct Libraries {
    /// C, one function.
    pub tiny: PathBuf,
    /// Two versions of a module of 48 lines, built with optimisation.
    pub modules: [PathBuf; 2],
}

impl Libraries {
    /// Builds them. Blocks for the compilers.
    ///
    /// # Errors
    ///
    /// When one does not build.
    pub fn build(workshop: &Workshop) -> Outcome<Self> {
        let directory = workshop.directory("libraries")?;
        let (source, tiny) = (directory.join("tiny.c"), directory.join("libtiny.so"));
        fs::write(&source, "int answer(void) { return 42; }\n")?;
        run(Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&tiny).arg(&source))?;
        let module = ModuleCrate::new(workshop, "loaded", Size::Small)?;
        let engine = engine_on(&module, workshop)?;
        let first = stored(&engine, workshop)?;
        module.edit(1)?;
        engine.reload()?;
        Ok(Self { tiny, modules: [first, stored(&engine, workshop)?] })
    }

    /// A module with so many bytes in a section that is never loaded, as debug information is. Blocks for the compiler.
    ///
    /// # Errors
    ///
    /// When it does not build, or there is no room.
    pub fn large(&self, workshop: &Workshop, bytes: usize) -> Outcome<PathBuf> {
        let section = self.tiny.with_file_name("section");
        // Not compressible, not all alike: xorshift.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        fs::write(&section, words.take(bytes / 8).flatten().collect::<Vec<u8>>())?;
        // Debug information itself is stripped from a release.
        let include = format!(
            "\ncore::arch::global_asm!({:?});\n",
            format!(".section .large,\"\",@progbits\n.incbin {section:?}\n.text")
        );
        library(workshop, "large_section", |source| source + &include)
    }
}

/// A module that is built with optimisation, from the source that is made of that of a small one.
pub(crate) fn library(
    workshop: &Workshop,
    role: &str,
    edit: impl FnOnce(String) -> String,
) -> Outcome<PathBuf> {
    let module = ModuleCrate::new(workshop, role, Size::Small)?;
    let source = module.directory().join("src/lib.rs");
    fs::write(&source, edit(fs::read_to_string(&source)?))?;
    stored(&engine_on(&module, workshop)?, workshop)
}

/// An engine that builds with optimisation.
fn engine_on(module: &ModuleCrate, workshop: &Workshop) -> Outcome<Engine> {
    let builder = Engine::builder(module.directory())
        .profile(Profile::Release)
        .target_dir(workshop.target(LOADED))
        .poll_every(RARELY)
        .without_log();
    Ok(builder.open()?)
}

/// Where the library of its last version lies.
fn stored(engine: &Engine, workshop: &Workshop) -> Outcome<PathBuf> {
    let content = engine.versions().last().and_then(|version| version.content);
    let content = content.ok_or("a built version has a content hash")?;
    Ok(workshop.target(LOADED).join(format!("store/{content}.so")))
}

/// Loads the C library, looks for its function and calls it: what every loader pays. Closing it is not timed.
#[must_use]
pub fn tiny_c(library: &Path) -> Timed<'_> {
    Timed::new("dlopen of a tiny C library (floor)", move |rounds| {
        let mut total = Duration::ZERO;
        for _ in 0..rounds {
            let start = Instant::now();
            let (library, answer) = load_c(library)?;
            total += start.elapsed();
            if answer != 42 {
                return Err("the C library answers something else".into());
            }
            drop(library);
        }
        Ok(total)
    })
}

/// Loads a library of ours and calls its `answer`.
pub(crate) fn load_c(path: &Path) -> Outcome<(Library, i32)> {
    // SAFETY: it has no constructors: it is the one function of `Libraries::build`.
    let library = unsafe { Library::new(path) }?;
    // SAFETY: that function has this type.
    let answer: Symbol<'_, extern "C" fn() -> i32> = unsafe { library.get("answer") }?;
    let answer = answer();
    Ok((library, answer))
}

/// Loads a module as any library, and calls nothing of it.
pub(crate) fn load_bare(module: &Path) -> Outcome<Library> {
    // SAFETY: its constructors are those of std, which only note the arguments of the program.
    Ok(unsafe { Library::new(module) }?)
}

/// Reads a file once: what is verified is read.
#[must_use]
pub fn read_once(library: &Path) -> Timed<'_> {
    Timed::new("read the library (floor)", move |rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(fs::read(library)?);
        }
        Ok(start.elapsed())
    })
}

/// An engine that is offered libraries.
#[derive(Debug)]
pub struct Offers {
    engine: Engine,
    events: Receiver<Event>,
}

impl Offers {
    /// Opens it on a library.
    ///
    /// # Errors
    ///
    /// When that is refused.
    pub fn open(library: &Path) -> Outcome<Self> {
        let engine =
            Engine::builder(library).without_log().poll_every(RARELY).keep_versions(0).open()?;
        let events = engine.subscribe();
        Ok(Self { engine, events })
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Offers a foreign library until a call has run in it. That the version before is unmapped is waited for, and not timed.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn offer(&self, library: &Path) -> Outcome<Duration> {
        let start = Instant::now();
        self.engine.offer(library)?;
        self.engine.call_with::<u64>("version", ())?;
        let time = start.elapsed();
        while !matches!(self.events.recv_timeout(PATIENCE)?, Event::Unloaded { .. }) {}
        Ok(time)
    }

    /// For criterion and the report.
    #[must_use]
    pub fn timed<'a>(&'a self, library: &'a Path) -> Timed<'a> {
        Timed::new("offer, until it is called", |rounds| {
            (0..rounds).map(|_| self.offer(library)).sum()
        })
    }
}

/// How many bytes this process has asked the system to read. *Source*: `rchar` of `/proc/self/io` (proc_pid_io(5)); what is
/// read through a mapping is not in it.
///
/// # Errors
///
/// When the system does not tell.
pub fn bytes_read() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let field = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    Ok(field.ok_or("/proc/self/io has no rchar")?.trim().parse()?)
}

/// An engine whose builds are done before they begin: what is left of a swap is what the engine does with an artifact.
#[derive(Debug)]
pub struct BuiltArtifacts {
    engine: Engine,
    source: PathBuf,
    log: PathBuf,
    edits: u64,
    chosen: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Ready {
    libraries: [PathBuf; 2],
    target: PathBuf,
    chosen: Arc<AtomicUsize>,
}

impl BuildBackend for Ready {
    fn build(&mut self, _: &BuildJob, _: &StopSignal) -> Result<Built, BuildErrorKind> {
        // Relaxed: `reload` orders the two threads.
        let library = &self.libraries[self.chosen.load(Ordering::Relaxed) % 2];
        Ok(Built::new(library, &self.target))
    }
}

impl BuiltArtifacts {
    /// Opens it on the first module.
    ///
    /// # Errors
    ///
    /// When that is refused.
    pub fn open(workshop: &Workshop, libraries: &Libraries) -> Outcome<Self> {
        let directory = workshop.directory("built")?;
        let (source, log) = (directory.join("built.rs"), directory.join("built.log"));
        fs::write(&source, "")?;
        let chosen = Arc::new(AtomicUsize::new(0));
        let backend = Ready {
            libraries: libraries.modules.clone(),
            target: workshop.target(LOADED),
            chosen: Arc::clone(&chosen),
        };
        let engine = Engine::builder(&source)
            .backend(backend)
            .settle(Duration::from_millis(1))
            .poll_every(RARELY)
            .log_file(&log)
            .open()?;
        Ok(Self { engine, source, log, edits: 0, chosen })
    }

    /// From the moment at which the engine is told of the next library until that is current, by the times of hotswap.log.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn swap(&mut self) -> Outcome<Duration> {
        self.edits += 1;
        self.chosen.fetch_add(1, Ordering::Relaxed);
        fs::write(&self.source, format!("// {}\n", self.edits))?;
        let verdict = self.engine.reload()?;
        let version: u64 = self.engine.call_with("version", ())?;
        if !verdict.is_swapped() || version != self.edits % 2 {
            return Err(format!("edit {}: {verdict}, version {version}", self.edits).into());
        }
        let lines: Vec<_> =
            log_lines(BufReader::new(fs::File::open(&self.log)?)).flatten().collect();
        let last = |event: &str| lines.iter().rfind(|line| line.event == event);
        let (told, current) =
            last("notify.sent").zip(last("swap.commit")).ok_or("no line tells of it")?;
        Ok(current.time.duration_since(told.time)?)
    }

    /// For criterion and the report.
    pub fn timed(&mut self) -> Timed<'_> {
        Timed::new("built artifact, until it is current", |rounds| {
            (0..rounds).map(|_| self.swap()).sum()
        })
    }
}
