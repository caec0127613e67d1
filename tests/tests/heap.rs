//! Heap memory of each version: what it has, net of what crossed, and what it left behind.

use std::collections::BTreeMap;
use std::thread;

use crossbeam_channel::Receiver;
use hotswap_engine::{Engine, EngineBuilder, Event, VersionState};
use hotswap_module::Abi;
use hotswap_tests::deadline::{event, until};
use hotswap_tests::{log_lines, prebuilt};

#[derive(Abi)]
struct Letter {
    to: String,
    pages: Vec<String>,
    kind: Kind,
}

#[derive(Abi)]
enum Kind {
    #[expect(dead_code, reason = "only the module makes it")]
    Plain,
    #[expect(dead_code, reason = "only the module makes it")]
    Sealed(Box<u64>),
    Signed {
        by: Option<String>,
    },
}

fn letters(count: usize) -> Vec<Letter> {
    let letter = |_| Letter {
        to: "the module".to_owned(),
        pages: vec!["a page".to_owned(), String::with_capacity(100)],
        kind: Kind::Signed { by: Some("the host".to_owned()) },
    };
    (0..count).map(letter).collect()
}

fn open(set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Engine {
    let builder = prebuilt::engine(&prebuilt::named("heap.rs"))
        .provide("answer", |text: String| text + " is what you said");
    set(builder).open().expect("opens")
}

/// What the only version has.
fn heap(engine: &Engine) -> u64 {
    engine.versions()[0].heap_bytes
}

/// What a call makes the version have more, or less; twice, since the first may fill tables that stay. It has enough before: less
/// than nothing would be nothing.
#[track_caller]
fn grown(engine: &Engine, mut call: impl FnMut()) -> i64 {
    engine.call_with::<()>("keeps", (1_000_000_u64,)).expect("exported");
    call();
    let before = heap(engine);
    call();
    heap(engine) as i64 - before as i64
}

#[test]
fn what_a_version_keeps_is_counted_and_what_it_frees_is_not() {
    let engine = open(|builder| builder);
    assert_eq!(heap(&engine), 0, "nothing was called");
    engine.call_with::<()>("keeps", (10_000_u64,)).expect("exported");
    let kept = heap(&engine);
    assert!((10_000..10_500).contains(&kept), "{kept}");
    engine.call("frees").expect("exported");
    assert_eq!(heap(&engine), 0);
}

#[test]
fn threads_count_each_for_itself_also_when_they_have_ended() {
    let engine = open(|builder| builder);
    engine.call_with::<()>("has_threads_keep", (8_u64, 1_000_u64)).expect("exported");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| engine.call_with::<()>("keeps", (1_000_u64,)).expect("exported"));
        }
    });
    let kept = heap(&engine);
    assert!((16_000..18_000).contains(&kept), "{kept}");
    engine.call("frees").expect("exported");
    // What the standard library knows of this thread, which started others, stays until it calls after the swap.
    let left = heap(&engine);
    assert!(left < 200, "{left}");
}

#[test]
fn what_is_handed_over_leaves_the_account() {
    let engine = open(|builder| builder);
    let writes = || drop(engine.call_with::<Result<Vec<Letter>, String>>("writes", (20_u64,)));
    assert_eq!(grown(&engine, writes), 0, "a result of any depth");
    let echoes = || drop(engine.call_with::<String>("echoes", ("text".to_owned(),)));
    assert_eq!(grown(&engine, echoes), 0, "a text each way");
    let reads = || drop(engine.call_with::<u64>("reads", (letters(5), 1_u64)));
    assert_eq!(grown(&engine, reads), 0, "an argument");
    let tears = || drop(engine.call_with::<u64>("tears", (letters(5),)));
    assert_eq!(grown(&engine, tears), 0, "an argument of a call that panics");
    let given = || engine.call_with::<()>("keeps_given", (vec![0_u8; 5_000],)).expect("exported");
    let kept = grown(&engine, given);
    assert!((5_000..5_200).contains(&kept), "{kept}: an argument that is kept");
    let before = heap(&engine);
    let block = engine.call_with::<Option<Vec<u8>>>("gives", ()).expect("exported");
    assert_eq!(block.map(|block| block.len()), Some(5_000));
    assert_eq!(before - heap(&engine), 5_000, "and given back");
}

