//! What calls see of state: while it is migrated, after that, when they panic, when they want it twice.

use std::thread;

use hotswap_engine::{CallErrorKind, Event, OldCalls, StateErrorKind, TornPolicy};
use hotswap_tests::counted::{builder, counted, counted_with};
use hotswap_tests::deadline::{event, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{log_lines, prebuilt};

/// A call that is under way when the layout changes reads what was there, and cannot write.
#[test]
fn an_old_call_reads_what_it_was_and_cannot_write() {
    let (builder, gate) = builder(&counted(1));
    let engine = builder.open().expect("opens");
    engine.call_with::<u64>("increment", ()).expect("exported");
    let old = engine.clone();
    let call = thread::spawn(move || old.call_with::<u64>("read_wait_write", ()));
    gate.wait();
    engine.offer(counted(2)).expect("migrates");
    for calls in 2..5 {
        assert_eq!(engine.call_with::<u64>("increment", ()), Ok(calls));
    }
    gate.open();
    let error = call.join().expect("the host goes on").expect_err("what it writes would be lost");
    assert_eq!(error.kind, CallErrorKind::StateSuperseded { state: "Counters".to_owned() });
    assert_eq!(error.version, Some(1));
    assert!(error.was_entered());
    assert_eq!(engine.call_with::<u64>("total", ()), Ok(4), "nothing was written");
}

/// In the same form it is one cell: what the old call writes is there.
#[test]
fn an_old_call_writes_where_the_form_is_the_same() {
    let (builder, gate) = builder(&counted(1));
    let engine = builder.open().expect("opens");
    let old = engine.clone();
    let call = thread::spawn(move || old.call_with::<u64>("hold", ()));
    gate.wait();
    engine.offer(counted(1)).expect("nothing is waited for");
    let new = engine.clone();
    let waiting = thread::spawn(move || new.call_with::<u64>("increment", ()));
    gate.open();
    assert_eq!(call.join().expect("no panic"), Ok(1));
    assert_eq!(waiting.join().expect("no panic"), Ok(2), "they excluded each other");
}

/// With `Supersede` a call that wants to write is ended and does not wait.
#[test]
fn superseded_calls_do_not_wait() {
    let slow = counted_with("counted_slow_step", 2, |source| {
        source.replace(
            "Counters2 { calls: old.calls, name: String::from(\"unnamed\") }",
            "hotswap_module::host().call(\"wait\").expect(\"provided\");\n    Counters2 { calls: old.calls, name: String::new() }",
        )
    });
    let (builder, gate) = builder(&counted(1));
    let engine = builder.old_calls(OldCalls::Supersede).open().expect("opens");
    engine.call_with::<u64>("increment", ()).expect("exported");
    let offering = engine.clone();
    let offer = thread::spawn(move || offering.offer(&slow).map(drop));
    gate.wait();
    // The step runs, and the cell is locked.
    assert_eq!(engine.call_with::<Option<u64>>("try_increment", ()), Ok(None));
    let error = engine.call_with::<u64>("increment", ()).expect_err("it is ended");
    assert!(matches!(error.kind, CallErrorKind::StateSuperseded { .. }), "{error}");
    gate.open();
    offer.join().expect("no panic").expect("the step ends");
    assert_eq!(engine.call_with::<u64>("increment", ()), Ok(2));
}

#[test]
fn a_cell_is_never_waited_for_by_the_thread_that_holds_it() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    let text: String = engine.call_with("nested", ()).expect("it catches the error");
    assert!(text.starts_with("increment: ended in v1: increment (src/lib.rs:"), "{text}");
    assert!(
        text.contains(") wants state Counters on a thread on which nested (src/lib.rs:"),
        "{text}"
    );
    assert_eq!(engine.call_with::<u64>("increment", ()), Ok(1), "it is free again");
}

