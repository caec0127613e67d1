//! The same API on functions that are part of the program: what a release may ship.

use hotswap_engine::{CallErrorKind, Engine, Event, Function, ReloadErrorKind, VersionState};
use hotswap_module::{export, interface};
use sample_interface::{Point, Sample, SampleCalls as _, Shape, World};

hotswap_module::module!(needs = [dyn Drawing]);

/// What this test program, as a linked module, wants from its host.
#[interface]
pub trait Drawing {
    /// Draws.
    fn draw(x: f32, y: f32) -> f32;
}

#[export]
fn twice(x: f32) -> f32 {
    hotswap_module::host().call_with("draw", (x, x)).expect("it is provided")
}

#[test]
fn what_a_linked_module_needs_is_asked_for() {
    let open = |builder: hotswap_engine::EngineBuilder| builder.without_log().open();
    let refusal = open(Engine::builder(exports())).expect_err("nothing is provided").to_string();
    assert!(
        refusal.contains("v1 needs draw from its host, which does not provide it"),
        "{refusal}"
    );
    let wrong = Engine::builder(exports()).provide("draw", |x: f64| x);
    let refusal = open(wrong).expect_err("another signature").to_string();
    assert!(refusal.contains("provides fn(f64) -> f64 (wanted: fn(f32, f32) -> f32)"), "{refusal}");
    let engine = open(Engine::builder(exports()).provide("draw", |x: f32, y: f32| x + y));
    assert_eq!(engine.expect("provided").call_with("twice", (2.0_f32,)), Ok(4.0_f32));
}

#[test]
fn linked_functions_are_called_like_loaded_ones() {
    let engine = Engine::linked(sample_engine::exports());
    engine.call("f1").expect("exported");
    assert_eq!(engine.call_with("add", (2_u64, 3_u64)), Ok(5_u64));
    assert_eq!(engine.call_with::<u64>("LIMIT", ()), Ok(7));
    assert_eq!(engine.call_with("greet", ("you",)), Ok("hello, you".to_owned()));
    assert_eq!(engine.call_with("sorted", (vec![3_i64, 1, 2],)), Ok(vec![1_i64, 2, 3]));
    assert_eq!(engine.call_with("half", (8_u64,)), Ok(Some(4_u64)));
    assert_eq!(engine.call_with("parse", ("42",)), Ok(Ok::<u64, String>(42)));
    assert_eq!(engine.call_with("area", (&Shape::Rectangle(2.0, 3.0),)), Ok(6.0_f64));
    let mut world = World { tick: 0, points: vec![Point { x: 0.0, y: 0.0 }] };
    engine.step(&mut world).expect("exported");
    assert_eq!((world.tick, world.points[0].x), (1, 1.0));
    let add: Function<fn(u64, u64) -> u64> = engine.function("add").expect("exported");
    assert_eq!(add.call(2, 3), Ok(5));
    let guard = engine.pin();
    assert_eq!(guard.add(2, 3), Ok(5));
    assert_eq!(guard.version(), engine.version());
}

#[test]
fn wrong_calls_are_the_same_errors() {
    let engine = Engine::linked(sample_engine::exports());
    let error = engine.call_with::<u64>("add", (2, 3_u64)).expect_err("an i32");
    assert_eq!(error.to_string(), "add: argument 1: expected u64, got i32 (write 2u64)");
    let error = engine.call("f3").expect_err("no such function");
    assert!(matches!(error.kind, CallErrorKind::Missing { similar: Some(_) }), "{error}");
}

#[test]
fn there_is_one_version_and_nothing_to_reload() {
    let engine =
        Engine::builder(sample_engine::exports()).without_log().require::<dyn Sample>().open();
    let engine = engine.expect("the sample has all of its interface");
    let events = engine.subscribe();
    assert_eq!(engine.version().number(), 1);
    let versions = engine.versions();
    assert_eq!(versions.len(), 1);
    assert_eq!((versions[0].state, versions[0].fingerprint), (VersionState::Current, None));
    let error = engine.reload().expect_err("there is no source");
    assert!(matches!(error.kind, ReloadErrorKind::NoSource), "{error}");
    engine.wake();
    engine.pause();
    engine.resume();
    let text = engine.status().to_string();
    assert!(text.contains("v1 is current"), "{text}");
    assert!(
        engine
            .exports()
            .iter()
            .any(|export| export.name == "add" && export.signature == "(u64, u64) -> u64")
    );
    drop(engine);
    assert!(matches!(events.iter().last(), Some(Event::Stopped)));
}
