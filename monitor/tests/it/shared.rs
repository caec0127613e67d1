//! Many sources on one thread, and one build at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hotswap_monitor::{
    Fetch, FetchError, Fetched, Fingerprint, Monitor, MonitorBuilder, NOTIFICATIONS_MAX,
    Notification, Outcome, SharedMonitor, Source, StartErrorKind, Step, Trigger,
};
use tempfile::TempDir;

use crate::fake::{builder, remembering, source};
use crate::harness::{NEVER, PATIENCE, Watched, failed, ready};

const OFTEN: Duration = Duration::from_millis(1);

fn shared(period: Duration) -> SharedMonitor {
    SharedMonitor::start(period).unwrap()
}

/// A source whose every build waits until the test says go; and its first build, begun.
fn blocked(shared: &SharedMonitor) -> (TempDir, Watched, Sender<()>) {
    let (directory, file) = source("blocked");
    let (begun, begin) = unbounded();
    let (go, gone) = unbounded::<()>();
    let builder = builder(&file, move |_, build, stop| {
        if build > 0 {
            begun.send(()).unwrap();
            crossbeam_channel::select! {
                recv(gone) -> _ => {}
                recv(stop.channel()) -> _ => {}
            }
        }
    });
    let watched = Watched::on(shared, builder);
    begin.recv_timeout(PATIENCE).unwrap();
    (directory, watched, go)
}

#[test]
fn members_are_numbered_and_a_period_has_limits() {
    let (_directory, file) = source("one");
    let shared = shared(NEVER);
    let plain = || builder(&file, |_, _, _| {});
    let (first, second) = (Watched::on(&shared, plain()), Watched::on(&shared, plain()));
    assert_eq!((first.monitor.member().0, second.monitor.member().0), (1, 2));
    assert_eq!(Watched::with(plain()).monitor.member().0, 0);
    let error = SharedMonitor::start(Duration::ZERO).unwrap_err();
    assert!(matches!(error.kind, StartErrorKind::PollPeriod(_)), "{error}");
}

#[test]
fn each_finds_its_own_changes_and_answers_its_own_tickets() {
    let shared = shared(OFTEN);
    let sources: Vec<_> = (0..20).map(|number| source(&number.to_string())).collect();
    let start = |(_, file): &(TempDir, PathBuf)| Watched::on(&shared, builder(file, |_, _, _| {}));
    let watched: Vec<Watched> = sources.iter().map(start).collect();
    for (number, one) in watched.iter().enumerate() {
        let artifact = ready(one.next());
        assert_eq!(fs::read(&artifact.path).unwrap(), number.to_string().as_bytes());
    }
    fs::write(&sources[7].1, "seven").unwrap();
    let found = watched[7].next();
    assert_eq!((found.trigger, found.cause.to_string()), (Trigger::Poll, "a.rs".to_owned()));
    assert_eq!(fs::read(ready(found).path).unwrap(), b"seven");
    for one in &watched {
        one.unchanged();
        assert!(one.notifications.is_empty());
    }
}

/// Idle sources stay on the shared thread, and say nothing.
#[test]
fn idle_looks_tell_nothing() {
    let shared = shared(OFTEN);
    let (_directory, file) = source("one");
    let (_elsewhere, other) = source("0");
    let idle = Watched::on(&shared, builder(&file, |_, _, _| {}));
    let busy = Watched::on(&shared, builder(&other, |_, _, _| {}));
    ready(idle.next());
    ready(busy.next());
    // All of its first round is told.
    idle.unchanged();
    idle.steps();
    // Each of these takes several periods.
    for number in 1..20 {
        fs::write(&other, number.to_string()).unwrap();
        ready(busy.next());
    }
    assert!(idle.steps().is_empty() && idle.notifications.is_empty());
}

