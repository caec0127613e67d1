//! The way back, and the switches. Rows RB-2, RB-7, AU-5, UN-2 and UN-3.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hotswap_engine::{
    Engine, EngineBuilder, Event, LoadErrorKind, PinKind, ReloadError, ReloadErrorKind,
    UnloadErrorKind, UnloadOutcome, VersionId, VersionState,
};
use hotswap_tests::deadline::{PATIENCE, event};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{CrateFixture, log_lines, prebuilt, versioned};

/// An engine that looks at one file, into which the test copies libraries.
struct Watched {
    engine: Engine,
    library: PathBuf,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Watched {
    /// Opened on number 1; keeps one version, as by default.
    fn open(set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let library = directory.path().join("module.so");
        let log = directory.path().join("hotswap.log");
        fs::copy(prebuilt::numbered(1), &library).expect("writable");
        let builder = prebuilt::engine(&library).log_file(&log).keep_versions(1);
        let engine = set(builder).open().expect("opens");
        Self { engine, library, log, _directory: directory }
    }

    fn put(&self, number: u64) {
        fs::copy(prebuilt::numbered(number), &self.library).expect("writable");
    }

    fn swap_to(&self, number: u64) {
        self.put(number);
        assert!(self.engine.sync().expect("it is a module").is_swapped());
    }

    fn events_of_log(&self) -> Vec<String> {
        log_lines(&self.log).into_iter().map(|line| line.event).collect()
    }
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

fn count(engine: &Engine) -> u64 {
    engine.call_with("count", ()).expect("exported")
}

fn states(engine: &Engine) -> Vec<VersionState> {
    engine.versions().iter().map(|version| version.state).collect()
}

fn id(engine: &Engine, number: u64) -> VersionId {
    let versions = engine.versions();
    versions.iter().find(|version| version.id.number() == number).expect("it ran").id
}

fn load_error(error: &ReloadError) -> &LoadErrorKind {
    match &error.kind {
        ReloadErrorKind::Load(error) => &error.kind,
        other => panic!("{other:?}"),
    }
}

/// What is kept is mapped and connected: neither disk nor network nor compiler is asked, and its statics are as they
/// were left.
#[test]
fn rb_2_the_version_before_is_ready() {
    let watched = Watched::open(|builder| builder);
    assert_eq!(count(&watched.engine), 1);
    watched.swap_to(2);
    assert_eq!(states(&watched.engine), [VersionState::Warm, VersionState::Current]);
    let events = watched.engine.subscribe();
    fs::remove_file(&watched.library).expect("ours");
    assert!(watched.engine.rollback().expect("it is mapped").is_swapped());
    assert_eq!((version(&watched.engine), watched.engine.version().number()), (1, 1));
    assert_eq!(count(&watched.engine), 2, "the very image that ran before");
    let swapped = event(&events, "a swap", |event| match event {
        Event::Swapped { from, to, reason, .. } => Some((*from, *to, *reason)),
        _ => None,
    });
    assert_eq!(swapped.2, hotswap_engine::SwapReason::RolledBack);
    assert_eq!((swapped.0.map(VersionId::number), swapped.1.number()), (Some(2), 1));
    let events = watched.events_of_log();
    let since = events.iter().position(|event| event == "rollback.intent").expect("logged");
    let after: Vec<_> = events[since..].iter().map(String::as_str).collect();
    assert_eq!(
        after,
        ["rollback.intent", "rollback.done", "version.unloaded", "quarantine.add"],
        "nothing was read or loaded"
    );
}

/// What came earlier is loaded again, under its number: a new image, whose statics begin anew.
#[test]
fn rb_7_an_earlier_version_is_loaded_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .log_file(directory.path().join("hotswap.log"))
        .keep_versions(1)
        .open()
        .expect("opens");
    assert_eq!(count(&engine), 1);
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    engine.offer(prebuilt::numbered(3)).expect("swaps");
    let expected = [VersionState::Unloaded, VersionState::Warm, VersionState::Current];
    assert_eq!(states(&engine), expected);
    engine.rollback_to(id(&engine, 1)).expect("its library lies there");
    assert_eq!((version(&engine), engine.version().number()), (1, 1));
    assert_eq!(count(&engine), 1);
    assert_eq!(states(&engine)[0], VersionState::Current);
    // And forward again, to one that was left.
    engine.rollback_to(id(&engine, 3)).expect("its library lies there");
    assert_eq!((version(&engine), engine.version().number()), (3, 3));
    // What comes next has a number of its own.
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!((version(&engine), engine.version().number()), (2, 4));
}

/// Who names a version that was left wants it: what lies in the source is what runs, and no longer refused.
#[test]
fn what_is_gone_back_to_is_not_quarantined() {
    let watched = Watched::open(|builder| builder);
    watched.swap_to(2);
    watched.engine.rollback().expect("it is mapped");
    let error = watched.engine.sync().expect_err("what lies in the source was left");
    assert_eq!(
        error.to_string(),
        "v2 was rolled back, and what lies in the source is what it was built from; v1 stays current"
    );
    watched.engine.rollback_to(id(&watched.engine, 2)).expect("its library lies there");
    assert!(!watched.engine.sync().expect("it runs").is_swapped());
    assert_eq!(version(&watched.engine), 2);
}

/// A library from elsewhere that was overwritten meanwhile is not taken for what it was.
#[test]
fn an_overwritten_library_cannot_be_gone_back_to() {
    let watched = Watched::open(|builder| builder.keep_versions(0));
    watched.swap_to(2);
    let error = watched.engine.rollback().expect_err("another file lies there");
    assert!(matches!(load_error(&error), LoadErrorKind::Content { .. }), "{error}");
    assert_eq!(error.current, Some(watched.engine.version()));
    assert_eq!(version(&watched.engine), 2);
    assert!(watched.events_of_log().iter().any(|event| event == "rollback.impossible"));
}

/// Callers see one version or the other, whole, through hundreds of ways there and back.
#[test]
fn calls_go_on_while_versions_go_back_and_forth() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).keep_versions(1).open().expect("opens");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let (first, second) = (id(&engine, 1), id(&engine, 2));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut rounds = 0_u32;
                while !is_over.load(Ordering::Acquire) || rounds == 0 {
                    let guard = engine.pin();
                    let pair: [u64; 2] = ["version", "other"]
                        .map(|name| guard.call_with(name, ()).expect("a version is current"));
                    assert_eq!(pair, [guard.version().number(); 2]);
                    let named = version(&engine);
                    assert!(named == 1 || named == 2, "{named}");
                    rounds += 1;
                }
            });
        }
        for round in 0..300 {
            let target = if round % 2 == 0 { first } else { second };
            assert!(engine.rollback_to(target).expect("it ran").is_swapped());
            assert_eq!(engine.version(), target);
        }
        is_over.store(true, Ordering::Release);
    });
    assert_eq!(version(&engine), 2);
}

