//! Row IF-4: a call past its deadline is told, is not waited for, and holds its version. The clock stands still.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hotswap_engine::{
    CallErrorKind, Engine, EngineBuilder, Event, Function, Inspection, PinKind, UnloadOutcome,
    VersionState,
};
use hotswap_system::clock::{Stepped, step_by_hand};
use hotswap_tests::deadline::{PATIENCE, event, receive, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{LogLine, isolated, log_lines, prebuilt};

const DECLARED: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

/// The module of `tests/modules/timed.rs` with this number.
fn timed(number: u64) -> PathBuf {
    let source = prebuilt::source("timed.rs")
        .replace("const VERSION: u64 = 1;", &format!("const VERSION: u64 = {number};"));
    prebuilt::library(&format!("timed_{number}"), &source, prebuilt::Kind::Module)
}

/// An engine whose module's calls wait in the host, with the clock in the test's hand.
struct Held {
    engine: Engine,
    clock: Stepped,
    /// Has a message when a call waits, which each message of `let_go` ends.
    waits: Receiver<()>,
    let_go: Sender<()>,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Held {
    fn open(set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let (tell, waits) = unbounded();
        let (let_go, gate) = unbounded::<()>();
        let builder = prebuilt::engine(&timed(1)).log_file(&log).provide("wait", move || {
            tell.send(()).expect("the test waits");
            // The end of the test lets everybody go.
            let _ = gate.recv();
        });
        timed(2);
        let engine = set(builder).open().expect("opens");
        Self { engine, clock: step_by_hand(), waits, let_go, log, _directory: directory }
    }

    /// Calls on a thread that is named `caller`, until the call waits in the host.
    fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Engine) -> R + Send + 'static,
    ) -> Receiver<R> {
        let (tell, told) = bounded(1);
        let engine = self.engine.clone();
        let call = move || {
            // The test may have failed.
            let _ = tell.send(call(&engine));
        };
        thread::Builder::new().name("caller".to_owned()).spawn(call).expect("a thread");
        receive(&self.waits, "the call");
        told
    }

    /// Lets time pass until the swapper looks at calls, as it has to within this time.
    fn pass(&self, time: Duration) {
        let is_near = || {
            let mut timers = self.clock.timers().into_iter();
            timers.any(|timer| timer.file.ends_with("swapper/retire.rs") && timer.left <= time)
        };
        until("the swapper waits", is_near);
        self.clock.advance(time);
    }

    fn lines(&self, event: &str) -> Vec<LogLine> {
        log_lines(&self.log).into_iter().filter(|line| line.event == event).collect()
    }

    /// Waits until the swapper has dealt with what came before.
    fn swapper_has_looked(&self) {
        // It takes what there is in any order: ten times, so that a timer is not behind all of them.
        (0..10).for_each(|_| self.engine.pause());
        self.engine.resume();
    }
}

