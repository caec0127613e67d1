//! A build of what is no longer there is ended (BU-3).

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crossbeam_channel::unbounded;
use hotswap_monitor::{BuildErrorKind, Monitor, Step, StopSignal, Trigger};

use crate::fake::{builder, source};
use crate::harness::{NEVER, PATIENCE, Watched, failed, offline, pause, ready, write, write_crate};
use crate::real_processes::{accept, assert_gone, write_hanging};

/// Waits until the build is told to stop; fails the test when it never is.
fn hang(stop: &StopSignal) {
    assert!(stop.channel().recv_timeout(PATIENCE).is_err());
    assert!(stop.is_stopped(), "the build was cancelled");
}

#[test]
fn bu_3_a_newer_fingerprint_cancels_the_running_build() {
    let (_directory, file) = source("one");
    let fake = builder(&file, |file, build, stop| {
        if build == 1 {
            fs::write(file, "two").unwrap();
            hang(stop);
        }
    });
    let watched = Watched::polling(fake, Duration::from_millis(1));
    let second = watched.next();
    assert_eq!(second.trigger, Trigger::Poll);
    assert_eq!(second.change, Some(2));
    let artifact = ready(second);
    assert_eq!(fs::read(&artifact.path).unwrap(), b"two");
    drop(watched.monitor);
    let steps: Vec<Step> = watched.observations.iter().map(|told| told.step).collect();
    let names: Vec<_> = steps.iter().map(crate::harness::name).collect();
    assert_eq!(names[..4], ["changed", "settled", "started", "cancelled"]);
    assert_eq!(names[4..], ["changed", "settled", "started", "ok", "stored", "notified"]);
    let Step::BuildCancelled { superseded_by, ref cause, .. } = steps[3] else { panic!() };
    assert_eq!(superseded_by, artifact.fingerprint);
    assert_eq!(cause.to_string(), "a.rs");
}

#[test]
fn bu_3_a_request_finds_what_is_newer_before_the_period_is_over() {
    let (_directory, file) = source("one");
    let (begun, begin) = unbounded();
    let fake = builder(&file, move |_, build, stop| {
        if build == 1 {
            begun.send(()).unwrap();
            hang(stop);
        }
    });
    let watched = Watched::polling(fake, NEVER);
    begin.recv_timeout(PATIENCE).unwrap();
    fs::write(&file, "broken").unwrap();
    let ticket = watched.monitor.scan(Trigger::Manual);
    let answer = watched.next();
    assert_eq!((answer.through, answer.trigger), (ticket, Trigger::Manual));
    failed(answer);
    assert_eq!(watched.steps()[3], "cancelled");
}

#[test]
fn bu_3_what_vanishes_or_is_merely_touched_cancels_nothing() {
    let (_directory, file) = source("one");
    let (told, looked) = unbounded();
    let (monitor, notifications) = builder(&file, move |file, build, stop| {
        if build == 1 {
            // Some periods each, all within one build.
            for text in [None, Some("one"), None, Some("one")] {
                match text {
                    None => fs::remove_file(file).unwrap(),
                    Some(text) => fs::write(file, text).unwrap(),
                }
                let stopped = stop.channel().recv_timeout(Duration::from_millis(100));
                assert!(stopped.unwrap_err().is_timeout(), "cancelled");
            }
        }
    })
    .poll_every(Duration::from_millis(1))
    .observe(move |observation| told.send(observation.step.clone()).unwrap())
    .start()
    .unwrap();
    ready(notifications.recv_timeout(PATIENCE).unwrap());
    drop(monitor);
    let names: Vec<_> = looked.iter().map(|step| crate::harness::name(&step)).collect();
    assert!(!names.contains(&"cancelled"), "{names:?}");
    assert!(names.contains(&"discarded"), "it was another file while it was built: {names:?}");
}

#[test]
fn bu_3_no_process_of_a_cancelled_build_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let root = directory.path().join("game");
    write_hanging(&root, &socket);
    let builder = Monitor::builder(&root).build(offline());
    let watched = Watched::polling(builder, Duration::from_millis(20));
    let (group, stream) = accept(listener);
    write(&root, "build.rs", "fn main() {}");
    ready(watched.next());
    assert_gone(group, stream);
    assert!(watched.steps().contains(&"cancelled"));
}

#[test]
fn bu_3_a_backend_that_does_not_stop_is_waited_for_and_its_result_thrown_away() {
    let (_directory, file) = source("one");
    let fake = builder(&file, |file, build, _| {
        if build == 1 {
            fs::write(file, "two").unwrap();
            pause(Duration::from_millis(200));
        }
    });
    let watched = Watched::polling(fake, Duration::from_millis(1));
    assert_eq!(fs::read(ready(watched.next()).path).unwrap(), b"two");
    assert_eq!(watched.builds(), 2);
}

#[test]
fn a_problem_that_the_scan_found_needs_no_backend() {
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), "game", "");
    write(directory.path(), "Cargo.toml", "[package");
    let watched = Watched::start(directory.path());
    let error = failed(watched.next());
    assert!(matches!(error.kind, BuildErrorKind::Manifest { .. }), "{error}");
}