/// What a guard holds is mapped, kept or not: going back to it is going back to that very image.
#[test]
fn a_version_that_a_guard_holds_is_ready() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    assert_eq!(count(&engine), 1);
    let guard = engine.pin();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    engine.rollback().expect("it is mapped");
    assert_eq!(count(&engine), 2);
    drop(guard);
    assert_eq!(count(&engine), 3, "current again, it needs no guard");
}

#[test]
fn a_call_may_go_back_and_ends_in_its_own_version() {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .keep_versions(1)
        .provide("offer", |_path: String| -> u64 {
            let engine = ENGINE.get().expect("it is open");
            engine.rollback().expect("a version is kept").current().number()
        })
        .open()
        .expect("opens");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    ENGINE.set(engine.clone()).expect("the first");
    let both = engine.call_with::<(u64, u64)>("offers", ("",)).expect("exported");
    assert_eq!(both, (2, 1));
    assert_eq!(version(&engine), 1);
}

/// The way back is refused like any other way when somebody relies on what is not there.
#[test]
fn a_handle_that_the_earlier_version_cannot_serve_refuses_it() {
    let only_here = prebuilt::source("numbered.rs").replace(
        "pub fn other()",
        "pub fn only_here() -> u64 {\n    VERSION\n}\n\n#[export]\npub fn other()",
    );
    let richer = prebuilt::library("numbered_richer", &only_here, prebuilt::Kind::Module);
    let engine = prebuilt::engine(&prebuilt::numbered(1)).keep_versions(1).open().expect("opens");
    engine.offer(richer).expect("swaps");
    let handle = engine.function::<fn() -> u64>("only_here").expect("exported");
    let error = engine.rollback().expect_err("a handle relies on it");
    assert!(matches!(load_error(&error), LoadErrorKind::Missing { .. }), "{error}");
    assert_eq!(handle.call(), Ok(1));
    drop(handle);
    assert!(engine.rollback().expect("nobody relies on it").is_swapped());
}

