//! What `#[state]` and `#[migrate]` write, asked as an engine asks it: by record and shim.

#![cfg(feature = "state")]
#![expect(missing_docs, reason = "a module's items are public, and these have no readers")]

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hotswap_module::__private::{
    Bytes, Kind, LinkedExport, Operation, Packed1, Shim, Signature, StateRequest, Status,
    StepRequest, step_versions,
};
use hotswap_module::{
    Abi, Shared, State, StateErrorKind, StateType, export, first_value, migrate, state,
};

hotswap_module::module!();

/// Fields inside of fields.
#[state(part)]
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    pub x: f64,
    pub y: f32,
}

#[state(version = 1, name = "Counters")]
#[derive(Debug, PartialEq, Default)]
struct CountersV1 {
    calls: u64,
    name: String,
}

#[state(version = 2, name = "Counters")]
#[derive(Debug, PartialEq, Default)]
struct CountersV2 {
    calls: u64,
    title: String,
}

/// The current version.
#[migrate(auto, from = 2)]
#[state(version = 3, check = few)]
#[migrate(auto, from = 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    pub calls: u64,
    #[migrate(renamed = "name")]
    pub title: String,
    pub at: Place,
}

impl Default for Counters {
    fn default() -> Self {
        Self { calls: 0, title: "first".to_owned(), at: Place { x: 1.5, y: 0.1 } }
    }
}

fn few(counters: &Counters) -> Result<(), &'static str> {
    if counters.calls < 1_000 { Ok(()) } else { Err("that many calls cannot be") }
}

#[migrate(from = 1, down = back_to_1)]
fn counters_from_1(old: CountersV1) -> Result<CountersV2, String> {
    match old.name.as_str() {
        "refuse" => Err("not that one".to_owned()),
        _ => Ok(CountersV2 { calls: old.calls, title: old.name }),
    }
}

fn back_to_1(new: CountersV2) -> CountersV1 {
    CountersV1 { calls: new.calls, name: new.title }
}

/// No default: it says itself how it begins.
#[state(version = 1, init = begin)]
#[derive(Debug, PartialEq)]
pub enum Phase {
    Idle,
    Running { since: u64 },
    Tree(Vec<Phase>),
}

fn begin() -> Phase {
    Phase::Running { since: 7 }
}

#[state(version = 9)]
#[derive(Debug)]
pub struct NoFirst(pub u8);

#[state(version = 1)]
#[derive(Debug)]
pub struct Maybe(pub Option<f64>);

/// Counts how often a value of it is dropped.
#[state(version = 1)]
#[derive(Default)]
pub struct Noisy {
    pub id: u64,
}

static DROPS: AtomicUsize = AtomicUsize::new(0);

impl Drop for Noisy {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
    }
}

/// Its author derives what is needed.
#[state(version = 1)]
#[derive(Debug, Default, PartialEq, Abi, hotswap_module::serde::Serialize)]
pub struct Derived {
    #[serde(default)]
    pub names: BTreeSet<String>,
}

#[export]
pub fn add(counters: State<Counters>, n: u64) -> u64 {
    let mut counters = counters.lock();
    counters.calls += n;
    counters.calls
}

#[export(name = "both")]
pub fn several(a: u8, _phase: State<Phase>, b: &mut u64, _shared: Shared<Derived>) {
    *b += u64::from(a);
}

#[expect(clippy::too_many_arguments, reason = "the most that an export may have, and a cell")]
#[export]
pub fn eight(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    _counters: State<Counters>,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
) -> u8 {
    a + b + c + d + e + f + g + h
}

#[export]
pub fn shown(counters: State<Counters>, shared: Shared<Derived>) -> String {
    format!("{counters:?} {shared:?}")
}

fn records(kind: Kind) -> Vec<LinkedExport> {
    let linked = exports();
    linked.exports().iter().filter(|export| export.record.kind == kind).cloned().collect()
}

