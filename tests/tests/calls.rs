//! Rows IF-1 to IF-3 and IF-5: calls while the code behind them is replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::bounded;
use hotswap_engine::{CallError, CallErrorKind, Engine, Function};
use hotswap_tests::deadline::{PATIENCE, receive, within};
use hotswap_tests::{CrateFixture, prebuilt};

#[test]
fn if_1_a_long_call_ends_in_the_version_it_began_in() {
    let (enter, entered) = bounded(1);
    let (release, released) = bounded::<()>(1);
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("block", move || {
            enter.send(()).expect("the test listens");
            receive(&released, "the release");
        })
        .open()
        .expect("opens");
    thread::scope(|scope| {
        let long = scope.spawn(|| engine.call_with::<u64>("after", ("block",)));
        receive(&entered, "the long call");
        for number in [2, 3, 2] {
            engine.offer(prebuilt::numbered(number)).expect("swaps");
            assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
        }
        release.send(()).expect("the call waits");
        assert_eq!(long.join().expect("no panic"), Ok(1));
    });
}

/// 1,000 swaps, four threads that call as fast as they can in every way there is.
#[test]
fn if_2_no_call_is_lost() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let is_over = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    let good = |answer: Result<u64, CallError>| {
        let answer = answer.expect("no call is lost");
        assert!(answer == 1 || answer == 2, "{answer}");
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let nested =
        |answer: Result<Result<u64, CallError>, CallError>| good(answer.expect("no call is lost"));
    thread::scope(|scope| {
        let handle: Function<fn() -> u64> = engine.function("version").expect("exported");
        let (engine, is_over, good, nested) = (&engine, &is_over, &good, &nested);
        let running = move || !is_over.load(Ordering::Acquire);
        scope.spawn(move || {
            while running() {
                good(engine.call_with("version", ()));
            }
        });
        scope.spawn(move || {
            while running() {
                good(handle.call());
            }
        });
        scope.spawn(move || {
            while running() {
                let guard = engine.pin();
                good(guard.call_with("version", ()));
                good(guard.call_with("other", ()));
            }
        });
        scope.spawn(move || {
            while running() {
                nested(engine.call_with("nested", (3_u64,)));
            }
        });
        for round in 1..=1_000 {
            engine.offer(&libraries[round % 2]).expect("swaps");
        }
        is_over.store(true, Ordering::Release);
    });
    assert_eq!(engine.status().swap_count, 1_000);
    assert!(calls.load(Ordering::Relaxed) > 1_000, "the callers ran all the time");
}

/// A call that comes back into the engine while a swap happened reaches the new version.
#[test]
fn if_3_a_nested_call_during_a_swap_completes() {
    let (enter, entered) = bounded(1);
    let (release, released) = bounded::<()>(1);
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("block", move || {
            enter.send(()).expect("the test listens");
            receive(&released, "the release");
        })
        .open()
        .expect("opens");
    let caller = engine.clone();
    let call =
        thread::spawn(move || caller.call_with::<(u64, u64)>("after_and_current", ("block",)));
    receive(&entered, "the call");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    release.send(()).expect("the call waits");
    assert_eq!(call.join().expect("no panic"), Ok((1, 2)));
}

/// A call that has the host swap, from inside, gets its answer and goes on in its own version.
#[test]
fn if_3_a_swap_from_inside_a_call_completes() {
    // The host's function knows the engine only for the length of this test, which else would never end.
    let known: Arc<Mutex<Option<Engine>>> = Arc::default();
    let of_host = Arc::clone(&known);
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("offer", move |path: String| -> u64 {
            let engine = of_host.lock().expect("no panic").clone().expect("set below");
            engine.offer(path).expect("swaps");
            engine.call_with("version", ()).expect("exported")
        })
        .open()
        .expect("opens");
    *known.lock().expect("no panic") = Some(engine.clone());
    let caller = engine.clone();
    let answer = within(PATIENCE, "a swap from inside a call", move || {
        let path = prebuilt::numbered(2).to_str().expect("UTF-8").to_owned();
        caller.call_with::<(u64, u64)>("offers", (path.as_str(),))
    });
    assert_eq!(answer, Ok((1, 2)));
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    known.lock().expect("no panic").take();
}