#[test]
fn a_version_is_stayed_on_until_resume() {
    let watched = Watched::open(|builder| builder);
    watched.swap_to(2);
    let first = id(&watched.engine, 1);
    watched.engine.stay_on(first).expect("it is mapped");
    assert_eq!(version(&watched.engine), 1);
    assert!(watched.engine.status().is_paused);
    watched.put(3);
    let error = watched.engine.sync().expect_err("it waits");
    assert!(matches!(error.kind, ReloadErrorKind::Paused), "{error}");
    assert_eq!(version(&watched.engine), 1);
    watched.engine.resume();
    assert_eq!(version(&watched.engine), 3);
}

#[test]
fn au_5_what_is_frozen_stays() {
    let watched = Watched::open(|builder| builder);
    watched.swap_to(2);
    let events = watched.engine.subscribe();
    watched.engine.freeze();
    watched.engine.freeze();
    watched.put(3);
    let is_frozen = |error: &ReloadError| matches!(error.kind, ReloadErrorKind::Frozen);
    assert!(is_frozen(&watched.engine.sync().expect_err("frozen")));
    assert!(is_frozen(&watched.engine.reload().expect_err("frozen")));
    assert!(is_frozen(&watched.engine.offer(prebuilt::numbered(3)).expect_err("frozen")));
    assert!(is_frozen(&watched.engine.rollback().expect_err("frozen")));
    assert!(is_frozen(&watched.engine.stay_on(id(&watched.engine, 1)).expect_err("frozen")));
    watched.engine.resume();
    assert_eq!(version(&watched.engine), 2);
    assert!(watched.engine.status().to_string().contains("v2 is current, frozen"));
    let told = events.try_iter().filter(|event| matches!(event, Event::Frozen)).count();
    let logged = watched.events_of_log();
    let count = |event: &str| logged.iter().filter(|logged| *logged == event).count();
    assert_eq!((told, count("engine.freeze")), (1, 1));
    assert!(count("swap.refused") >= 3 && count("rollback.impossible") == 2, "{logged:#?}");
}

