//! State that a version cannot have: it is refused, and the cell is what it was. Rows SM-2, SM-5, SM-6 and RB-5, with state.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use hotswap_engine::{
    Engine, PinKind, ReloadError, ReloadErrorKind, StateInfo, StatePolicy, StateProblem,
    VersionState,
};
use hotswap_tests::counted::{builder, counted, counted_with, problem};
use hotswap_tests::log_lines;

fn increment(engine: &Engine) -> u64 {
    engine.call_with("increment", ()).expect("exported")
}

/// The module of version 2 with another step from 1 to 2.
fn with_step(name: &str, body: &str) -> PathBuf {
    counted_with(name, 2, |source| {
        let from = source.find("fn to_2(").expect("the step");
        let to = source.find("fn to_1(").expect("what stands behind it");
        format!(
            "{}fn to_2(old: Counters1) -> Result<Counters2, String> {{\n{body}\n}}\n\n{}",
            &source[..from],
            &source[to..]
        )
    })
}

/// Offers a library that must be refused: the version before stays, its cell bit-identical.
fn refused(engine: &Engine, library: &std::path::Path) -> ReloadError {
    let (before, version) = (engine.states(), engine.version());
    let error = engine.offer(library).expect_err("refused");
    assert_eq!(engine.states(), before);
    assert_eq!(engine.version(), version);
    error
}

fn json(engine: &Engine) -> String {
    let states: Vec<StateInfo> = engine.states();
    states[0].json.clone().expect("it has a value")
}

#[test]
fn sm_2_no_path_is_refused_with_both_layouts_and_a_step_to_begin_with() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    increment(&engine);
    let no_step = counted_with("counted_no_step", 2, |source| {
        source.replace("#[migrate(from = 1, down = to_1)]", "#[allow(dead_code)]")
    });
    let error = refused(&engine, &no_step);
    let StateProblem::NoPath { from: 1, to: 2, difference, skeleton } = problem(&error) else {
        panic!("{error}");
    };
    assert!(difference.contains("+ name: String"), "{difference}");
    assert!(skeleton.contains("migrate(from = 1, down = counters_to_1)]"), "{skeleton}");
    assert!(error.to_string().contains(skeleton), "{error}");
    assert_eq!(increment(&engine), 2);
}

#[test]
fn sm_2_another_layout_under_the_same_version_is_refused() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    increment(&engine);
    let changed = counted_with("counted_same_version", 1, |source| {
        source.replacen("pub calls: u64,", "pub calls: u64,\n    pub more: u8,", 1)
    });
    let error = refused(&engine, &changed);
    let StateProblem::SameVersion { version: 1, difference, skeleton } = problem(&error) else {
        panic!("{error}");
    };
    assert!(difference.contains("+ more: u8"), "{difference}");
    assert!(skeleton.contains("migrate(from = 1, down = counters_to_1)]"), "{skeleton}");
    assert!(error.to_string().contains("raise the version to 2"), "{error}");
}

#[test]
fn a_cell_without_a_value_needs_no_steps() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    let no_step = counted_with("counted_no_step", 2, |source| {
        source.replace("#[migrate(from = 1, down = to_1)]", "#[allow(dead_code)]")
    });
    engine.offer(&no_step).expect("nothing is there to be migrated");
    assert_eq!(increment(&engine), 1);
}

#[test]
fn sm_6_a_step_that_says_no_changes_nothing() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    increment(&engine);
    let says_no = with_step("counted_says_no", r#"Err(format!("not with {}", old.calls))"#);
    let error = refused(&engine, &says_no);
    let StateProblem::Step { from: 1, to: 2, message } = problem(&error) else { panic!("{error}") };
    assert_eq!(message, "not with 1");
    engine.offer(counted(2)).expect("a good one is let in");
    assert_eq!(increment(&engine), 2);
}

