//! A cap on versions that are still in use though they are neither current nor kept, and what becomes of a newcomer. Row UN-6.

use std::fs;
use std::path::Path;

use crossbeam_channel::Receiver;
use hotswap_engine::{
    CapPolicy, Crowd, Engine, Event, Guard, PinKind, ReloadError, ReloadErrorKind, VersionState,
};
use hotswap_tests::deadline::{event, until};
use hotswap_tests::{log_lines, prebuilt};

/// An engine that allows two, and guards on as many versions besides the current one.
fn crowded(policy: CapPolicy, directory: &Path) -> (Engine, Vec<Guard>, Receiver<Event>) {
    let (library, log) = (directory.join("module.so"), directory.join("hotswap.log"));
    replace(&library, 1);
    let engine = prebuilt::engine(&library).log_file(log).max_extra_versions(2, policy);
    let engine = engine.open().expect("opens");
    let mut guards = Vec::new();
    for number in [2, 3] {
        guards.push(engine.pin());
        engine.offer(prebuilt::numbered(number)).expect("there is room");
    }
    let events = engine.subscribe();
    (engine, guards, events)
}

/// Replaces a library as a compiler does: by another file.
fn replace(library: &Path, number: u64) {
    let new = library.with_extension("new");
    fs::copy(prebuilt::numbered(number), &new).expect("ours");
    fs::rename(new, library).expect("ours");
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

fn crowd(error: &ReloadError) -> &Crowd {
    match &error.kind {
        ReloadErrorKind::Crowded(crowd) => crowd,
        other => panic!("{other:?}"),
    }
}

fn swapped(events: &Receiver<Event>) -> u64 {
    event(events, "a swap", |event| match event {
        Event::Swapped { to, .. } => Some(to.number()),
        _ => None,
    })
}

fn told(events: &Receiver<Event>) -> Crowd {
    event(events, "a crowd", |event| match event {
        Event::Crowded { crowd } => Some(crowd.clone()),
        _ => None,
    })
}

#[test]
fn un_6_a_warning_names_the_holders_and_goes_on() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (engine, guards, events) = crowded(CapPolicy::Warn, directory.path());
    assert!(events.is_empty(), "two are allowed");
    engine.offer(prebuilt::numbered(1)).expect("it goes on");
    let crowd = told(&events);
    assert_eq!((crowd.count, crowd.policy), (2, CapPolicy::Warn));
    let named: Vec<_> = crowd.held_by.iter().map(|(version, _)| version.number()).collect();
    assert_eq!(named, [1, 2]);
    let pin = &crowd.held_by[0].1[0];
    assert!(pin.kind == PinKind::Guard && pin.origin.contains("cap.rs:"), "{pin:?}");
    assert_eq!(version(&engine), 1);
    drop((engine, guards));
    let lines = log_lines(&directory.path().join("hotswap.log"));
    let line = lines.iter().find(|line| line.event == "version.many").expect("told");
    assert_eq!((&*line.level, line.field("count"), line.field("max")), ("WARN", "2", "2"));
    assert!(line.field("pins").starts_with("v1: guard "), "{line:?}");
}

#[test]
fn un_6_a_queued_newcomer_becomes_current_when_a_version_goes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (engine, mut guards, events) = crowded(CapPolicy::Queue, directory.path());
    let library = directory.path().join("module.so");
    replace(&library, 4);
    let error = engine.reload().expect_err("there is no room");
    assert_eq!(crowd(&error).held_by.len(), 2);
    let text = error.to_string();
    assert!(text.contains("guard tests/tests/cap.rs:"), "{text}");
    assert!(text.ends_with("the new one waits until one of them goes; v3 stays current"), "{text}");
    // Nobody waits: calls go on in what runs.
    assert_eq!(version(&engine), 3);
    assert!(engine.status().queued.is_some());
    assert!(engine.status().to_string().contains(" waits: as many versions are in use"));
    assert_eq!(engine.status().refused_count, 0);
    // Asked again, it waits still.
    crowd(&engine.reload().expect_err("there is no room"));
    drop(guards.remove(0));
    assert_eq!(swapped(&events), 4);
    assert_eq!(version(&engine), 4);
    assert_eq!(engine.status().queued, None);
    drop(engine);
    let lines = log_lines(&directory.path().join("hotswap.log"));
    let tx = |event: &str| {
        let of_event: Vec<_> = lines.iter().filter(|line| line.event == event).collect();
        of_event.last().unwrap_or_else(|| panic!("no {event}")).field("tx").to_owned()
    };
    assert_eq!(lines.iter().filter(|line| line.event == "swap.queued").count(), 1);
    assert_eq!(tx("swap.queued"), tx("swap.commit"), "one change");
}

#[test]
fn un_6_the_newest_in_the_queue_wins() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (engine, guards, events) = crowded(CapPolicy::Queue, directory.path());
    let library = directory.path().join("module.so");
    for number in [4, 5] {
        replace(&library, number);
        crowd(&engine.reload().expect_err("there is no room"));
    }
    crowd(&engine.offer(prebuilt::numbered(6)).expect_err("there is no room"));
    drop(guards);
    assert_eq!(swapped(&events), 4);
    assert_eq!(version(&engine), 6, "what was overtaken is forgotten");
    assert_eq!(engine.versions().len(), 4);
}

/// What waits respects a pause, and an edit that is taken back takes it out of the queue.
#[test]
fn un_6_a_queue_can_be_paused_and_left() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (engine, guards, events) = crowded(CapPolicy::Queue, directory.path());
    let library = directory.path().join("module.so");
    replace(&library, 4);
    crowd(&engine.reload().expect_err("there is no room"));
    engine.pause();
    drop(guards);
    let gone = |event: &Event| matches!(event, Event::Unloaded { .. }).then_some(());
    event(&events, "a version that went", gone);
    event(&events, "another", gone);
    assert_eq!(version(&engine), 3, "swaps are paused");
    engine.resume();
    assert_eq!(version(&engine), 4);
}

#[test]
fn un_6_a_refused_newcomer_is_tried_again_when_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (engine, guards, _events) = crowded(CapPolicy::Refuse, directory.path());
    let library = directory.path().join("module.so");
    replace(&library, 4);
    let error = engine.reload().expect_err("there is no room").to_string();
    assert!(error.contains("can be tried again when one of them is gone"), "{error}");
    assert_eq!(engine.status().refused_count, 1);
    assert_eq!(engine.status().queued, None);
    drop(guards);
    until("both are gone", || {
        let versions = engine.versions();
        versions.iter().filter(|info| info.state == VersionState::Unloaded).count() == 2
    });
    assert_eq!(version(&engine), 3, "nobody asked");
    assert!(engine.reload().expect("there is room").is_swapped());
    assert_eq!(version(&engine), 4);
}

/// The way back is open in any case, and makes no room for what waits.
#[test]
fn un_6_a_rollback_is_never_held_up() {
    for policy in [CapPolicy::Queue, CapPolicy::Refuse] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (engine, _guards, _events) = crowded(policy, directory.path());
        crowd(&engine.offer(prebuilt::numbered(4)).expect_err("there is no room"));
        engine.rollback().expect("it is mapped");
        assert_eq!(version(&engine), 2);
    }
}

/// Versions that are kept for a rollback are wanted.
#[test]
fn un_6_what_is_kept_does_not_count() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).keep_versions(3);
    let engine = engine.max_extra_versions(1, CapPolicy::Refuse).open().expect("opens");
    for number in [2, 3, 4, 5, 6] {
        engine.offer(prebuilt::numbered(number)).expect("nothing is in use");
    }
}