fn record(kind: Kind, name: &str, extra: u32) -> LinkedExport {
    let mut found = records(kind);
    found.retain(|export| export.record.name == name && export.record.extra == extra);
    assert_eq!(found.len(), 1, "{name} {extra}");
    found.remove(0)
}

/// Asks a shim as the host does.
fn ask<R>(shim: Shim, request: R) -> Result<(), String> {
    let mut packed = Packed1(request);
    let mut out = MaybeUninit::<Result<(), String>>::uninit();
    // SAFETY: the request is what shims of this kind take, and `out` has room for what they give.
    let code = unsafe { shim((&raw mut packed).cast(), out.as_mut_ptr().cast()) };
    assert_eq!(Status::from_code(code), Status::Done);
    // SAFETY: the shim says that it wrote the result.
    unsafe { out.assume_init() }
}

fn request(operation: Operation) -> StateRequest {
    StateRequest { operation, value: ptr::null_mut(), bytes: Bytes::new(&[]), out: ptr::null_mut() }
}

/// The shim of a state type.
fn shim<T: StateType>() -> Shim {
    record(Kind::State, T::SCHEMA, u32::from(T::VERSION)).shim.expect("state types have a shim")
}

fn made<T: StateType>(operation: Operation, bytes: &[u8]) -> Result<T, String> {
    let mut value = MaybeUninit::<T>::uninit();
    let asked = StateRequest {
        value: value.as_mut_ptr().cast(),
        bytes: Bytes::new(bytes),
        ..request(operation)
    };
    // SAFETY: written exactly when the answer is `Ok`.
    ask(shim::<T>(), asked).map(|()| unsafe { value.assume_init() })
}

fn written<T: StateType>(operation: Operation, value: &T) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let value = (&raw const *value).cast_mut().cast();
    ask(shim::<T>(), StateRequest { value, out: &raw mut out, ..request(operation) })?;
    Ok(out)
}

fn encoded<T: StateType>(value: &T) -> Vec<u8> {
    written(Operation::Encode, value).expect("it can be encoded")
}

fn json<T: StateType>(value: &T) -> Result<String, String> {
    written(Operation::Json, value).map(|bytes| String::from_utf8(bytes).expect("JSON is text"))
}

/// One step, asked for a value: the value, and what was dropped.
fn stepped<New: StateType>(
    from: u16,
    is_derived: bool,
    bytes: &[u8],
) -> Result<(New, Vec<String>), String> {
    let mut dropped = Vec::new();
    let mut value = MaybeUninit::<New>::uninit();
    let asked = StepRequest {
        bytes: Bytes::new(bytes),
        value: value.as_mut_ptr().cast(),
        out: ptr::null_mut(),
        wants_json: false,
        dropped: &raw mut dropped,
    };
    ask(step(New::SCHEMA, from, New::VERSION, is_derived), asked)?;
    // SAFETY: written exactly when the answer is `Ok`.
    Ok((unsafe { value.assume_init() }, dropped))
}

fn step(schema: &str, from: u16, to: u16, is_derived: bool) -> Shim {
    let mut found = records(Kind::Step);
    found.retain(|step| {
        let signature = step.signature.expect("steps have a signature");
        step.record.name == schema
            && step_versions(step.record.extra) == (from, to)
            && signature.arguments.is_empty() == is_derived
    });
    assert_eq!(found.len(), 1, "{schema} from {from} to {to}");
    found[0].shim.expect("steps have a shim")
}

fn text<T: Abi>() -> String {
    Signature { arguments: &[], result: <T as Abi>::DESC }.text()
}

