//! What modules leave on threads does not keep their versions for ever. Rows UN-1, UN-3 and UN-8.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hotswap_engine::audit::trail;
use hotswap_engine::{Engine, EngineBuilder, Event, PinKind, UnloadOutcome, VersionState};
use hotswap_tests::deadline::{PATIENCE, receive, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::prebuilt::{self, Kind, Recipe};
use hotswap_tests::{isolated, log_lines};

/// An engine on the module, and what the module tells its host.
struct Leaving {
    engine: Engine,
    told: Receiver<String>,
    /// Lets `wait` go on.
    go_on: Sender<()>,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Leaving {
    fn open() -> Self {
        Self::open_with(|builder| builder)
    }

    fn open_with(set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::open_on(&prebuilt::named("leftovers.rs"), set)
    }

    fn open_on(library: &Path, set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let (tell, told) = unbounded();
        let (go_on, wait) = bounded::<()>(0);
        let builder = prebuilt::engine(library).log_file(&log);
        let builder = builder.provide("tell", move |name: String| {
            let waits = name == "wait";
            // Nobody listens when the test is over.
            let _ = tell.send(name);
            if waits {
                receive(&wait, "the word to go on");
            }
        });
        let engine = set(builder).open().expect("opens");
        Self { engine, told, go_on, log, _directory: directory }
    }

    /// Replaces version 1, and gives the files that are still mapped of it.
    fn swap(&self) {
        self.engine.offer(prebuilt::numbered(2)).expect("swaps");
    }

    fn first(&self) -> hotswap_engine::VersionInfo {
        self.engine.versions().remove(0)
    }

    fn is_mapped(&self) -> bool {
        let lines = log_lines(&self.log);
        let staged = lines.iter().find(|line| line.event == "stage.ok").expect("it was loaded");
        !executable_mappings(staged.field("path")).is_empty()
    }

    #[track_caller]
    fn assert_gone(&self) {
        until("version 1 is gone", || self.first().state == VersionState::Unloaded);
        assert!(!self.is_mapped());
    }

    fn told(&self) -> Vec<String> {
        self.told.try_iter().collect()
    }
}

/// A thread that lives on destroys what a replaced version left on it when it calls next, whatever it calls.
#[test]
fn the_next_call_of_a_thread_destroys_what_is_left_on_it() {
    let leaving = Leaving::open();
    leaving.engine.call("keeps_value").expect("exported");
    leaving.engine.call("keeps_chain").expect("exported");
    leaving.engine.call_with::<u32>("keeps_key", ()).expect("exported");
    assert!(leaving.engine.call_with::<Option<String>>("names_thread", ()).is_ok());
    leaving.swap();
    let first = leaving.first();
    assert_eq!(first.state, VersionState::Draining);
    assert_eq!(first.pins.len(), 1, "{first:?}");
    assert_eq!(first.pins[0].kind, PinKind::ThreadLocal);
    assert!(first.pins[0].origin.contains("the_next_call"), "{first:?}");
    assert!(leaving.is_mapped());
    assert!(leaving.told.is_empty(), "nothing is destroyed under a thread that does not come by");
    let other = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    until("a call of another engine destroyed it", || {
        assert_eq!(other.call_with::<u64>("version", ()), Ok(1));
        leaving.first().state == VersionState::Unloaded
    });
    assert!(!leaving.is_mapped());
    let told = leaving.told();
    assert_eq!(told, ["chain", "last of the chain", "value", "key", "key", "key"]);
}

/// Who never calls again is named; the end of the thread destroys what is left on it.
#[test]
fn a_thread_that_never_calls_again_is_named_and_its_end_is_enough() {
    let leaving = Leaving::open();
    let (kept, keeps) = bounded(0);
    let (end, ends) = bounded::<()>(0);
    thread::scope(|scope| {
        let (engine, kept) = (&leaving.engine, &kept);
        let work = move || {
            engine.call("keeps_chain").expect("exported");
            engine.call_with::<u32>("keeps_key", ()).expect("exported");
            kept.send(()).expect("the test listens");
            receive(&ends, "the end");
        };
        let named = thread::Builder::new().name("idle worker".to_owned());
        named.spawn_scoped(scope, work).expect("a thread");
        receive(&keeps, "the thread");
        let first = leaving.engine.version();
        leaving.swap();
        let ticket = leaving.engine.unload(first).expect("it was replaced");
        let UnloadOutcome::HeldBy(pins) = ticket.wait(Duration::ZERO) else {
            panic!("a thread has something of it")
        };
        assert_eq!(pins.len(), 1, "{pins:?}");
        assert_eq!(pins[0].kind, PinKind::ThreadLocal);
        assert!(pins[0].origin.contains("idle worker"), "{pins:?}");
        assert!(leaving.is_mapped() && leaving.told.is_empty());
        end.send(()).expect("the thread waits");
        assert_eq!(ticket.wait(PATIENCE), UnloadOutcome::Unloaded);
    });
    assert!(!leaving.is_mapped());
    let told = leaving.told();
    assert_eq!(told, ["chain", "last of the chain", "key", "key", "key"]);
}

/// What is current, or kept for a rollback, keeps what it left: a call finds it again.
#[test]
fn nothing_is_destroyed_as_long_as_the_version_can_be_entered() {
    let leaving = Leaving::open_with(|builder| builder.keep_versions(1));
    leaving.engine.call("keeps_value").expect("exported");
    let guard = leaving.engine.pin();
    leaving.swap();
    for _ in 0..100 {
        assert_eq!(leaving.engine.call_with::<u64>("version", ()), Ok(2));
    }
    drop(guard);
    leaving.engine.rollback().expect("it is kept");
    for _ in 0..100 {
        assert_eq!(leaving.engine.call_with::<u64>("version", ()), Ok(1));
    }
    assert!(leaving.told.is_empty(), "{:?}", leaving.told());
    leaving.engine.offer(prebuilt::numbered(2)).expect("swaps");
    leaving.engine.offer(prebuilt::numbered(1)).expect("swaps");
    until("it is gone", || {
        assert_eq!(leaving.engine.call_with::<u64>("version", ()), Ok(1));
        leaving.first().state == VersionState::Unloaded
    });
    assert_eq!(leaving.told(), ["value"]);
}

/// What a version left on a thread goes with the image that left it: its version, loaded again meanwhile, is not gone.
#[test]
fn un_1_a_version_that_was_loaded_again_does_not_go_with_its_earlier_image() {
    let leaving = Leaving::open();
    let first = leaving.engine.version();
    let (kept, keeps) = bounded(0);
    let (end, ends) = bounded::<()>(0);
    thread::scope(|scope| {
        let (engine, kept) = (&leaving.engine, &kept);
        scope.spawn(move || {
            engine.call("keeps_value").expect("exported");
            kept.send(()).expect("the test listens");
            receive(&ends, "the end");
        });
        receive(&keeps, "the thread");
        leaving.swap();
        let earlier = leaving.engine.unload(first).expect("it was replaced");
        let events = leaving.engine.subscribe();
        assert!(leaving.engine.rollback().expect("its library lies there").is_swapped());
        let of_first = || {
            let versions = leaving.engine.versions().into_iter();
            versions.filter(|info| info.id == first).map(|info| info.state).collect::<Vec<_>>()
        };
        assert_eq!(of_first(), [VersionState::Draining, VersionState::Current]);
        let UnloadOutcome::HeldBy(pins) = earlier.wait(Duration::ZERO) else {
            panic!("a thread has something of it")
        };
        assert_eq!(pins.len(), 1, "{pins:?}");
        end.send(()).expect("the thread waits");
        assert_eq!(earlier.wait(PATIENCE), UnloadOutcome::Unloaded);
        assert_eq!(of_first(), [VersionState::Current]);
        assert_eq!(leaving.engine.call_with::<u64>("version", ()), Ok(1));
        let is_of_first =
            |event: &Event| matches!(event, Event::Unloaded { version } if *version == first);
        assert!(!events.try_iter().any(|event| is_of_first(&event)), "it is current");
    });
    let told: Vec<_> = log_lines(&leaving.log).into_iter().map(|line| line.event).collect();
    let count = |event: &str| told.iter().filter(|told| *told == event).count();
    assert_eq!((count("image.unloaded"), count("version.unloaded")), (1, 1), "{told:#?}");
    let trail = trail(&leaving.log).expect("readable");
    let states: Vec<_> = trail.engines[0].versions.iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Unloaded, VersionState::Current]);
}

