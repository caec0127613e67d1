//! What crosses the boundary, each kind of it out and in once; host functions, log records and memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::ffi::OsString;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotswap_engine::{CallErrorKind, Engine, LoadErrorKind, OpenErrorKind, ReloadErrorKind};
use hotswap_module::{Abi, CallError};
use hotswap_tests::prebuilt;

// The host's side of `modules/boundary.rs`.
#[derive(Debug, Clone, PartialEq, Abi)]
struct Record {
    small: u8,
    text: String,
    pairs: Vec<(u16, f64)>,
    inner: Inner,
}

#[derive(Debug, Clone, PartialEq, Abi)]
struct Inner(u32, Option<Box<u64>>);

#[derive(Debug, Clone, PartialEq, Abi)]
enum Choice {
    Nothing,
    Text(String),
    Pair { left: u64, right: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Abi)]
struct Tree {
    value: u64,
    children: Vec<Tree>,
}

fn opened() -> Engine {
    prebuilt::engine(&prebuilt::named("boundary.rs"))
        .provide("draw", |x: f32, y: f32| format!("drawn at {x}, {y}"))
        .open()
        .expect("opens")
}

fn record() -> Record {
    Record {
        small: 5,
        text: "a text".to_owned(),
        pairs: vec![(1, 0.5), (2, 1.5)],
        inner: Inner(37, Some(Box::new(1))),
    }
}

/// Sends a value through the module and expects it back.
#[track_caller]
fn echo<T: Abi + Clone + PartialEq + Debug>(engine: &Engine, name: &str, value: T)
where
    (T,): hotswap_module::Arguments,
{
    assert_eq!(engine.call_with::<T>(name, (value.clone(),)), Ok(value), "{name}");
}

#[test]
fn numbers_cross() {
    let engine = opened();
    echo(&engine, "echo_u8", u8::MAX);
    echo(&engine, "echo_u16", u16::MAX);
    echo(&engine, "echo_u32", u32::MAX);
    echo(&engine, "echo_u64", u64::MAX);
    echo(&engine, "echo_u128", u128::MAX - 1);
    echo(&engine, "echo_usize", usize::MAX);
    echo(&engine, "echo_i8", i8::MIN);
    echo(&engine, "echo_i16", i16::MIN);
    echo(&engine, "echo_i32", i32::MIN);
    echo(&engine, "echo_i64", i64::MIN);
    echo(&engine, "echo_i128", i128::MIN + 1);
    echo(&engine, "echo_isize", isize::MIN);
    echo(&engine, "echo_f32", -0.5_f32);
    echo(&engine, "echo_f64", f64::MAX);
    echo(&engine, "echo_bool", true);
    echo(&engine, "echo_char", 'ß');
    echo(&engine, "echo_unit", ());
    echo(&engine, "echo_nonzero", NonZeroU32::MIN);
}

#[test]
fn std_types_cross() {
    let engine = opened();
    echo(&engine, "echo_string", "grüße".to_owned());
    echo(&engine, "echo_string", String::new());
    echo(&engine, "echo_vec", vec!["a".to_owned(), "b".to_owned()]);
    echo(&engine, "echo_vec", Vec::<String>::new());
    echo(&engine, "echo_box", Box::new(7_u64));
    echo(&engine, "echo_deque", VecDeque::from([1_u8, 2, 3]));
    echo(&engine, "echo_map", BTreeMap::from([("one".to_owned(), 1_u64), ("two".to_owned(), 2)]));
    echo(&engine, "echo_set", BTreeSet::from([-1, 0, 1]));
    let heap: BinaryHeap<u8> =
        engine.call_with("echo_heap", (BinaryHeap::from([3_u8, 1, 2]),)).expect("crosses");
    assert_eq!(heap.into_sorted_vec(), [1, 2, 3]);
    echo(&engine, "echo_option", Some("some".to_owned()));
    echo(&engine, "echo_option", None::<String>);
    echo(&engine, "echo_result", Ok::<u64, String>(7));
    echo(&engine, "echo_result", Err::<u64, String>("no".to_owned()));
    echo(&engine, "echo_array", [1_u16, 2, 3]);
    echo(&engine, "echo_tuple", (1_u8, "two".to_owned(), 3.5_f32));
    echo(&engine, "echo_range", 1_u32..9);
    echo(&engine, "echo_duration", Duration::from_nanos(1_000_000_001));
    echo(&engine, "echo_path", PathBuf::from("/some/where"));
    echo(&engine, "echo_os_string", OsString::from("os"));
    echo(&engine, "echo_phantom", PhantomData::<u8>);
}