#[test]
fn sm_2_a_state_type_has_schema_version_and_layout() {
    let mut types: Vec<_> = records(Kind::State)
        .iter()
        .map(|export| (export.record.name.clone(), export.record.extra))
        .collect();
    types.sort();
    let expected = [
        ("Counters", 1),
        ("Counters", 2),
        ("Counters", 3),
        ("Derived", 1),
        ("Maps", 2),
        ("Maybe", 1),
        ("NoFirst", 9),
        ("Noisy", 1),
        ("Phase", 1),
    ];
    assert_eq!(types, expected.map(|(name, version)| (name.to_owned(), version)));
    let counters = record(Kind::State, "Counters", 3);
    assert_eq!(counters.record.signature, text::<Counters>());
    assert!(counters.record.signature.starts_with("()->Counters{calls@"));
}

#[test]
fn exports_of_a_module_are_its_functions() {
    assert_eq!(exports().names(), ["add", "both", "eight", "shown"]);
}

#[test]
fn cells_are_no_part_of_a_signature() {
    let signature = |name| record(Kind::Export, name, 0).record.signature;
    assert_eq!(signature("add"), "(u64#8/8)->u64#8/8");
    assert_eq!(signature("both"), "(u8#1/1,&mut u64#8/8)->()#0/1");
    assert_eq!(signature("shown"), "()->String#24/8");
    assert_eq!(signature("eight").matches("u8").count(), 9);
}

#[test]
fn the_shim_passes_cells_and_arguments_in_their_places() {
    let mut count = 1_u64;
    let mut packed = hotswap_module::__private::Packed2(3_u8, &mut count);
    let shim = record(Kind::Export, "both", 0).shim.expect("exports have a shim");
    // SAFETY: its arguments are packed as its signature says, and the result is `()`.
    let code = unsafe { shim((&raw mut packed).cast(), ptr::dangling_mut()) };
    assert_eq!(Status::from_code(code), Status::Done);
    assert_eq!(count, 4);
}

/// Without an engine there is no cell, and the call ends, without a panic.
#[test]
fn a_call_that_cannot_lock_ends() {
    let shim = record(Kind::Export, "add", 0).shim.expect("exports have a shim");
    let mut packed = Packed1(1_u64);
    let mut out = 0_u64;
    // SAFETY: its arguments are packed as its signature says, and there is room for its result.
    let code = unsafe { shim((&raw mut packed).cast(), (&raw mut out).cast()) };
    assert_eq!(Status::from_code(code), Status::State);
}

#[test]
fn the_first_value_is_the_default_or_what_init_gives() {
    assert_eq!(made::<Counters>(Operation::Initial, &[]), Ok(Counters::default()));
    assert_eq!(made::<Phase>(Operation::Initial, &[]), Ok(begin()));
    assert_eq!(first_value::<Phase>(), Ok(begin()));
    let error = made::<NoFirst>(Operation::Initial, &[]).expect_err("it has none");
    assert!(error.contains("derive Default") && error.contains("version = 9, init"), "{error}");
}

#[test]
fn values_go_through_bytes_and_back() {
    let counters = Counters { calls: 3, ..Counters::default() };
    assert_eq!(made(Operation::Decode, &encoded(&counters)), Ok(counters));
    let phase = Phase::Tree(vec![Phase::Idle, Phase::Running { since: 3 }, Phase::Tree(vec![])]);
    assert_eq!(made(Operation::Decode, &encoded(&phase)), Ok(phase));
    let derived = Derived { names: BTreeSet::from(["a".to_owned()]) };
    assert_eq!(made(Operation::Decode, &encoded(&derived)), Ok(derived));
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    let bytes = encoded(&Counters::default());
    for length in 0..bytes.len() {
        made::<Counters>(Operation::Decode, &bytes[..length]).expect_err("cut");
    }
    let more = [bytes, vec![0, 0]].concat();
    let error = made::<Counters>(Operation::Decode, &more).expect_err("too long");
    assert_eq!(error, "2 bytes more than a value of Counters takes");
}