/// A thread of the module runs its code, then destroys what it left, and only then lets go.
#[test]
fn a_thread_of_the_module_lets_go_when_it_ended() {
    let leaving = Leaving::open();
    leaving.engine.call_with::<()>("starts_thread", ("wait".to_owned(),)).expect("exported");
    assert_eq!(receive(&leaving.told, "the thread"), "wait");
    leaving.swap();
    let kinds: Vec<_> = leaving.first().pins.iter().map(|pin| pin.kind).collect();
    assert!(kinds.contains(&PinKind::Thread) && kinds.contains(&PinKind::ThreadLocal), "{kinds:?}");
    leaving.go_on.send(()).expect("the thread waits");
    // The caller started it: the standard library knows this thread too now.
    until("version 1 is gone", || {
        assert_eq!(leaving.engine.call_with::<u64>("version", ()), Ok(2));
        leaving.first().state == VersionState::Unloaded
    });
    assert!(!leaving.is_mapped());
    assert_eq!(leaving.told(), ["chain", "last of the chain"]);
}

/// A key that is not the module's is not deleted for it.
#[test]
fn only_its_own_keys_are_deleted() {
    let leaving = Leaving::open();
    let mut foreign = 0;
    // SAFETY: room for a key.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut foreign, None) }, 0);
    // SAFETY: just made.
    assert_eq!(unsafe { libc::pthread_setspecific(foreign, (&raw const foreign).cast()) }, 0);
    let deletes = |key: u32| leaving.engine.call_with::<i32>("deletes_key", (key,));
    assert_eq!(deletes(foreign), Ok(libc::EINVAL));
    let own: u32 = leaving.engine.call_with("keeps_key", ()).expect("exported");
    assert_eq!((deletes(own), deletes(own)), (Ok(0), Ok(libc::EINVAL)));
    // SAFETY: it is there still, which is what is looked at.
    let value = unsafe { libc::pthread_getspecific(foreign) };
    assert_eq!(value.cast_const(), (&raw const foreign).cast());
}