#[test]
fn un_2_a_ticket_says_who_holds_a_version_and_when_it_is_gone() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).keep_versions(2).open().expect("opens");
    let first = engine.version();
    let error = engine.unload(first).expect_err("calls run in it");
    assert_eq!(error.kind, UnloadErrorKind::Current);
    assert_eq!(error.to_string(), "v1 cannot be unloaded: it is current; swap or roll back first");
    let guard = engine.pin();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let ticket = engine.unload(first).expect("it was replaced");
    let UnloadOutcome::HeldBy(pins) = ticket.wait(Duration::ZERO) else {
        panic!("a guard holds it")
    };
    assert_eq!(pins.len(), 1, "{pins:?}");
    assert_eq!(pins[0].kind, PinKind::Guard);
    assert!(pins[0].origin.contains("rollback.rs:"), "{pins:?}");
    let waiting = thread::spawn(move || ticket.wait(PATIENCE));
    drop(guard);
    assert_eq!(waiting.join().expect("no panic"), UnloadOutcome::Unloaded);
    assert_eq!(states(&engine), [VersionState::Unloaded, VersionState::Current]);
    // What is gone already is said at once, and what never was is an error.
    let again = engine.unload(first).expect("known");
    assert_eq!(again.wait(Duration::ZERO), UnloadOutcome::Unloaded);
    let other = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    for number in [2, 1, 2] {
        other.offer(prebuilt::numbered(number)).expect("swaps");
    }
    let unknown = engine.unload(other.version()).expect_err("of another engine");
    assert_eq!(unknown.kind, UnloadErrorKind::Unknown);
}

/// A kept version can be sent away; the way back then loads it again.
#[test]
fn a_kept_version_goes_when_it_is_asked_to() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).keep_versions(1).open().expect("opens");
    assert_eq!(count(&engine), 1);
    let first = engine.version();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let ticket = engine.unload(first).expect("it was replaced");
    assert_eq!(ticket.wait(PATIENCE), UnloadOutcome::Unloaded);
    engine.rollback().expect("its library lies there");
    assert_eq!(count(&engine), 1, "another image");
}

#[test]
fn as_many_versions_as_asked_for_are_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let own = directory.path().join("kept_three.so");
    fs::copy(prebuilt::numbered(1), &own).expect("writable");
    let engine = prebuilt::engine(&own).keep_versions(3).open().expect("opens");
    for round in 0..10 {
        fs::copy(prebuilt::numbered(round % 2 + 1), &own).expect("writable");
        engine.offer(&own).expect("swaps");
    }
    let states = states(&engine);
    let (gone, kept) = states.split_at(7);
    assert!(gone.iter().all(|state| *state == VersionState::Unloaded), "{states:?}");
    use VersionState::{Current, Warm};
    assert_eq!(kept, [Warm, Warm, Warm, Current]);
    assert_eq!(executable_mappings("-kept_three.so").len(), 4);
    drop(engine);
    assert_eq!(executable_mappings("-kept_three.so"), Vec::<String>::new());
}

/// Told once, and nothing is unmapped.
#[test]
fn un_4_a_version_in_use_past_the_drain_deadline_is_told() {
    let watched = Watched::open(|builder| builder.drain_deadline(Duration::from_millis(1)));
    let events = watched.engine.subscribe();
    let guard = watched.engine.pin();
    watched.swap_to(2);
    let (overdue, held_by) = event(&events, "an overdue version", |event| match event {
        Event::Overdue { version, held_by } => Some((version.number(), held_by.clone())),
        _ => None,
    });
    assert_eq!((overdue, held_by[0].kind), (1, PinKind::Guard));
    assert_eq!(guard.call_with::<u64>("version", ()), Ok(1));
    watched.swap_to(3);
    drop(guard);
    let gone = |event: &Event| matches!(event, Event::Unloaded { .. }).then_some(());
    event(&events, "an unloaded version", gone);
    let logged = watched.events_of_log();
    assert_eq!(logged.iter().filter(|event| *event == "version.overdue").count(), 1);
}

/// With the source gone as well as its compiler: what ran before is in the store.
#[test]
fn rb_7_no_source_is_needed() {
    let fixture = CrateFixture::new("rollback_without_source", &versioned(1));
    let engine = fixture.engine().open().expect("opens");
    for number in [2, 3] {
        fixture.edit(&versioned(number));
        engine.sync().expect("it builds");
    }
    fs::remove_dir_all(Path::new(fixture.path()).join("src")).expect("ours");
    engine.rollback().expect("kept");
    assert_eq!(version(&engine), 2);
    engine.rollback().expect("in the store");
    assert_eq!(version(&engine), 1);
}