#[test]
fn derived_types_cross() {
    let engine = opened();
    echo(&engine, "echo_record", record());
    echo(&engine, "echo_choice", Choice::Nothing);
    echo(&engine, "echo_choice", Choice::Text("text".to_owned()));
    echo(&engine, "echo_choice", Choice::Pair { left: 1, right: vec![1, 2] });
    let leaf = |value| Tree { value, children: Vec::new() };
    echo(&engine, "echo_tree", Tree { value: 1, children: vec![leaf(2), leaf(3)] });
}

#[test]
fn borrows_go_in() {
    let engine = opened();
    assert_eq!(engine.call_with("text_length", ("four",)), Ok(4_usize));
    assert_eq!(engine.call_with("maybe_length", (Some("four"),)), Ok(Some(4_usize)));
    assert_eq!(engine.call_with("maybe_length", (None::<&str>,)), Ok(None::<usize>));
    assert_eq!(engine.call_with("slice_sum", (&[1_u64, 2, 3][..],)), Ok(6_u64));
    let mut changed = record();
    assert_eq!(engine.call_with("total", (&changed,)), Ok(42_u64));
    assert_eq!(engine.call_with("grow", (&mut changed,)), Ok(()));
    assert_eq!(changed.text, "a text and more");
    assert_eq!(changed.pairs.len(), 3);
    assert_eq!(changed.inner, Inner(37, Some(Box::new(3))));
    let mut values = [1_u64, 2, 3];
    assert_eq!(engine.call_with("zero", (&mut values[..],)), Ok(()));
    assert_eq!(values, [0; 3]);
    let mut text = "from the host".to_owned();
    assert_eq!(engine.call_with("replace", (&mut text,)), Ok("from the host".to_owned()));
    assert_eq!(text, "from the module");
    let handle = engine.function::<fn(&'static str) -> usize>("text_length").expect("exported");
    let short_lived = "x".repeat(9);
    assert_eq!(handle.call(&short_lived), Ok(9));
}

#[test]
fn constants_are_functions_without_arguments() {
    let engine = opened();
    assert_eq!(engine.call_with::<u64>("LIMIT", ()), Ok(7));
    assert_eq!(engine.call_with::<f64>("RATIO", ()), Ok(0.5));
    let limit = engine.function::<fn() -> u64>("LIMIT").expect("exported");
    assert_eq!(limit.call(), Ok(7));
}

#[test]
fn eight_arguments_cross() {
    let arguments = (1_u8, 2_u16, 3_u32, 4_u64, "five", 6.5_f32, true, '8');
    assert_eq!(opened().call_with("many", arguments), Ok("1 2 3 4 five 6.5 true 8".to_owned()));
}

/// A wrong call is an error that says what to write, consumes nothing, and harms nobody.
#[test]
fn wrong_calls_say_what_to_write() {
    let engine = opened();
    let text = |error: CallError| error.to_string();
    let wrong = engine.call_with::<u64>("echo_u64", (2,)).expect_err("an i32");
    assert_eq!(text(wrong), "echo_u64: argument 1: expected u64, got i32 (write 2u64)");
    let wrong = engine.call_with::<f32>("echo_f32", (1.5_f64,)).expect_err("an f64");
    assert_eq!(text(wrong), "echo_f32: argument 1: expected f32, got f64 (write 1.5f32)");
    let wrong = engine.call_with::<u32>("echo_u64", (2_u64,)).expect_err("another result");
    assert_eq!(text(wrong), "echo_u64: expected fn(u64) -> u32, v1 has fn(u64) -> u64");
    let wrong =
        engine.call_with::<usize>("text_length", ("four".to_owned(),)).expect_err("a String");
    assert_eq!(text(wrong), "text_length: argument 1: expected &str, got String");
    let wrong = engine.call("echo_u64").expect_err("an argument is missing");
    assert_eq!(text(wrong), "echo_u64: expected fn(), v1 has fn(u64) -> u64");
    let wrong = engine.call("no_argument").expect_err("no such function");
    assert_eq!(text(wrong), "no_argument: not exported by v1; did you mean no_arguments?");
    let wrong = engine.call("something_else").expect_err("no such function");
    assert_eq!(text(wrong), "something_else: not exported by v1");
    // Arguments of a refused call are dropped, once: the counting allocator of this program would tell.
    let wrong =
        engine.call_with::<u64>("echo_string", ("x".repeat(1_000),)).expect_err("another result");
    assert!(matches!(wrong.kind, CallErrorKind::Signature { .. }));
}

#[test]
fn provided_functions_are_called() {
    assert_eq!(opened().call_with("drawn", (1.5_f32, 2.0_f32)), Ok("drawn at 1.5, 2".to_owned()));
}

fn refused(error: hotswap_engine::OpenError) -> String {
    let OpenErrorKind::First(first) = &error.kind else { panic!("{error}") };
    let ReloadErrorKind::Load(load) = &first.kind else { panic!("{error}") };
    assert!(matches!(load.kind, LoadErrorKind::HostFunction { .. }), "{error}");
    first.to_string()
}

#[test]
fn a_missing_host_function_is_refused_at_load() {
    // By a literal name in an export.
    let error =
        prebuilt::engine(&prebuilt::named("needy.rs")).open().expect_err("it is not provided");
    assert_eq!(
        refused(error),
        "v1 needs number_of_host from its host, which does not provide it: provide it with .provide(\"number_of_host\", ..)"
    );
    let engine =
        prebuilt::engine(&prebuilt::named("needy.rs")).provide("number_of_host", || 9_u64).open();
    assert_eq!(engine.expect("provided").call_with::<u64>("version", ()), Ok(9));
    // By `needs = [dyn Drawing]`, with its signature.
    let boundary = prebuilt::named("boundary.rs");
    let text = refused(prebuilt::engine(&boundary).open().expect_err("it is not provided"));
    assert!(text.starts_with("v1 needs draw from its host, which does not provide it"), "{text}");
    let wrong = prebuilt::engine(&boundary).provide("draw", |x: f64, _y: f64| x.to_string());
    let text = refused(wrong.open().expect_err("another signature"));
    assert!(
        text.contains("provides fn(f64, f64) -> String (wanted: fn(f32, f32) -> String)"),
        "{text}"
    );
}

/// A name that only running code knows is an error of that call.
#[test]
fn a_host_function_by_a_computed_name_is_checked_at_the_call() {
    type Answer = Result<Result<u64, CallError>, CallError>;
    let engine = prebuilt::engine(&prebuilt::named("late_need.rs"))
        .provide("double", |number: u64| number * 2)
        .provide("narrow", |number: u32| u64::from(number))
        .open()
        .expect("opens");
    let ask = |name: &str| -> Answer { engine.call_with("asks", (name,)) };
    assert_eq!(ask("double"), Ok(Ok(2)));
    let kind = |answer: Answer| answer.expect("asks").expect_err("refused").kind;
    assert!(matches!(kind(ask("absent")), CallErrorKind::Missing { .. }));
    let CallErrorKind::Argument { position, expected, found, .. } = kind(ask("narrow")) else {
        panic!("{:?}", ask("narrow"));
    };
    assert_eq!((position, expected.as_str(), found.as_str()), (1, "u32", "u64"));
}

/// What modules and engines log, by target.
static RECORDS: Mutex<Vec<(String, log::Level, String)>> = Mutex::new(Vec::new());

struct Collecting;

impl log::Log for Collecting {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "boundary"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let record = (record.target().to_owned(), record.level(), record.args().to_string());
            RECORDS.lock().expect("no panic").push(record);
        }
    }

    fn flush(&self) {}
}

