//! Counts the instructions of the quick paths under valgrind, and compares them with `benches/instructions.txt`: a guard
//! against getting slower that noise cannot break.
//!
//! ```console
//! $ cargo run --release -p hotswap-benches --bin instructions
//! ```
//!
//! Only what runs inside of the functions `measured_..` is counted, on their own thread. Exits with 1 when a path takes more than
//! the file says and its tolerance (in percent, beside the figure), or so much less that the file should say it.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use hotswap_benches::state::StateLibraries;
use hotswap_benches::{Outcome, Workshop, sample_library};
use hotswap_engine::{Engine, Function, Source};
use hotswap_monitor::Scanner;

/// The checked-in figures.
const FIGURES: &str = include_str!("../../instructions.txt");

const FILES: usize = 1_000;

fn main() -> Outcome<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if let (Some(path), Some(input), Some(rounds)) =
        (arguments.next(), arguments.next(), arguments.next())
    {
        run(&path, Path::new(&input), rounds.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let library = sample_library()?;
    let with_state = StateLibraries::build(&Workshop::open()?)?;
    let tree = tree()?;
    let mut all_well = true;
    println!("{:<28} {:>8} {:>8}", "instructions per round", "now", "said");
    for line in FIGURES.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split_ascii_whitespace();
        let mut column = || columns.next().ok_or("a line is `path figure tolerance`");
        let (path, said, tolerance) = (column()?, column()?, column()?);
        let said: f64 = said.parse()?;
        let tolerance = tolerance.trim_end_matches('%').parse::<f64>()? / 100.0;
        let (input, rounds, per) = match path {
            "idle_poll_per_file" => (tree.path(), 10, FILES),
            "call_that_locks" | "call_that_reads" => (with_state.first(), 10_000, 1),
            _ => (library.as_path(), 10_000, 1),
        };
        let now = count(path, input, rounds)? as f64 / (rounds as f64 * per as f64);
        let verdict = match now / said - 1.0 {
            more if more > tolerance => "MORE",
            less if less < -tolerance => "less: write it down",
            _ => "",
        };
        all_well &= verdict.is_empty();
        println!("{path:<28} {now:>8.1} {said:>8.1} {verdict}");
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The instructions of this program when it takes a path so many times.
fn count(path: &str, input: &Path, rounds: u64) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"])
        .arg(std::env::current_exe()?)
        .arg(path)
        .arg(input)
        .arg(rounds.to_string())
        .output()
        .map_err(|error| format!("cannot run valgrind ({error}): apt-get install valgrind"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.ok_or_else(|| format!("{}: {text}", output.status))?;
    Ok(number.trim().parse()?)
}

/// A crate of many files, none of them young.
fn tree() -> Outcome<tempfile::TempDir> {
    let tree = tempfile::tempdir()?;
    fs::create_dir(tree.path().join("src"))?;
    let manifest =
        "[package]\nname = \"many\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(tree.path().join("Cargo.toml"), manifest)?;
    let old = std::time::SystemTime::now() - Duration::from_secs(3_600);
    for number in 0..FILES {
        let path = tree.path().join(format!("src/module_{number}.rs"));
        fs::write(&path, format!("pub const N: usize = {number};\n"))?;
        fs::File::options().write(true).open(&path)?.set_modified(old)?;
    }
    fs::write(tree.path().join("src/lib.rs"), "")?;
    Ok(tree)
}

fn run(path: &str, input: &Path, rounds: u64) -> Outcome<()> {
    if path == "idle_poll_per_file" {
        let mut scanner = Scanner::new(&Source::from(input));
        // Cargo writes the lock file. What is younger than the racy window is read at every look: wait until nothing is.
        scanner.scan()?;
        let young = Duration::from_secs(3);
        std::thread::sleep(young);
        // Reads what was too young to be believed.
        scanner.scan()?;
        return measured_scans(&mut scanner, rounds);
    }
    let rarely = Duration::from_secs(3_600);
    let engine = Engine::builder(input).without_log().poll_every(rarely).open()?;
    // The thread's first call registers it, a handle's first in a version looks for the name, and a cell's first lock makes it.
    let state = match path {
        "call_that_locks" => Some("increment"),
        "call_that_reads" => Some("peek"),
        _ => None,
    };
    if let Some(name) = state {
        let export = engine.function::<fn() -> u64>(name)?;
        export.call()?;
        return measured_state(&export, rounds);
    }
    let add = engine.function::<fn(u64, u64) -> u64>("add")?;
    add.call(1, 2)?;
    match path {
        "call_by_handle" => measured_handle(&add, rounds),
        "call_by_name" => measured_name(&engine, rounds),
        "call_by_literal" => measured_literal(&engine, rounds),
        _ => Err(format!("no path is called {path}").into()),
    }
}

#[inline(never)]
fn measured_scans(scanner: &mut Scanner, rounds: u64) -> Outcome<()> {
    for _ in 0..rounds {
        black_box(scanner.scan()?.fingerprint);
    }
    Ok(())
}

#[inline(never)]
fn measured_state(export: &Function<fn() -> u64>, rounds: u64) -> Outcome<()> {
    for _ in 0..rounds {
        black_box(export.call()?);
    }
    Ok(())
}

#[inline(never)]
fn measured_handle(add: &Function<fn(u64, u64) -> u64>, rounds: u64) -> Outcome<()> {
    for round in 0..rounds {
        black_box(add.call(round, 3)?);
    }
    Ok(())
}

#[inline(never)]
fn measured_name(engine: &Engine, rounds: u64) -> Outcome<()> {
    for round in 0..rounds {
        black_box(engine.call_with::<u64>(black_box("add"), (round, 3u64))?);
    }
    Ok(())
}

/// The compiler knows the name, and looks at none of its bytes when the program runs.
#[inline(never)]
fn measured_literal(engine: &Engine, rounds: u64) -> Outcome<()> {
    for round in 0..rounds {
        black_box(engine.call_with::<u64>("add", (round, 3u64))?);
    }
    Ok(())
}
