//! Load hooks: a version's own check before it becomes current.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::bounded;
use hotswap_engine::{Engine, VersionState};
use hotswap_tests::{deadline, maps, prebuilt};

/// The module of `tests/modules/hooked.rs` whose hook does this.
fn hooked(name: &str, body: &str) -> PathBuf {
    let source = prebuilt::source("hooked.rs").replace("BODY", body);
    prebuilt::library(&format!("hooked_{name}"), &source, prebuilt::Kind::Module)
}

fn engine() -> Engine {
    prebuilt::engine(&prebuilt::numbered(1))
        .load_deadline(Duration::from_millis(200))
        .provide("allowed", || true)
        .open()
        .expect("opens")
}

/// The library is refused with this text, and the version before goes on.
fn refuses(engine: &Engine, library: &Path, text: &str) {
    let error = engine.offer(library).expect_err("refused").to_string();
    assert!(error.contains(text) && error.ends_with("; v1 stays current"), "{error}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
}

#[test]
fn lo_4_a_hook_that_agrees_lets_the_version_in() {
    let engine = engine();
    let library = hooked(
        "asks",
        r#"match hotswap_module::host().call_with::<bool>("allowed", ()) { Ok(true) => Ok(()), other => Err(format!("{other:?}")) }"#,
    );
    assert!(engine.offer(library).is_ok_and(|verdict| verdict.is_swapped()));
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
}

#[test]
fn lo_4_a_hook_that_refuses_or_panics_keeps_the_version_out() {
    let engine = engine();
    refuses(
        &engine,
        &hooked("err", r#"Err("the tables do not add up".into())"#),
        "its load hook check says no: the tables do not add up",
    );
    refuses(
        &engine,
        &hooked("panics", r#"panic!("ouch")"#),
        "its load hook check panicked at src/lib.rs:",
    );
    let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Current], "what was refused is no version");
    assert_eq!(engine.status().refused_count, 2);
}

#[test]
fn lo_4_a_hook_that_calls_the_engine_keeps_the_version_out() {
    let engine = engine();
    let text = "called the engine";
    refuses(
        &engine,
        &hooked("calls", r#"drop(hotswap_module::engine().call("version")); Ok(())"#),
        text,
    );
    refuses(&engine, &hooked("reloads", "drop(hotswap_module::engine().reload()); Ok(())"), text);
}

/// A host function that a hook calls may hold the engine: it is told at once that it cannot wait.
#[test]
fn lo_4_a_host_function_cannot_wait_for_the_hook_that_called_it() {
    let slot: Arc<OnceLock<Engine>> = Arc::default();
    let (tell, told) = bounded(1);
    let inside = Arc::clone(&slot);
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("allowed", move || {
            let engine = inside.get().expect("set before the offer");
            engine.pause();
            engine.resume();
            tell.send(engine.reload().expect_err("it is a hook").to_string()).is_ok()
        })
        .open()
        .expect("opens");
    slot.set(engine.clone()).expect("once");
    let asks = hooked(
        "asks_late",
        r#"match hotswap_module::host().call_with::<bool>("allowed", ()) { Ok(true) => Ok(()), other => Err(format!("{other:?}")) }"#,
    );
    assert!(engine.offer(&asks).is_ok_and(|verdict| verdict.is_swapped()));
    let text = deadline::receive(&told, "what the host function was told");
    assert!(text.starts_with("a hook cannot wait"), "{text}");
}

#[test]
fn lo_4_a_hook_past_its_deadline_keeps_the_version_out_and_its_code_mapped() {
    let (let_go, gate) = bounded::<()>(0);
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .load_deadline(Duration::from_millis(200))
        .provide("allowed", move || gate.recv().is_err())
        .open()
        .expect("opens");
    let library = hooked(
        "hangs",
        r#"hotswap_module::host().call_with::<bool>("allowed", ()).map(drop).map_err(|e| e.to_string())"#,
    );
    refuses(&engine, &library, "is still running after 0.2 s, its deadline");
    assert!(
        !maps::executable_mappings("hooked_hangs").is_empty(),
        "code that runs is never unmapped"
    );
    // Another newcomer is judged by itself.
    assert!(engine.offer(prebuilt::numbered(3)).is_ok());
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(3));
    // The hook returns at last: its version was never current, and goes.
    drop(let_go);
    deadline::until("the late hook's code is unmapped", || {
        maps::executable_mappings("hooked_hangs").is_empty()
    });
}
