//! Hooks that nothing waits for: what a module does when it became current, and when it is about to go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hotswap_engine::{
    Engine, EngineBuilder, Event, HookKind, PinKind, UnloadOutcome, VersionState,
};
use hotswap_system::clock::step_by_hand;
use hotswap_tests::deadline::{PATIENCE, event, receive, until, within};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{isolated, log_lines, prebuilt};

/// The module of `tests/modules/hooks.rs` whose hooks do this; nothing where they are empty.
fn module(name: &str, number: u64, after: &str, before: &str) -> PathBuf {
    let source = prebuilt::source("hooks.rs")
        .replace("VERSION: u64 = 1;", &format!("VERSION: u64 = {number};"))
        .replace("    AFTER\n", &format!("    {after}; Ok(())\n"))
        .replace("    BEFORE\n", &format!("    {before}; Ok(())\n"));
    prebuilt::library(&format!("hooks_{name}_{number}"), &source, prebuilt::Kind::Module)
}

/// Two modules whose hooks only tell that they ran.
fn telling() -> [PathBuf; 2] {
    [1, 2].map(|number| module("tell", number, "", ""))
}

/// An engine, and what its modules tell.
fn open(
    library: &Path,
    set: impl FnOnce(EngineBuilder) -> EngineBuilder,
) -> (Engine, Receiver<String>) {
    let (tell, told) = unbounded();
    let builder =
        prebuilt::engine(library).provide("tell", move |text: String| drop(tell.send(text)));
    (set(builder).open().expect("opens"), told)
}

/// A host function that tells that it was entered, and waits for the end of the other channel.
fn gate() -> (impl Fn() + Send + Sync + 'static, Receiver<()>, Sender<()>) {
    let (enter, entered) = unbounded();
    let (release, released) = bounded::<()>(0);
    let pass = move || {
        enter.send(()).expect("the test listens");
        let _closed = released.recv_timeout(PATIENCE);
    };
    (pass, entered, release)
}

fn heard(told: &Receiver<String>) -> String {
    receive(told, "what a hook tells")
}

/// What the hooks of two versions tell, which run side by side.
fn three(told: &Receiver<String>) -> [String; 3] {
    let mut three = [heard(told), heard(told), heard(told)];
    three.sort();
    three
}

fn gone(events: &Receiver<Event>, number: u64) {
    event(events, "an unloaded version", |event| match event {
        Event::Unloaded { version } => (version.number() == number).then_some(()),
        Event::Pinned { version } => panic!("{version} is pinned"),
        _ => None,
    });
}

/// The first version goes: this thread calls, since the module left something on it when it started a thread.
fn gone_with_calls(engine: &Engine, events: &Receiver<Event>) {
    until("it is unloaded", || {
        engine.call("version").expect("exported");
        engine.versions()[0].state == VersionState::Unloaded
    });
    gone(events, 1);
}

fn failed(events: &Receiver<Event>) -> (HookKind, String, String) {
    event(events, "a hook that failed", |event| match event {
        Event::HookFailed { hook, name, reason, .. } => Some((*hook, name.clone(), reason.clone())),
        _ => None,
    })
}

#[test]
fn hooks_run_at_their_moments_and_know_the_versions() {
    let [one, two] = telling();
    let (engine, told) = open(&one, |builder| builder);
    assert_eq!(heard(&told), "after 1: None to Some(1)");
    let events = engine.subscribe();
    engine.offer(&two).expect("swaps");
    let expected =
        ["after 2: Some(1) to Some(2)", "before 1: Some(1) to Some(2)", "last 1: None to None"];
    assert_eq!(three(&told), expected);
    gone(&events, 1);
    drop(engine);
    // The end of the engine waits for them.
    assert_eq!(
        told.try_iter().collect::<Vec<_>>(),
        ["before 2: Some(2) to None", "last 2: None to None"]
    );
}