#[test]
fn json_says_all_of_a_value_or_nothing() {
    let counters = Counters::default();
    let shown = r#"{"calls":0,"title":"first","at":{"x":1.5,"y":0.1}}"#;
    assert_eq!(json(&counters), Ok(shown.to_owned()));
    let strange = Counters { at: Place { x: f64::NAN, y: 0.0 }, ..counters };
    json(&strange).expect_err("JSON has no NaN");
    // This one would read back, as `None`.
    assert_eq!(json(&Maybe(Some(f64::NAN))), Err("JSON cannot carry all of it".to_owned()));
    assert_eq!(json(&Maybe(Some(1.5))).as_deref(), Ok("1.5"));
    // The last digit counts.
    for index in 1..2_000_u32 {
        let x = f64::from(index).sqrt() / 7.0e-9;
        json(&Counters { at: Place { x, y: 0.0 }, ..Counters::default() }).expect("any number");
    }
}

#[test]
fn a_value_is_dropped_where_it_lies() {
    let before = DROPS.load(Ordering::SeqCst);
    let mut noisy = std::mem::ManuallyDrop::new(Noisy { id: 1 });
    let value = (&raw mut noisy).cast();
    ask(shim::<Noisy>(), StateRequest { value, ..request(Operation::Drop) }).expect("dropped");
    assert_eq!(DROPS.load(Ordering::SeqCst), before + 1);
}

#[test]
fn what_check_says_is_the_answer() {
    let checked = |calls| {
        let counters = Counters { calls, ..Counters::default() };
        written(Operation::Check, &counters).map(drop)
    };
    assert_eq!(checked(999), Ok(()));
    assert_eq!(checked(1_000), Err("that many calls cannot be".to_owned()));
    assert_eq!(written(Operation::Check, &Phase::Idle).map(drop), Ok(()));
}

