//! Rows LO-1, LO-2 and LO-5: a newcomer is prepared beside what runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hotswap_engine::{ContentHash, Event, LoadErrorKind, ReloadErrorKind};
use hotswap_system::fault::{Fault, Manner, Operation, Times, Watching, watch};
use hotswap_tests::deadline::{PATIENCE, event, within};
use hotswap_tests::fault_world::FaultWorld;
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{isolated, log_lines, prebuilt};

/// Libraries that fail at each step of the way, with the code of the refusal.
fn failing(directory: &Path) -> Vec<(PathBuf, &'static str)> {
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).expect("writable");
        path
    };
    let whole = fs::read(prebuilt::numbered(2)).expect("readable");
    vec![
        (directory.join("absent.so"), "load.file"),
        (write("garbage.so", b"garbage"), "load.damaged"),
        (write("cut.so", &whole[..whole.len() / 2]), "load.damaged"),
        (
            prebuilt::library(
                "plain",
                "#[unsafe(no_mangle)] pub extern \"C\" fn f() {}",
                prebuilt::Kind::Plain,
            ),
            "load.not_a_module",
        ),
        (prebuilt::named("early_thread.rs"), "load.early_start"),
        (prebuilt::named("early_memory.rs"), "load.early_start"),
        (prebuilt::named("needy.rs"), "load.host_function"),
    ]
}

/// Whatever step fails, callers never find the engine without a version.
#[test]
fn lo_1_there_is_always_a_version() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
            }
        });
        for (path, code) in failing(directory.path()) {
            let error = engine.offer(&path).expect_err(code);
            assert!(error.to_string().ends_with("; v1 stays current"), "{error}");
            let lines = log_lines(&log);
            let refused =
                lines.iter().rfind(|line| line.event.ends_with(".refused")).expect("a refusal");
            assert_eq!(refused.field("err"), code, "{refused:?}");
            assert_eq!(refused.field("outcome"), "rejected");
            assert_eq!(engine.version().number(), 1);
        }
        is_over.store(true, Ordering::Release);
    });
    // What was refused takes no number, and leaves no code behind.
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!(engine.version().number(), 2);
    for name in ["-libearly", "-libneedy", "-libplain"] {
        assert_eq!(executable_mappings(name), Vec::<String>::new());
    }
}

/// Everything slow is done before the one write that publishes: that step reads no file, runs no code of
/// the module and waits for no caller, so the log has it last and apart.
#[test]
fn lo_2_only_the_publishing_is_noticed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    let _guard = engine.pin();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let lines = log_lines(&log);
    let commit = lines.iter().rfind(|line| line.event == "swap.commit").expect("a swap");
    let story: Vec<_> = lines
        .iter()
        .filter(|line| line.field("tx") == commit.field("tx"))
        .map(|line| line.event.as_str())
        .collect();
    assert_eq!(
        story[..7],
        [
            "offer.intent",
            "verify.ok",
            "stage.ok",
            "load.intent",
            "load.ok",
            "swap.intent",
            "swap.commit"
        ]
    );
    let events = engine.subscribe();
    engine.offer(prebuilt::numbered(1)).expect("swaps");
    let publish_time = event(&events, "a swap", |event| match event {
        Event::Swapped { publish_time, .. } => Some(*publish_time),
        _ => None,
    });
    // SW-2 proves that nobody waits; the figure is a bench's. This only tells a pointer's write from a load.
    assert!(publish_time.as_millis() < 1_000, "{publish_time:?}");
}

/// Two loads of the same file are two versions with statics of their own.
#[test]
fn lo_5_each_version_has_its_own_statics() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let library = prebuilt::numbered(1);
    let engine = prebuilt::engine(&library).log_file(&log).open().expect("opens");
    let count = || engine.call_with::<u64>("count", ()).expect("exported");
    assert_eq!([count(), count()], [1, 2]);
    let first = engine.pin();
    engine.offer(&library).expect("the same file is a version of its own");
    let second = engine.pin();
    assert_eq!(count(), 1);
    engine.offer(&library).expect("and again");
    assert_eq!(count(), 1);
    assert_eq!(first.call_with::<u64>("count", ()), Ok(3));
    assert_eq!(second.call_with::<u64>("count", ()), Ok(2));
    let mut paths: Vec<_> = log_lines(&log)
        .into_iter()
        .filter(|line| line.event == "stage.ok")
        .map(|line| line.field("path").to_owned())
        .collect();
    assert_eq!(paths.len(), 3);
    for path in &paths {
        assert!(!executable_mappings(path).is_empty(), "{path}");
    }
    paths.dedup();
    assert_eq!(paths.len(), 3, "every version has a file of its own");
}