#[test]
fn sm_6_a_step_that_panics_changes_nothing() {
    let engine = builder(&counted(1)).0.open().expect("opens");
    increment(&engine);
    let panics = with_step("counted_panics", r#"panic!("at {}", old.calls)"#);
    let error = refused(&engine, &panics);
    let StateProblem::Step { message, .. } = problem(&error) else { panic!("{error}") };
    assert!(
        message.starts_with("panicked at src/lib.rs:") && message.ends_with(": at 1"),
        "{message}"
    );
    engine.offer(counted(2)).expect("a good one is let in");
    assert_eq!(increment(&engine), 2);
}

/// The thread that runs the step holds its version, and is named; the state is free.
#[test]
fn sm_6_a_step_past_its_deadline_changes_nothing() {
    let body = r#"hotswap_module::host().call("wait").expect("provided"); Ok(Counters2 { calls: old.calls, name: String::new() })"#;
    let waits = with_step("counted_waits", body);
    let (builder, gate) = builder(&counted(1));
    let engine = builder.migration_deadline(Duration::from_millis(50)).open().expect("opens");
    increment(&engine);
    let error = refused(&engine, &waits);
    assert!(matches!(problem(&error), StateProblem::Deadline { deadline_ms: 50 }), "{error}");
    assert_eq!(increment(&engine), 2, "the state is free while the step still runs");
    gate.wait();
    gate.open();
    engine.offer(counted(2)).expect("a good one is let in");
    assert_eq!(increment(&engine), 3);
}

/// The thread that wants more stands still for good: it can neither be ended nor told that there is none.
#[test]
fn sm_6_a_step_that_takes_too_much_memory_changes_nothing() {
    let body = r#"let mut hoard = Vec::new();
    for _ in 0..1_000 {
        hoard.push(vec![old.calls; 1_000_000]);
    }
    Err(format!("{} times 8 MB were there", hoard.len()))"#;
    let hoards = with_step("counted_hoards", body);
    let (builder, _gate) = builder(&counted(1));
    let engine = builder.migration_memory(100_000_000).open().expect("opens");
    increment(&engine);
    let error = refused(&engine, &hoards);
    assert_eq!(*problem(&error), StateProblem::Memory { limit_bytes: 100_000_000 });
    engine.offer(counted(2)).expect("a good one is let in");
    assert_eq!(increment(&engine), 2);
}

#[test]
fn a_migration_can_be_aborted() {
    let body = r#"hotswap_module::host().call("wait").expect("provided"); Ok(Counters2 { calls: old.calls, name: String::new() })"#;
    let waits = with_step("counted_waits", body);
    let (builder, gate) = builder(&counted(1));
    let engine = builder.open().expect("opens");
    increment(&engine);
    let offering = engine.clone();
    let offer = thread::spawn(move || offering.offer(&waits).map(drop));
    gate.wait();
    let aborted = engine.abort().expect("it is under way");
    assert!(aborted.to_string().contains("migration"), "{aborted}");
    let error = offer.join().expect("no panic").expect_err("it was aborted");
    assert!(matches!(error.kind, ReloadErrorKind::Aborted), "{error}");
    assert_eq!(increment(&engine), 2, "the state is free while the step still runs");
    gate.open();
}

#[test]
fn sm_6_a_check_that_says_no_changes_nothing() {
    let engine = builder(&counted(4)).0.open().expect("opens");
    increment(&engine);
    let two_sums = counted_with("counted_two_sums", 5, |source| {
        source.replace(
            "BTreeMap::from([(0, Sum { total: old.total })])",
            "BTreeMap::from([(0, Sum { total: old.total }), (1, Sum::default())])",
        )
    });
    let error = refused(&engine, &two_sums);
    let StateProblem::Value { message } = problem(&error) else { panic!("{error}") };
    assert_eq!(message, "its check says: more than one sum");
}

/// What was locked when the deadline was over is tried again, and goes through.
#[test]
fn state_in_use_is_refused_for_now() {
    let (builder, gate) = builder(&counted(1));
    let engine = builder.migration_deadline(Duration::from_millis(50)).open().expect("opens");
    let holder = engine.clone();
    let call = thread::spawn(move || holder.call_with::<u64>("hold", ()));
    gate.wait();
    let error = engine.offer(counted(2)).expect_err("it is locked");
    assert!(matches!(problem(&error), StateProblem::Busy { deadline_ms: 50 }), "{error}");
    gate.open();
    assert_eq!(call.join().expect("no panic"), Ok(1));
    engine.offer(counted(2)).expect("it is free");
    assert_eq!(increment(&engine), 2);
}

/// The fields that are gone are in the log, by name.
#[test]
fn sm_5_what_is_dropped_is_counted_in_the_log() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = builder(&counted(3)).0.log_file(&log).open().expect("opens");
    increment(&engine);
    engine.offer(counted(4)).expect("migrates");
    drop(engine);
    let lines = log_lines(&log);
    let line = lines.iter().find(|line| line.event == "migrate.ok").expect("it was migrated");
    assert_eq!((line.field("dropped"), line.field("fields")), ("1", "name"));
    assert_eq!((line.field("from"), line.field("to"), line.field("state")), ("3", "4", "Counters"));
}

