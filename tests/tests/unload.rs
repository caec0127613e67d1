//! What replaced versions leave behind: nothing, once nobody uses them. Row UN-8 begins here.
//!
//! Each test looks at its own files in `/proc/self/maps`, by the paths that the log names.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_engine::{Engine, Event, PinKind, VersionState};
use hotswap_tests::deadline::{event, receive, until};
use hotswap_tests::maps::{executable_mappings, thread_names};
use hotswap_tests::{isolated, log_lines, prebuilt};

/// An engine with its log, from which the paths of loaded files are read.
struct Logged {
    engine: Engine,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Logged {
    fn open(
        set: impl FnOnce(hotswap_engine::EngineBuilder) -> hotswap_engine::EngineBuilder,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let builder = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log);
        Self { engine: set(builder).open().expect("opens"), log, _directory: directory }
    }

    /// The files that versions were loaded from, in order.
    fn files(&self) -> Vec<String> {
        files(&self.log)
    }
}

fn files(log: &Path) -> Vec<String> {
    let lines = log_lines(log);
    let staged = lines.iter().filter(|line| line.event == "stage.ok");
    staged.map(|line| line.field("path").to_owned()).collect()
}

fn unloaded(events: &Receiver<Event>) -> u64 {
    event(events, "an unloaded version", |event| match event {
        Event::Unloaded { version } => Some(version.number()),
        Event::Pinned { version } => panic!("{version} is pinned"),
        _ => None,
    })
}

/// What the monitor finds is as gone when `sync` returns as what somebody offers: nobody of ours holds it.
#[test]
fn un_8_a_version_that_a_look_replaced_is_gone_when_it_returns() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, log) = (directory.path().join("looked_at.so"), directory.path().join("hotswap.log"));
    fs::copy(prebuilt::numbered(1), &path).expect("writable");
    let engine = prebuilt::engine(&path).log_file(&log).open().expect("opens");
    for number in [2, 1, 2] {
        fs::copy(prebuilt::numbered(number), &path).expect("writable");
        engine.sync().expect("it is a module");
        assert_eq!(executable_mappings("-looked_at.so").len(), 1);
    }
    drop(engine);
    let lines = log_lines(&log);
    let commits = lines.iter().filter(|line| line.event == "swap.commit");
    for commit in commits {
        assert_eq!(commit.field("calls_old"), "0", "nobody called: {commit:?}");
    }
    assert!(!lines.iter().any(|line| line.event == "version.draining"), "{lines:#?}");
}

#[test]
fn un_8_a_replaced_version_is_unmapped() {
    let logged = Logged::open(|builder| builder);
    let events = logged.engine.subscribe();
    assert!(!executable_mappings(&logged.files()[0]).is_empty());
    for number in 1..=10 {
        logged.engine.offer(prebuilt::numbered(number % 2 + 1)).expect("swaps");
        assert_eq!(unloaded(&events), number);
    }
    let files = logged.files();
    let (current, old) = files.split_last().expect("eleven versions");
    assert!(!executable_mappings(current).is_empty());
    for file in old {
        assert_eq!(executable_mappings(file), Vec::<String>::new());
        assert!(!Path::new(file).exists(), "{file} is left behind");
    }
    let versions = logged.engine.versions();
    assert!(
        versions[..10].iter().all(|version| version.state == VersionState::Unloaded),
        "{versions:#?}"
    );
    assert_eq!(versions[10].state, VersionState::Current);
}

/// The swapper itself held what it replaced, when a change of the source swapped: the log told of a call under way, and
/// whoever asked was told before the old version was gone.
#[test]
fn a_version_that_nobody_uses_is_gone_before_who_asked_is_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (library, log) = (directory.path().join("module.so"), directory.path().join("hotswap.log"));
    fs::copy(prebuilt::numbered(1), &library).expect("ours");
    let engine = prebuilt::engine(&library).log_file(&log).open().expect("opens");
    for number in [2, 1, 2] {
        fs::copy(prebuilt::numbered(number), &library).expect("ours");
        assert!(engine.sync().expect("it is a module").is_swapped());
        let versions = engine.versions();
        let (current, old) = versions.split_last().expect("one is current");
        assert_eq!(current.state, VersionState::Current);
        assert!(old.iter().all(|info| info.state == VersionState::Unloaded), "{versions:#?}");
    }
    drop(engine);
    let draining = log_lines(&log).into_iter().find(|line| line.event == "version.draining");
    assert_eq!(draining, None, "nobody used anything");
}

