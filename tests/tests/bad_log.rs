//! A log that cannot be written: at the start an error that says what to choose, later lines that are counted, and an
//! engine that goes on in any case.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use hotswap_engine::{Engine, OpenErrorKind};
use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, Watching, watch};
use hotswap_tests::deadline::until;
use hotswap_tests::{isolated, isolated_under, log_lines, prebuilt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

/// The text of an error of `open`, with its cause.
fn refused(log: &Path) -> String {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(log);
    let error = engine.open().expect_err("the log cannot be written");
    assert!(matches!(error.kind, OpenErrorKind::Log { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("cannot write the log {}", log.display())), "{text}");
    assert!(text.contains("log_file(..)") && text.contains("without_log()"), "{text}");
    error.source().expect("what the system answered").to_string()
}

/// What is no file to append to is refused before anything else happens, with the reason.
#[test]
fn a_log_must_be_a_file() {
    // A device without an end would be read for ever; then it is this process that runs out of memory.
    isolated("a_log_must_be_a_file", || {
        let limits = getrlimit(Resource::As);
        let some = Rlimit { current: Some(4 << 30), ..limits };
        setrlimit(Resource::As, some).expect("a soft limit may be lowered");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let fifo = directory.path().join("fifo.log");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
        assert!(made.success());
        let below_a_file = directory.path().join("file");
        fs::write(&below_a_file, "").expect("writable");
        let cases = [
            (directory.path().to_owned(), "Is a directory"),
            (fifo, "Illegal seek"),
            ("/dev/full".into(), "No space left on device"),
            (below_a_file.join("hotswap.log"), "Not a directory"),
            (directory.path().join("n".repeat(256)), "File name too long"),
        ];
        for (log, reason) in cases {
            let cause = refused(&log);
            assert!(cause.contains(reason), "{}: {cause}", log.display());
        }
    });
}

/// What must be true of a log that could not be written while version 2 was swapped in, and could be for version 3.
fn assert_mended(log: &Path) {
    // Of what was written half-way nothing is left: every line is whole.
    let lines = log_lines(log);
    let told: Vec<_> = lines.iter().filter(|line| !line.field("lost_lines").is_empty()).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    let lost: u64 = told[0].field("lost_lines").parse().expect("a number");
    assert!(lost >= LINES_OF_A_SWAP - 1, "a whole swap is missing, {lost} lines are told");
    let commits: Vec<_> = lines
        .iter()
        .filter(|line| line.event == "swap.commit")
        .map(|line| line.field("to"))
        .collect();
    assert_eq!(commits, ["1", "3"], "{lines:#?}");
    assert_eq!(lines.last().map(|line| line.event.as_str()), Some("engine.stop"));
    for pair in lines.windows(2) {
        assert_eq!(pair[0].seq + 1, pair[1].seq, "{pair:#?}");
    }
}

/// `offer.intent`, `verify.ok`, `stage.ok`, `load.intent`, `load.ok`, `swap.intent`, `swap.commit`, `version.unloaded`.
const LINES_OF_A_SWAP: u64 = 8;

/// The steps that write lines, and how often each was taken.
fn writes(watching: &Watching) -> Vec<(Site, u64)> {
    let is_write = |site: &Site| {
        site.operation == Operation::Write && site.file.starts_with("engine/src/audit")
    };
    watching.passed().into_iter().filter(|(site, _)| is_write(site)).collect()
}

/// Waits until the lines of one more swap were written, or could not be.
fn wait_for_a_swap(watching: &Watching, before: u64) {
    let count = || writes(watching).iter().map(|(_, count)| count).sum::<u64>();
    until("the lines of a swap are tried", || count() >= before + LINES_OF_A_SWAP);
}

/// A limit of the file's size, as of a disk that is full, in the middle of a line; then there is room again.
#[test]
fn a_full_log_loses_lines_and_counts_them() {
    // Without the signal that would end the process, a write beyond the limit is an error.
    let launcher = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    isolated_under("a_full_log_loses_lines_and_counts_them", &launcher, || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [1, 2].map(prebuilt::numbered);
        let watching = watch();
        let engine = prebuilt::engine(&libraries[0]).log_file(&log).open().expect("opens");
        engine.sync().expect("nothing is wrong");
        // Room for the library that is copied, and for a part of the next line of a log that is made as long.
        let library_bytes = fs::metadata(&libraries[1]).expect("there").len();
        let limit = library_bytes + 4_096;
        let written = fs::metadata(&log).expect("there").len();
        pad(&log, limit - written - 40);
        let limits = getrlimit(Resource::Fsize);
        watching.clear();
        setrlimit(Resource::Fsize, Rlimit { current: Some(limit), ..limits }).expect("lowered");
        engine.offer(&libraries[1]).expect("the log does not matter");
        assert_eq!(version(&engine), 2);
        wait_for_a_swap(&watching, 0);
        setrlimit(Resource::Fsize, limits).expect("raised again");
        engine.offer(&libraries[0]).expect("swaps");
        assert_eq!(version(&engine), 1);
        drop(engine);
        cut_padding(&log);
        assert_mended(&log);
    });
}

/// Fills a log up, as other lines would.
fn pad(log: &Path, bytes: u64) {
    use std::io::Write as _;

    let line = format!("{}\n", "#".repeat(usize::try_from(bytes).expect("small") - 1));
    let mut file = fs::File::options().append(true).open(log).expect("ours");
    file.write_all(line.as_bytes()).expect("writable");
}

fn cut_padding(log: &Path) {
    let text = fs::read_to_string(log).expect("readable");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    fs::write(log, lines.join("\n") + "\n").expect("writable");
}

/// The same with every write to the log failing half-way, wherever it stands in the engine.
#[test]
fn a_log_whose_writes_fail_loses_lines_and_counts_them() {
    isolated("a_log_whose_writes_fail_loses_lines_and_counts_them", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [1, 2].map(prebuilt::numbered);
        let watching = watch();
        let engine = prebuilt::engine(&libraries[0]).log_file(&log).open().expect("opens");
        engine.sync().expect("nothing is wrong");
        let [(site, _)] = writes(&watching)[..] else { panic!("one place writes lines") };
        watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });
        engine.offer(&libraries[1]).expect("the log does not matter");
        assert_eq!(version(&engine), 2);
        wait_for_a_swap(&watching, 0);
        assert!(watching.heal() >= LINES_OF_A_SWAP);
        engine.offer(&libraries[0]).expect("swaps");
        assert_eq!(version(&engine), 1);
        drop(engine);
        assert_mended(&log);
    });
}
