//! An interface that host and module share: its functions are methods of engines and guards.

use hotswap_engine::{LoadErrorKind, OpenErrorKind, ReloadErrorKind};
use hotswap_tests::prebuilt;
use sample_interface::{Point, Sample, SampleCalls as _, Shape, World};

#[test]
fn functions_of_an_interface_are_methods() {
    let library = prebuilt::named("sample.rs");
    let engine = prebuilt::engine(&library).require::<dyn Sample>().open().expect("opens");
    engine.f1().expect("exported");
    assert_eq!(engine.add(2, 3), Ok(5));
    assert_eq!(engine.greet("you"), Ok("hello, you".to_owned()));
    assert_eq!(engine.area(&Shape::Rectangle(2.0, 3.0)), Ok(6.0));
    let middle = engine.midpoint(Point { x: 0.0, y: 0.0 }, Point { x: 2.0, y: 4.0 });
    assert_eq!(middle, Ok(Point { x: 1.0, y: 2.0 }));
    let mut world = World { tick: 0, points: vec![Point { x: 0.0, y: 0.0 }] };
    engine.step(&mut world).expect("exported");
    assert_eq!((world.tick, world.points[0].x), (1, 1.0));

    let guard = engine.pin();
    engine.offer(&library).expect("swaps");
    // The host's world goes on in the next version, and in the one before.
    engine.step(&mut world).expect("exported");
    guard.step(&mut world).expect("exported");
    assert_eq!((world.tick, world.points[0].x), (3, 3.0));
    assert_eq!(guard.add(2, 3), Ok(5));
}

#[test]
fn a_module_without_the_interface_is_refused() {
    let other = prebuilt::numbered(1);
    let error =
        prebuilt::engine(&other).require::<dyn Sample>().open().expect_err("it is another module");
    let OpenErrorKind::First(first) = &error.kind else { panic!("{error}") };
    let ReloadErrorKind::Load(load) = &first.kind else { panic!("{error}") };
    assert!(matches!(load.kind, LoadErrorKind::Missing { .. }), "{error}");
    assert_eq!(first.to_string(), "f1: expected fn() (required by Sample), v1 has no f1");

    let engine = prebuilt::engine(&prebuilt::named("sample.rs"))
        .require::<dyn Sample>()
        .open()
        .expect("opens");
    let error = engine.offer(&other).expect_err("it is another module");
    assert_eq!(
        error.to_string(),
        "f1: expected fn() (required by Sample), v2 has no f1; v1 stays current"
    );
    assert_eq!(engine.add(2, 3), Ok(5));
}

/// Without `require` a module may lack functions; calling one is an error like any other.
#[test]
fn an_interface_that_is_not_required_is_checked_at_the_call() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let error = engine.add(2, 3).expect_err("it is not exported");
    assert_eq!(error.to_string(), "add: not exported by v1");
}
