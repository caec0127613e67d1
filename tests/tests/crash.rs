//! A failure in any phase of a version's life, and which version answers then. Row RB-5.
//!
//! Steps fail for the whole process: each test has one of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hotswap_engine::{CallErrorKind, Engine, Event, ReloadErrorKind, VersionState};
use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, Watching, watch};
use hotswap_tests::prebuilt::{self, Kind, library};
use hotswap_tests::{isolated, log_lines};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

/// How often it was called in the image that is current.
fn count(engine: &Engine) -> u64 {
    engine.call_with("count", ()).expect("exported")
}

/// The steps that were taken, each to be made to fail once, the next time.
struct Steps {
    watching: Watching,
    passed: BTreeMap<Site, u64>,
}

impl Steps {
    fn of(watching: Watching) -> Self {
        let passed = watching.passed();
        Self { watching, passed }
    }

    fn fail_next(&self, operation: Operation, file: &str, manner: Manner) {
        let is_it = |site: &&Site| site.operation == operation && site.file.ends_with(file);
        let site = *self.passed.keys().find(is_it).expect("it was passed");
        self.watching.inject(Fault { site, times: Times::Once(0), manner });
    }
}

/// A module whose load hook does this.
fn hooked(name: &str, body: &str) -> std::path::PathBuf {
    library(name, &prebuilt::source("hooked.rs").replace("BODY", body), Kind::Module)
}

#[test]
fn rb_5_a_failure_while_loading_leaves_what_runs() {
    isolated("rb_5_a_failure_while_loading_leaves_what_runs", || {
        let watching = watch();
        let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
        let mut calls = 0;
        let mut runs_on = |engine: &Engine| {
            calls += 1;
            assert_eq!((version(engine), engine.version().number()), (1, 1));
            assert_eq!(count(engine), calls, "the very image that ran before");
        };
        runs_on(&engine);
        let steps = Steps::of(watching);
        let failing = [
            (Operation::Open, "engine/src/stage.rs", Manner::Error),
            (Operation::Load, "engine/src/image.rs", Manner::Error),
            (Operation::Load, "engine/src/image.rs", Manner::Panic),
            (Operation::Symbol, "engine/src/image.rs", Manner::Error),
            (Operation::Pass, "engine/src/swapper/supervise.rs", Manner::Panic),
        ];
        for (operation, file, manner) in failing {
            steps.fail_next(operation, file, manner);
            let error = engine.offer(prebuilt::numbered(2)).expect_err("a step failed");
            assert!(error.to_string().contains("v1 stays current"), "{error}");
            runs_on(&engine);
        }
        steps.watching.heal();
        for (name, body) in
            [("crash_refuses", "Err(\"no\".to_owned())"), ("crash_panics", "panic!(\"at load\")")]
        {
            engine.offer(hooked(name, body)).expect_err("its hook says no");
            runs_on(&engine);
        }
        engine.offer(prebuilt::numbered(2)).expect("nothing fails any more");
        assert_eq!((version(&engine), engine.version().number()), (2, 2));
    });
}

/// The first call of a version fails, or a later one, while others go on: its caller is told, and one word leads back.
#[test]
fn rb_5_a_failure_of_the_first_or_nth_call_leads_back_to_what_ran() {
    for calls_before in [0, 1, 100] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let source = directory.path().join("source.so");
        let put = |number| {
            std::fs::copy(prebuilt::numbered(number), &source).expect("ours");
        };
        put(1);
        let engine = prebuilt::engine(&source).keep_versions(1).open().expect("opens");
        assert_eq!(count(&engine), 1);
        put(2);
        engine.sync().expect("it is a module");
        for call in 1..=calls_before {
            assert_eq!(count(&engine), call);
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Acquire) {
                        let guard = engine.pin();
                        let pair: [u64; 2] = ["version", "other"]
                            .map(|name| guard.call_with(name, ()).expect("one is current"));
                        assert_eq!(pair, [guard.version().number(); 2]);
                    }
                });
            }
            let error = engine.call("panics_with_str").expect_err("it panics");
            assert!(matches!(error.kind, CallErrorKind::Panicked { .. }), "{error}");
            assert_eq!(error.version, Some(2));
            assert_eq!(version(&engine), 2, "what to make of it is for the host to say");
            assert!(engine.rollback().expect("it is kept").is_swapped());
            is_over.store(true, Ordering::Release);
        });
        assert_eq!((version(&engine), count(&engine)), (1, 2), "as it was left");
        let error = engine.sync().expect_err("it was rolled back");
        assert!(matches!(error.kind, ReloadErrorKind::RolledBack { .. }), "{error}");
        put(3);
        engine.sync().expect("it is another");
        assert_eq!((version(&engine), engine.version().number()), (3, 3));
    }
}