#[test]
fn a_version_that_is_kept_runs_no_hook_until_it_is_kept_no_longer() {
    let [one, two] = telling();
    let (engine, told) = open(&one, |builder| builder.keep_versions(1));
    assert_eq!(heard(&told), "after 1: None to Some(1)");
    engine.offer(&two).expect("swaps");
    assert_eq!(heard(&told), "after 2: Some(1) to Some(2)");
    engine.rollback().expect("it is kept");
    // What was left is on no path any more.
    let expected =
        ["after 1: Some(2) to Some(1)", "before 2: Some(2) to Some(1)", "last 2: None to None"];
    assert_eq!(three(&told), expected);
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
}

#[test]
fn un_7_a_panicking_before_unload_hook_is_logged_and_the_version_goes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let library = module("panics", 1, "", r#"panic!("ouch")"#);
    let (engine, told) = open(&library, |builder| builder.log_file(&log));
    let events = engine.subscribe();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let (kind, name, reason) = failed(&events);
    assert_eq!((kind, &*name), (HookKind::BeforeUnload, "before"));
    assert!(
        reason.starts_with("panicked at src/lib.rs:") && reason.ends_with(": ouch"),
        "{reason}"
    );
    gone(&events, 1);
    assert_eq!(executable_mappings("hooks_panics"), Vec::<String>::new());
    assert!(told.try_iter().any(|text| text.starts_with("last 1")), "the others run all the same");
    drop(engine);
    let lines = log_lines(&log);
    let line = lines.iter().find(|line| line.event == "hook.failed").expect("logged");
    assert_eq!(
        (&*line.level, line.field("version"), line.field("hook")),
        ("WARN", "1", "before_unload")
    );
    assert!(lines.iter().any(|line| line.event == "version.unloaded"), "{lines:#?}");
}