/// A handler holds its version until another one took its place.
#[test]
fn a_signal_handler_holds_its_version_until_it_is_replaced() {
    const NAME: &str = "a_signal_handler_holds_its_version_until_it_is_replaced";
    isolated(NAME, || {
        let leaving = Leaving::open();
        let number = libc::SIGUSR2;
        leaving.engine.call_with::<()>("installs_handler", (number,)).expect("exported");
        leaving.swap();
        let first = leaving.first();
        assert_eq!(first.pins.len(), 1, "{first:?}");
        assert_eq!(
            first.pins[0].to_string().split(" for ").next(),
            Some("signal-handler signal 12")
        );
        // SAFETY: the handler is mapped, which is what is tried.
        assert_eq!(unsafe { libc::raise(number) }, 0);
        assert!(leaving.is_mapped());
        // SAFETY: ignoring a signal needs nothing.
        unsafe { libc::signal(number, libc::SIG_IGN) };
        leaving.assert_gone();
        // SAFETY: it is ignored.
        assert_eq!(unsafe { libc::raise(number) }, 0);
    });
}

/// As many versions as no process has keys, each with a thread of the standard library and values on the caller's.
#[test]
fn un_1_versions_that_use_threads_come_and_go() {
    isolated("un_1_versions_that_use_threads_come_and_go", || {
        let library = prebuilt::named("leftovers.rs");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let own = directory.path().join("with_threads.so");
        fs::copy(library, &own).expect("writable");
        let engine = prebuilt::engine(&own).provide("tell", |_: String| {}).open().expect("opens");
        for _ in 0..1_100 {
            engine.call_with::<()>("starts_thread", ("x".to_owned(),)).expect("exported");
            engine.call("keeps_chain").expect("exported");
            engine.offer(&own).expect("there is always a key left");
        }
        until("all are gone but the current one", || {
            engine.call("version").expect("exported");
            executable_mappings("-with_threads.so").len() == 1
        });
    });
}

