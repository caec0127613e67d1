//! Where the quick way into a version is closed: deep calls, ending threads. They count references instead.

use std::cell::RefCell;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use hotswap_engine::{CallError, Engine, PinKind, VersionState};
use hotswap_tests::deadline::receive;
use hotswap_tests::prebuilt::{self, numbered};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("the current version answers")
}

/// The version before the current one is gone: nothing of what was called holds it.
fn assert_first_is_unloaded(engine: &Engine) {
    engine.offer(numbered(2)).expect("a module");
    assert_eq!(version(engine), 2);
    let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Unloaded, VersionState::Current]);
}

/// Eight calls have a slot; those inside them do without.
#[test]
fn calls_deeper_than_the_slots_count_references() {
    let engine = prebuilt::engine(&numbered(1)).open().expect("opens");
    for depth in [1u64, 7, 8, 9, 40] {
        let answer = engine.call_with::<Result<u64, CallError>>("nested", (depth,));
        assert_eq!(answer, Ok(Ok(1)), "{depth}");
    }
    assert_first_is_unloaded(&engine);
}

/// Calls, and tells what came of it, when its thread ends.
struct Last {
    engine: Engine,
    tell: Sender<u64>,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.tell.send(version(&self.engine)).expect("the test waits");
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// A destructor that was registered before the thread's first call runs after the thread gave its slots back.
#[test]
fn a_call_from_a_late_destructor_counts_references() {
    let engine = prebuilt::engine(&numbered(1)).open().expect("opens");
    let (tell, told) = bounded(1);
    let calling = engine.clone();
    let worker = thread::spawn(move || {
        LAST.with_borrow_mut(|last| *last = Some(Last { engine: calling.clone(), tell }));
        version(&calling)
    });
    assert_eq!(worker.join().expect("it only calls"), 1);
    assert_eq!(receive(&told, "the last call"), 1);
    assert_first_is_unloaded(&engine);
}

/// A call under way holds its version in a slot: it is named with its thread, and its end lets the version go.
#[test]
fn a_call_that_outlives_its_version_is_named_and_its_end_rings() {
    let (enter, entered) = bounded(0);
    let (leave, left) = bounded::<()>(0);
    let engine = prebuilt::engine(&numbered(1))
        .provide("wait", move || {
            enter.send(()).expect("the test waits");
            // Ends when the test drops the sender.
            let _ended = left.recv();
        })
        .open()
        .expect("opens");
    let events = engine.subscribe();
    let calling = engine.clone();
    let worker = thread::Builder::new()
        .name("worker-7".to_owned())
        .spawn(move || calling.call_with::<u64>("after", ("wait",)))
        .expect("a thread");
    receive(&entered, "the call");
    engine.offer(numbered(2)).expect("a module");
    assert_eq!(version(&engine), 2);
    let first = engine.versions().remove(0);
    assert_eq!(first.state, VersionState::Draining);
    let pins: Vec<_> = first.pins.iter().map(|pin| (pin.kind, pin.origin.as_str())).collect();
    assert_eq!(pins, [(PinKind::Call, "on worker-7")]);
    drop(leave);
    assert_eq!(worker.join().expect("it only calls"), Ok(1));
    hotswap_tests::deadline::event(&events, "the end of version 1", |event| {
        matches!(event, hotswap_engine::Event::Unloaded { .. }).then_some(())
    });
    let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Unloaded, VersionState::Current]);
}
