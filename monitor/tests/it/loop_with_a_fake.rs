//! The loop: what is told and answered, step by step.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded};
use hotswap_monitor::{Monitor, NOTIFICATIONS_MAX, Outcome, StartErrorKind, Step, Ticket, Trigger};

use crate::fake::{builder, source};
use crate::harness::{NEVER, PATIENCE, Watched, failed, ready};

#[test]
fn the_first_look_is_made_at_once_and_answered() {
    let (_directory, file) = source("one");
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    let first = watched.next();
    assert_eq!(first.trigger, Trigger::Start);
    assert_eq!(first.through, Ticket(0));
    assert_eq!(first.change, Some(1));
    let artifact = ready(first);
    assert_eq!(fs::read(&artifact.path).unwrap(), b"one");
    assert!(artifact.path.parent().unwrap().ends_with("target/store"));
    assert!(artifact.home.ends_with("target/stage"));
    // The last step is told after the message was sent: end the thread first.
    drop(watched.monitor);
    let told: Vec<_> = watched.observations.iter().collect();
    let names: Vec<_> = told.iter().map(|told| crate::harness::name(&told.step)).collect();
    assert_eq!(names, ["changed", "settled", "started", "ok", "stored", "notified"]);
    assert!(told.iter().all(|told| told.change == 1 && told.trigger == Trigger::Start));
}

#[test]
fn a_change_is_found_by_polling_alone() {
    let (_directory, file) = source("one");
    let (monitor, notifications) =
        builder(&file, |_, _, _| {}).poll_every(Duration::from_millis(1)).start().unwrap();
    ready(notifications.recv_timeout(PATIENCE).unwrap());
    fs::write(&file, "two").unwrap();
    let second = notifications.recv_timeout(PATIENCE).unwrap();
    assert_eq!(second.trigger, Trigger::Poll);
    assert_eq!(second.cause.to_string(), "a.rs");
    assert_eq!(fs::read(ready(second).path).unwrap(), b"two");
    assert!(monitor.is_running());
}

#[test]
fn cd_9_known_bad_is_built_once() {
    let (_directory, file) = source("one");
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    ready(watched.next());
    fs::write(&file, "broken").unwrap();
    let first = watched.failed();
    let again = watched.scan();
    assert_eq!(again.change, None, "nothing had changed");
    assert_eq!(failed(again).fingerprint, first.fingerprint);
    // Taken back, then broken again in the same way.
    fs::write(&file, "one").unwrap();
    let back = watched.scan();
    assert!(back.change.is_some() && matches!(back.outcome, Outcome::Unchanged(_)));
    assert_eq!(watched.builds(), 2);
    fs::write(&file, "broken").unwrap();
    watched.failed();
    let steps = watched.steps();
    assert_eq!(steps, ["changed", "settled", "known bad"]);
}

#[test]
fn a_failure_of_the_machine_is_tried_again_when_asked() {
    let (_directory, file) = source("no compiler");
    let watched = Watched::with(builder(&file, |file, build, _| {
        if build == 3 {
            fs::write(file, "one").unwrap();
        }
    }));
    failed(watched.next());
    watched.monitor.wake();
    watched.failed();
    assert_eq!(watched.builds(), 2, "the push built nothing, the ticket did");
    watched.ready();
}

#[test]
fn bu_2_edit_during_build_is_not_lost() {
    let (_directory, file) = source("one");
    let watched = Watched::with(builder(&file, |file, build, _| match build {
        1 => fs::write(file, "broken").unwrap(),
        2 => fs::write(file, "two").unwrap(),
        _ => {}
    }));
    let first = watched.next();
    assert_eq!(first.change, Some(3), "two builds were discarded, the good and the bad one");
    assert_eq!(fs::read(ready(first).path).unwrap(), b"two");
    let steps = watched.steps();
    assert_eq!(steps.iter().filter(|step| **step == "discarded").count(), 2);
    assert!(!steps.contains(&"failed"));
}

#[test]
fn a_ticket_issued_during_a_build_is_answered_by_the_look_after_it() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let (go_on, proceed) = unbounded::<()>();
    let watched = Watched::with(builder(&file, move |_, build, _| {
        if build > 0 {
            begun.send(()).unwrap();
            proceed.recv_timeout(PATIENCE).unwrap();
        }
    }));
    begin.recv_timeout(PATIENCE).unwrap();
    let ticket = watched.monitor.scan(Trigger::Manual);
    assert!(watched.notifications.is_empty());
    go_on.send(()).unwrap();
    let answer = watched.next();
    assert_eq!(answer.through, ticket);
    ready(answer);
    watched.monitor.wake();
    watched.monitor.scan(Trigger::Push);
    assert_eq!(watched.next().change, None);
}

#[test]
fn tickets_coalesce() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let (go_on, proceed) = unbounded::<()>();
    let watched = Watched::with(builder(&file, move |_, build, _| {
        if build > 0 {
            begun.send(()).unwrap();
            proceed.recv_timeout(PATIENCE).unwrap();
        }
    }));
    begin.recv_timeout(PATIENCE).unwrap();
    let tickets: Vec<Ticket> = (0..1000).map(|_| watched.monitor.scan(Trigger::Manual)).collect();
    assert!(tickets.is_sorted());
    go_on.send(()).unwrap();
    assert_eq!(watched.next().through, tickets[999]);
    drop(watched.monitor);
    assert!(watched.notifications.is_empty(), "one message answered all");
}