/// Ten thousand threads that end while their versions are replaced: each destroys what it has, and nothing is left.
#[test]
fn threads_that_end_while_versions_go_leave_nothing() {
    isolated("threads_that_end_while_versions_go_leave_nothing", || {
        const THREADS: u64 = 10_000;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let own = directory.path().join("left_behind.so");
        fs::copy(prebuilt::named("leftovers.rs"), &own).expect("writable");
        let chains = AtomicU64::new(0);
        let chains: &'static AtomicU64 = Box::leak(Box::new(chains));
        let engine = prebuilt::engine(&own)
            .provide("tell", |name: String| {
                chains.fetch_add(u64::from(name == "last of the chain"), Ordering::Relaxed);
            })
            .open()
            .expect("opens");
        thread::scope(|scope| {
            let spawners: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..THREADS / 2 {
                            let engine = engine.clone();
                            let work = move || engine.call("keeps_chain").expect("exported");
                            thread::spawn(work).join().expect("no panic");
                        }
                    })
                })
                .collect();
            while !spawners.iter().all(thread::ScopedJoinHandle::is_finished) {
                engine.offer(&own).expect("swaps");
            }
        });
        assert_eq!(chains.load(Ordering::Relaxed), THREADS);
        until("all are gone but the current one", || {
            executable_mappings("-left_behind.so").len() == 1
        });
    });
}

/// The builds that differ in how a library comes to be linked; each is followed and proved to be gone.
const BUILDS: [(&str, Option<&str>); 4] = [
    ("leftovers", None),
    ("leftovers_release", Some("")),
    ("leftovers_fat", Some("lto = \"fat\"\ncodegen-units = 1\n")),
    ("leftovers_stripped", Some("lto = \"fat\"\ncodegen-units = 1\nstrip = true\n")),
];

/// Values, keys, a thread, a handler and a function for the end, all at once, in a module of each build.
#[test]
fn un_8_what_a_module_of_any_build_leaves_is_followed() {
    const NAME: &str = "un_8_what_a_module_of_any_build_leaves_is_followed";
    isolated(NAME, || {
        let source = prebuilt::source("leftovers.rs");
        for (name, release) in BUILDS {
            let mut recipe = Recipe::of(Kind::Module);
            recipe.release = release.map(str::to_owned);
            let leaving = Leaving::open_on(&recipe.library(name, &source), |builder| builder);
            let call = |function: &str| leaving.engine.call(function).expect(name);
            call("keeps_value");
            call("keeps_chain");
            call("keeps_key");
            call("names_thread");
            call("registers_end");
            leaving.engine.call_with::<()>("starts_thread", ("wait".to_owned(),)).expect(name);
            assert_eq!(receive(&leaving.told, "the thread"), "wait", "{name}");
            leaving.engine.call_with::<()>("installs_handler", (libc::SIGUSR2,)).expect(name);
            leaving.swap();

            let mut kinds: Vec<_> = leaving.first().pins.iter().map(|pin| pin.kind).collect();
            kinds.sort_by_key(ToString::to_string);
            let locals = [PinKind::ThreadLocal; 2];
            let expected = [&[PinKind::SignalHandler, PinKind::Thread], &locals[..]].concat();
            assert_eq!(kinds, expected, "{name}");
            assert!(leaving.is_mapped(), "{name}");
            // SAFETY: the handler is mapped, which is what is tried.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
            leaving.go_on.send(()).expect("the thread waits");
            // SAFETY: ignoring a signal needs nothing.
            unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
            until("version 1 is gone", || {
                assert_eq!(leaving.engine.call_with::<u64>("version", ()), Ok(2), "{name}");
                leaving.first().state == VersionState::Unloaded
            });
            assert!(!leaving.is_mapped(), "{name}");
            let told = leaving.told();
            let (of_thread, of_caller) = told.split_at(2);
            assert_eq!(of_thread, ["chain", "last of the chain"], "{name}");
            let expected = ["chain", "last of the chain", "value", "key", "key", "key", "end"];
            assert_eq!(of_caller, expected, "{name}");
        }
    });
}