/// The name that a former version has in its layout is that of the schema, so that it is the layout of then.
#[test]
fn a_former_version_is_described_as_it_was() {
    mod then {
        use hotswap_module::state;

        #[state(part)]
        pub(super) struct Node {
            pub(super) children: Vec<Node>,
        }

        #[state(part)]
        pub(super) enum Tree {
            Nodes(Vec<Node>),
            Trees(#[abi(by_name)] Box<Tree>),
        }
    }
    mod now {
        use hotswap_module::state;

        #[state(part)]
        #[abi(name = "Node")]
        pub(super) struct NodeV1 {
            pub(super) children: Vec<NodeV1>,
        }

        #[state(part)]
        #[abi(name = "Tree")]
        pub(super) enum TreeV1 {
            Nodes(Vec<NodeV1>),
            Trees(#[abi(by_name = "Box<Tree>")] Box<TreeV1>),
        }
    }
    assert_eq!(text::<then::Tree>(), text::<now::TreeV1>());
    let full = |desc| Signature { arguments: &[], result: desc }.full_text();
    assert_eq!(full(<then::Tree as Abi>::DESC), full(<now::TreeV1 as Abi>::DESC));
    assert_eq!(text::<CountersV1>(), record(Kind::State, "Counters", 1).record.signature);
    assert!(text::<CountersV1>().starts_with("()->Counters{"), "{}", text::<CountersV1>());
    let _ = (
        then::Tree::Nodes(vec![then::Node { children: vec![] }]),
        now::NodeV1 { children: vec![] },
    );
}

#[test]
fn sm_3_a_step_is_tested_alone_and_runs_by_its_record() {
    let old = || CountersV1 { calls: 3, name: "n".to_owned() };
    let new = CountersV2 { calls: 3, title: "n".to_owned() };
    assert_eq!(counters_from_1(old()).as_ref(), Ok(&new));
    let by_record = stepped::<CountersV2>(1, false, &encoded(&old()));
    assert_eq!(by_record, Ok((new, vec!["name".to_owned()])));
}

#[test]
fn a_step_that_refuses_says_why() {
    let refused = CountersV1 { calls: 3, name: "refuse".to_owned() };
    let error = stepped::<CountersV2>(1, false, &encoded(&refused)).expect_err("it refuses");
    assert_eq!(error, "not that one");
    stepped::<CountersV2>(1, false, &[1]).expect_err("no value at all");
}

#[test]
fn sm_4_the_way_back_is_a_step_too() {
    let old = CountersV1 { calls: 3, name: "n".to_owned() };
    let (new, _) = stepped::<CountersV2>(1, false, &encoded(&old)).expect("up");
    let (back, dropped) = stepped::<CountersV1>(2, false, &encoded(&new)).expect("down");
    assert_eq!((back, dropped), (old, vec!["title".to_owned()]));
}

/// What a step is asked for between others: bytes of both kinds.
#[test]
fn a_step_gives_bytes_for_the_next_one() {
    let old = CountersV1 { calls: 3, name: "n".to_owned() };
    let bytes = encoded(&old);
    let (mut out, mut dropped) = ([Vec::new(), Vec::new()], Vec::new());
    let asked = StepRequest {
        bytes: Bytes::new(&bytes),
        value: ptr::null_mut(),
        out: &raw mut out,
        wants_json: true,
        dropped: &raw mut dropped,
    };
    ask(step("Counters", 1, 2, false), asked).expect("a step");
    let new = CountersV2 { calls: 3, title: "n".to_owned() };
    assert_eq!(out[0], encoded(&new));
    assert_eq!(Ok(&*out[1]), json(&new).as_deref().map(str::as_bytes));
    let mut alone = [Vec::new(), Vec::new()];
    let no_json = StepRequest { out: &raw mut alone, wants_json: false, ..asked };
    ask(step("Counters", 1, 2, false), no_json).expect("a step");
    assert_eq!(alone, [encoded(&new), Vec::new()], "JSON is for derived steps alone");
    let (last, dropped) = stepped::<Counters>(2, true, &out[1]).expect("a derived step");
    assert_eq!(last, Counters { calls: 3, title: "n".to_owned(), ..Counters::default() });
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn sm_5_a_derived_step_finds_fields_by_name_and_names_what_it_drops() {
    let derived = |json: &str| stepped::<Counters>(1, true, json.as_bytes());
    let (new, dropped) = derived(r#"{"calls":5,"name":"n","age":3}"#).expect("derived");
    assert_eq!(new, Counters { calls: 5, title: "n".to_owned(), ..Counters::default() });
    assert_eq!(dropped, ["age"]);
    // An earlier step may have renamed it; then the first name is somebody else's.
    let (new, dropped) = derived(r#"{"calls":5,"title":"t"}"#).expect("derived");
    assert_eq!((new.title.as_str(), dropped), ("t", vec![]));
    // Both names: the value of the new one is not overwritten in silence.
    let (new, dropped) = derived(r#"{"calls":5,"name":"n","title":"t"}"#).expect("derived");
    assert_eq!((new.title.as_str(), dropped), ("n", vec!["title".to_owned()]));
    let (new, dropped) =
        derived(r#"{"name":"n","at":{"x":2.5,"y":0.3,"z":1.0}}"#).expect("derived");
    assert_eq!(new.at, Place { x: 2.5, y: 0.3 });
    assert_eq!(dropped, ["at.z"]);
}

#[test]
fn a_derived_step_refuses_what_would_not_survive() {
    let refused = |json: &str| stepped::<Counters>(1, true, json.as_bytes()).expect_err(json);
    let by_hand = |json| assert!(refused(json).ends_with("; write the step by hand"), "{json}");
    by_hand(r#"{"calls":"5","name":"n"}"#);
    by_hand(r#"{"calls":-5,"name":"n"}"#);
    by_hand(r#"{"name":"n","at":{"x":1.0}}"#);
    // More digits than the new type has.
    by_hand(r#"{"name":"n","at":{"x":1.0,"y":0.123456789012}}"#);
    assert_eq!(
        refused(r#"{"calls":5}"#),
        "title is said to have been name, and there was no such field"
    );
    assert!(refused("[]").starts_with("the old value: "));
}

#[test]
fn what_a_derived_step_finds_in_maps_is_kept() {
    #[state(version = 2)]
    #[migrate(auto, from = 1)]
    #[derive(Debug, Default, PartialEq)]
    struct Maps {
        by_number: BTreeMap<u64, Vec<Option<Place>>>,
        fresh: u8,
    }
    let old = r#"{"by_number":{"3":[null,{"x":0.5,"y":0.1,"w":1}],"4":[{"x":0.5,"y":0.1,"w":1}]}}"#;
    let (new, dropped) = stepped::<Maps>(1, true, old.as_bytes()).expect("derived");
    assert_eq!(new.by_number[&3], [None, Some(Place { x: 0.5, y: 0.1 })]);
    assert_eq!(dropped, ["by_number.3[].w", "by_number.4[].w"]);
}

#[test]
fn a_standalone_cell_locks_as_a_cell_does() {
    let counters = State::standalone(Counters::default());
    assert_eq!(add(counters, 2), 2);
    assert_eq!(add(counters, 2), 4);
    let reading = counters.read();
    let reading_too = counters.try_read().expect("a thread may read what it reads already");
    assert_eq!((reading.calls, reading_too.calls), (4, 4));
    let elsewhere = |body: fn(State<Counters>) -> StateErrorKind| {
        std::thread::spawn(move || body(counters)).join().expect("no panic")
    };
    let locked = |counters: State<Counters>| counters.try_lock().expect_err("locked").kind;
    let read = |counters: State<Counters>| counters.try_read().expect_err("locked").kind;
    assert_eq!(elsewhere(locked), StateErrorKind::Busy);
    drop((reading, reading_too));
    let mut writing = counters.try_lock().expect("free");
    writing.calls = 7;
    assert_eq!(elsewhere(read), StateErrorKind::Busy);
    assert_eq!(elsewhere(locked), StateErrorKind::Busy);
    let waited = |counters: State<Counters>| {
        counters.try_lock_for(Duration::from_millis(1)).expect_err("locked").kind
    };
    assert_eq!(elsewhere(waited), StateErrorKind::Busy);
    drop(writing);
    assert_eq!(State::clone(&counters).read().calls, 7);
}

#[test]
fn a_standalone_cell_tells_a_thread_that_would_wait_for_itself() {
    let counters = State::standalone(Counters::default());
    let is_held = |error: hotswap_module::StateError| match error.kind {
        StateErrorKind::Held { holder, wanted } => holder != wanted && wanted.contains("state.rs:"),
        _ => false,
    };
    let writing = counters.lock();
    assert!(is_held(counters.try_lock_for(Duration::MAX).expect_err("held")));
    assert!(is_held(counters.try_read().expect_err("held")));
    drop(writing);
    let reading = counters.read();
    assert!(is_held(counters.try_lock_for(Duration::MAX).expect_err("held")));
    drop(reading);
    let _free = counters.try_lock().expect("free");
}

#[test]
fn who_waits_for_a_standalone_cell_gets_it() {
    let counters = State::standalone(Counters::default());
    let threads: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || (0..1_000).for_each(|_| counters.lock().calls += 1)))
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(counters.read().calls, 8_000);
}

#[test]
fn a_writer_that_panics_leaves_a_standalone_cell_usable() {
    let counters = State::standalone(Counters::default());
    let panicked = std::thread::spawn(move || {
        let mut counters = counters.lock();
        counters.calls = 3;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    panicked.join().expect_err("it panicked");
    assert_eq!(counters.lock().calls, 3);
    assert_eq!(counters.try_lock().expect("free").calls, 3);
}

#[test]
fn without_an_engine_there_is_no_cell() {
    let error = State::<Counters>::get().try_lock().expect_err("no engine");
    assert_eq!((error.state.as_str(), error.kind), ("Counters", StateErrorKind::NoEngine));
    let error = Shared::<Derived>::named("b").try_read().expect_err("no engine");
    assert_eq!(error.state, "Derived \"b\"");
}