#[test]
fn one_build_goes_on_at_a_time() {
    let shared = shared(OFTEN);
    let building = Arc::new(AtomicUsize::new(0));
    let sources: Vec<_> = (0..12).map(|number| source(&number.to_string())).collect();
    let start = |(_, file): &(TempDir, PathBuf)| {
        let building = Arc::clone(&building);
        let builder = builder(file, move |_, build, _| {
            // Before each build, and after it.
            match build {
                0 => assert_eq!(building.fetch_sub(1, Ordering::SeqCst), 1),
                _ => assert_eq!(building.fetch_add(1, Ordering::SeqCst), 0, "two at a time"),
            }
        });
        Watched::on(&shared, builder)
    };
    let watched: Vec<Watched> = sources.iter().map(start).collect();
    for round in ["first", "second"] {
        for one in &watched {
            ready(one.next());
        }
        for (_, file) in sources.iter().filter(|_| round == "first") {
            fs::write(file, round).unwrap();
        }
    }
    assert_eq!(building.load(Ordering::SeqCst), 0);
}

/// What lies in the store, or needs no compiler, does not wait for somebody else's.
#[test]
fn what_is_stored_or_prebuilt_goes_live_while_another_build_takes_its_time() {
    let (_stored, file) = source("one");
    let recipe = || remembering(&file, "recipe", Some("compiler"));
    ready(Watched::with(recipe()).next());
    let shared = shared(OFTEN);
    let (_directory, building, go) = blocked(&shared);
    let queued: Vec<_> = (0..8)
        .map(|_| {
            let (directory, file) = source("queued");
            (directory, Watched::on(&shared, builder(&file, |_, _, _| {})))
        })
        .collect();
    for (_, one) in &queued {
        let found = |step| matches!(step, Step::Settled { .. });
        while !found(one.observations.recv_timeout(PATIENCE).unwrap().step) {}
    }
    let stored = Watched::on(&shared, recipe());
    assert_eq!(fs::read(ready(stored.next()).path).unwrap(), b"one");
    assert_eq!(stored.builds(), 0);
    let library = file.with_file_name("libother.so");
    fs::write(&library, "other").unwrap();
    ready(Watched::on(&shared, Monitor::builder(Source::Prebuilt(library))).next());
    assert!(building.notifications.is_empty());
    assert!(queued.iter().all(|(_, one)| one.notifications.is_empty() && one.builds() == 0));
    go.send(()).unwrap();
    ready(building.next());
    for (_, one) in &queued {
        ready(one.next());
    }
}

/// A change that waits for its build is looked at again when its turn comes. One that was looked at just before, and has its turn
/// at that very moment, is built once more.
#[test]
fn what_waits_for_its_build_is_built_as_it_is_then() {
    let is_built_once = (0..20).any(|_| builds_of_what_changed_while_it_waited() == 1);
    assert!(is_built_once, "what it was before is built each time");
}

fn builds_of_what_changed_while_it_waited() -> usize {
    let shared = shared(OFTEN);
    let (_directory, building, go) = blocked(&shared);
    let (_queued, file) = source("old");
    let queued = Watched::on(&shared, builder(&file, |_, _, _| {}));
    let is_settled = |step| matches!(step, Step::Settled { .. });
    while !is_settled(queued.observations.recv_timeout(PATIENCE).unwrap().step) {}
    fs::write(&file, "new").unwrap();
    let ticket = queued.monitor.scan(Trigger::Manual);
    go.send(()).unwrap();
    ready(building.next());
    let answer = queued.next();
    assert_eq!(answer.through, ticket);
    assert_eq!(fs::read(ready(answer).path).unwrap(), b"new");
    queued.builds()
}

#[test]
fn sw_5_what_waits_for_its_build_can_be_aborted() {
    let shared = shared(NEVER);
    let (_directory, building, go) = blocked(&shared);
    let (_queued, file) = source("one");
    let queued = Watched::on(&shared, builder(&file, |_, _, _| {}));
    let mut change = None;
    loop {
        match queued.observations.recv_timeout(PATIENCE).unwrap().step {
            Step::Changed { abortable, .. } => change = Some(abortable),
            Step::Settled { .. } => break,
            _ => {}
        }
    }
    let ending = change.unwrap().abort().expect("it is under way");
    let notification = queued.next();
    assert!(matches!(failed(notification).kind, hotswap_monitor::BuildErrorKind::Aborted));
    assert!(ending.ended.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()));
    assert_eq!(queued.builds(), 0);
    go.send(()).unwrap();
    ready(building.next());
    // The queue goes on.
    assert_eq!(queued.monitor.clear_aborted().len(), 1);
    go.send(()).unwrap();
    ready(queued.scan());
}

