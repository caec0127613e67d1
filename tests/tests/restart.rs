//! What one process leaves to the next: what served last, and what is not to be tried again. Rows RB-7 and C2.6.
//!
//! An engine notes on disk what it is told, and reads it when it is opened: another engine is as good as another process,
//! but where a process is to be without a compiler, or to be killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_engine::{
    Engine, EngineBuilder, Event, LoadErrorKind, OpenErrorKind, ReloadError, ReloadErrorKind,
    SwapReason, VersionId, VersionState,
};
use hotswap_tests::fault_world::FaultWorld;
use hotswap_tests::prebuilt::{self, Kind, library};
use hotswap_tests::{
    CrateFixture, again, build_directory, is_isolated, isolated_under, log_lines, versioned,
};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

fn first_error(opened: Result<Engine, hotswap_engine::OpenError>) -> ReloadError {
    match opened.expect_err("nothing can run").kind {
        OpenErrorKind::First(error) => *error,
        other => panic!("{other:?}"),
    }
}

fn fallback(engine: &Engine) -> Option<ReloadErrorKind> {
    engine.status().fallback.map(|error| error.kind.clone())
}

fn events_of(log: &Path) -> Vec<String> {
    log_lines(log).into_iter().map(|line| line.event).collect()
}

/// A world in which version 1 served, then version 2.
fn served_twice() -> FaultWorld {
    let world = FaultWorld::new();
    let engine = world.engine().open().expect("opens");
    world.edit(2);
    engine.sync().expect("it compiles");
    world
}

/// Names the crate, and its target directory, to the process without a compiler.
const CRATE: &str = "HOTSWAP_TESTS_CRATE";