#[test]
fn a_panic_tears_a_cell_and_it_is_said() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let (builder, _gate) = builder(&counted(1));
    let (builder, events) = builder.log_file(&log).subscribe();
    let engine = builder.open().expect("opens");
    engine.call_with::<u64>("increment", ()).expect("exported");
    let error = engine.call("tear").expect_err("it panics");
    assert!(matches!(error.kind, CallErrorKind::Panicked { .. }), "{error}");
    let (by, version) = event(&events, "torn state", |event| match event {
        Event::StateTorn { state, by, version } if state == "Counters" => {
            Some((by.clone(), *version))
        }
        _ => None,
    });
    assert!(by.starts_with("tear (src/lib.rs:"), "{by}");
    assert_eq!(version, engine.version());
    let states = engine.states();
    assert_eq!(states[0].torn_by, Some(format!("{by} in v1")));
    assert_eq!(states[0].json.as_deref(), Some(r#"{"calls":1000000}"#), "it goes on as it is");
    drop(engine);
    let lines = log_lines(&log);
    let line = lines.iter().find(|line| line.event == "state.torn").expect("it is in the log");
    assert_eq!((line.field("by"), line.field("becomes")), (&*by, "kept"));
}

#[test]
fn torn_state_becomes_what_it_was_when_its_version_came() {
    let engine = builder(&counted(1)).0.torn_state(TornPolicy::Restore).open().expect("opens");
    engine.call_with::<u64>("increment", ()).expect("exported");
    engine.call("tear").expect_err("it panics");
    assert_eq!(engine.call_with::<u64>("total", ()), Ok(0), "there was nothing when it came");
    engine.call_with::<u64>("increment", ()).expect("exported");
    engine.offer(counted(1)).expect("swaps");
    engine.call_with::<u64>("increment", ()).expect("exported");
    engine.call("tear").expect_err("it panics");
    assert_eq!(engine.call_with::<u64>("total", ()), Ok(1));
    assert_eq!(engine.states()[0].torn_by, None);
}

/// A version that has no such state lets it rest; the next that has it wakes it.
#[test]
fn state_rests_while_no_version_has_it() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    engine.call_with::<u64>("increment", ()).expect("exported");
    engine.offer(prebuilt::numbered(1)).expect("swaps");
    let ticket =
        engine.unload(engine.versions().iter().map(|version| version.id).min().expect("two"));
    drop(ticket.map(|ticket| ticket.wait(hotswap_tests::deadline::PATIENCE)));
    assert_eq!(engine.states()[0].json.as_deref(), Some(r#"{"calls":1}"#));
    engine.offer(counted(1)).expect("swaps");
    assert_eq!(engine.call_with::<u64>("increment", ()), Ok(2));
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    engine.offer(counted(3)).expect("what rests is migrated too");
    assert_eq!(engine.call_with::<u64>("increment", ()), Ok(3));
}

/// What cannot be put into bytes is not lost with the last version that has it.
#[test]
fn state_that_bytes_cannot_carry_waits_as_it_is() {
    let unwritable = counted_with("counted_unwritable", 1, |source| {
        source.replacen(
            "pub calls: u64,",
            "#[serde(serialize_with = \"refuse\")]\n    pub calls: u64,",
            1,
        ) + "\nfn refuse<S: hotswap_module::serde::Serializer>(_: &u64, _: S) -> Result<S::Ok, S::Error> {\n    Err(hotswap_module::serde::ser::Error::custom(\"no\"))\n}\n"
    });
    let engine = builder(&unwritable).0.open().expect("opens");
    engine.call_with::<u64>("increment", ()).expect("exported");
    engine.offer(prebuilt::numbered(1)).expect("swaps");
    let gone = || executable_mappings("counted_unwritable").is_empty();
    until("the version that had it is gone", gone);
    engine.offer(&unwritable).expect("swaps");
    assert_eq!(engine.call_with::<u64>("increment", ()), Ok(2));
}

/// A load hook runs before its version has any state.
#[test]
fn a_load_hook_cannot_reach_cells() {
    let hooked = counted_with("counted_hooked", 1, |source| {
        source
            + "\n#[hotswap_module::on_load]\nfn looks() -> Result<(), String> {\n    State::<Counters>::get().try_lock().map(drop).map_err(|error| error.to_string())\n}\n"
    });
    let engine = builder(&counted(1)).0.open().expect("opens");
    let error = engine.offer(&hooked).expect_err("it says no");
    let kind = StateErrorKind::NotCurrent;
    let text = "it cannot be reached before its version is current";
    assert!(error.to_string().contains(text), "{error} ({kind:?})");
}
