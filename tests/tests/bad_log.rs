//! A log that cannot be written: at the start an error that says what to choose; later nothing becomes current that the log
//! does not announce, unless the host wants it so, and lines that are missing are counted. Calls go on in any case.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use hotswap_engine::audit::verify;
use hotswap_engine::{
    Engine, Event, LoadErrorKind, OpenErrorKind, ReloadError, ReloadErrorKind, Verdict,
};
use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, Watching, watch};
use hotswap_tests::deadline::{event, until};
use hotswap_tests::fault_world::FaultWorld;
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
    let is_write =
        |site: &Site| site.operation == Operation::Write && site.file.ends_with("audit/writer.rs");
    watching.passed().into_iter().filter(|(site, _)| is_write(site)).collect()
}

/// Waits until the lines of one more swap were written, or could not be.
fn wait_for_a_swap(watching: &Watching, before: u64) {
    let count = || writes(watching).iter().map(|(_, count)| count).sum::<u64>();
    until("the lines of a swap are tried", || count() >= before + LINES_OF_A_SWAP);
}

/// Without the signal that would end the process, a write beyond the limit is an error.
const WITHOUT_SIGNAL: [&str; 3] = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

/// A limit of the file's size, as of a disk that is full, in the middle of a line.
struct FullDisk {
    limits: Rlimit,
}

impl FullDisk {
    /// Leaves room for a library that is copied, and for a part of the next line of the log.
    fn fill(log: &Path, library: &Path) -> Self {
        let library_bytes = fs::metadata(library).expect("there").len();
        let limit = library_bytes + 4_096;
        let written = fs::metadata(log).expect("there").len();
        pad(log, limit - written - 40);
        let limits = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(limit), ..limits }).expect("lowered");
        Self { limits }
    }

    /// There is room again.
    fn mend(self) {
        setrlimit(Resource::Fsize, self.limits).expect("raised again");
    }
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

/// An answer that says what could not be written and why, and what is current.
fn assert_refused(verdict: Result<Verdict, ReloadError>, log: &Path, why: &str) {
    let error = verdict.expect_err("it is not announced");
    let ReloadErrorKind::Load(load) = &error.kind else { panic!("{error}") };
    assert!(matches!(load.kind, LoadErrorKind::Log { .. }), "{error}");
    let told = format!("cannot write the log {}: ", log.display());
    assert!(error.to_string().starts_with(&told), "{error}");
    assert!(error.to_string().ends_with("v1 stays current"), "{error}");
    assert_eq!(error.source().expect("what the system answered").to_string(), why);
}

#[test]
fn a_full_log_refuses_swaps() {
    isolated_under("a_full_log_refuses_swaps", &WITHOUT_SIGNAL, || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [1, 2].map(prebuilt::numbered);
        let engine = prebuilt::engine(&libraries[0]).log_file(&log).open().expect("opens");
        engine.sync().expect("nothing is wrong");
        let disk = FullDisk::fill(&log, &libraries[1]);
        for _ in 0..2 {
            assert_refused(engine.offer(&libraries[1]), &log, "File too large (os error 27)");
            assert_eq!(version(&engine), 1);
        }
        assert!(engine.status().lost_log_lines > 0);
        disk.mend();
        engine.offer(&libraries[1]).expect("there is room again");
        assert_eq!(version(&engine), 2);
        drop(engine);
        cut_padding(&log);
        let lines = log_lines(&log);
        let told: Vec<_> = lines.iter().filter(|line| line.event == "log.recovered").collect();
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert_eq!(told[0].level, "ALERT");
        // Nothing happened that is not told.
        let findings = verify(&log).expect("readable").findings;
        let codes: Vec<_> = findings.iter().map(|finding| finding.kind.code()).collect();
        assert_eq!(codes, ["lost"], "{findings:#?}");
    });
}

/// The way back is open in any case: to what is mapped, which needs no disk at all.
#[test]
fn a_full_log_allows_the_way_back() {
    isolated_under("a_full_log_allows_the_way_back", &WITHOUT_SIGNAL, || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [1, 2].map(prebuilt::numbered);
        let engine = prebuilt::engine(&libraries[0]).keep_versions(1).log_file(&log);
        let engine = engine.open().expect("opens");
        engine.offer(&libraries[1]).expect("swaps");
        let disk = FullDisk::fill(&log, &libraries[1]);
        engine.offer(&libraries[0]).expect_err("it is not announced");
        assert!(engine.rollback().expect("it is mapped").is_swapped());
        assert_eq!(version(&engine), 1);
        disk.mend();
    });
}

/// What was saved meanwhile becomes current by itself when the log can be written again.
#[test]
fn a_swap_that_could_not_be_announced_is_tried_again() {
    isolated("a_swap_that_could_not_be_announced_is_tried_again", || {
        let world = FaultWorld::new();
        let watching = watch();
        let engine = world.engine().open().expect("opens");
        engine.sync().expect("nothing is wrong");
        let events = engine.subscribe();
        let [(site, _)] = writes(&watching)[..] else { panic!("one place writes lines") };
        watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });
        world.edit(2);
        assert_refused(engine.sync(), &world.log(), "No space left on device (os error 28)");
        assert_eq!(version(&engine), 1);
        watching.heal();
        event(&events, "a swap", |event| matches!(event, Event::Swapped { .. }).then_some(()));
        assert_eq!(version(&engine), 2);
    });
}

#[test]
fn a_full_log_loses_lines_and_counts_them() {
    isolated_under("a_full_log_loses_lines_and_counts_them", &WITHOUT_SIGNAL, || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [1, 2].map(prebuilt::numbered);
        let watching = watch();
        let engine = prebuilt::engine(&libraries[0]).log_file(&log).swap_unlogged();
        let engine = engine.open().expect("opens");
        engine.sync().expect("nothing is wrong");
        let disk = FullDisk::fill(&log, &libraries[1]);
        watching.clear();
        engine.offer(&libraries[1]).expect("the log does not matter");
        assert_eq!(version(&engine), 2);
        wait_for_a_swap(&watching, 0);
        disk.mend();
        engine.offer(&libraries[0]).expect("swaps");
        assert_eq!(version(&engine), 1);
        drop(engine);
        cut_padding(&log);
        assert_mended(&log);
    });
}

/// The same with every write to the log failing half-way, wherever it stands in the engine.
#[test]
fn a_log_whose_writes_fail_loses_lines_and_counts_them() {
    isolated("a_log_whose_writes_fail_loses_lines_and_counts_them", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [1, 2].map(prebuilt::numbered);
        let watching = watch();
        let engine = prebuilt::engine(&libraries[0]).log_file(&log).swap_unlogged();
        let engine = engine.open().expect("opens");
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