fn is_over(notifications: &Receiver<Notification>) -> bool {
    notifications.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected())
}

#[test]
fn a_monitor_that_is_dropped_ends_its_build_or_its_wait_and_the_others_go_on() {
    let shared = shared(NEVER);
    let (_directory, building, _go) = blocked(&shared);
    let (_waiting, file) = source("one");
    let waits = Watched::on(&shared, builder(&file, |_, _, _| {}));
    let next = Watched::on(&shared, builder(&file, |_, _, _| {}));
    let is_settled = |step| matches!(step, Step::Settled { .. });
    for one in [&waits, &next] {
        while !is_settled(one.observations.recv_timeout(PATIENCE).unwrap().step) {}
    }
    drop(waits.monitor);
    assert!(is_over(&waits.notifications) && waits.observations.iter().count() == 0);
    drop(building.monitor);
    assert!(is_over(&building.notifications));
    ready(next.next());
    let idle = next.notifications.clone();
    drop(next);
    assert!(is_over(&idle));
}

#[test]
fn an_observer_may_drop_its_own_monitor() {
    let shared = shared(OFTEN);
    let (_directory, file) = source("one");
    let (give, given) = bounded::<Monitor>(1);
    let observe = move |_: &_| drop(given.recv_timeout(PATIENCE));
    let (monitor, notifications) =
        builder(&file, |_, _, _| {}).observe(observe).start_on(&shared).unwrap();
    give.send(monitor).unwrap();
    drop(give);
    assert!(notifications.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()));
}

/// A place that panics when it is asked, until it is told not to.
#[derive(Debug)]
struct Panicking(Arc<AtomicUsize>);

impl Fetch for Panicking {
    fn kind(&self) -> &'static str {
        "panicking"
    }

    fn name(&self) -> &str {
        "it"
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        let left = self.0.load(Ordering::SeqCst);
        assert_eq!(left, 0, "injected");
        Ok(Some(Fingerprint::of(b"it")))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let library = directory.join("libit.so");
        fs::write(&library, "it").unwrap();
        Ok(Fetched::new(Fingerprint::of(b"it"), Source::Prebuilt(library)))
    }
}

/// In an idle look and in a round alike.
#[test]
fn a_source_that_panics_is_told_and_starts_over_and_the_others_go_on() {
    let shared = shared(OFTEN);
    let directory = tempfile::tempdir().unwrap();
    let mut settings = crate::harness::offline();
    settings.target_dir = Some(directory.path().join("target"));
    let panics = Arc::new(AtomicUsize::new(0));
    let fetched = Source::fetched(Panicking(Arc::clone(&panics)));
    let bad = Watched::on(&shared, Monitor::builder(fetched).build(settings));
    ready(bad.next());
    let (_good, file) = source("0");
    let good = Watched::on(&shared, builder(&file, |_, _, _| {}));
    ready(good.next());
    panics.store(1, Ordering::SeqCst);
    let panicked = |step| matches!(step, Step::Panicked { .. });
    while !panicked(bad.observations.recv_timeout(PATIENCE).unwrap().step) {}
    fs::write(&file, "1").unwrap();
    ready(good.next());
    let ticket = bad.monitor.scan(Trigger::Manual);
    let answer = bad.next();
    assert!(answer.through >= ticket && matches!(answer.outcome, Outcome::Panicked(_)));
    panics.store(0, Ordering::SeqCst);
    // What was handed over stays that.
    bad.unchanged();
}

/// A place behind a network, which answers when it is told to.
#[derive(Debug)]
struct Slow {
    name: String,
    is_mute: Arc<AtomicBool>,
    asked: Sender<()>,
    answer: Receiver<()>,
}

