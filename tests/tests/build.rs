//! Rows BU-1 and BU-2: broken edits, and edits while a build runs, on real builds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hotswap_engine::{BuildErrorKind, EngineBuilder, Event, Function, Linker, ReloadErrorKind};
use hotswap_tests::deadline::event;
use hotswap_tests::{CrateFixture, build_directory, isolated_under, log_lines, versioned};

/// Distinct texts that do not compile: each is one real build.
const BROKEN_TEXTS: u64 = 8;
/// Edits in all; those beyond the first of each text are known to be bad and cost no build.
const BROKEN_EDITS: u64 = 100;

#[test]
fn bu_1_broken_edits_change_nothing() {
    let module = CrateFixture::new("bu_1", &versioned(1));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().log_file(&log).open().expect("opens");
    let is_over = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    thread::scope(|scope| {
        let handle: Function<fn() -> u64> = engine.function("version").expect("exported");
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let handle = handle;
            while !is_over.load(Ordering::Acquire) {
                assert_eq!(handle.call(), Ok(1));
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        for edit in 0..BROKEN_EDITS {
            let number = edit % BROKEN_TEXTS;
            module.edit(&versioned(1).replace("    1", &format!("    missing_{number}")));
            let error = engine.sync().expect_err("it does not compile");
            let diagnostics = error.diagnostics().expect("the compiler spoke").to_string();
            assert!(diagnostics.contains(&format!("missing_{number}")), "{diagnostics}");
        }
        // Errors that are not the compiler's.
        module.write("Cargo.toml", "[package\n");
        let error = engine.sync().expect_err("no manifest");
        let ReloadErrorKind::Build(build) = &error.kind else { panic!("{error}") };
        assert!(
            matches!(build.kind, BuildErrorKind::Manifest { .. } | BuildErrorKind::Failed { .. }),
            "{error}"
        );
        is_over.store(true, Ordering::Release);
    });
    assert!(calls.load(Ordering::Relaxed) > BROKEN_EDITS, "the callers ran all the time");
    assert_eq!(engine.version().number(), 1);
    assert_eq!(engine.status().swap_count, 0);
    let lines = log_lines(&log);
    let failures: Vec<_> = lines
        .iter()
        .filter(|line| line.event == "build.fail" && line.field("msg").contains("missing_"))
        .collect();
    assert_eq!(failures.len() as u64, BROKEN_TEXTS);
    for line in failures {
        // File, line and column, and what the compiler said.
        assert!(line.field("msg").contains("src/lib.rs:6:5: "), "{line:?}");
        assert_eq!((line.field("outcome"), line.field("errors")), ("failed", "1"));
    }
}

/// The final state of the source ends up running, whenever the edit fell.
#[test]
fn bu_2_an_edit_during_a_build_is_not_lost() {
    let module = CrateFixture::new("bu_2", &versioned(1));
    let engine = module.engine().open().expect("opens");
    let events = engine.subscribe();
    for number in [3, 5, 7] {
        module.edit(&versioned(number - 1));
        engine.wake();
        // The event comes before the compiler starts: the edit falls into the build or just before it.
        event(&events, "a build", |event| {
            matches!(event, Event::BuildStarted { .. }).then_some(())
        });
        module.edit(&versioned(number));
        engine.sync().expect("it builds");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
        events.try_iter().for_each(drop);
    }
}

/// Warnings are no errors; a feature reaches the module.
#[test]
fn settings_reach_the_build() {
    let source = versioned(1)
        .replace("    1", "    let unused = 1;\n    if cfg!(feature = \"more\") { 2 } else { 1 }");
    let module = CrateFixture::new("settings", &source);
    let manifest = std::fs::read_to_string(module.path().join("Cargo.toml")).expect("ours");
    module.write("Cargo.toml", &format!("{manifest}\n[features]\nmore = []\n"));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().features(["more"]).log_file(&log).open().expect("opens");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    let lines = log_lines(&log);
    let built = lines.iter().find(|line| line.event == "build.ok").expect("it was built");
    assert_eq!(built.field("warnings"), "1");
}

/// BU-4 through an engine: what was built before needs no compiler, unless that is asked for.
#[test]
fn bu_4_what_was_built_before_is_not_built_again_unless_asked() {
    let module = CrateFixture::new("built_before", &versioned(1));
    drop(module.engine().open().expect("opens"));
    let log = module.path().join("hotswap.log");
    let reopened = |builder: EngineBuilder| {
        let engine = builder.log_file(&log).open().expect("opens");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
        drop(engine);
        let events: Vec<_> = log_lines(&log).into_iter().map(|line| line.event).collect();
        std::fs::remove_file(&log).expect("ours");
        ["build.cached", "build.intent"].map(|event| events.iter().any(|known| known == event))
    };
    assert_eq!(reopened(module.engine()), [true, false]);
    assert_eq!(reopened(module.engine().rebuild_always()), [false, true]);
}

/// An edit of the module's own source needs no cargo, and the log says so.
#[test]
fn an_edit_of_the_module_alone_goes_straight_to_the_compiler() {
    let module = CrateFixture::new("direct", &versioned(1));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().log_file(&log).open().expect("opens");
    for number in [2, 3] {
        module.edit(&versioned(number));
        engine.sync().expect("it builds");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
    }
    let manifest = std::fs::read_to_string(module.path().join("Cargo.toml")).expect("ours");
    module
        .write("Cargo.toml", &format!("{manifest}\n[features]\ndefault = [\"more\"]\nmore = []\n"));
    engine.sync().expect("it builds");
    let lines = log_lines(&log);
    let built = lines.iter().filter(|line| line.event == "build.ok");
    let by: Vec<_> = built.map(|line| line.field("by")).collect();
    assert_eq!(by, ["cargo", "rustc", "rustc", "cargo"]);
}

/// A linker that is installed links the module, and one that cannot is done without.
#[test]
fn a_quicker_linker_is_used_as_long_as_it_can_link() {
    let name = "a_quicker_linker_is_used_as_long_as_it_can_link";
    let programs = build_directory().join("linker");
    let path = std::env::var("PATH").expect("there is a path");
    let path = format!("PATH={}:{path}", programs.display());
    isolated_under(name, &["env", &path], || {
        let calls = programs.join("calls");
        let install = |end: &str| {
            std::fs::create_dir_all(&programs).expect("the target directory is writable");
            let script = format!("#!/bin/sh\necho called >>{calls:?}\n{end}\n");
            let wild = programs.join("wild");
            hotswap_system::fs::write_program(wild, &script).expect("as above");
        };
        let count = || std::fs::read_to_string(&calls).unwrap_or_default().lines().count();
        let _earlier_run = std::fs::remove_file(&calls);
        install("exec ld \"$@\"");
        let module = CrateFixture::new("linked_otherwise", &versioned(1));
        let engine = module.engine().open().expect("opens");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
        assert_eq!(count(), 1);
        install("exit 1");
        module.edit(&versioned(2));
        engine.sync().expect("it builds");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
        let failed = count();
        assert!(failed > 1, "it was tried again");
        for number in [3, 4] {
            module.edit(&versioned(number));
            engine.sync().expect("it builds");
            assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
        }
        assert_eq!(count(), failed, "it is not tried any more");
        drop(engine);
        install("exit 0");
        module.edit(&versioned(5));
        let engine = module.engine().linker(Linker::Toolchain).open().expect("opens");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(5));
        assert_eq!(count(), failed, "it is not wanted");
    });
}