#[test]
fn if_4_a_call_past_its_deadline_does_not_hold_up_the_drain() {
    isolated("if_4_a_call_past_its_deadline_does_not_hold_up_the_drain", || {
        let held = Held::open(|builder| builder);
        let Held { engine, clock, let_go, .. } = &held;
        let events = engine.subscribe();
        let answer = held.call(|engine| engine.call_with::<u64>("waits", ("wait",)));
        let old = engine.version();
        engine.offer(timed(2)).expect("swaps");
        let pin = |kind, text: &str| {
            let pins = engine.versions()[0].pins.clone();
            assert_eq!(pins.len(), 1, "{pins:?}");
            assert_eq!((pins[0].kind, pins[0].origin.as_str()), (kind, text));
            pins
        };
        pin(PinKind::Call, "waits on caller");
        // Somebody waits for it to go.
        let ticket = engine.unload(old).expect("it was replaced");
        let waiting = ticket.clone();
        let (tell, told) = bounded(1);
        thread::spawn(move || tell.send(waiting.wait(1_000 * SECOND)));
        assert!(clock.wait_for_timer_in("src/unload.rs", PATIENCE), "it is waited for");
        held.pass(DECLARED);
        let overdue = event(&events, "a call past its deadline", |event| match event {
            Event::CallOverdue { version, function, thread, deadline, age } => {
                Some((*version, function.clone(), thread.clone(), *deadline, *age))
            }
            _ => None,
        });
        assert_eq!(overdue, (old, "waits".to_owned(), "caller".to_owned(), DECLARED, DECLARED));
        // It is not waited for any more, and holds its code.
        let outcome = receive(&told, "an answer");
        assert_eq!(outcome, UnloadOutcome::HeldBy(pin(PinKind::ExpiredCall, "waits on caller")));
        assert!(matches!(
            engine.unload(old).expect("again").wait(1_000 * SECOND),
            UnloadOutcome::HeldBy(_)
        ));
        assert_eq!(engine.versions()[0].state, VersionState::Draining);
        assert!(!executable_mappings("timed_1").is_empty());
        // Nor is the version told to drain for too long: of this call that was told.
        clock.advance(1_000 * SECOND);
        held.swapper_has_looked();
        assert!(!events.try_iter().any(|event| matches!(event, Event::Overdue { .. })));
        assert_eq!(held.lines("version.overdue").len(), 0);
        assert_eq!((held.lines("call.overdue").len(), held.lines("call.late").len()), (1, 0));
        // It was never interrupted: its caller gets its result, and its version goes.
        let_go.send(()).expect("it waits");
        assert_eq!(receive(&answer, "its result"), Ok(1));
        event(&events, "the end of its version", |event| {
            matches!(event, Event::Unloaded { version } if *version == old).then_some(())
        });
        assert_eq!(ticket.wait(Duration::ZERO), UnloadOutcome::Unloaded);
        let late = held.lines("call.late").remove(0);
        let fields = ["version", "function", "thread", "deadline_us", "took_us", "calls"];
        let told = fields.map(|field| late.field(field));
        assert_eq!(told, ["1", "waits", "caller", "200000", "1000200000", "1"]);
        assert_eq!(engine.status().late_call_count, 1);
        let overdue = held.lines("call.overdue").remove(0);
        assert_eq!((overdue.field("age_us"), overdue.field("deadline_us")), ("200000", "200000"));
    });
}

/// Others hold the version as well: those are waited for, and who lets go last but the call is noticed.
#[test]
fn if_4_who_else_holds_a_version_is_waited_for() {
    isolated("if_4_who_else_holds_a_version_is_waited_for", || {
        let held = Held::open(|builder| builder.drain_deadline(10 * SECOND));
        let Held { engine, clock, let_go, .. } = &held;
        let events = engine.subscribe();
        let guard = engine.pin();
        let call = |name: &'static str| {
            let guard = engine.pin();
            held.call(move |_| guard.call_with::<u64>(name, ("wait",)))
        };
        let (expired, plain) =
            (call("waits"), held.call(|engine| engine.call_with::<u64>("plain", ("wait",))));
        let old = engine.version();
        engine.offer(timed(2)).expect("swaps");
        let ticket = engine.unload(old).expect("it was replaced");
        let (tell, told) = bounded(1);
        thread::spawn(move || tell.send(ticket.wait(1_000 * SECOND)));
        assert!(clock.wait_for_timer_in("src/unload.rs", PATIENCE));
        held.pass(DECLARED);
        event(&events, "it", |event| matches!(event, Event::CallOverdue { .. }).then_some(()));
        held.swapper_has_looked();
        assert!(told.is_empty(), "two guards and a call are waited for");
        // The version drains for too long, by them.
        held.pass(10 * SECOND);
        let pins = event(&events, "it is told", |event| match event {
            Event::Overdue { held_by, .. } => Some(held_by.clone()),
            _ => None,
        });
        let mut kinds: Vec<_> = pins.iter().map(|pin| pin.kind.to_string()).collect();
        kinds.sort();
        assert_eq!(kinds, ["call", "expired-call", "guard", "guard"]);
        // Both calls go, with the guard of one: the other guard stays.
        let_go.send(()).expect("one waits");
        let_go.send(()).expect("the other waits");
        assert_eq!((receive(&expired, "a result"), receive(&plain, "a result")), (Ok(1), Ok(1)));
        assert!(told.is_empty());
        drop(guard);
        assert_eq!(receive(&told, "an answer"), UnloadOutcome::Unloaded);
    });
}