#[test]
fn a_guard_holds_its_version_and_is_named() {
    let logged = Logged::open(|builder| builder);
    let events = logged.engine.subscribe();
    let guard = logged.engine.pin();
    logged.engine.offer(prebuilt::numbered(2)).expect("swaps");
    let held_by = event(&events, "a draining version", |event| match event {
        Event::Draining { held_by, .. } => Some(held_by.clone()),
        _ => None,
    });
    let names_place = |pins: &[hotswap_engine::Pin]| {
        pins.iter().any(|pin| pin.kind == PinKind::Guard && pin.origin.contains("unload.rs:"))
    };
    assert!(names_place(&held_by), "{held_by:?}");
    let versions = logged.engine.versions();
    assert_eq!(versions[0].state, VersionState::Draining);
    assert!(names_place(&versions[0].pins), "{versions:#?}");
    assert!(!executable_mappings(&logged.files()[0]).is_empty());
    assert_eq!(guard.call_with::<u64>("version", ()), Ok(1));
    drop(guard);
    assert_eq!(unloaded(&events), 1);
    assert_eq!(executable_mappings(&logged.files()[0]), Vec::<String>::new());
}

#[test]
fn a_call_under_way_holds_its_version() {
    let (logged, entered, release) = blocking();
    let events = logged.engine.subscribe();
    thread::scope(|scope| {
        let call = scope.spawn(|| logged.engine.call_with::<u64>("after", ("block",)));
        receive(&entered, "the call");
        logged.engine.offer(prebuilt::numbered(2)).expect("swaps");
        let versions = logged.engine.versions();
        assert_eq!(versions[0].state, VersionState::Draining);
        assert!(versions[0].pins.iter().any(|pin| pin.kind == PinKind::Call), "{versions:#?}");
        assert!(!executable_mappings(&logged.files()[0]).is_empty());
        release.send(()).expect("the call waits");
        assert_eq!(call.join().expect("no panic"), Ok(1));
    });
    assert_eq!(unloaded(&events), 1);
    assert_eq!(executable_mappings(&logged.files()[0]), Vec::<String>::new());
}

/// An engine whose host function `block` tells that it was entered and waits for a message.
fn blocking() -> (Logged, Receiver<()>, Sender<()>) {
    let (enter, entered) = bounded(1);
    let (release, released) = bounded::<()>(1);
    let logged = Logged::open(|builder| {
        builder.provide("block", move || {
            enter.send(()).expect("the test listens");
            receive(&released, "the release");
        })
    });
    (logged, entered, release)
}

fn holds(engine: &Engine, kind: PinKind) -> bool {
    engine.versions()[0].pins.iter().any(|pin| pin.kind == kind)
}

/// A thread that the module started runs its code: the version stays as long as the thread does.
#[test]
fn a_module_thread_holds_its_version() {
    let (logged, entered, release) = blocking();
    let events = logged.engine.subscribe();
    logged.engine.call_with::<()>("starts_bare_thread", ("block".to_owned(),)).expect("starts");
    receive(&entered, "the module's thread");
    logged.engine.offer(prebuilt::numbered(2)).expect("swaps");
    let versions = logged.engine.versions();
    assert_eq!(versions[0].state, VersionState::Draining);
    assert!(holds(&logged.engine, PinKind::Thread), "{versions:#?}");
    assert!(!executable_mappings(&logged.files()[0]).is_empty());
    release.send(()).expect("the thread waits");
    assert_eq!(unloaded(&events), 1);
    assert_eq!(executable_mappings(&logged.files()[0]), Vec::<String>::new());
}

/// A thread-local value of the module holds the version until its thread has ended and it was dropped.
#[test]
fn a_thread_local_holds_its_version() {
    let (drop_it, dropped) = bounded(1);
    let logged = Logged::open(|builder| {
        builder.provide("local_dropped", move || {
            drop_it.send(()).expect("the test listens");
        })
    });
    let events = logged.engine.subscribe();
    let (end, ended) = bounded::<()>(1);
    let (kept, keeps) = bounded(1);
    thread::scope(|scope| {
        let engine = &logged.engine;
        scope.spawn(move || {
            engine.call("keeps_local").expect("exported");
            kept.send(()).expect("the test listens");
            receive(&ended, "the end");
        });
        receive(&keeps, "the thread");
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        let versions = engine.versions();
        assert_eq!(versions[0].state, VersionState::Draining);
        assert!(
            versions[0].pins.iter().any(|pin| pin.kind == PinKind::ThreadLocal),
            "{versions:#?}"
        );
        assert!(dropped.is_empty(), "its thread still runs");
        end.send(()).expect("the thread waits");
    });
    receive(&dropped, "the value's drop");
    assert_eq!(unloaded(&events), 1);
    assert_eq!(executable_mappings(&logged.files()[0]), Vec::<String>::new());
}