/// The crate is gone, and cargo, and rustc, and with them the network: what ran last runs.
#[test]
fn rb_7_at_boot_the_last_version_runs_without_source_compiler_and_network() {
    const NAME: &str = "rb_7_at_boot_the_last_version_runs_without_source_compiler_and_network";
    let target_dir = build_directory().join("target");
    let builder = |module: &Path| {
        let builder = Engine::builder(module).target_dir(&target_dir).offline();
        builder.poll_every(Duration::from_secs(3_600))
    };
    let module = (!is_isolated(NAME)).then(|| {
        let module = CrateFixture::new("gone_at_boot", &versioned(1));
        let engine = builder(module.path()).without_log().open().expect("it builds");
        module.edit(&versioned(2));
        engine.sync().expect("it builds");
        drop(engine);
        fs::remove_dir_all(module.path()).expect("ours");
        module
    });
    let variable = module.as_ref().map(|module| format!("{CRATE}={}", module.path().display()));
    let launcher = ["env", "-u", "CARGO", "PATH=/nowhere", variable.as_deref().unwrap_or_default()];
    isolated_under(NAME, &launcher, || {
        let module = PathBuf::from(std::env::var_os(CRATE).expect("the first process names it"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let (builder, events) = builder(&module).log_file(&log).subscribe();
        let engine = builder.open().expect("it ran before");
        assert_eq!((version(&engine), engine.version().number()), (2, 1));
        assert!(matches!(fallback(&engine), Some(ReloadErrorKind::Unreadable(_))));
        let status = engine.status().to_string();
        assert!(status.contains("v1 served last; the source cannot run: cannot read"), "{status}");
        let reasons = events.try_iter().filter_map(|event| match event {
            Event::Swapped { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), [SwapReason::LastGood]);
        let lines = log_lines(&log);
        let why = lines.iter().find(|line| line.event == "open.fallback").expect("told");
        assert_eq!((why.level.as_str(), why.field("err")), ("WARN", "unreadable"));
        // And back to what ran before that.
        engine.rollback().expect("it is in the store");
        assert_eq!((version(&engine), engine.version().number()), (1, 2));
    });
}

/// The compiler is gone, and the source is there, edited.
#[test]
fn rb_7_at_boot_an_edit_that_nothing_can_compile_waits() {
    const NAME: &str = "rb_7_at_boot_an_edit_that_nothing_can_compile_waits";
    // Below the crate, as where nobody chooses: it is found without cargo's help.
    let builder = |module: &Path| {
        let builder = Engine::builder(module).offline().without_log();
        builder.poll_every(Duration::from_secs(3_600))
    };
    let module = (!is_isolated(NAME)).then(|| {
        let module = CrateFixture::new("edited_at_boot", &versioned(1));
        drop(builder(module.path()).open().expect("it builds"));
        module.edit(&versioned(2));
        module
    });
    let variable = module.as_ref().map(|module| format!("{CRATE}={}", module.path().display()));
    let launcher = ["env", "-u", "CARGO", "PATH=/nowhere", variable.as_deref().unwrap_or_default()];
    isolated_under(NAME, &launcher, || {
        let module = PathBuf::from(std::env::var_os(CRATE).expect("the first process names it"));
        let engine = builder(&module).open().expect("it ran before");
        assert_eq!(version(&engine), 1);
        let Some(ReloadErrorKind::Build(error)) = fallback(&engine) else { panic!("no compiler") };
        assert!(error.to_string().contains("could not start cargo"), "{error}");
        // As it was: it runs, and nothing is amiss any more.
        fs::write(module.join("src/lib.rs"), versioned(1)).expect("writable");
        assert!(!engine.sync().expect("it was built before").is_swapped());
        assert!(fallback(&engine).is_none());
    });
}

/// As soon as a verdict is given, a process that is killed leaves what it is about.
#[test]
fn rb_7_at_boot_after_a_process_that_was_killed() {
    const NAME: &str = "rb_7_at_boot_after_a_process_that_was_killed";
    const PLACE: &str = "HOTSWAP_TESTS_PLACE";
    let builder = |place: &Path| {
        let source = place.join("source.so");
        prebuilt::engine(&source).target_dir(place.join("target"))
    };
    if is_isolated(NAME) {
        let place = PathBuf::from(std::env::var_os(PLACE).expect("the first process names it"));
        let engine = builder(&place).open().expect("opens");
        fs::copy(prebuilt::numbered(2), place.join("source.so")).expect("ours");
        engine.sync().expect("it is a module");
        fs::copy(prebuilt::numbered(3), place.join("source.so")).expect("ours");
        engine.sync().expect("it is a module");
        engine.rollback().expect("it ran");
        assert_eq!(version(&engine), 2);
        std::process::abort();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path();
    fs::copy(prebuilt::numbered(1), place.join("source.so")).expect("ours");
    let status = again(NAME, &[]).env(PLACE, place).output().expect("it starts").status;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGABRT));
    let engine = builder(place).open().expect("what was gone back to can run");
    assert_eq!(version(&engine), 2);
    assert!(matches!(fallback(&engine), Some(ReloadErrorKind::Quarantined { .. })));
    drop(engine);
    fs::remove_file(place.join("source.so")).expect("ours");
    let engine = builder(place).open().expect("it lies in the store");
    assert_eq!(version(&engine), 2);
    engine.rollback().expect("it lies in the store");
    assert_eq!(version(&engine), 1);
}

/// What was rolled back is not tried again by the next process, until it is edited.
#[test]
fn what_was_rolled_back_stays_in_quarantine_after_a_restart() {
    let world = FaultWorld::new();
    let engine = world.engine().open().expect("opens");
    let second = world.edit(2);
    engine.sync().expect("it compiles");
    engine.rollback().expect("it ran");
    drop(engine);
    for _ in 0..2 {
        let engine = world.engine().open().expect("what served can run");
        assert_eq!(version(&engine), 1);
        let Some(ReloadErrorKind::Quarantined { code, message }) = fallback(&engine) else {
            panic!("{:?}", fallback(&engine))
        };
        assert_eq!(code, "rolled_back");
        assert!(message.starts_with("v2 was rolled back"), "{message}");
        let error = engine.sync().expect_err("it is in quarantine");
        assert!(matches!(error.kind, ReloadErrorKind::Quarantined { .. }), "{error}");
    }
    let lines = log_lines(&world.log());
    let hit = lines.iter().rfind(|line| line.event == "quarantine.hit").expect("told");
    assert_eq!(hit.field("reason"), "rolled_back");
    let add = lines.iter().find(|line| line.event == "quarantine.add").expect("told");
    assert_eq!(add.field("until"), "edited");
    assert!(!lines.iter().any(|line| line.event == "rollback.impossible"));
    // Edited, it is another; and edited back, it is what it was.
    let engine = world.engine().open().expect("what served can run");
    world.edit(3);
    assert!(engine.sync().expect("it compiles").is_swapped());
    assert!(fallback(&engine).is_none());
    world.edit_text(&second);
    engine.sync().expect_err("it is in quarantine");
    assert_eq!(version(&engine), 3);
}

/// Somebody clears it, in a process that never met it.
#[test]
fn a_quarantine_of_an_earlier_process_can_be_cleared() {
    let world = FaultWorld::new();
    let engine = world.engine().open().expect("opens");
    world.edit(2);
    engine.sync().expect("it compiles");
    engine.rollback().expect("it ran");
    drop(engine);
    let engine = world.engine().open().expect("what served can run");
    assert_eq!(engine.clear_quarantine(), 1);
    assert_eq!(engine.clear_quarantine(), 0);
    assert!(engine.reload().expect("it may be tried again").is_swapped());
    assert_eq!(version(&engine), 2);
    drop(engine);
    assert_eq!(version(&world.engine().open().expect("opens")), 2);
}

/// A module's own fault is remembered; what only this host takes amiss is not.
#[test]
fn only_what_lies_in_the_module_is_refused_after_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("source.so");
    let log = directory.path().join("hotswap.log");
    let builder = || {
        let builder = prebuilt::engine(&path).target_dir(directory.path().join("target"));
        builder.log_file(&log)
    };
    fs::copy(prebuilt::numbered(1), &path).expect("ours");
    drop(builder().open().expect("opens"));
    let hooked = prebuilt::source("hooked.rs").replace("BODY", "Err(\"not today\".to_owned())");
    fs::copy(library("restart_hooked", &hooked, Kind::Module), &path).expect("ours");
    // Refused now, and refused before: neither runs.
    for is_before in [false, true] {
        let engine = builder().open().expect("what served can run");
        assert_eq!(version(&engine), 1);
        match fallback(&engine).expect("its hook refuses it") {
            ReloadErrorKind::Load(_) => assert!(!is_before),
            ReloadErrorKind::Quarantined { code, .. } => {
                assert!(is_before);
                assert_eq!(code, "load.hook");
            }
            other => panic!("{other:?}"),
        }
    }
    // This host lacks what it needs, and says so each time; the next one may have it.
    fs::copy(prebuilt::named("needy.rs"), &path).expect("ours");
    for _ in 0..2 {
        let error = first_error(builder().open());
        let ReloadErrorKind::Load(error) = &error.kind else { panic!("{error:?}") };
        assert!(matches!(error.kind, LoadErrorKind::HostFunction { .. }), "{error}");
    }
    let lines = log_lines(&log);
    let adds = lines.iter().filter(|line| line.event == "quarantine.add");
    let adds: Vec<_> = adds.map(|line| (line.field("reason"), line.field("until"))).collect();
    let host = ("load.host_function", "restart");
    assert_eq!(adds, [("load.hook", "edited"), host, host]);
}

/// An edit that does not build is the answer to who opens, unless something older is asked for.
#[test]
fn an_edit_that_does_not_build_is_the_answer_unless_what_served_last_will_do() {
    let world = served_twice();
    world.edit_text("broken\n");
    let error = world.engine().open().expect_err("it does not compile");
    assert!(error.diagnostics().is_some(), "{error}");
    let engine = world.engine().start_with_last_good().open().expect("something served");
    assert_eq!(version(&engine), 2);
    let Some(ReloadErrorKind::Build(error)) = fallback(&engine) else { panic!("it is broken") };
    assert!(error.diagnostics().is_some());
    assert!(engine.sync().expect_err("it is still broken").diagnostics().is_some());
    world.edit(3);
    assert!(engine.sync().expect("it compiles").is_swapped());
    assert!(fallback(&engine).is_none());
    assert!(!engine.status().to_string().contains("served last"));
}

#[test]
fn where_nothing_served_there_is_nothing_to_start_with() {
    let world = FaultWorld::new();
    fs::remove_file(world.path("source.rs")).expect("ours");
    for builder in [world.engine(), world.engine().start_with_last_good()] {
        let error = first_error(builder.open());
        assert!(matches!(error.kind, ReloadErrorKind::Unreadable(_)), "{error}");
    }
    // Of another source in the same target directory nothing is taken.
    world.edit(1);
    drop(world.engine().open().expect("opens"));
    let other = world.path("other.rs");
    let builder = Engine::builder(&other).target_dir(world.path("target")).without_log();
    let error = first_error(builder.open());
    assert!(matches!(error.kind, ReloadErrorKind::Unreadable(_)), "{error}");
}

/// Nothing runs but what is in quarantine: it is judged again rather than to run nothing.
#[test]
fn where_nothing_else_can_run_what_is_in_quarantine_is_judged_again() {
    let world = FaultWorld::new();
    let engine = world.engine().open().expect("opens");
    world.edit(2);
    engine.sync().expect("it compiles");
    engine.rollback().expect("it ran");
    drop(engine);
    for entry in fs::read_dir(world.path("target/store/served")).expect("it is there") {
        fs::write(entry.expect("readable").path(), "torn").expect("ours");
    }
    let engine = world.engine().open().expect("it compiles");
    assert_eq!(version(&engine), 2);
    assert!(fallback(&engine).is_none());
    assert!(events_of(&world.log()).contains(&"quarantine.hit".to_owned()));
}

/// A library of the store that is no longer what it was is passed over.
#[test]
fn what_is_damaged_is_not_started_with() {
    let world = served_twice();
    fs::remove_file(world.path("source.rs")).expect("ours");
    let engine = world.engine().open().expect("something served");
    assert_eq!(version(&engine), 2);
    let content = engine.versions()[0].content.expect("it was loaded");
    drop(engine);
    let library = world.path(&format!("target/store/{content}.so"));
    let bytes = fs::read(&library).expect("readable");
    fs::remove_file(&library).expect("ours");
    fs::write(&library, &bytes[..bytes.len() / 2]).expect("ours");
    assert_eq!(version(&world.engine().open().expect("something else served")), 1);
    for entry in fs::read_dir(world.path("target/store")).expect("it is there") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            fs::remove_file(path).expect("ours");
        }
    }
    let error = first_error(world.engine().open());
    assert!(matches!(error.kind, ReloadErrorKind::Unreadable(_)), "{error}");
}