impl Fetch for Slow {
    fn kind(&self) -> &'static str {
        "slow"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        if self.is_mute.load(Ordering::SeqCst) {
            self.asked.send(()).unwrap();
            // Over when the test drops its end.
            let _over = self.answer.recv();
        }
        Ok(Some(Fingerprint::of(b"it")))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let library = directory.join("libit.so");
        fs::write(&library, "it").unwrap();
        Ok(Fetched::new(Fingerprint::of(b"it"), Source::Prebuilt(library)))
    }
}

#[test]
fn d7_sources_that_wait_for_a_server_hold_up_no_others() {
    let shared = shared(OFTEN);
    let directory = tempfile::tempdir().unwrap();
    let mut settings = crate::harness::offline();
    settings.target_dir = Some(directory.path().join("target"));
    let is_mute = Arc::new(AtomicBool::new(false));
    let (asked, asks) = unbounded();
    let (answers, answer) = bounded::<()>(0);
    // More than are asked at a time.
    let slow: Vec<_> = (0..12)
        .map(|number| {
            let source = Source::fetched(Slow {
                name: format!("it-{number}"),
                is_mute: Arc::clone(&is_mute),
                asked: asked.clone(),
                answer: answer.clone(),
            });
            Watched::on(&shared, Monitor::builder(source).build(settings.clone()))
        })
        .collect();
    slow.iter().for_each(|one| drop(ready(one.next())));
    let (_local, file) = source("0");
    let local = Watched::on(&shared, builder(&file, |_, _, _| {}));
    ready(local.next());
    is_mute.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        asks.recv_timeout(PATIENCE).unwrap();
    }
    for text in ["1", "2"] {
        fs::write(&file, text).unwrap();
        let found = ready(local.next());
        assert_eq!(fs::read(&found.path).unwrap(), text.as_bytes());
    }
    assert!(asks.is_empty(), "four wait, and all others for them");
    is_mute.store(false, Ordering::SeqCst);
    drop(answers);
    slow.iter().for_each(Watched::unchanged);
    local.unchanged();
}

#[test]
fn cd_4_a_hold_stops_its_own_source_and_no_other() {
    let shared = shared(OFTEN);
    // More than there are threads for.
    let sources: Vec<_> = (0..6).map(|_| source("one")).collect();
    let start = |(_, file): &(TempDir, PathBuf)| Watched::on(&shared, builder(file, |_, _, _| {}));
    let held: Vec<Watched> = sources.iter().map(start).collect();
    held.iter().for_each(|one| drop(ready(one.next())));
    let holds: Vec<_> = held.iter().map(|one| one.monitor.hold()).collect();
    for ((_, file), one) in sources.iter().zip(&held) {
        one.steps();
        fs::write(file, "half").unwrap();
        one.monitor.scan(Trigger::Manual);
    }
    let (_free, file) = source("0");
    let free = Watched::on(&shared, builder(&file, |_, _, _| {}));
    for number in 1..5 {
        ready(free.next());
        fs::write(&file, number.to_string()).unwrap();
    }
    assert!(held.iter().all(|one| one.notifications.is_empty() && one.builds() == 0));
    sources.iter().for_each(|(_, file)| fs::write(file, "whole").unwrap());
    drop(holds);
    for one in &held {
        let answer = one.next();
        assert_eq!(answer.trigger, Trigger::Manual);
        assert_eq!(fs::read(ready(answer).path).unwrap(), b"whole");
        assert_eq!(one.builds(), 1);
    }
}