#[test]
fn un_7_a_before_unload_hook_cannot_refuse() {
    let library = module("refuses", 1, "", r#"return Err("no".to_owned())"#);
    let (engine, _told) = open(&library, |builder| builder);
    let events = engine.subscribe();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!(failed(&events).2, "says no: no");
    gone(&events, 1);
}

#[test]
fn un_7_a_before_unload_hook_cannot_call_the_engine() {
    let body = "assert!(hotswap_module::engine().call_with::<u64>(\"version\", ()).is_err()); \
                assert!(hotswap_module::engine().reload().is_err())";
    let library = module("calls", 1, "", body);
    let (engine, _told) = open(&library, |builder| builder);
    let events = engine.subscribe();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!(failed(&events).2, "called the engine, which it cannot");
    gone(&events, 1);
}

/// The threads of a module hold its image and not its version: it is told to stop them, and then they end, and it goes.
#[test]
fn a_before_unload_hook_stops_the_threads_of_its_module() {
    let library = module("stops", 1, "", "stop()");
    let (engine, _told) = open(&library, |builder| builder);
    let events = engine.subscribe();
    engine.call("starts_worker").expect("starts");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    gone_with_calls(&engine, &events);
    assert_eq!(executable_mappings("hooks_stops"), Vec::<String>::new());
}

/// Without such a hook the thread holds the image, by name.
#[test]
fn a_thread_that_is_not_stopped_holds_its_version() {
    let library = module("keeps", 1, "", "");
    let (pass, entered, release) = gate();
    let (engine, told) = open(&library, |builder| builder.provide("gate", pass));
    let events = engine.subscribe();
    assert_eq!(heard(&told), "after 1: None to Some(1)");
    engine.call_with::<()>("starts_thread", ("gate".to_owned(),)).expect("starts");
    receive(&entered, "the thread");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!(heard(&told), "before 1: Some(1) to Some(2)");
    assert_eq!(heard(&told), "last 1: None to None");
    let holders = || engine.versions()[0].pins.iter().map(|pin| pin.kind).collect::<Vec<_>>();
    until("its hooks are over", || !holders().contains(&PinKind::Hook));
    assert!(holders().contains(&PinKind::Thread), "{:?}", holders());
    assert!(!executable_mappings("hooks_keeps").is_empty());
    drop(release);
    gone_with_calls(&engine, &events);
}

#[test]
fn a_before_unload_hook_that_does_not_return_is_a_pin_by_name() {
    isolated("a_before_unload_hook_that_does_not_return_is_a_pin_by_name", || {
        let library = module("hangs", 1, "", r#"ask("gate")"#);
        let (pass, entered, release) = gate();
        let (engine, _told) = open(&library, |builder| builder.provide("gate", pass));
        let events = engine.subscribe();
        let first = engine.version();
        let clock = step_by_hand();
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        receive(&entered, "the hook");
        // Unload is asked for while it runs.
        let ticket = engine.unload(first).expect("it was replaced");
        let pin = &engine.versions()[0].pins[0];
        assert_eq!((pin.kind, &*pin.origin), (PinKind::Hook, "before_unload of v1"));
        clock.advance(Duration::from_secs(10));
        let (kind, name, reason) = failed(&events);
        assert_eq!((kind, &*name), (HookKind::BeforeUnload, "before, last"));
        assert_eq!(reason, "is still running after 10 s, its deadline");
        assert!(!executable_mappings("hooks_hangs").is_empty(), "code that runs is never unmapped");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
        drop(release);
        gone(&events, 1);
        drop(clock);
        assert_eq!(ticket.wait(PATIENCE), UnloadOutcome::Unloaded);
    });
}

/// The drop of the engine waits for the hook until its deadline, and no longer.
#[test]
fn an_engine_ends_without_a_hook_that_does_not_return() {
    let library = module("hangs", 1, "", r#"ask("gate")"#);
    let (pass, entered, release) = gate();
    let deadline = Duration::from_millis(50);
    let (engine, _told) =
        open(&library, |builder| builder.provide("gate", pass).hook_deadline(deadline));
    let events = engine.subscribe();
    within(PATIENCE, "the drop", move || drop(engine));
    receive(&entered, "the hook");
    // On a busy machine the first hook may be late as well.
    let late = event(&events, "a late hook", |event| match event {
        Event::HookFailed { hook: HookKind::BeforeUnload, name, .. } => Some(name.clone()),
        _ => None,
    });
    assert_eq!(late, "before, last");
    assert!(!executable_mappings("hooks_hangs").is_empty());
    drop(release);
    until("it goes when the hook returns", || executable_mappings("hooks_hangs").is_empty());
}

#[test]
fn the_end_of_an_engine_is_told_after_its_last_hooks() {
    let library = module("refuses", 1, "", r#"return Err("no".to_owned())"#);
    let (engine, _told) = open(&library, |builder| builder);
    let events = engine.subscribe();
    drop(engine);
    let ends: Vec<_> = events
        .try_iter()
        .filter(|event| matches!(event, Event::HookFailed { .. } | Event::Stopped))
        .collect();
    assert!(matches!(ends[..], [Event::HookFailed { .. }, Event::Stopped]), "{ends:?}");
}

/// While its hook runs a version cannot come back as it is: a fresh copy is loaded.
#[test]
fn a_version_whose_last_hook_runs_is_loaded_again() {
    let library = module("returns", 1, "", r#"ask("gate")"#);
    let (pass, entered, release) = gate();
    let (engine, _told) = open(&library, |builder| builder.provide("gate", pass));
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    receive(&entered, "the hook");
    engine.rollback().expect("it is loaded again");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
    assert_eq!(executable_mappings("hooks_returns").len(), 2);
    drop(release);
    until("the first copy is gone", || executable_mappings("hooks_returns").len() == 1);
    until("it is told", || {
        engine.versions().iter().filter(|version| version.id == engine.version()).count() == 1
    });
    let versions = engine.versions();
    let version = versions.iter().find(|version| version.id == engine.version()).expect("it runs");
    assert_eq!(
        version.state,
        VersionState::Current,
        "the end of the first copy is not that of the version"
    );
}

/// What runs after a swap holds up nobody, may call the engine, and holds its version while it runs.
#[test]
fn an_after_swap_hook_holds_up_nothing() {
    let body = r#"assert_eq!(hotswap_module::engine().call_with::<u64>("version", ()), Ok(1)); ask("gate")"#;
    let library = module("slow", 1, body, "");
    let (pass, entered, release) = gate();
    let (engine, told) = open(&library, |builder| builder.provide("gate", pass));
    receive(&entered, "the hook");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
    let events = engine.subscribe();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let pins: Vec<_> = engine.versions()[0].pins.iter().map(|pin| pin.origin.clone()).collect();
    assert_eq!(pins, ["after_swap of v1"]);
    assert_eq!(heard(&told), "after 1: None to Some(1)");
    assert!(told.is_empty(), "the last hook waits for it");
    drop(release);
    gone(&events, 1);
}

#[test]
fn an_after_swap_hook_that_fails_is_told_and_that_is_all() {
    let library = module("fails", 1, r#"panic!("cold")"#, "");
    let (builder, events) = prebuilt::engine(&library).provide("tell", |_: String| ()).subscribe();
    let engine = builder.open().expect("opens");
    let (kind, name, reason) = failed(&events);
    assert_eq!((kind, &*name), (HookKind::AfterSwap, "after"));
    assert!(reason.ends_with(": cold"), "{reason}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
    assert_eq!(engine.status().refused_count, 0);
}

/// A newcomer that its load hook refuses may have begun something: it gets its last hook as well.
#[test]
fn what_is_refused_by_its_load_hook_is_told_to_stop() {
    let source = prebuilt::source("hooks.rs")
        .replace("    AFTER\n", "    Ok(())\n")
        .replace("    BEFORE\n", "    stop(); Ok(())\n")
        + "\n#[hotswap_module::on_load]\nfn refuses(change: VersionChange) -> Result<(), String> {\n    starts_worker();\n    Err(format!(\"{change:?}\"))\n}\n";
    let library = prebuilt::library("hooks_refused", &source, prebuilt::Kind::Module);
    let (tell, told) = unbounded();
    let engine = prebuilt::engine(&prebuilt::numbered(2))
        .provide("tell", move |text: String| drop(tell.send(text)))
        .open()
        .expect("opens");
    let error = engine.offer(library).expect_err("refused").to_string();
    assert!(error.contains("says no: VersionChange { from: Some(1), to: Some(2) }"), "{error}");
    assert_eq!(heard(&told), "before 1: Some(2) to Some(1)");
    until("it is gone", || executable_mappings("hooks_refused").is_empty());
}

mod linked {
    //! This test program as a linked module.

    use std::sync::Mutex;

    use hotswap_engine::Engine;
    use hotswap_module::{VersionChange, after_swap, before_unload, export, on_load};
    use hotswap_tests::deadline::until;

    hotswap_module::module!();

    static SEEN: Mutex<Vec<(&str, VersionChange)>> = Mutex::new(Vec::new());

    fn see(what: &'static str, change: VersionChange) {
        SEEN.lock().expect("no hook panics").push((what, change));
    }

    #[on_load]
    fn check(change: VersionChange) {
        see("load", change);
    }

    #[after_swap]
    fn greet(change: VersionChange) {
        see("after", change);
    }

    #[before_unload]
    fn leave(change: VersionChange) {
        see("before", change);
    }

    #[export]
    fn seen() -> u64 {
        SEEN.lock().expect("no hook panics").len() as u64
    }

    #[test]
    fn hooks_of_linked_code_run_as_those_of_loaded() {
        let engine = Engine::linked(exports());
        until("it was told that it is current", || engine.call_with("seen", ()) == Ok(2_u64));
        let guard = engine.pin();
        drop(engine);
        assert_eq!(guard.call_with("seen", ()), Ok(2_u64), "a guard can enter it still");
        drop(guard);
        until("it was told to go", || SEEN.lock().expect("no hook panics").len() == 3);
        let seen = SEEN.lock().expect("no hook panics").clone();
        let change = VersionChange::new;
        assert_eq!(
            seen,
            [
                ("load", change(None, Some(1))),
                ("after", change(None, Some(1))),
                ("before", change(Some(1), None))
            ]
        );
    }
}