#[test]
fn records_reach_the_hosts_logger() {
    let engine = opened();
    // A module that is loaded before the host chose a logger finds it all the same.
    log::set_logger(&Collecting).expect("set once");
    log::set_max_level(log::LevelFilter::Debug);
    engine.call_with::<()>("logs", ("from the module",)).expect("exported");
    let records = RECORDS.lock().expect("no panic");
    let wanted = ("boundary".to_owned(), log::Level::Warn, "from the module".to_owned());
    assert_eq!(*records, [wanted]);
}

/// Counts the blocks of one unusual size, so that other tests beside this one do not matter.
struct Counting;

const COUNTED_BYTES: usize = 1_234_567;
static ALLOCATED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is the system allocator's work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == COUNTED_BYTES {
            ALLOCATED.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() == COUNTED_BYTES {
            FREED.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The module allocates with the host's allocator, whichever that is; each side frees what the other made.
#[test]
fn memory_is_the_hosts_on_both_sides() {
    let engine = opened();
    let counts = || (ALLOCATED.load(Ordering::SeqCst), FREED.load(Ordering::SeqCst));
    let block: Vec<u8> = engine.call_with("allocates", (COUNTED_BYTES as u64,)).expect("exported");
    assert_eq!(counts(), (1, 0), "the module allocates here");
    assert_eq!(block.len(), COUNTED_BYTES);
    // The version that made it may be gone.
    engine.offer(prebuilt::named("boundary.rs")).expect("swaps");
    drop(block);
    assert_eq!(counts(), (1, 1), "the host frees it");
    let block = vec![2_u8; COUNTED_BYTES];
    assert_eq!(engine.call_with("frees", (block,)), Ok(COUNTED_BYTES as u64));
    assert_eq!(counts(), (2, 2), "the module frees what the host made");
    // A refused call frees its arguments on this side.
    engine.call_with::<u8>("frees", (vec![3_u8; COUNTED_BYTES],)).expect_err("another result");
    assert_eq!(counts(), (3, 3));
}