#[test]
fn cd_7_touching_builds_nothing() {
    let (_directory, file) = source("one");
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    ready(watched.next());
    watched.unchanged();
    watched.steps();
    fs::write(&file, "one").unwrap();
    watched.unchanged();
    assert_eq!(watched.steps(), ["unchanged"]);
    watched.unchanged();
    assert!(watched.steps().is_empty(), "an idle look tells nothing");
}

#[test]
fn the_source_vanishes_and_returns() {
    let (directory, file) = source("one");
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    ready(watched.next());
    watched.unchanged();
    watched.steps();
    let away = directory.path().join("away");
    fs::rename(&file, &away).unwrap();
    for _ in 0..3 {
        match watched.scan().outcome {
            Outcome::Unreadable(error) => assert_eq!(error.path, file),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(watched.steps(), ["unreadable"], "once, not once a look");
    fs::rename(&away, &file).unwrap();
    watched.unchanged();
    assert_eq!(watched.steps()[0], "readable");
}

#[test]
fn a_missing_source_is_no_start_error() {
    let (directory, file) = source("one");
    fs::remove_file(&file).unwrap();
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    assert!(matches!(watched.next().outcome, Outcome::Unreadable(_)));
    fs::write(&file, "one").unwrap();
    watched.ready();
    drop(directory);
}

#[test]
fn an_observer_and_a_backend_that_panic_are_survived() {
    let (_directory, file) = source("one");
    let (monitor, notifications) = builder(&file, |_, build, _| assert_ne!(build, 1, "backend"))
        .poll_every(NEVER)
        .observe(|_| panic!("observer"))
        .start()
        .unwrap();
    let first = notifications.recv_timeout(PATIENCE).unwrap();
    assert!(failed(first).kind.to_string().starts_with("the build backend panicked: "));
    monitor.scan(Trigger::Manual);
    ready(notifications.recv_timeout(PATIENCE).unwrap());
}

#[test]
fn poll_periods_have_limits() {
    let (_directory, file) = source("one");
    for period in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(86_401)] {
        let error = Monitor::builder(&file).poll_every(period).start().unwrap_err();
        assert!(matches!(error.kind, StartErrorKind::PollPeriod(_)));
        assert!(error.to_string().contains("between 1 ms and 24 h"), "{error}");
    }
    for period in [Duration::from_millis(1), Duration::from_secs(86_400)] {
        builder(&file, |_, _, _| {}).poll_every(period).start().unwrap();
    }
}

#[test]
fn dropping_the_handle_ends_a_build_and_a_full_channel() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let hanging = builder(&file, move |_, _, stop| {
        begun.send(()).unwrap();
        let _stopped = stop.channel().recv();
    });
    let (monitor, notifications) = hanging.poll_every(NEVER).start().unwrap();
    begin.recv_timeout(PATIENCE).unwrap();
    drop(monitor);
    assert!(notifications.recv().is_err(), "nothing was sent, and the thread is gone");

    let (_directory, file) = source("one");
    let (monitor, notifications) = builder(&file, |_, _, _| {}).poll_every(NEVER).start().unwrap();
    while notifications.len() < NOTIFICATIONS_MAX {
        monitor.scan(Trigger::Manual);
        std::thread::yield_now();
    }
    let last = monitor.scan(Trigger::Manual);
    let begin = Instant::now();
    drop(monitor);
    assert!(begin.elapsed() < PATIENCE);
    assert!(notifications.iter().all(|notification| notification.through < last));
}

#[test]
fn an_observer_may_own_the_handle() {
    let (_directory, file) = source("one");
    let (hand_in, slot) = bounded::<Monitor>(1);
    let slot = Mutex::new(slot);
    let (monitor, notifications) = builder(&file, |_, _, _| {})
        .poll_every(NEVER)
        .observe(move |observation| {
            if matches!(observation.step, Step::Notified { .. }) {
                drop(slot.lock().unwrap().recv_timeout(PATIENCE));
            }
        })
        .start()
        .unwrap();
    hand_in.send(monitor).unwrap();
    ready(notifications.recv_timeout(PATIENCE).unwrap());
    assert!(notifications.recv_timeout(PATIENCE).is_err(), "dropped on its own thread, ended");
}

#[test]
fn without_a_receiver_the_thread_ends() {
    let (_directory, file) = source("one");
    let (told, ended) = bounded::<()>(0);
    let (monitor, notifications) = builder(&file, |_, _, _| {})
        .poll_every(NEVER)
        .observe(move |_| {
            let _held = &told;
        })
        .start()
        .unwrap();
    drop(notifications);
    monitor.scan(Trigger::Manual);
    // The observer, and with it the sender, is gone with the thread.
    assert!(ended.recv_timeout(PATIENCE).is_err());
}
