//! A change that somebody ends (SW-5): its settling, its build with all its processes.

use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, OnceLock};

use crossbeam_channel::unbounded;
use hotswap_monitor::{
    Abortable, BuildErrorKind, Ending, Monitor, Stage, Step, StopSignal, Trigger,
};

use crate::fake::{builder, source};
use crate::harness::{NEVER, PATIENCE, Watched, failed, offline, ready, write};
use crate::real_processes::{accept, assert_gone, write_hanging};

/// Waits until the build is told to stop.
fn hang(stop: &StopSignal) {
    assert!(stop.channel().recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()));
}

/// The change that begins next.
fn change(watched: &Watched) -> Abortable {
    loop {
        let told = watched.observations.recv_timeout(PATIENCE).unwrap();
        if let Step::Changed { abortable, .. } = told.step {
            return abortable;
        }
    }
}

fn abort(change: &Abortable) -> Ending {
    change.abort().expect("it is under way")
}

fn is_ended(ending: &Ending) {
    assert!(ending.ended.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()));
}

#[test]
fn sw_5_an_aborted_build_is_not_tried_again_until_the_source_changes_or_it_is_cleared() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let fake = builder(&file, move |_, build, stop| {
        if build > 0 {
            begun.send(()).unwrap();
        }
        if build == 2 {
            hang(stop);
        }
    });
    let watched = Watched::with(fake);
    ready(watched.next());
    change(&watched);
    begin.recv_timeout(PATIENCE).unwrap();
    fs::write(&file, "two").unwrap();
    let ticket = watched.monitor.scan(Trigger::Manual);
    begin.recv_timeout(PATIENCE).unwrap();
    let ending = abort(&change(&watched));
    assert_eq!(ending.stage, Stage::Building);
    let answer = watched.next();
    assert_eq!(answer.through, ticket);
    let under_way = answer.under_way.clone().expect("a change");
    assert!(matches!(failed(answer).kind, BuildErrorKind::Aborted));
    // The receiver has it too.
    drop(under_way);
    is_ended(&ending);
    assert!(watched.steps().contains(&"aborted"));
    // Asked again, taken back, and there again.
    assert!(matches!(watched.failed().kind, BuildErrorKind::Aborted));
    fs::write(&file, "one").unwrap();
    watched.unchanged();
    fs::write(&file, "two").unwrap();
    assert!(matches!(watched.failed().kind, BuildErrorKind::Aborted));
    assert!(begin.is_empty(), "nothing was built");
    assert!(watched.steps().contains(&"known bad"));
    assert_eq!(watched.monitor.clear_aborted(), [ending.fingerprint.unwrap()]);
    assert_eq!(fs::read(watched.ready().path).unwrap(), b"two");
    assert!(watched.monitor.clear_aborted().is_empty());
}

/// Who asked for what was aborted is told so; who asked meanwhile, about an edit that came meanwhile, of that edit.
#[test]
fn sw_5_an_edit_during_an_aborted_build_is_not_lost() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let (go_on, gate) = unbounded::<()>();
    let fake = builder(&file, move |_, build, stop| {
        if build > 0 {
            begun.send(()).unwrap();
        }
        if build == 2 {
            hang(stop);
            gate.recv_timeout(PATIENCE).unwrap();
        }
    });
    let watched = Watched::with(fake);
    ready(watched.next());
    change(&watched);
    begin.recv_timeout(PATIENCE).unwrap();
    fs::write(&file, "two").unwrap();
    let asked_before = watched.monitor.scan(Trigger::Manual);
    begin.recv_timeout(PATIENCE).unwrap();
    let ending = abort(&change(&watched));
    fs::write(&file, "three").unwrap();
    let asked_meanwhile = watched.monitor.scan(Trigger::Manual);
    go_on.send(()).unwrap();
    let answer = watched.next();
    assert_eq!(answer.through, asked_before);
    assert!(matches!(failed(answer).kind, BuildErrorKind::Aborted));
    is_ended(&ending);
    let answer = watched.next();
    assert_eq!(answer.through, asked_meanwhile);
    assert_eq!(fs::read(ready(answer).path).unwrap(), b"three");
}

#[test]
fn sw_5_no_process_of_an_aborted_build_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let root = directory.path().join("game");
    write_hanging(&root, &socket);
    let watched = Watched::polling(Monitor::builder(&root).build(offline()), NEVER);
    let (group, stream) = accept(listener);
    let ending = abort(&change(&watched));
    assert!(matches!(failed(watched.next()).kind, BuildErrorKind::Aborted));
    is_ended(&ending);
    assert_gone(group, stream);
    // The target directory is free for the next build.
    write(&root, "build.rs", "fn main() {}");
    watched.ready();
}

/// A change that waits for a hold to be dropped.
#[test]
fn sw_5_what_waits_for_a_hold_is_aborted() {
    let (_directory, file) = source("one");
    let slot: Arc<OnceLock<Monitor>> = Arc::default();
    let inside = Arc::clone(&slot);
    let (tell, told) = unbounded();
    let (settled, is_settled) = unbounded();
    let (monitor, notifications) = builder(&file, |_, _, _| {})
        .poll_every(NEVER)
        .observe(move |observation| {
            match &observation.step {
                Step::Changed { abortable, .. } => {
                    // Opened between the look and the build of the second change.
                    let hold = inside.get().map(Monitor::hold);
                    tell.send((abortable.clone(), hold)).unwrap();
                }
                Step::Settled { .. } => settled.send(()).unwrap(),
                _ => {}
            }
        })
        .start()
        .unwrap();
    ready(notifications.recv_timeout(PATIENCE).unwrap());
    slot.set(monitor).unwrap();
    let monitor = slot.get().unwrap();
    drop(told.recv_timeout(PATIENCE).unwrap());
    is_settled.recv_timeout(PATIENCE).unwrap();
    fs::write(&file, "two").unwrap();
    monitor.scan(Trigger::Manual);
    let (change, hold) = told.recv_timeout(PATIENCE).unwrap();
    is_settled.recv_timeout(PATIENCE).unwrap();
    let ending = abort(&change);
    let answer = notifications.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(failed(answer).kind, BuildErrorKind::Aborted), "the hold is open");
    is_ended(&ending);
    drop(hold);
}
