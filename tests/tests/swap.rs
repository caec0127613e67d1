//! Rows SW-1 to SW-5 and SW-7: what callers see of a swap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use hotswap_engine::{CallError, Engine, Event, Function, Guard, Verdict};
use hotswap_tests::deadline::{PATIENCE, event, receive, within};
use hotswap_tests::prebuilt;

/// Two functions of one version are never a mixed pair, and what `call` reaches is always whole.
#[test]
fn sw_1_no_half_loaded_version() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut pairs = 0_u32;
                while !is_over.load(Ordering::Acquire) || pairs == 0 {
                    let guard = engine.pin();
                    let first: u64 = guard.call_with("version", ()).expect("a version is current");
                    let second: u64 = guard.call_with("other", ()).expect("a version is current");
                    // Odd versions are library 1, even ones library 2.
                    let wanted = 2 - guard.version().number() % 2;
                    assert_eq!([first, second], [wanted; 2], "mixed in {}", guard.version());
                    let named: u64 = engine.call_with("other", ()).expect("a version is current");
                    assert!(named == 1 || named == 2, "{named}");
                    pairs += 1;
                }
            });
        }
        for round in 1..=100 {
            engine.offer(&libraries[round % 2]).expect("swaps");
        }
        is_over.store(true, Ordering::Release);
    });
    assert_eq!(engine.version().number(), 101);
}

/// One call is blocked inside the module; the swap and 1,000 other calls complete meanwhile.
#[test]
fn sw_2_no_global_pause() {
    let (enter, entered) = bounded(1);
    let (release, released) = bounded::<()>(1);
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("block", move || {
            enter.send(()).expect("the test listens");
            receive(&released, "the release");
        })
        .open()
        .expect("opens");
    let handle: Function<fn() -> u64> = engine.function("version").expect("exported");
    let blocked = {
        let engine = engine.clone();
        thread::spawn(move || engine.call_with::<u64>("after", ("block",)))
    };
    receive(&entered, "the blocked call");
    let others = engine.clone();
    let second = prebuilt::numbered(2);
    within(PATIENCE, "a swap beside a blocked call", move || {
        others.offer(&second).expect("swaps");
        for _ in 0..500 {
            assert_eq!(others.call_with::<u64>("version", ()), Ok(2));
            assert_eq!(handle.call(), Ok(2));
        }
    });
    assert!(!blocked.is_finished(), "the call was to be blocked all the time");
    release.send(()).expect("the call waits");
    assert_eq!(blocked.join().expect("no panic"), Ok(1), "a call ends in the version it began in");
}

#[test]
fn sw_3_a_guard_stays_in_its_version() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let guard = engine.pin();
    for round in 1..=50_u64 {
        engine.offer(&libraries[usize::from(round % 2 == 1)]).expect("swaps");
        assert_eq!(guard.call_with::<u64>("version", ()), Ok(1));
        assert_eq!(
            guard.call_with::<u64>("count", ()),
            Ok(round),
            "its statics are those of one image"
        );
        assert_eq!(guard.version().number(), 1);
    }
    assert_eq!(engine.version().number(), 51);
}

/// Who learned by a message that a swap happened never runs the old version again.
#[test]
fn sw_4_visibility_follows_communication() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let (tell, told) = bounded::<u64>(1);
    let (done, checked) = bounded(1);
    thread::scope(|scope| {
        let caller = &engine;
        scope.spawn(move || {
            let handle: Function<fn() -> u64> = caller.function("version").expect("exported");
            // A call of each kind before, so that anything a thread might keep is kept.
            assert!(handle.call().is_ok() && caller.call("version").is_ok());
            for wanted in told {
                assert_eq!(caller.call_with::<u64>("version", ()), Ok(wanted), "by name");
                assert_eq!(handle.call(), Ok(wanted), "by handle");
                assert_eq!(caller.pin().call_with::<u64>("version", ()), Ok(wanted), "by guard");
                done.send(()).expect("the test listens");
            }
        });
        for round in 1..=100 {
            engine.offer(&libraries[round % 2]).expect("swaps");
            let wanted = (round % 2 + 1) as u64;
            assert_eq!(engine.call_with::<u64>("version", ()), Ok(wanted), "who asked");
            tell.send(wanted).expect("the caller listens");
            receive(&checked, "the caller's check");
        }
        drop(tell);
    });
}

