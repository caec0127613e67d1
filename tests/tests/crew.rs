//! One thread that swaps for many engines.

use std::path::{Path, PathBuf};

use crossbeam_channel::{bounded, unbounded};
use hotswap_engine::testing::Together;
use hotswap_engine::{Engine, Event};
use hotswap_system::fault::{self, Fault, Manner, Operation, Times};
use hotswap_tests::deadline::{PATIENCE, event, receive, until, within};
use hotswap_tests::maps::thread_names;
use hotswap_tests::{isolated, prebuilt};

fn open(crew: &Together, library: &Path) -> Engine {
    crew.member(prebuilt::engine(library)).open().expect("opens")
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

/// The module of `tests/modules/hooks.rs` whose hook before it goes waits for the host.
fn waiting_at_its_end() -> PathBuf {
    let source = prebuilt::source("hooks.rs")
        .replace("    AFTER\n", "    Ok(())\n")
        .replace("    BEFORE\n", "    ask(\"gate\"); Ok(())\n");
    prebuilt::library("hooks_gate_1", &source, prebuilt::Kind::Module)
}

#[test]
fn one_thread_swaps_for_a_hundred_engines() {
    const NAME: &str = "one_thread_swaps_for_a_hundred_engines";
    isolated(NAME, || {
        let swappers = || thread_names().into_iter().filter(|name| name == "hotswap-swapper");
        let (one, two) = (prebuilt::numbered(1), prebuilt::numbered(2));
        let crew = Together::start().expect("a thread");
        let named = |number| crew.member(prebuilt::engine(&one)).name(format!("swapped-{number}"));
        let engines: Vec<_> = (0..100).map(|it| named(it).open().expect("opens")).collect();
        assert_eq!(swappers().count(), 1);
        let own = thread_names().into_iter().filter(|name| name.starts_with("hotswap-swapped"));
        assert_eq!(own.collect::<Vec<_>>(), Vec::<String>::new());
        for engine in &engines {
            engine.offer(&two).expect("swaps");
        }
        assert!(engines.iter().all(|engine| version(engine) == 2));
        drop(crew);
        let (last, others) = engines.split_last().expect("a hundred");
        let (last, others) = (last.clone(), others.to_vec());
        drop(engines);
        drop(others);
        last.offer(&one).expect("swaps for the last of them");
        drop(last);
        until("the thread ends with the last engine", || swappers().count() == 0);
    });
}

#[test]
fn an_engine_that_ends_slowly_holds_up_no_other() {
    let (gate, entered) = unbounded();
    let (release, released) = bounded::<()>(0);
    let (tell, told) = unbounded();
    let crew = Together::start().expect("a thread");
    let slow = crew
        .member(prebuilt::engine(&waiting_at_its_end()))
        .hook_deadline(PATIENCE)
        .provide("tell", |_: String| {})
        .provide("gate", move || {
            gate.send(()).expect("the test listens");
            let _closed = released.recv_timeout(PATIENCE);
        })
        .open()
        .expect("opens");
    let other = open(&crew, &prebuilt::numbered(1));
    let ending = std::thread::spawn(move || {
        drop(slow);
        tell.send(()).expect("the test listens");
    });
    receive(&entered, "the hook");
    let swapped = other.clone();
    within(PATIENCE, "another engine's swap", move || swapped.offer(prebuilt::numbered(2)))
        .expect("swaps");
    assert_eq!(version(&other), 2);
    let third = open(&crew, &prebuilt::numbered(1));
    drop(third);
    assert!(told.try_recv().is_err(), "who drops an engine waits for its hooks");
    drop(release);
    receive(&told, "the end of the engine");
    ending.join().expect("no panic");
}

#[test]
fn an_engine_may_be_dropped_by_the_thread_that_serves_it() {
    let crew = Together::start().expect("a thread");
    let inner = open(&crew, &prebuilt::numbered(1));
    let events = inner.subscribe();
    // What is provided goes with the engine, on the thread that ends it.
    let outer = crew.member(prebuilt::engine(&prebuilt::numbered(1)));
    let outer = outer.provide("inner", move || version(&inner)).open().expect("opens");
    within(PATIENCE, "the end of both", move || drop(outer));
    event(&events, "the end of the inner one", |event| {
        matches!(event, Event::Stopped).then_some(())
    });
    let other = open(&crew, &prebuilt::numbered(1));
    other.offer(prebuilt::numbered(2)).expect("the thread goes on");
}

#[test]
fn a_swap_that_panics_costs_no_other_engine_anything() {
    const NAME: &str = "a_swap_that_panics_costs_no_other_engine_anything";
    isolated(NAME, || {
        let (one, two) = (prebuilt::numbered(1), prebuilt::numbered(2));
        let crew = Together::start().expect("a thread");
        let engines = [open(&crew, &one), open(&crew, &one)];
        let watching = fault::watch();
        engines[0].offer(&two).expect("swaps");
        let mut passed = watching.passed().into_keys();
        let site = passed.find(|site| site.operation == Operation::Pass).expect("it is passed");
        watching.inject(Fault { site, times: Times::Once(0), manner: Manner::Panic });
        engines[0].offer(&one).expect_err("it panics");
        engines[1].offer(&two).expect("swaps");
        assert_eq!(engines.each_ref().map(version), [2, 2]);
    });
}