/// `hotswap_module::engine().reload()` in the middle of a call: built, swapped, and the call goes on.
#[test]
fn if_3_a_reload_from_inside_a_call_completes() {
    let source = prebuilt::source("numbered.rs");
    let module = CrateFixture::new("if_3_reload", &source);
    let engine = module.engine().open().expect("opens");
    module.edit(&source.replace("const VERSION: u64 = 1;", "const VERSION: u64 = 2;"));
    let caller = engine.clone();
    let current = within(PATIENCE, "a reload from inside a call", move || {
        caller.call_with::<Result<u64, CallError>>("reloads", ())
    });
    assert_eq!(current, Ok(Ok(2)), "the number of the version that is current afterwards");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    module.edit("this does not compile");
    let refused = engine.call_with::<Result<u64, CallError>>("reloads", ());
    let Ok(Err(CallError { kind: CallErrorKind::Refused { message }, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert!(message.contains("v2 stays current"), "{message}");
}

fn panic_of(answer: Result<(), CallError>) -> (String, String, u64) {
    match answer {
        Err(CallError { kind: CallErrorKind::Panicked { message, location }, version, .. }) => {
            (message, location.unwrap_or_default(), version.expect("a version answered"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn if_5_a_panic_is_an_error_of_its_caller() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let (message, location, version) = panic_of(engine.call("panics_with_str"));
    assert_eq!((message.as_str(), version), ("a plain text", 1));
    assert!(location.contains("src/lib.rs:"), "{location}");

    let answer = engine.call_with::<u64>("panics_with_string", (7_u64,));
    let (message, location, _) = panic_of(answer.map(drop));
    assert_eq!(message, "number 7");
    assert!(location.contains("src/lib.rs:"), "{location}");

    let (message, ..) = panic_of(engine.call("panics_with_number"));
    assert_eq!(message, "a value that is not text");

    let (message, ..) = panic_of(engine.call("panics_with_grenade"));
    assert_eq!(message, "a value that is not text (and dropping it panicked again)");

    // Handle and guard answer as names do.
    let handle: Function<fn(u64) -> u64> = engine.function("panics_with_string").expect("exported");
    assert_eq!(panic_of(handle.call(8).map(drop)).0, "number 8");
    assert_eq!(panic_of(engine.pin().call("panics_with_str")).0, "a plain text");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1), "the version goes on");
}

/// Each caller gets its own panic, also when many panic at once.
#[test]
fn if_5_panics_of_many_threads_are_not_mixed_up() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..50 {
                    let number = thread * 1_000 + round;
                    let answer = engine.call_with::<u64>("panics_with_string", (number,));
                    assert_eq!(panic_of(answer.map(drop)).0, format!("number {number}"));
                }
            });
        }
    });
}

/// A panic in a host function is the module's error, and the module's own panic is the caller's.
#[test]
fn if_5_a_panic_of_the_host_does_not_unwind_into_the_module() {
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("fail", || -> () { panic!("the host's own") })
        .open()
        .expect("opens");
    let (message, ..) = panic_of(engine.call_with::<u64>("after", ("fail",)).map(drop));
    assert!(message.contains("the host's own"), "{message}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
}

/// A payload whose drop panics is a defect of the host's, and still no end of it.
#[test]
fn if_5_a_host_payload_that_panics_again_is_contained() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("fail", || -> () { std::panic::panic_any(Grenade) })
        .open()
        .expect("opens");
    let (message, ..) = panic_of(engine.call_with::<u64>("after", ("fail",)).map(drop));
    assert!(message.contains("a value that is not text"), "{message}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
}

#[test]
fn an_error_that_nobody_takes_is_an_error_of_the_call() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let error = engine.call("fails").expect_err("an Err was returned");
    assert_eq!(error.kind, CallErrorKind::Returned { message: "it failed on purpose".to_owned() });
    let given = engine.call_with::<Result<u64, String>>("fails", ());
    assert_eq!(given, Ok(Err("it failed on purpose".to_owned())));
}
