//! Rows CD-1, CD-4, CD-5, CD-7 and CD-9 through an engine; the monitor's own tests have the many cases.

use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::Receiver;
use hotswap_engine::{Event, ReloadErrorKind, SwapReason, Trigger, Verdict};
use hotswap_tests::deadline::{PATIENCE, event, within};
use hotswap_tests::{CrateFixture, log_lines, versioned};

fn builds(events: &Receiver<Event>) -> usize {
    events.try_iter().filter(|event| matches!(event, Event::BuildStarted { .. })).count()
}

/// Same size, and a time that is the same, older, or far older: the bytes decide.
#[test]
fn cd_1_time_stamps_hide_no_edit() {
    let module = CrateFixture::new("cd_1", &versioned(1));
    let engine = module.engine().open().expect("opens");
    let path = module.path().join("src/lib.rs");
    let first = std::fs::metadata(&path).and_then(|data| data.modified()).expect("it has a time");
    let times = [first, first - Duration::from_secs(100), SystemTime::UNIX_EPOCH];
    for (number, time) in (2..).zip(times) {
        module.edit(&versioned(number));
        let file = File::options().write(true).open(&path).expect("ours");
        file.set_times(FileTimes::new().set_modified(time)).expect("ours");
        assert!(engine.sync().expect("it builds").is_swapped(), "{time:?}");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
    }
}

/// A writer edits all the time: of one fingerprint there is only ever one behaviour, and what
/// is written last is what runs.
#[test]
fn cd_5_what_runs_is_what_was_fingerprinted() {
    let module = CrateFixture::new("cd_5", &versioned(1));
    let engine = module.engine().settle(Duration::from_millis(1)).open().expect("opens");
    let is_over = AtomicBool::new(false);
    let mut answers = BTreeMap::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in (1..=3).cycle() {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                // Some writes fall into a build, some before it, some between the looks around it.
                let written = engine.status().swap_count;
                module.edit(&versioned(number));
                for _ in 0..number * 40_000 {
                    thread::yield_now();
                    if engine.status().swap_count != written {
                        break;
                    }
                }
            }
        });
        for _ in 0..6 {
            // While the writer writes, a look may end without a verdict on a build; only answers count.
            engine.sync().expect("every text compiles");
            let guard = engine.pin();
            let answer: u64 = guard.call_with("version", ()).expect("exported");
            let fingerprint = engine
                .versions()
                .into_iter()
                .find(|version| version.id == guard.version())
                .and_then(|version| version.fingerprint)
                .expect("a held version is listed with its fingerprint");
            let known = *answers.entry(fingerprint).or_insert(answer);
            assert_eq!(known, answer, "{fingerprint}");
        }
        is_over.store(true, Ordering::Release);
    });
    module.edit(&versioned(9));
    engine.sync().expect("it builds");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(9));
}

#[test]
fn cd_7_touching_does_nothing() {
    let module = CrateFixture::new("cd_7", &versioned(1));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().log_file(&log).open().expect("opens");
    // The last line about the first version may come after `open` returned, and never after a look.
    engine.sync().expect("nothing is wrong");
    let events = engine.subscribe();
    let before = log_lines(&log).len();
    for name in ["src/lib.rs", "Cargo.toml", "Cargo.lock"] {
        let text = std::fs::read_to_string(module.path().join(name)).expect("ours");
        module.write(name, &text);
    }
    let verdict = engine.sync().expect("nothing is wrong");
    assert_eq!(verdict, Verdict::Unchanged { current: engine.version() });
    assert_eq!(builds(&events), 0);
    let lines = log_lines(&log).split_off(before);
    assert!(lines.len() <= 1, "{lines:#?}");
    assert_eq!(engine.status().swap_count, 0);
}

