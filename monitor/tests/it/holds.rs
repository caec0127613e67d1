//! A tool that edits many files keeps the monitor from building half of it (CD-4).

use std::fs;
use std::time::Duration;

use crossbeam_channel::{bounded, unbounded};
use hotswap_monitor::{Outcome, Trigger};

use crate::fake::{builder, crate_builder, source};
use crate::harness::{NEVER, PATIENCE, Watched, pause, ready, write, write_crate};

/// Longer than the settle time and the period.
const PAUSE: Duration = Duration::from_millis(40);

#[test]
fn cd_4_under_a_hold_there_is_exactly_one_build_of_the_final_content() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", "0");
    let watched = Watched::polling(crate_builder(root, |_, _, _| {}), Duration::from_millis(1));
    ready(watched.next());
    let hold = watched.monitor.hold();
    // A look that had begun before sees nothing of this.
    pause(PAUSE);
    watched.steps();
    for number in 1..=5 {
        write(root, &format!("src/part_{number}.rs"), "part");
        write(root, "src/lib.rs", number.to_string());
        pause(PAUSE);
    }
    assert!(watched.steps().is_empty(), "it does not even look");
    drop(hold);
    let artifact = ready(watched.next());
    assert_eq!(fs::read(&artifact.path).unwrap(), b"5");
    watched.unchanged();
    assert_eq!(watched.builds(), 1);
}

#[test]
fn cd_4_only_the_end_of_the_last_hold_counts_and_tickets_wait_for_it() {
    let (_directory, file) = source("one");
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    ready(watched.next());
    let (first, second) = (watched.monitor.hold(), watched.monitor.hold());
    fs::write(&file, "half").unwrap();
    let ticket = watched.monitor.scan(Trigger::Manual);
    watched.monitor.wake();
    drop(first);
    let nothing = watched.notifications.recv_timeout(Duration::from_millis(200));
    assert!(nothing.is_err(), "{nothing:?}");
    fs::write(&file, "whole").unwrap();
    drop(second);
    let answer = watched.next();
    assert_eq!((answer.through, answer.trigger), (ticket, Trigger::Manual));
    assert_eq!(fs::read(ready(answer).path).unwrap(), b"whole");
    watched.unchanged();
    assert_eq!(watched.builds(), 2);
}

#[test]
fn cd_4_a_hold_without_a_change_and_a_dropped_monitor() {
    let (_directory, file) = source("one");
    let watched = Watched::with(builder(&file, |_, _, _| {}));
    ready(watched.next());
    drop(watched.monitor.hold());
    watched.unchanged();
    let hold = watched.monitor.hold();
    drop(watched);
    drop(hold);
}

#[test]
fn cd_4_a_build_that_runs_when_a_hold_is_opened_is_not_handed_over_when_its_inputs_move() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let (go_on, proceed) = bounded::<()>(0);
    let fake = builder(&file, move |_, build, _| {
        if build == 1 {
            begun.send(()).unwrap();
            proceed.recv_timeout(PATIENCE).unwrap();
        }
    });
    let watched = Watched::polling(fake, Duration::from_millis(1));
    begin.recv_timeout(PATIENCE).unwrap();
    let hold = watched.monitor.hold();
    fs::write(&file, "half").unwrap();
    pause(PAUSE);
    go_on.send(()).unwrap();
    let nothing = watched.notifications.recv_timeout(Duration::from_millis(200));
    assert!(nothing.is_err(), "{nothing:?}");
    let steps = watched.steps();
    assert_eq!(steps, ["changed", "settled", "started", "discarded"], "not cancelled either");
    fs::write(&file, "whole").unwrap();
    drop(hold);
    assert_eq!(fs::read(ready(watched.next()).path).unwrap(), b"whole");
    watched.unchanged();
    assert_eq!(watched.builds(), 1);
}

#[test]
fn a_hold_from_the_beginning_delays_the_first_build() {
    let (_directory, file) = source("one");
    let (told, observed) = unbounded();
    let (monitor, notifications) = builder(&file, |_, _, _| {})
        .poll_every(NEVER)
        .settle(Duration::from_millis(300))
        .observe(move |observation| told.send(observation.step.clone()).unwrap())
        .start()
        .unwrap();
    // While it waits for the source to stand still, or before it looked at all.
    let hold = monitor.hold();
    fs::write(&file, "two").unwrap();
    assert!(notifications.recv_timeout(Duration::from_millis(600)).is_err());
    drop(hold);
    let outcome = notifications.recv_timeout(PATIENCE).unwrap().outcome;
    let Outcome::Ready(artifact) = outcome else { panic!("{outcome:?}") };
    assert_eq!(fs::read(&artifact.path).unwrap(), b"two");
    drop(monitor);
    let names: Vec<_> = observed.iter().map(|step| crate::harness::name(&step)).collect();
    assert_eq!(names.iter().filter(|name| **name == "started").count(), 1, "{names:?}");
}