/// What cannot be unloaded stays mapped; the version that replaced it runs, and the way back loads a fresh copy.
#[test]
fn rb_5_a_failure_while_unloading_changes_nothing_for_callers() {
    isolated("rb_5_a_failure_while_unloading_changes_nothing_for_callers", || {
        for manner in [Manner::Error, Manner::Panic] {
            let watching = watch();
            let directory = tempfile::tempdir().expect("a temporary directory");
            let log = directory.path().join("hotswap.log");
            let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log);
            let engine = engine.open().expect("opens");
            engine.offer(prebuilt::numbered(2)).expect("swaps");
            engine.offer(prebuilt::numbered(1)).expect("swaps");
            let third = engine.version();
            assert_eq!(count(&engine), 1);
            let events = engine.subscribe();
            let steps = Steps::of(watching);
            steps.fail_next(Operation::Unload, "engine/src/image.rs", manner);
            engine.offer(prebuilt::numbered(2)).expect("swaps");
            assert_eq!((version(&engine), engine.version().number()), (2, 4));
            let is_told =
                |event: Event| matches!(event, Event::Pinned { version } if version == third);
            assert!(events.try_iter().any(is_told));
            let states = || {
                let versions = engine.versions().into_iter();
                versions.filter(|info| info.id == third).map(|info| info.state).collect::<Vec<_>>()
            };
            assert_eq!(states(), [VersionState::Pinned]);
            engine.rollback_to(third).expect("its library lies there");
            assert_eq!((version(&engine), count(&engine)), (1, 1), "another image");
            assert_eq!(states(), [VersionState::Pinned, VersionState::Current]);
            drop(engine);
            tells_once(&log, "version.pinned");
        }
    });
}

#[track_caller]
fn tells_once(log: &Path, event: &str) {
    let count = log_lines(log).into_iter().filter(|line| line.event == event).count();
    assert_eq!(count, 1, "{event}");
}

/// The way back fails half-way: what was to be left runs, and the second time it succeeds.
#[test]
fn rb_5_a_failure_on_the_way_back_leaves_what_runs() {
    isolated("rb_5_a_failure_on_the_way_back_leaves_what_runs", || {
        let watching = watch();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        assert_eq!(count(&engine), 1);
        let steps = Steps::of(watching);
        let failing = [
            (Operation::Open, "engine/src/stage.rs", Manner::Error),
            (Operation::Load, "engine/src/image.rs", Manner::Error),
            (Operation::Load, "engine/src/image.rs", Manner::Panic),
            (Operation::Pass, "engine/src/swapper/supervise.rs", Manner::Panic),
        ];
        for (number, (operation, file, manner)) in (2..).zip(failing) {
            steps.fail_next(operation, file, manner);
            let error = engine.rollback().expect_err("a step failed");
            assert!(error.to_string().contains("v2 stays current"), "{error}");
            assert_eq!((version(&engine), count(&engine)), (2, number));
        }
        steps.watching.heal();
        engine.rollback().expect("nothing fails any more");
        assert_eq!((version(&engine), engine.version().number()), (1, 1));
        drop(engine);
        let lines = log_lines(&log);
        let count = |event: &str| lines.iter().filter(|line| line.event == event).count();
        assert_eq!((count("rollback.impossible"), count("rollback.done")), (4, 1));
        // What was in use while the way back failed is not in quarantine for that.
        assert_eq!(count("quarantine.add"), 1);
    });
}