/// A guard is dropped while a call without one runs past its deadline.
#[test]
fn if_4_the_last_other_holder_is_noticed() {
    isolated("if_4_the_last_other_holder_is_noticed", || {
        let held = Held::open(|builder| builder);
        let Held { engine, clock, .. } = &held;
        let events = engine.subscribe();
        let guard = engine.pin();
        let _answer = held.call(|engine| engine.call_with::<u64>("waits", ("wait",)));
        let old = engine.version();
        engine.offer(timed(2)).expect("swaps");
        let ticket = engine.unload(old).expect("it was replaced");
        let (tell, told) = bounded(1);
        thread::spawn(move || tell.send(ticket.wait(1_000 * SECOND)));
        assert!(clock.wait_for_timer_in("src/unload.rs", PATIENCE));
        held.pass(DECLARED);
        event(&events, "it", |event| matches!(event, Event::CallOverdue { .. }).then_some(()));
        held.swapper_has_looked();
        assert!(told.is_empty(), "the guard is waited for");
        drop(guard);
        let UnloadOutcome::HeldBy(pins) = receive(&told, "an answer") else { panic!("it runs") };
        assert_eq!(pins.iter().map(|pin| pin.kind).collect::<Vec<_>>(), [PinKind::ExpiredCall]);
    });
}