/// A hold that is opened while the source settles waits without a thread as well.
#[test]
fn cd_4_a_hold_that_comes_late_is_waited_for_and_can_be_dropped_with_its_monitor() {
    let shared = shared(OFTEN);
    let sources: Vec<_> = (0..6).map(|_| source("one")).collect();
    let held: Vec<_> = sources
        .iter()
        .map(|(_, file)| {
            let (give, given) = bounded::<Monitor>(1);
            let (tell, told) = bounded(1);
            let observe = move |observation: &hotswap_monitor::Observation| {
                if let (Step::Changed { .. }, Ok(monitor)) =
                    (&observation.step, given.recv_timeout(PATIENCE))
                {
                    tell.send((monitor.hold(), monitor)).unwrap();
                }
            };
            let builder: MonitorBuilder = builder(file, |_, _, _| {}).observe(observe);
            let (monitor, notifications) = builder.start_on(&shared).unwrap();
            give.send(monitor).unwrap();
            drop(give);
            (told.recv_timeout(PATIENCE).unwrap(), notifications)
        })
        .collect();
    let (_free, file) = source("0");
    ready(Watched::on(&shared, builder(&file, |_, _, _| {})).next());
    for (number, ((hold, monitor), notifications)) in held.into_iter().enumerate() {
        assert!(notifications.is_empty());
        if number == 0 {
            drop((monitor, hold));
            assert!(notifications.recv().is_err());
        } else {
            drop(hold);
            ready(notifications.recv_timeout(PATIENCE).unwrap());
        }
    }
}

/// Who reads nothing holds up nobody but his own source.
#[test]
fn receivers_that_read_nothing_hold_up_no_other() {
    let shared = shared(OFTEN);
    let sources: Vec<_> = (0..6).map(|_| source("broken")).collect();
    let start = |(_, file): &(TempDir, PathBuf)| Watched::on(&shared, builder(file, |_, _, _| {}));
    let unread: Vec<Watched> = sources.iter().map(start).collect();
    for one in &unread {
        while one.notifications.len() < NOTIFICATIONS_MAX {
            let before = one.notifications.len();
            one.monitor.scan(Trigger::Manual);
            while one.notifications.len() == before {
                std::thread::yield_now();
            }
        }
        one.monitor.scan(Trigger::Manual);
    }
    let (_free, file) = source("0");
    let free = Watched::on(&shared, builder(&file, |_, _, _| {}));
    ready(free.next());
    for one in unread {
        for _ in 0..=NOTIFICATIONS_MAX {
            failed(one.next());
        }
    }
}

/// The monitor on the shared thread ends with its source's own errors, and builds nothing twice.
#[test]
fn a_source_that_does_not_build_is_told_once_and_mended() {
    let shared = shared(OFTEN);
    let (_directory, file) = source("broken");
    let watched = Watched::on(&shared, builder(&file, |_, _, _| {}));
    failed(watched.next());
    watched.failed();
    assert_eq!(watched.builds(), 1);
    fs::write(&file, "whole").unwrap();
    ready(watched.next());
}

/// A user has 128 watchers as a rule.
#[cfg(feature = "events")]
#[test]
fn cd_3_many_sources_share_one_watcher_of_the_system() {
    let shared = shared(NEVER);
    let sources: Vec<_> = (0..150).map(|number| source(&number.to_string())).collect();
    let start = |(_, file): &(TempDir, PathBuf)| {
        Watched::on(&shared, builder(file, |_, _, _| {}).wake_on_events())
    };
    let watched: Vec<Watched> = sources.iter().map(start).collect();
    for one in &watched {
        ready(one.next());
        // Until it is followed.
        one.unchanged();
        assert!(!one.steps().contains(&"events"));
    }
    for ((_, file), one) in sources.iter().zip(&watched) {
        fs::write(file, "new").unwrap();
        assert_eq!(fs::read(ready(one.next()).path).unwrap(), b"new");
    }
}

/// One directory, by two names and for two monitors, of which one goes.
#[cfg(feature = "events")]
#[test]
fn cd_3_a_directory_is_watched_for_each_by_his_own_name() {
    let shared = shared(NEVER);
    let (directory, file) = source("one");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(directory.path(), &link).unwrap();
    let start = |file: &Path| Watched::on(&shared, builder(file, |_, _, _| {}).wake_on_events());
    let (plain, linked) = (start(&file), start(&link.join("a.rs")));
    for one in [&plain, &linked] {
        ready(one.next());
        one.unchanged();
    }
    fs::write(&file, "two").unwrap();
    for one in [&plain, &linked] {
        assert_eq!(fs::read(ready(one.next()).path).unwrap(), b"two");
    }
    drop(plain);
    fs::write(&file, "three").unwrap();
    assert_eq!(fs::read(ready(linked.next()).path).unwrap(), b"three");
}