/// A library is a private copy from the moment it is offered: what happens to the file afterwards is nothing to us.
#[test]
fn lo_5_the_offered_file_may_be_overwritten() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("module.so");
    fs::copy(prebuilt::numbered(1), &path).expect("writable");
    let engine = prebuilt::engine(&prebuilt::numbered(3)).open().expect("opens");
    engine.offer(&path).expect("swaps");
    let guard = engine.pin();
    // In place, so that the inode stays: what would be mapped would be overwritten.
    fs::write(&path, fs::read(prebuilt::numbered(2)).expect("readable")).expect("writable");
    engine.offer(&path).expect("swaps");
    assert_eq!(guard.call_with::<u64>("version", ()), Ok(1));
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    fs::write(&path, "").expect("writable");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    let error = engine.offer(&path).expect_err("empty");
    let ReloadErrorKind::Load(load) = &error.kind else { panic!("{error}") };
    assert!(matches!(load.kind, LoadErrorKind::Damaged { .. }), "{error}");
}

/// The directory for loaded files could not be looked at, was taken for gone, and made anew: the swapper then waited for
/// ever, for a lock that it had itself.
#[test]
fn lo_1_a_directory_that_cannot_be_looked_at_holds_up_nobody() {
    isolated("lo_1_a_directory_that_cannot_be_looked_at_holds_up_nobody", || {
        let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
        let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
        engine.offer(&libraries[1]).expect("swaps");
        let steps = watch();
        engine.offer(&libraries[0]).expect("swaps");
        let passed = steps.passed();
        let looks = passed.keys().filter(|site| {
            site.operation == Operation::Stat && site.file.ends_with("engine/src/stage.rs")
        });
        assert!(looks.clone().count() > 1, "{passed:#?}");
        for site in looks {
            steps.inject(Fault { site: *site, times: Times::Once(0), manner: Manner::Error });
            let (asked, library) = (engine.clone(), libraries[1].clone());
            let _verdict = within(PATIENCE, "a verdict", move || asked.offer(library));
            assert_eq!(steps.heal(), 1, "{site}");
            engine.offer(&libraries[0]).expect("nothing fails any more");
            assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
        }
    });
}

/// How often files were read in this source file.
fn reads(steps: &Watching, file: &str) -> u64 {
    let passed = steps.passed();
    let of_it = passed
        .iter()
        .filter(|(site, _)| site.operation == Operation::Read && site.file.ends_with(file));
    of_it.map(|(_, count)| count).sum()
}

/// What reading this file once takes; the last read finds the end.
fn reads_of(path: &Path) -> u64 {
    let length = fs::metadata(path).expect("it is there").len();
    length.div_ceil(ContentHash::READ_BYTES as u64) + 1
}

/// A large debug library was read twice to be offered, and hashed two and a half times.
#[test]
fn a_library_is_read_once_by_who_stores_it_and_once_by_who_loads_it() {
    isolated("a_library_is_read_once_by_who_stores_it_and_once_by_who_loads_it", || {
        let directory = tempfile::tempdir().expect("a directory");
        let large = directory.path().join("large.so");
        let mut bytes = fs::read(prebuilt::numbered(2)).expect("readable");
        // As debug information does: nothing of it is mapped.
        bytes.resize(bytes.len() + 3_000_000, 7);
        fs::write(&large, bytes).expect("writable");
        let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
        let steps = watch();
        engine.offer(&large).expect("swaps");
        // And once more: what is no library is seen by its first bytes.
        assert_eq!(reads(&steps, "engine/src/stage.rs"), 1 + reads_of(&large));
        assert_eq!(reads(&steps, "monitor/artifact/src/hash.rs"), 0);

        let world = FaultWorld::new();
        let engine = world.engine().open().expect("opens");
        steps.clear();
        world.edit(2);
        engine.reload().expect("swaps");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
        let built = reads_of(&world.staged()[0]);
        assert_eq!(reads(&steps, "monitor/artifact/src/hash.rs"), built, "stored");
        assert_eq!(reads(&steps, "engine/src/stage.rs"), 1 + built, "loaded");
    });
}
