//! hotswap.log: one event, one line; all lines of a change carry one id; nothing while nothing happens.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use hotswap_engine::Engine;
use hotswap_tests::{
    CrateFixture, LogLine, build_directory, is_isolated, isolated, log_lines, prebuilt, versioned,
};

fn assert_numbered(lines: &[LogLine]) {
    for pair in lines.windows(2) {
        assert_eq!(pair[0].seq + 1, pair[1].seq, "{pair:#?}");
        assert!(pair[0].time <= pair[1].time, "{pair:#?}");
    }
}

fn lines_since(log: &Path, start: usize) -> Vec<LogLine> {
    log_lines(log).split_off(start)
}

/// How many lines there are when everything about the first version is written: its last line may come after
/// `open` returned, and never after a look.
fn lines_after_a_look(engine: &Engine, log: &Path) -> usize {
    engine.sync().expect("nothing is wrong");
    log_lines(log).len()
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The whole story of a change, in order, under one id; intents before effects, outcomes after.
#[test]
fn a_change_is_one_story() {
    let module = CrateFixture::new("log_story", &versioned(1));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().log_file(&log).open().expect("opens");
    let start = lines_after_a_look(&engine, &log);
    module.edit(&versioned(2));
    engine.sync().expect("it builds");
    drop(engine);
    let lines = lines_since(&log, start);
    let tx = lines[0].field("tx").to_owned();
    assert!(!tx.is_empty());
    let story: Vec<&LogLine> = lines.iter().filter(|line| line.field("tx") == tx).collect();
    let mut events: Vec<&str> = story.iter().map(|line| line.event.as_str()).collect();
    // The monitor writes it after sending, while the swapper may be at work already.
    let sent = events.iter().position(|event| *event == "notify.sent").expect("it was sent");
    assert!(sent > events.iter().position(|event| *event == "store.ok").expect("it was stored"));
    events.remove(sent);
    assert_eq!(
        events[..11],
        [
            "detect.change",
            "detect.settled",
            "build.intent",
            "build.ok",
            "store.ok",
            "verify.ok",
            "stage.ok",
            "load.intent",
            "load.ok",
            "swap.intent",
            "swap.commit",
        ]
    );
    let change = story[0];
    let fingerprint =
        change.field("fp").strip_prefix("sha1:").expect("the kind of hash stands with it");
    assert!(is_hexadecimal(fingerprint, 40));
    assert_eq!(
        change.field("msg"),
        format!("received notification of fingerprint change ({fingerprint})")
    );
    assert!(change.field("cause").contains("src/lib.rs"), "{change:?}");
    assert_eq!((change.field("trig"), change.field("src")), ("manual", "crate"));
    let commit = story.iter().find(|line| line.event == "swap.commit").expect("it was swapped");
    assert_eq!(
        (commit.field("from"), commit.field("to"), commit.field("outcome")),
        ("1", "2", "ok")
    );
    assert_eq!(commit.field("fp"), change.field("fp"), "what was seen is what runs");
    assert!(is_hexadecimal(commit.field("sha256"), 64), "{commit:?}");
    for key in ["build_ms", "swap_us"] {
        assert!(commit.field(key).parse::<u64>().is_ok(), "{key}: {commit:?}");
    }
    for line in &lines {
        assert_eq!(line.field("engine"), "log_story", "{line:?}");
        assert!(line.field("mono_us").parse::<u64>().is_ok(), "{line:?}");
    }
    assert_numbered(&log_lines(&log));
    let last = lines.last().expect("lines");
    assert_eq!(last.event, "engine.stop");
}

#[test]
fn a_failure_is_one_story_too() {
    let module = CrateFixture::new("log_failure", &versioned(1));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().log_file(&log).open().expect("opens");
    let start = lines_after_a_look(&engine, &log);
    module.edit("broken");
    engine.sync().expect_err("it does not compile");
    let lines = lines_since(&log, start);
    let events: Vec<&str> = lines.iter().map(|line| line.event.as_str()).collect();
    assert_eq!(events, ["detect.change", "detect.settled", "build.intent", "build.fail"]);
    assert!(lines.iter().all(|line| line.field("tx") == lines[0].field("tx")));
    assert_eq!((lines[3].level.as_str(), lines[3].field("err")), ("ERROR", "build"));
}

/// Looking at a source that does not change writes nothing: 50 looks that are asked for and, meanwhile,
/// polls every millisecond.
#[test]
fn idle_looks_write_nothing() {
    let module = CrateFixture::new("log_idle", &versioned(1));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine =
        module.engine().poll_every(Duration::from_millis(1)).log_file(&log).open().expect("opens");
    lines_after_a_look(&engine, &log);
    let before = fs::read(&log).expect("readable");
    for _ in 0..50 {
        assert!(!engine.sync().expect("nothing is wrong").is_swapped());
    }
    assert_eq!(fs::read(&log).expect("readable"), before);
}

/// Engines of one process share a file, each under its name; the numbers go on when they are opened again.
#[test]
fn engines_share_a_log_and_numbers_go_on() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let library = prebuilt::numbered(1);
    for _ in 0..2 {
        let first = prebuilt::engine(&library).name("first").log_file(&log).open().expect("opens");
        let second =
            prebuilt::engine(&library).name("second").log_file(&log).open().expect("opens");
        assert_eq!(first.status().log_path, Some(log.clone()));
        std::thread::scope(|scope| {
            for engine in [&first, &second] {
                scope.spawn(|| (0..10).for_each(|_| drop(engine.offer(prebuilt::numbered(2)))));
            }
        });
    }
    let lines = log_lines(&log);
    assert_numbered(&lines);
    assert_eq!(lines[0].seq, 1);
    assert_eq!(lines.iter().filter(|line| line.event == "log.open").count(), 2);
    for name in ["first", "second"] {
        let commits =
            lines.iter().filter(|line| line.event == "swap.commit" && line.field("engine") == name);
        assert_eq!(commits.count(), 22, "{name}");
    }
    let mut ids: Vec<_> = lines
        .iter()
        .filter(|line| line.event == "swap.commit")
        .map(|line| line.field("tx"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 44, "every change has an id of its own");
}

/// While another process holds the log, a file of this process's own beside it is written, and says so.
#[test]
fn another_process_keeps_its_log() {
    const NAME: &str = "another_process_keeps_its_log";
    let directory = build_directory().join("held-log");
    let log = directory.join("hotswap.log");
    // Held by the process that starts the one with the engine.
    let mut holder = None;
    if !is_isolated(NAME) {
        // Of an earlier run.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("writable");
        let file = File::create(&log).expect("writable");
        file.lock().expect("lockable");
        holder = Some(file);
    }
    isolated(NAME, || {
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
        let own = directory.join(format!("hotswap-{}.log", std::process::id()));
        assert_eq!(engine.status().log_path, Some(own.clone()));
        drop(engine);
        let lines = log_lines(&own);
        assert_eq!(lines[0].event, "log.open");
        assert_eq!(lines[0].field("instead_of"), log.display().to_string());
        assert_eq!(fs::read(&log).expect("readable"), b"", "the other process's file is its own");
    });
    drop(holder);
}

/// Everything of a panic on a thread that a module started is in the log: no call could take it.
#[test]
fn a_panic_on_a_module_thread_is_logged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    engine.call("starts_panicking_thread").expect("starts");
    let found = || log_lines(&log).into_iter().find(|line| line.event == "module.panic");
    hotswap_tests::deadline::until("the panic is in the log", || found().is_some());
    let line = found().expect("just seen");
    assert_eq!(line.field("msg"), "on a thread of its own");
    assert!(line.field("at").contains("src/lib.rs:"), "{line:?}");
    engine.call("version").expect("the host goes on");
}

/// A host's logger that panics loses its record; the engine and its log go on.
#[test]
fn a_logger_that_panics_stops_nothing() {
    struct Bomb;
    impl log::Log for Bomb {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            assert!(!record.args().to_string().starts_with("swap."), "the logger's own");
        }
        fn flush(&self) {}
    }
    isolated("a_logger_that_panics_stops_nothing", || {
        log::set_logger(&Bomb).expect("this process is the test's alone");
        log::set_max_level(log::LevelFilter::Trace);
        let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
        for number in [2, 1] {
            engine.offer(prebuilt::numbered(number)).expect("swaps");
            assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
        }
    });
}