/// A process that starts with what turns out to be bad can go back to what ran in the one before.
#[test]
fn rb_7_the_way_back_leads_across_a_restart() {
    let world = served_twice();
    world.edit(3);
    let engine = world.engine().open().expect("it compiles");
    assert_eq!((version(&engine), engine.version().number()), (3, 1));
    engine.rollback().expect("it served");
    assert_eq!((version(&engine), engine.version().number()), (2, 2));
    engine.rollback().expect("it served");
    assert_eq!((version(&engine), engine.version().number()), (1, 3));
    let error = engine.rollback().expect_err("nothing ran before");
    assert!(matches!(error.kind, ReloadErrorKind::NoEarlierVersion), "{error}");
    assert_eq!(version(&engine), 1);
    // Within a process they have numbers.
    let first = engine.versions()[0].id;
    engine.rollback_to(first).expect("it is in the store");
    assert_eq!((version(&engine), engine.version().number()), (3, 1));
    engine.freeze();
    engine.rollback().expect_err("frozen");
}

/// An engine on one file, into which libraries are copied, with a directory of its own for what lasts.
fn watched(directory: &Path) -> EngineBuilder {
    let builder = prebuilt::engine(&directory.join("library.so"));
    builder.target_dir(directory.join("target"))
}

/// A library from elsewhere may be overwritten: where there is a place for it, what served of it is kept.
#[test]
fn rb_7_an_overwritten_library_can_be_gone_back_to_where_it_was_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("library.so");
    fs::copy(prebuilt::numbered(1), &path).expect("ours");
    let engine = watched(directory.path()).open().expect("opens");
    let id = |number: u64| -> VersionId {
        let versions = engine.versions();
        versions.iter().find(|info| info.id.number() == number).expect("it ran").id
    };
    fs::copy(prebuilt::numbered(2), &path).expect("ours");
    engine.sync().expect("it is a module");
    let offered = directory.path().join("offered.so");
    fs::copy(prebuilt::numbered(3), &offered).expect("ours");
    engine.offer(&offered).expect("it is a module");
    fs::write(&offered, "overwritten").expect("ours");
    fs::write(&path, "overwritten").expect("ours");
    let states: Vec<_> = engine.versions().iter().map(|info| info.state).collect();
    use VersionState::{Current, Unloaded};
    assert_eq!(states, [Unloaded, Unloaded, Current]);
    for number in [1, 2, 3, 1] {
        engine.rollback_to(id(number)).expect("it was kept");
        assert_eq!(version(&engine), number);
    }
    drop(engine);
    let engine = watched(directory.path()).start_with_last_good().open().expect("it was kept");
    assert_eq!(version(&engine), 1);
}