#[test]
fn what_a_module_hands_to_its_host_leaves_the_account() {
    let engine = open(|builder| builder);
    let talks = || drop(engine.call_with::<u64>("talks", (100_u64,)));
    assert_eq!(grown(&engine, talks), 0);
}

#[test]
fn what_a_module_is_told_of_failures_is_its_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("heap.so");
    std::fs::copy(prebuilt::named("heap.rs"), &path).expect("ours");
    let engine = prebuilt::engine(&path).open().expect("opens");
    std::fs::remove_file(&path).expect("ours");
    let refused = || engine.call_with::<()>("is_refused", (10_u64,)).expect("exported");
    assert_eq!(grown(&engine, refused), 0);
}

/// Where nobody can tell what crossed, the call is left out: nothing is invented.
#[test]
fn a_call_of_which_it_cannot_be_told_what_crossed_is_left_out() {
    let engine = open(|builder| builder);
    engine.call_with::<()>("keeps", (1_000_u64,)).expect("exported");
    let before = heap(&engine);
    let map: BTreeMap<u64, String> = engine.call_with("maps", (1_000_u64,)).expect("exported");
    assert_eq!((map.len(), heap(&engine)), (1_000, before));
    let mut list: Vec<String> = Vec::new();
    engine.call_with::<()>("grows", (&mut list,)).expect("exported");
    assert_eq!((list.len(), heap(&engine)), (100, before));
    drop((map, list));
    assert_eq!(heap(&engine), before);
}

fn gone(engine: &Engine, events: &Receiver<Event>) {
    until("it is unloaded", || {
        engine.call("version").expect("exported");
        engine.versions()[0].state == VersionState::Unloaded
    });
    event(events, "its end", |event| matches!(event, Event::Unloaded { .. }).then_some(()));
}

#[test]
fn what_a_version_left_behind_is_said_when_it_goes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = open(|builder| builder.log_file(&log));
    engine.call_with::<()>("keeps", (10_000_u64,)).expect("exported");
    let kept = heap(&engine);
    let events = engine.subscribe();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let leaked = event(&events, "a leak", |event| match event {
        Event::Leaked { version, bytes } => Some((version.number(), *bytes)),
        _ => None,
    });
    assert_eq!(leaked, (1, kept));
    assert_eq!(heap(&engine), kept, "of what is gone it is what it left");
    drop(engine);
    let lines = log_lines(&log);
    let bytes = |name: &str| {
        let of_event = lines.iter().find(|line| line.event == name);
        of_event.expect("logged").field("leaked_bytes").parse::<u64>().expect("a number")
    };
    assert_eq!((bytes("version.unloaded"), bytes("version.leaked")), (kept, kept));
}

/// What the standard library of a module takes for itself is given back, whatever the module did: a leak is a leak of the module.
#[test]
fn a_module_that_frees_what_it_takes_leaves_nothing() {
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .provide("nothing", || {})
        .provide("local_dropped", || {})
        .open()
        .expect("opens");
    let events = engine.subscribe();
    for _ in 0..3 {
        engine.call_with::<()>("prints", ("a text\n",)).expect("exported");
        engine.call_with::<()>("logs", ("a text",)).expect("exported");
        engine.call_with::<()>("starts_thread", ("nothing".to_owned(),)).expect("exported");
        engine.call("keeps_local").expect("exported");
        engine.call_with::<u64>("nested", (5_u64,)).expect_err("no such result");
        engine.call("panics_with_str").expect_err("it panics");
        engine.call("panics_with_number").expect_err("it panics");
        engine.call("starts_panicking_thread").expect("exported");
        engine.call_with::<Result<u64, String>>("fails", ()).expect("it returns").expect_err("no");
        thread::scope(|scope| {
            scope.spawn(|| engine.call("keeps_local").expect("exported"));
        });
    }
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    gone(&engine, &events);
    assert_eq!(heap(&engine), 0);
}