#[test]
fn a_step_without_a_way_back_must_be_allowed() {
    let one_way = counted_with("counted_one_way", 2, |source| {
        source
            .replace("#[migrate(from = 1, down = to_1)]", "#[migrate(from = 1)]")
            .replace("fn to_1(", "#[allow(dead_code)]\nfn to_1(")
    });
    let engine = builder(&counted(1)).0.open().expect("opens");
    increment(&engine);
    let error = refused(&engine, &one_way);
    assert!(matches!(problem(&error), StateProblem::OneWay { from: 1, to: 2 }), "{error}");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let (builder, _gate) = builder(&counted(1));
    let builder = builder.allow_one_way_migrations().keep_versions(1).log_file(&log);
    let engine = builder.open().expect("opens");
    increment(&engine);
    engine.offer(&one_way).expect("it is allowed");
    assert_eq!((increment(&engine), increment(&engine)), (2, 3));
    engine.rollback().expect("by the snapshot");
    assert_eq!(json(&engine), r#"{"calls":1}"#, "what it was before the step");
    drop(engine);
    let lines = log_lines(&log);
    let line = lines.iter().rfind(|line| line.event == "migrate.ok").expect("it went back");
    assert_eq!(line.field("lost"), "2", "two writes are lost, and it is said");
}

/// The module of version 3 with a derived step from version 2, whose fields are these now.
fn derived(name: &str, fields: &str) -> PathBuf {
    counted_with(name, 3, |source| {
        let from = source.find("#[state(name = \"Counters\", version = 3)]").expect("its type");
        let to = source.find("#[export]").expect("what stands behind its steps");
        format!(
            "{}#[migrate(auto, from = 2)]\n#[state(name = \"Counters\", version = 3)]\n#[derive(Debug, Clone, Default)]\npub struct Counters3 {{\n{fields}\n}}\n\n{}",
            &source[..from],
            &source[to..]
        )
    })
}

/// Where fields were only added and renamed nobody has to write the way back.
#[test]
fn a_derived_step_leads_back_where_nothing_was_dropped() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let renamed = derived(
        "counted_derived",
        "    pub extra: Vec<u8>,\n    #[migrate(renamed = \"calls\")]\n    pub total: u64,\n    pub name: String,\n    pub calls: u64,",
    );
    let (builder, _gate) = builder(&counted(2));
    let engine = builder.keep_versions(1).log_file(&log).open().expect("opens");
    increment(&engine);
    engine.offer(&renamed).expect("there is a way back, and nobody had to allow it");
    assert_eq!(increment(&engine), 2);
    assert_eq!(json(&engine), r#"{"extra":[],"total":2,"name":"","calls":0}"#);
    engine.rollback().expect("by the derived step");
    assert_eq!(json(&engine), r#"{"calls":2,"name":""}"#, "nothing is lost");
    assert_eq!(increment(&engine), 3);
    // And over two steps, one of each kind: the module has the type between them still.
    engine.offer(&renamed).expect("there again");
    engine.offer(counted(1)).expect("by the derived step, and by the one that somebody wrote");
    assert_eq!(json(&engine), r#"{"calls":3}"#);
    drop(engine);
    let lines = log_lines(&log);
    let lines: Vec<_> = lines.iter().filter(|line| line.event == "migrate.ok").collect();
    let [up, back, _, further] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((up.field("dropped"), up.field("from"), up.field("to")), ("0", "2", "3"));
    assert_eq!((back.field("dropped"), back.field("fields")), ("2", "extra,new calls"));
    assert_eq!((back.field("from"), back.field("to")), ("3", "2"));
    assert_eq!((further.field("from"), further.field("to")), ("3", "1"));
    assert_eq!((further.field("dropped"), further.field("fields")), ("3", "extra,new calls,name"));
}

/// What is dropped, or of another type, does not come back by itself.
#[test]
fn a_derived_step_that_drops_something_leads_one_way() {
    let fields = [
        ("counted_derived_drops", "    #[migrate(renamed = \"calls\")]\n    pub total: u64,"),
        (
            "counted_derived_retyped",
            "    #[migrate(renamed = \"calls\")]\n    pub total: u64,\n    pub name: Option<String>,",
        ),
    ];
    for (name, fields) in fields {
        let engine = builder(&counted(2)).0.open().expect("opens");
        increment(&engine);
        let error = refused(&engine, &derived(name, fields));
        assert!(matches!(problem(&error), StateProblem::OneWay { from: 2, to: 3 }), "{error}");
    }
}

#[test]
fn the_host_may_want_no_migrations_or_fresh_state() {
    let engine = builder(&counted(1)).0.state(StatePolicy::Refuse).open().expect("opens");
    increment(&engine);
    let error = refused(&engine, &counted(2));
    assert!(matches!(problem(&error), StateProblem::Refused { from: 1, to: 2 }), "{error}");
    engine.offer(counted(1)).expect("the same form is handed on");
    assert_eq!(increment(&engine), 2);

    let engine = builder(&counted(1)).0.state(StatePolicy::Fresh).open().expect("opens");
    increment(&engine);
    engine.offer(counted(1)).expect("swaps");
    assert_eq!(increment(&engine), 1);
    engine.offer(counted(5)).expect("swaps");
    assert_eq!(increment(&engine), 1);
}

/// The thread of a step that does not come back is a pin of its version, by name.
#[test]
fn the_thread_of_a_step_is_named() {
    let body = r#"hotswap_module::host().call("wait").expect("provided"); Ok(Counters2 { calls: old.calls, name: String::new() })"#;
    let waits = with_step("counted_waits", body);
    let (builder, gate) = builder(&counted(1));
    let engine = builder.open().expect("opens");
    increment(&engine);
    let offering = engine.clone();
    let offer = thread::spawn(move || offering.offer(&waits).map(drop));
    gate.wait();
    let versions = engine.versions();
    let current =
        versions.iter().find(|version| version.state == VersionState::Current).expect("one");
    let pin = current.pins.iter().find(|pin| pin.kind == PinKind::State).expect("it runs steps");
    assert_eq!(pin.origin, "migrate Counters");
    gate.open();
    offer.join().expect("no panic").expect("the step ends in time");
    assert_eq!(increment(&engine), 2);
}
