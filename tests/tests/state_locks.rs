//! How cells are locked: found again without asking, kept from waiting for themselves, told when they are torn.

use std::path::PathBuf;
use std::thread;

use hotswap_engine::{Engine, Event};
use hotswap_module::{State, export, state};
use hotswap_tests::counted::{builder, counted};
use hotswap_tests::deadline::{event, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{log_lines, prebuilt};

hotswap_module::module!();

/// What this program has, as a linked module.
#[state(version = 1)]
#[derive(Default)]
pub struct Linked {
    count: u64,
}

#[export]
fn count_linked(linked: State<Linked>) -> u64 {
    let mut linked = linked.lock();
    linked.count += 1;
    linked.count
}

fn locking(name: &str) -> PathBuf {
    prebuilt::library(name, &prebuilt::source("locking.rs"), prebuilt::Kind::Module)
}

fn number(engine: &Engine, name: &str) -> u64 {
    engine.call_with(name, ()).expect("it counts")
}

/// One type, many cells: each is found, over swaps, and no other in its place.
#[test]
fn each_cell_is_found_again() {
    let library = locking("locking_many");
    let engine = builder(&library).0.open().expect("opens");
    let shared_before = number(&engine, "increment_shared") - 1;
    for round in 1..4 {
        for names in 0..round {
            for name in ["left", "right", "le", ""] {
                let name = if names == 0 { name.to_owned() } else { format!("{name}{names}") };
                let total: u64 =
                    engine.call_with("increment_named", (name.clone(),)).expect("counts");
                // The one without a name is that of `increment`.
                let expected = if name.is_empty() { 2 * round - 1 } else { round - names };
                assert_eq!(total, expected, "{name:?} in round {round}");
            }
        }
        assert_eq!(number(&engine, "increment"), 2 * round);
        assert_eq!(number(&engine, "increment_shared"), shared_before + 1 + round);
        engine.offer(&library).expect("swaps");
    }
}

/// A version that was kept, and found its cell before that was migrated, reads the one that came back with it.
#[test]
fn a_version_that_comes_back_finds_the_cell_of_now() {
    let engine = builder(&counted(1)).0.keep_versions(1).open().expect("opens");
    assert_eq!((number(&engine, "increment"), number(&engine, "total")), (1, 1));
    engine.offer(counted(2)).expect("migrates");
    assert_eq!(number(&engine, "increment"), 2);
    engine.rollback().expect("migrates back");
    assert_eq!(number(&engine, "total"), 2);
    assert_eq!((number(&engine, "increment"), number(&engine, "total")), (3, 3));
}

/// Two engines on the same linked code: what one found is nothing to the other.
#[test]
fn linked_code_finds_the_cells_of_the_engine_that_calls() {
    let engines = [(); 2].map(|()| Engine::linked(exports()));
    for total in 1..4 {
        for engine in &engines {
            assert_eq!(number(engine, "count_linked"), total);
        }
    }
}

/// A thread that reads a cell may do so again, also when somebody waits to write it.
#[test]
fn a_reader_reads_again_although_a_writer_waits() {
    let (builder, gate) = builder(&locking("locking_readers"));
    let engine = builder.open().expect("opens");
    number(&engine, "increment");
    let (reading, writing) = (engine.clone(), engine.clone());
    let reader = thread::spawn(move || number(&reading, "read_twice"));
    gate.wait();
    let writer = thread::spawn(move || number(&writing, "increment"));
    let waits = || engine.call_with("can_read", ()) == Ok(false);
    until("a writer waits", waits);
    gate.open();
    assert_eq!(reader.join().expect("no panic"), 2, "what it was before");
    assert_eq!(writer.join().expect("no panic"), 2);
}

/// The error of a thread that holds a cell already, and not that others do.
#[test]
fn a_thread_is_told_that_it_holds_the_cell_itself() {
    let engine = builder(&locking("locking_twice")).0.open().expect("opens");
    // Also where it has found the cell before.
    for _ in 0..2 {
        for (first, second, is_refused) in
            [(true, true, true), (true, false, true), (false, true, true), (false, false, false)]
        {
            let text: String = engine.call_with("twice", (first, second)).expect("exported");
            let is_told = text.matches("twice (src/lib.rs:").count() == 2;
            assert_eq!(is_told, is_refused, "{first} {second}: {text}");
            assert_eq!(text.is_empty(), !is_refused, "{text}");
        }
    }
    assert_eq!(number(&engine, "increment"), 1, "it is free again");
}

/// The version whose code had the cell locked is named, and not the one that is current.
#[test]
fn torn_state_names_the_version_that_tore_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let library = locking("locking_torn");
    let (builder, gate) = builder(&library);
    let (builder, events) = builder.log_file(&log).subscribe();
    let engine = builder.open().expect("opens");
    let old = engine.clone();
    let call = thread::spawn(move || old.call("wait_and_tear").map_err(|error| error.version));
    gate.wait();
    engine.offer(&library).expect("swaps");
    assert_eq!(engine.version().number(), 2);
    gate.open();
    assert_eq!(call.join().expect("the host goes on"), Err(Some(1)));
    let version = event(&events, "torn state", |event| match event {
        Event::StateTorn { version, .. } => Some(version.number()),
        _ => None,
    });
    assert_eq!(version, 1);
    let torn_by = engine.states()[0].torn_by.clone().expect("it is torn");
    assert!(torn_by.starts_with("wait_and_tear (src/lib.rs:"), "{torn_by}");
    assert!(torn_by.ends_with(") in v1"), "{torn_by}");
    drop(engine);
    let lines = log_lines(&log);
    let line = lines.iter().find(|line| line.event == "state.torn").expect("it is in the log");
    assert_eq!(line.field("version"), "1");
}

/// Who forgot a lock is named for as long as that can be read: what is unmapped is not looked at.
#[test]
fn who_forgot_a_lock_is_named_while_it_is_there() {
    let first = locking("locking_forgotten");
    let engine = builder(&first).0.keep_versions(1).open().expect("opens");
    engine.call("forget").expect("it returns");
    let problem = |engine: &Engine| engine.call_with::<String>("problem", ()).expect("exported");
    let named = problem(&engine);
    assert!(named.contains("on which forget (src/lib.rs:"), "{named}");
    let other = locking("locking_remembering");
    assert!(!executable_mappings("locking_forgotten").is_empty());
    engine.offer(&other).expect("swaps");
    let kept = problem(&engine);
    assert!(kept.contains("on which forget (src/lib.rs:"), "it is kept, and can be read: {kept}");
    engine.offer(&other).expect("swaps");
    until("the first is gone", || executable_mappings("locking_forgotten").is_empty());
    let gone = problem(&engine);
    assert!(gone.contains("on which code that is gone holds it"), "{gone}");
}