/// The engine's end waits for no guard: the guard goes on working, and takes the code with it when it goes.
#[test]
fn a_guard_may_outlive_its_engine() {
    let logged = Logged::open(|builder| builder);
    let file = logged.files().remove(0);
    let guard = logged.engine.pin();
    let Logged { engine, _directory, .. } = logged;
    drop(engine);
    assert_eq!(guard.call_with::<u64>("version", ()), Ok(1));
    assert!(!executable_mappings(&file).is_empty());
    drop(guard);
    // No event is left to wait for: the engine has told its last.
    until("the code is unmapped", || executable_mappings(&file).is_empty());
    until("its file is gone", || !Path::new(&file).exists());
}

/// A handle keeps nothing: after the engine's end it gives an error.
#[test]
fn a_handle_does_not_outlive_its_engine() {
    let logged = Logged::open(|builder| builder);
    let file = logged.files().remove(0);
    let handle = logged.engine.function::<fn() -> u64>("version").expect("exported");
    drop(logged.engine);
    let error = handle.call().expect_err("there is no engine");
    assert_eq!(error.to_string(), "version: the engine no longer exists");
    until("the code is unmapped", || executable_mappings(&file).is_empty());
}

/// Two hundred versions, and the process is as it was: no mapping, no thread, no descriptor more.
#[test]
fn many_versions_leave_nothing() {
    isolated("many_versions_leave_nothing", || {
        let descriptors = || fs::read_dir("/proc/self/fd").expect("Linux tells").count();
        let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
        let (descriptors_before, threads_before) = (descriptors(), thread_names().len());
        let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
        for round in 1..=200 {
            engine.offer(&libraries[round % 2]).expect("swaps");
            engine.call("version").expect("exported");
        }
        drop(engine);
        until("all threads ended", || thread_names().len() == threads_before);
        assert_eq!(descriptors(), descriptors_before);
        assert_eq!(executable_mappings("libnumbered"), Vec::<String>::new());
        let own = format!("{}", std::process::id());
        let homes = std::env::temp_dir();
        let left: Vec<_> = fs::read_dir(homes)
            .expect("readable")
            .filter_map(|entry| Some(entry.ok()?.path().join(&own)))
            .filter(|path| path.to_string_lossy().contains("/hotswap-") && path.exists())
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    });
}

/// What a module printed without a newline is not lost with it.
#[test]
fn text_of_an_unloaded_version_is_written() {
    isolated("text_of_an_unloaded_version_is_written", || {
        use std::io::{Read as _, Seek as _};
        use std::os::fd::AsFd as _;

        let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
        let events = engine.subscribe();
        let mut file = tempfile::tempfile().expect("a temporary file");
        let stdout = std::io::stdout();
        let kept = stdout.as_fd().try_clone_to_owned().expect("duplicable");
        redirect(&file);
        engine.call_with::<()>("prints", ("no newline",)).expect("exported");
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        unloaded(&events);
        redirect(&fs::File::from(kept));
        let mut text = String::new();
        file.rewind().expect("seekable");
        file.read_to_string(&mut text).expect("readable");
        assert!(text.contains("no newline"), "{text:?}");
    });
}

/// Makes a file this process's standard output.
fn redirect(file: &fs::File) {
    rustix::stdio::dup2_stdout(file).expect("a descriptor for another");
}

/// A process has 1,024 thread-specific keys, and a standard library that gets none ends it. When versions that are held
/// have so many, newcomers are refused before that, and the current version goes on.
#[test]
fn used_up_keys_are_a_refusal_and_no_abort() {
    isolated("used_up_keys_are_a_refusal_and_no_abort", || {
        let engine = prebuilt::engine(&prebuilt::numbered(1))
            .provide("nothing", || {})
            .open()
            .expect("opens");
        let mut swaps = 0_u32;
        let mut guards = Vec::new();
        let refusal = loop {
            guards.push(engine.pin());
            engine.call_with::<()>("starts_thread", ("nothing".to_owned(),)).expect("starts");
            match engine.offer(prebuilt::numbered(1)) {
                Ok(_) => swaps += 1,
                Err(error) => break error.to_string(),
            }
            assert!(swaps < 1_024, "more versions than keys");
        };
        assert!(refusal.contains("thread-specific keys"), "{refusal}");
        assert!(swaps > 300, "{swaps} swaps");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
    });
}