#[test]
fn cd_9_what_did_not_build_is_built_once() {
    let module = CrateFixture::new("cd_9", &versioned(1));
    let engine = module.engine().open().expect("opens");
    let events = engine.subscribe();
    let broken = versioned(2).replace("2", "\"two\"");
    module.edit(&broken);
    let first = engine.sync().expect_err("it does not compile").to_string();
    assert_eq!(builds(&events), 1);
    for _ in 0..5 {
        assert_eq!(engine.sync().expect_err("as before").to_string(), first);
        assert_eq!(engine.reload().expect_err("as before").to_string(), first);
    }
    assert_eq!(builds(&events), 0, "the refusal was recorded");
    module.edit(&versioned(3));
    engine.sync().expect("it builds");
    events.try_iter().for_each(drop);
    module.edit(&broken);
    assert!(engine.sync().is_err());
    assert_eq!(builds(&events), 0, "the same bytes are known bad, whatever ran meanwhile");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(3));
}

/// What is built and refused at load is known as well.
#[test]
fn cd_9_what_was_refused_is_built_once() {
    let module = CrateFixture::new("cd_9_refused", &versioned(1));
    let engine = module.engine().open().expect("opens");
    let handle = engine.function::<fn() -> u64>("version").expect("exported");
    let events = engine.subscribe();
    module.edit(&versioned(2).replace("u64", "u32"));
    let text = engine.sync().expect_err("a handle relies on it").to_string();
    assert_eq!(text, "version: expected fn() -> u64, v2 has fn() -> u32; v1 stays current");
    assert_eq!(engine.sync().expect_err("as before").to_string(), text);
    assert_eq!(builds(&events), 1);
    assert_eq!(handle.call(), Ok(1));
}

/// Polling alone, and a push, find an edit.
#[test]
fn an_edit_is_found_without_being_asked_for() {
    let module = CrateFixture::new("found_alone", &versioned(1));
    let polling =
        module.engine().poll_every(Duration::from_millis(1)).name("polling").open().expect("opens");
    let pushed = module.engine().name("pushed").open().expect("opens");
    let (polled_events, pushed_events) = (polling.subscribe(), pushed.subscribe());
    module.edit(&versioned(2));
    pushed.wake();
    for (engine, events) in [(&polling, &polled_events), (&pushed, &pushed_events)] {
        event(events, "a swap", |event| matches!(event, Event::Swapped { .. }).then_some(()));
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    }
}

#[test]
fn a_pause_holds_the_newest_back() {
    let module = CrateFixture::new("pause", &versioned(1));
    let engine = module.engine().open().expect("opens");
    engine.pause();
    assert!(engine.status().is_paused);
    for number in [2, 3] {
        module.edit(&versioned(number));
        let error = engine.sync().expect_err("it is paused");
        assert!(matches!(error.kind, ReloadErrorKind::Paused), "{error}");
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
    }
    module.edit(&versioned(1));
    let verdict = engine.sync().expect("what runs is not held back");
    assert!(!verdict.is_swapped(), "an edit that was taken back");
    module.edit(&versioned(3));
    engine.sync().expect_err("it is paused");
    engine.resume();
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(3), "the newest, at once");
    engine.pause();
    module.edit(&versioned(4));
    let reloading = engine.clone();
    within(PATIENCE, "a reload that goes over the pause", move || reloading.reload())
        .expect("it builds");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(4));
}

/// With a period that never ends, only an event of the file system can tell.
#[test]
fn an_event_of_the_file_system_wakes_the_monitor() {
    let module = CrateFixture::new("woken_by_event", &versioned(1));
    let engine = module.engine().wake_on_events().open().expect("opens");
    let events = engine.subscribe();
    module.edit(&versioned(2));
    let reason = event(&events, "a swap", |event| match event {
        Event::Swapped { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, SwapReason::Change(Trigger::Event));
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
}

/// CD-4: a tool that edits many files holds the monitor; one build follows, of the final content.
#[test]
fn cd_4_a_hold_keeps_a_half_edited_tree_from_being_built() {
    let module = CrateFixture::new("hold", &versioned(1));
    let engine = module.engine().poll_every(Duration::from_millis(1)).open().expect("opens");
    let events = engine.subscribe();
    let hold = engine.hold();
    for number in 2..=5 {
        module.edit(&versioned(number));
    }
    module.edit("half a file {");
    module.edit(&versioned(6));
    drop(hold);
    event(&events, "a swap", |event| matches!(event, Event::Swapped { .. }).then_some(()));
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(6));
    assert_eq!(engine.version().number(), 2, "one swap, to the final content");
    assert_eq!(engine.status().refused_count, 0);
}