/// Whoever calls and however: what the module declares, the builder over it, the handle over both.
#[test]
fn if_4_a_deadline_holds_however_it_is_called() {
    isolated("if_4_a_deadline_holds_however_it_is_called", || {
        let held = Held::open(|builder| builder);
        let waits = held.engine.function::<fn(&'static str) -> u64>("waits").expect("exported");
        let plain = held.engine.function::<fn(&'static str) -> u64>("plain").expect("exported");
        let guard = held.engine.pin();
        is_due_in(&held, DECLARED, |engine| engine.call_with::<u64>("waits", ("wait",)) == Ok(1));
        is_due_in(&held, 2 * SECOND, |engine| engine.call("waits_here") == Ok(()));
        is_due_in(&held, 3 * SECOND, |engine| engine.call_with::<u64>("paced", ()) == Ok(1));
        is_due_in(&held, DECLARED, move |_| guard.call_with::<u64>("waits", ("wait",)) == Ok(1));
        is_due_in(&held, DECLARED, |engine| {
            engine.call_with::<Result<u64, hotswap_engine::CallError>>("nested", ()) == Ok(Ok(1))
        });
        let by_handle = |handle: &Function<fn(&'static str) -> u64>| {
            let handle = handle.clone();
            move |_: &Engine| handle.call("wait") == Ok(1)
        };
        is_due_in(&held, DECLARED, by_handle(&waits));
        // Twice: nothing is remembered that would pass by the deadline.
        is_due_in(&held, DECLARED, by_handle(&waits));
        is_due_in(&held, SECOND, by_handle(&waits.clone().deadline(SECOND)));
        is_due_in(&held, SECOND, by_handle(&plain.clone().deadline(SECOND)));
        is_never_due(&held, by_handle(&plain));
        is_never_due(&held, by_handle(&waits.clone().deadline(Duration::MAX)));
        is_never_due(&held, |engine| engine.call_with::<u64>("plain", ("wait",)) == Ok(1));
        let late = held.engine.status().late_call_count;
        assert_eq!(late, 9, "those that were due");
    });
}

/// Calls, and lets the time pass at which it must be told, and not before.
fn is_due_in(held: &Held, deadline: Duration, call: impl FnOnce(&Engine) -> bool + Send + 'static) {
    let events = held.engine.subscribe();
    let answer = held.call(call);
    let almost = deadline - Duration::from_millis(1);
    until("the swapper waits for it", || {
        held.clock.timers().iter().any(|timer| timer.left == deadline)
    });
    held.clock.advance(almost);
    held.swapper_has_looked();
    let is_call = |event: &Event| matches!(event, Event::CallOverdue { .. });
    assert!(!events.try_iter().any(|event| is_call(&event)), "it is in time");
    held.pass(deadline - almost);
    let age = event(&events, "it is told", |event| match event {
        Event::CallOverdue { age, deadline, .. } => Some((*age, *deadline)),
        _ => None,
    });
    assert_eq!(age, (deadline, deadline));
    held.let_go.send(()).expect("it waits");
    assert!(receive(&answer, "its result"));
    // So that the next one that is late is told by itself.
    held.clock.advance(2 * SECOND);
}

fn is_never_due(held: &Held, call: impl FnOnce(&Engine) -> bool + Send + 'static) {
    let late = held.engine.status().late_call_count;
    let answer = held.call(call);
    held.clock.advance(1_000 * SECOND);
    let pins = held.engine.versions().remove(0).pins;
    assert!(pins.iter().all(|pin| pin.kind != PinKind::ExpiredCall), "{pins:?}");
    held.let_go.send(()).expect("it waits");
    assert!(receive(&answer, "its result"));
    assert_eq!(held.engine.status().late_call_count, late);
}

#[test]
fn if_4_the_builder_sets_deadlines_over_the_modules() {
    isolated("if_4_the_builder_sets_deadlines_over_the_modules", || {
        let held = Held::open(|builder| {
            builder
                .call_deadline("waits", 5 * SECOND)
                .call_deadline("waits_here", Duration::MAX)
                .call_deadline("nobody", SECOND)
                .default_call_deadline(7 * SECOND)
        });
        let deadlines = |exports: Vec<hotswap_engine::ExportInfo>| -> Vec<_> {
            exports.into_iter().map(|export| (export.name, export.deadline)).collect()
        };
        let expected = |waits, waits_here, others| {
            vec![
                ("nested".to_owned(), others),
                ("paced".to_owned(), Some(3 * SECOND)),
                ("plain".to_owned(), others),
                ("waits".to_owned(), waits),
                ("waits_here".to_owned(), waits_here),
            ]
        };
        let set = expected(Some(5 * SECOND), None, Some(7 * SECOND));
        assert_eq!(deadlines(held.engine.exports()), set);
        let declared = Inspection::of_file(timed(1)).expect("a module").exports;
        assert_eq!(deadlines(declared), expected(Some(DECLARED), Some(2 * SECOND), None));
        is_due_in(&held, 5 * SECOND, |engine| engine.call_with::<u64>("waits", ("wait",)) == Ok(1));
        is_due_in(&held, 7 * SECOND, |engine| engine.call_with::<u64>("plain", ("wait",)) == Ok(1));
        is_never_due(&held, |engine| engine.call("waits_here") == Ok(()));
        // Of the next version likewise.
        held.engine.offer(timed(2)).expect("swaps");
        assert_eq!(deadlines(held.engine.exports()), set);
    });
}

/// Calls that are always late fill no log: one line at once, one for all others of the same second.
#[test]
fn if_4_late_calls_are_counted_and_told_together() {
    isolated("if_4_late_calls_are_counted_and_told_together", || {
        let held = Held::open(|builder| builder);
        let call = |takes: Duration| {
            let answer = held.call(|engine| engine.call_with::<u64>("waits", ("wait",)));
            held.pass(takes);
            held.let_go.send(()).expect("it waits");
            assert_eq!(receive(&answer, "its result"), Ok(1));
        };
        for takes in [200, 201, 230, 202] {
            call(Duration::from_millis(takes));
        }
        assert_eq!(held.lines("call.late").len(), 1);
        assert_eq!(held.engine.status().late_call_count, 4);
        held.pass(SECOND);
        until("the others are told", || held.lines("call.late").len() == 2);
        let told = held.lines("call.late").remove(1);
        assert_eq!((told.field("calls"), told.field("took_us")), ("3", "230000"));
        // One in time is not told at all.
        let answer = held.call(|engine| engine.call_with::<u64>("waits", ("wait",)));
        held.clock.advance(DECLARED - Duration::from_millis(1));
        held.let_go.send(()).expect("it waits");
        assert_eq!(receive(&answer, "its result"), Ok(1));
        assert_eq!(held.engine.status().late_call_count, 4);
    });
}

/// A deadline changes nothing about what a call may be, and what it gives.
#[test]
fn if_4_calls_with_deadlines_are_checked_as_others() {
    let open = |builder: EngineBuilder| builder.open().expect("opens");
    let plain = open(prebuilt::engine(&prebuilt::numbered(1)));
    let timed = open(
        prebuilt::engine(&prebuilt::numbered(1)).default_call_deadline(Duration::from_secs(3_600)),
    );
    let errors = |engine: &Engine| {
        vec![
            engine.call_with::<u64>("version", (1_u64,)).expect_err("an argument too many"),
            engine.call_with::<String>("version", ()).expect_err("another result"),
            engine.call_with::<u64>("after", (7_u64,)).expect_err("another argument"),
            engine.call_with::<u64>("versoin", ()).expect_err("no such function"),
            engine.call("after").expect_err("it takes an argument"),
            engine.call("fails").expect_err("it fails"),
            engine.call("panics_with_str").expect_err("it panics"),
            engine.call_with::<u64>("panics_with_string", (3_u64,)).expect_err("it panics"),
            engine.call("panics_with_grenade").expect_err("it panics twice"),
            engine.function::<fn(u64) -> u64>("version").expect_err("another signature"),
        ]
    };
    assert_eq!(errors(&timed), errors(&plain));
    let panics = timed.function::<fn()>("panics_with_str").expect("exported");
    assert!(matches!(panics.call().expect_err("it panics").kind, CallErrorKind::Panicked { .. }));
    assert_eq!(timed.call_with("nested", (20_u64,)), Ok(Ok::<u64, hotswap_engine::CallError>(1)));
    assert_eq!(timed.call("version"), Ok(()), "a result that is dropped");
    assert_eq!(timed.call_with::<Vec<u8>>("allocates", (3_u64,)), Ok(vec![1; 3]));
    assert_eq!(timed.call_with::<u64>("frees", (vec![1_u8; 5],)), Ok(5));
    let text = Arc::new("version".to_owned());
    assert_eq!(timed.pin().call_with::<u64>(&text, ()), Ok(1));
    // Of linked functions too.
    let linked = open(
        Engine::builder(sample_engine::exports())
            .without_log()
            .default_call_deadline(Duration::from_secs(3_600)),
    );
    assert!(linked.exports().iter().all(|export| export.deadline.is_some()));
    assert_eq!(linked.call_with::<u64>("add", (2_u64, 3_u64)), Ok(5));
    let add = linked.function::<fn(u64, u64) -> u64>("add").expect("exported");
    assert_eq!((add.call(2, 3), add.call(3, 4)), (Ok(5), Ok(7)));
}

/// A handle goes from a version that declares a deadline to one that does not, and back.
#[test]
fn if_4_a_handle_follows_versions_with_and_without_deadlines() {
    let declared = prebuilt::source("hooked.rs")
        .replace("BODY", "Ok(())")
        .replace("#[export]", "#[export(deadline = \"1h\")]");
    let declared = prebuilt::library("declared_deadline", &declared, prebuilt::Kind::Module);
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let version = engine.function::<fn() -> u64>("version").expect("exported");
    for _ in 0..3 {
        assert_eq!((version.call(), version.call()), (Ok(1), Ok(1)));
        engine.offer(&declared).expect("swaps");
        assert_eq!((version.call(), version.call()), (Ok(2), Ok(2)));
        engine.offer(prebuilt::numbered(1)).expect("swaps");
    }
}