/// Swaps that are asked for at once happen one after the other: each goes from where the last one went to.
#[test]
fn sw_5_swaps_are_serialised() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2), prebuilt::numbered(3)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let events = engine.subscribe();
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (engine, libraries) = (&engine, &libraries);
            scope.spawn(move || {
                for round in 0..5 {
                    let verdict = engine.offer(&libraries[(thread + round) % 3]).expect("swaps");
                    let Verdict::Swapped { from: Some(from), to } = verdict else {
                        panic!("{verdict}");
                    };
                    assert_eq!(from.number() + 1, to.number());
                }
            });
        }
    });
    for number in 1..=20 {
        let pair = event(&events, "a swap", |event| match event {
            Event::Swapped { from, to, .. } => Some((from.map(|id| id.number()), to.number())),
            _ => None,
        });
        assert_eq!(pair, (Some(number), number + 1));
    }
    // The first version, and 20 swaps.
    assert_eq!(engine.version().number(), 21);
    assert_eq!(engine.status().swap_count, 20);
}

/// A version that is refused changes nothing for anybody, also while it is asked for at once with good ones.
#[test]
fn refusals_between_swaps_take_no_number() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broken = directory.path().join("broken.so");
    std::fs::write(&broken, "no library").expect("writable");
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=10 {
                engine.offer(&libraries[round % 2]).expect("swaps");
            }
        });
        for _ in 0..20 {
            engine.offer(&broken).expect_err("no library");
        }
    });
    assert_eq!(engine.version().number(), 11);
    let status = engine.status();
    assert_eq!((status.swap_count, status.refused_count), (10, 20));
    // What was refused left nothing that drains.
    within(Duration::from_secs(60), "a call", move || engine.call("version").expect("serves"));
}

/// Hayden's test: a script of calls, run once per boundary with a swap there, answers as the old version
/// up to the swap and as the new one from it on.
#[test]
fn sw_7_a_swap_at_every_boundary() {
    type Step = fn(&Engine, &Guard, &Function<fn() -> u64>) -> u64;
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    // Every way to call, in an order in which each follows each other one.
    let script: [(&str, Step); 8] = [
        ("by name", |engine, _, _| engine.call_with("version", ()).expect("current")),
        ("by handle", |_, _, handle| handle.call().expect("current")),
        ("nested", |engine, _, _| {
            engine
                .call_with::<Result<u64, CallError>>("nested", (3_u64,))
                .expect("current")
                .expect("nested")
        }),
        ("by guard", |_, guard, _| guard.call_with("version", ()).expect("pinned")),
        ("by another name", |engine, _, _| engine.call_with("other", ()).expect("current")),
        ("by a new guard", |engine, _, _| engine.pin().call_with("other", ()).expect("pinned")),
        ("by guard again", |_, guard, _| guard.call_with("other", ()).expect("pinned")),
        ("by handle again", |_, _, handle| handle.call().expect("current")),
    ];
    for boundary in 0..=script.len() {
        let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
        let guard = engine.pin();
        let handle = engine.function("version").expect("exported");
        for (index, (name, step)) in script.iter().enumerate() {
            if index == boundary {
                engine.offer(&libraries[1]).expect("swaps");
            }
            let is_pinned = name.starts_with("by guard");
            let wanted = if index < boundary || is_pinned { 1 } else { 2 };
            assert_eq!(
                step(&engine, &guard, &handle),
                wanted,
                "{name}, a swap before step {boundary}"
            );
        }
    }
}
