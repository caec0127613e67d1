//! Releases have numbers: how far back anybody may go, what is told of them, and what a source says of itself. Rows D3, D22, D23,
//! RB-7 and SE-5, with a source that gives what the test wants.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_engine::audit::trail;
use hotswap_engine::{
    Engine, EngineBuilder, Event, FetchError, Fingerprint, LoadErrorKind, OpenErrorKind,
    ReloadError, ReloadErrorKind, Source, VersionId,
};
use hotswap_tests::prebuilt::{self, Kind, library, numbered};
use hotswap_tests::released::Released;
use hotswap_tests::siege::chain;
use hotswap_tests::{LogLine, again, build_directory, is_isolated, log_lines};
use tempfile::TempDir;

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// Where an engine, and the next, goes with what is released.
struct World {
    released: Released,
    place: PathBuf,
    _directory: Option<TempDir>,
}

/// Beside the libraries, so that they can be linked.
fn place() -> TempDir {
    tempfile::tempdir_in(build_directory()).expect("writable")
}

impl World {
    /// A source whose release of this number has the library of that one.
    fn new(release: u64, number: u64) -> Self {
        let directory = place();
        let world = Self::at(release, numbered(number), directory.path());
        Self { _directory: Some(directory), ..world }
    }

    /// One whose directory is somebody else's.
    fn at(release: u64, library: PathBuf, place: &Path) -> Self {
        let released = Released::new(release, library);
        Self { released, place: place.to_owned(), _directory: None }
    }

    fn builder(&self) -> EngineBuilder {
        Engine::builder(Source::from(&self.released))
            .target_dir(self.place.join("target"))
            .log_file(self.log())
            .poll_every(RARELY)
    }

    fn open(&self) -> Engine {
        self.builder().open().expect("it is a module")
    }

    /// Releases a library, which becomes current.
    fn release(&self, engine: &Engine, release: u64, number: u64) {
        self.released.release(release, numbered(number));
        assert!(engine.sync().expect("it is a module").is_swapped());
        assert_eq!(version(engine), number);
    }

    fn log(&self) -> PathBuf {
        self.place.join("hotswap.log")
    }

    fn lines(&self, event: &str) -> Vec<LogLine> {
        let mut lines = log_lines(&self.log());
        lines.retain(|line| line.event == event);
        lines
    }
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("it is exported")
}

fn id(engine: &Engine, number: u64) -> VersionId {
    let versions = engine.versions();
    versions.iter().find(|version| version.id.number() == number).expect("it ran").id
}

fn releases(engine: &Engine) -> Vec<Option<u64>> {
    engine.versions().iter().map(|version| version.release).collect()
}

/// The number of what was refused, and the floor.
fn below_floor(error: &ReloadError) -> (u64, u64) {
    let ReloadErrorKind::Load(load) = &error.kind else { panic!("{error:?}") };
    match load.kind {
        LoadErrorKind::BelowFloor { release, floor } => (release, floor),
        _ => panic!("{error:?}"),
    }
}

#[test]
fn a_release_is_told_by_its_number_everywhere() {
    let world = World::new(7, 1);
    let engine = world.open();
    world.release(&engine, 9, 2);
    assert_eq!(releases(&engine), [Some(7), Some(9)]);
    let status = engine.status().to_string();
    assert!(status.contains(" release 7\n") && status.contains(" release 9\n"), "{status}");
    for event in ["fetch.ok", "verify.ok", "swap.commit"] {
        let lines = world.lines(event);
        let numbers: Vec<_> = lines.iter().map(|line| line.field("release")).collect();
        assert_eq!(numbers, ["7", "9"], "{event}");
    }
    let run = trail(world.log()).expect("readable").engines.remove(0);
    let numbers: Vec<_> = run.versions.iter().map(|version| version.release).collect();
    assert_eq!(numbers, [Some(7), Some(9)]);
    engine.rollback().expect("no floor keeps it out");
    assert_eq!(world.lines("rollback.done")[0].field("release"), "7");
}

#[test]
fn by_what_a_source_is_believed_is_told_once_at_the_start() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.release(&engine, 2, 2);
    let lines = world.lines("source.trust");
    let told: Vec<_> = lines.iter().map(|line| (line.field("trust"), line.field("what"))).collect();
    assert_eq!(told, [("L2", "signed by key 7F3A0C95D2E1B846")]);
    assert_eq!(lines[0].field("path"), "somewhere#numbered");
    let first = world.lines("fetch.intent").remove(0);
    assert!(lines[0].seq < first.seq, "before anything is fetched");
}

/// What is mapped and what would be loaded again, by name and without.
#[test]
fn d23_no_rollback_goes_below_the_floor() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.release(&engine, 2, 2);
    world.release(&engine, 3, 3);
    world.released.raise_floor(3);
    for number in [1, 2] {
        let error = engine.rollback_to(id(&engine, number)).expect_err("below the floor");
        assert_eq!(below_floor(&error), (number, 3));
        assert!(error.to_string().ends_with("v3 stays current"), "{error}");
        below_floor(&engine.stay_on(id(&engine, number)).expect_err("below the floor"));
    }
    assert_eq!(below_floor(&engine.rollback().expect_err("all are")), (2, 3));
    assert_eq!((version(&engine), engine.version().number()), (3, 3));
    assert!(world.lines("rollback.intent").is_empty() && world.lines("rollback.done").is_empty());
    let refused = world.lines("rollback.impossible");
    assert_eq!(refused.len(), 5);
    for line in refused {
        let told = (line.level.as_str(), line.field("err"), line.field("by"));
        assert_eq!(told, ("ALERT", "load.below_floor", "api"));
    }
    // What is current runs on, and the way forward is open.
    world.release(&engine, 4, 4);
    engine.rollback().expect("release 3 is not below it");
    assert_eq!(version(&engine), 3);
}

#[test]
fn d23_a_rollback_passes_over_what_is_below_the_floor() {
    let world = World::new(5, 1);
    let engine = world.open();
    // A source that counts badly: what came later has a lower number.
    world.release(&engine, 4, 2);
    world.release(&engine, 6, 3);
    world.released.raise_floor(5);
    engine.rollback().expect("release 5 may run");
    assert_eq!((version(&engine), engine.version().number()), (1, 1));
    let passed = world.lines("floor.passed");
    let told: Vec<_> =
        passed.iter().map(|line| (line.field("release"), line.field("floor"))).collect();
    assert_eq!(told, [("4", "5")]);
    assert_eq!(world.lines("rollback.intent")[0].field("by"), "api");
}

#[test]
fn d23_a_start_from_what_served_stops_at_the_floor() {
    let world = World::new(5, 1);
    let engine = world.open();
    world.release(&engine, 4, 2);
    drop(engine);
    world.released.say(FetchError::unavailable("the cable is cut"));
    let started = world.open();
    assert_eq!((version(&started), releases(&started)), (2, vec![Some(4)]));
    drop(started);
    world.released.raise_floor(5);
    let started = world.open();
    assert_eq!((version(&started), releases(&started)), (1, vec![Some(5)]));
    let passed = world.lines("floor.passed");
    assert_eq!((passed[0].field("release"), passed[0].field("floor")), ("4", "5"));
    drop(started);
    world.released.raise_floor(6);
    let error = world.builder().open().expect_err("nothing may run");
    assert!(format!("{error:?}").contains("the cable is cut"), "{error:?}");
    // And nobody is stuck.
    world.released.say(None);
    world.released.release(6, numbered(3));
    assert_eq!(version(&world.open()), 3);
}

#[test]
fn d23_the_way_back_to_an_earlier_process_stops_at_the_floor() {
    let world = World::new(2, 1);
    drop(world.open());
    world.released.release(3, numbered(2));
    let engine = world.open();
    world.released.raise_floor(3);
    assert_eq!(below_floor(&engine.rollback().expect_err("it is below")), (2, 3));
    world.released.raise_floor(2);
    engine.rollback().expect("the floor is a test's, and fell");
    assert_eq!((version(&engine), releases(&engine)[1]), (1, Some(2)));
}

/// The publisher's own way back: what ran is released again, under a number above the floor.
#[test]
fn d23_what_is_released_again_may_run_by_its_new_number() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.released.release(2, numbered(1));
    assert!(!engine.sync().expect("it is what runs").is_swapped());
    assert_eq!(releases(&engine), [Some(2)]);
    world.release(&engine, 3, 2);
    world.released.raise_floor(2);
    engine.rollback().expect("it is release 2 as well");
    assert_eq!(version(&engine), 1);
    drop(engine);
    // The next process knows as well.
    world.released.say(FetchError::unavailable("down"));
    let engine = world.open();
    assert_eq!((version(&engine), releases(&engine)), (1, vec![Some(2)]));
}

#[test]
fn d23_what_waited_does_not_become_current_below_the_floor() {
    let world = World::new(1, 1);
    let engine = world.open();
    engine.pause();
    world.released.release(2, numbered(2));
    engine.sync().expect_err("paused");
    world.released.raise_floor(3);
    engine.resume();
    assert_eq!(version(&engine), 1);
    assert_eq!(world.lines("verify.refused")[0].field("err"), "load.below_floor");
    // The same code again, with a number that may run.
    world.released.release(3, numbered(2));
    assert!(engine.sync().expect("it is not in quarantine").is_swapped());
    assert_eq!((version(&engine), releases(&engine)[1]), (2, Some(3)));
}

#[test]
fn d23_a_source_with_a_floor_gives_nothing_below_it_and_nothing_without_a_number() {
    let world = World::new(5, 1);
    let engine = world.open();
    world.released.raise_floor(5);
    world.released.release(4, numbered(2));
    engine.sync().expect_err("below the floor");
    world.released.give(numbered(2));
    engine.sync().expect_err("without a number");
    let refused = world.lines("fetch.refused");
    let told: Vec<_> = refused.iter().map(|line| line.field("msg")).collect();
    assert_eq!(
        told,
        [
            "it is release 4, and none below 5 may run any more",
            "it has no number, and no release below 5 may run any more"
        ]
    );
    assert_eq!(version(&engine), 1);
    world.release(&engine, 6, 3);
}

/// What the program's own user puts there is not the source's to judge.
#[test]
fn what_has_no_number_is_gone_back_to_whatever_the_floor() {
    let world = World::new(5, 1);
    let engine = world.open();
    world.released.raise_floor(5);
    engine.offer(numbered(2)).expect("it is a module");
    world.release(&engine, 6, 3);
    engine.rollback().expect("somebody of the house offered it");
    assert_eq!((version(&engine), releases(&engine)[1]), (2, None));
}

#[test]
fn d3_what_is_stale_is_told_once_while_it_lasts() {
    let world = World::new(1, 1);
    let (builder, events) = world.builder().subscribe();
    let engine = builder.open().expect("it is a module");
    for seconds in 1..4 {
        world.released.say(FetchError::stale(format!("it expired {seconds} s ago")));
        let error = engine.sync().expect_err("nobody knows what is the newest");
        assert!(matches!(error.kind, ReloadErrorKind::Unreadable(_)), "{error:?}");
    }
    let stale = world.lines("detect.stale");
    assert_eq!(stale.len(), 1);
    let told = (stale[0].level.as_str(), stale[0].field("err"), stale[0].field("msg"));
    assert_eq!(told, ("WARN", "stale", "it expired 1 s ago"));
    let status = engine.status();
    let said = status.unreadable.as_ref().and_then(|error| error.fetch_error()).expect("told");
    assert_eq!(said.message, "it expired 1 s ago");
    assert!(status.to_string().contains("it expired 1 s ago"), "{status}");
    assert_eq!(version(&engine), 1);
    world.released.say(None);
    assert!(!engine.sync().expect("it is there again").is_swapped());
    assert_eq!(world.lines("detect.readable").len(), 1);
    assert!(engine.status().unreadable.is_none());
    let told: Vec<_> = events
        .try_iter()
        .filter(|event| matches!(event, Event::Stale { .. } | Event::Readable))
        .map(|event| matches!(event, Event::Stale { .. }))
        .collect();
    assert_eq!(told, [true, false]);
    // And another time.
    world.released.say(FetchError::stale("the clock is wrong"));
    engine.sync().expect_err("stale again");
    assert_eq!(world.lines("detect.stale").len(), 2);
}

#[test]
fn se_5_a_look_that_is_refused_is_told_once_for_each_reason_and_the_next_good_release_installs() {
    let world = World::new(1, 1);
    let engine = world.open();
    for reason in ["signed by nobody", "signed by nobody", "for another module"] {
        world.released.say(FetchError::refused(reason));
        engine.sync().expect_err("it is refused");
    }
    let refused = world.lines("fetch.refused");
    let told: Vec<_> = refused.iter().map(|line| line.field("msg")).collect();
    assert_eq!(told, ["signed by nobody", "for another module"]);
    assert!(world.lines("detect.unreadable").is_empty());
    assert_eq!(version(&engine), 1);
    world.released.say(None);
    world.release(&engine, 2, 2);
    assert!(engine.status().unreadable.is_none());
}

/// Nothing ran before, so that what is wrong is the answer to `open`.
#[test]
fn what_a_source_says_is_what_open_says() {
    let world = World::new(1, 1);
    let errors = [
        FetchError::unavailable("the cable is cut"),
        FetchError::refused("signed by nobody"),
        FetchError::stale("it expired"),
    ];
    for error in errors {
        let said = error.message.clone();
        world.released.say(error);
        let error = world.builder().open().expect_err("there is nothing to run");
        assert!(matches!(error.kind, OpenErrorKind::First(_)), "{error:?}");
        assert!(format!("{error:?}").contains(&*said), "{error:?}");
    }
}

/// A library whose load hook does this.
fn hooked(name: &str, body: &str) -> PathBuf {
    library(name, &prebuilt::source("hooked.rs").replace("BODY", body), Kind::Module)
}

/// Well signed is not well made: a release is judged like everything else, and put into quarantine, by the next process too.
#[test]
fn d22_a_bad_release_is_put_into_quarantine_and_the_next_one_installs() {
    let world = World::new(1, 1);
    let engine = world.open();
    let bad = [
        (2, hooked("crash_panics", "panic!(\"at load\")")),
        (3, hooked("crash_refuses", "Err(\"no\".to_owned())")),
    ];
    for (release, library) in &bad {
        world.released.release(*release, library);
        let error = engine.sync().expect_err("its hook says no");
        let ReloadErrorKind::Load(load) = &error.kind else { panic!("{error:?}") };
        assert!(matches!(load.kind, LoadErrorKind::Hook { .. }), "{error:?}");
        assert_eq!(version(&engine), 1);
    }
    let kept_out = world.lines("quarantine.add");
    assert!(kept_out.iter().all(|line| line.field("until") == "edited"));
    assert_eq!(kept_out.len(), 2);
    drop(engine);
    // A restart runs what served last, and says why.
    let engine = world.open();
    assert_eq!(version(&engine), 1);
    let why = world.lines("open.fallback").remove(0);
    assert_eq!(why.field("err"), "load.hook");
    world.release(&engine, 4, 2);
}

/// RB-1: a release that ends the program while it is being loaded is not what the next process begins with, nor the one after it.
#[test]
fn d22_rb_1_a_release_that_kills_the_program_is_not_tried_by_the_next() {
    const NAME: &str = "d22_rb_1_a_release_that_kills_the_program_is_not_tried_by_the_next";
    const PLACE: &str = "HOTSWAP_TESTS_PLACE";
    let bad = hooked("load_aborts", "std::process::abort()");
    let world = |place: &Path| World::at(2, bad.clone(), place);
    if is_isolated(NAME) {
        let place = PathBuf::from(std::env::var_os(PLACE).expect("the first process names it"));
        let world = world(&place);
        world.released.release(1, numbered(1));
        let engine = world.open();
        world.released.release(2, &bad);
        let _never = engine.sync();
        unreachable!("its load hook ends the process");
    }
    let directory = place();
    let killed = again(NAME, &[]).env(PLACE, directory.path()).output().expect("it starts");
    assert_eq!(killed.status.signal(), Some(libc::SIGABRT), "{killed:?}");
    let world = world(directory.path());
    for _ in 0..2 {
        let engine = world.open();
        assert_eq!(version(&engine), 1);
        let error = engine.sync().expect_err("it is in quarantine");
        assert!(error.to_string().contains("the program ended while it was being loaded"));
    }
    let why = world.lines("quarantine.add");
    let told: Vec<_> = why.iter().map(|line| (line.field("reason"), line.field("until"))).collect();
    assert_eq!(told, [("crashed", "edited")]);
    assert_eq!(world.lines("open.fallback")[0].field("err"), "crashed");
    let engine = world.open();
    world.release(&engine, 3, 2);
    assert!(trials(directory.path()).is_empty());
}

/// What is noted of releases that are being loaded.
fn trials(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.join("target/store/trials")).expect("made by the first");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

/// Whoever is at it lives: another process says nothing about it.
#[test]
fn d22_what_another_process_is_loading_is_not_bad() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.release(&engine, 2, 2);
    let fingerprint = engine.versions()[1].fingerprint.expect("of a library").to_string();
    drop(engine);
    let record = world.place.join("target/store/trials");
    let served = fs::read_dir(world.place.join("target/store/served")).expect("it served");
    let key = served.flatten().next().expect("one source").file_name();
    let key = key.to_string_lossy().replace(".json", "");
    let path = record.join(format!("{key}-{fingerprint}"));
    let seal = format!("{fingerprint}\n{}\n", Fingerprint::of(fingerprint.as_bytes()));
    fs::write(&path, &seal).expect("ours");
    let lock = fs::File::open(&path).expect("ours");
    lock.lock().expect("nobody has it");
    world.open().sync().expect("it may run");
    assert!(world.lines("quarantine.add").is_empty() && path.exists());
    drop(lock);
    let error = world.open().sync().expect_err("whoever loaded it is gone");
    assert!(matches!(error.kind, ReloadErrorKind::Quarantined { .. }), "{error:?}");
    // What was never whole was never loaded.
    world.released.release(3, numbered(3));
    fs::write(record.join(format!("{key}-torn")), &seal[..30]).expect("ours");
    assert_eq!(version(&world.open()), 3);
    assert!(trials(&world.place).is_empty());
}

/// RB-7: the host finds that a release is bad, goes back, and the next process stays there, whatever lies in the source.
#[test]
fn d22_what_was_rolled_back_stays_away_after_a_restart_without_its_source() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.release(&engine, 2, 2);
    engine.rollback().expect("it is mapped");
    drop(engine);
    let engine = world.open();
    assert_eq!(version(&engine), 1);
    drop(engine);
    world.released.say(FetchError::unavailable("down"));
    let engine = world.open();
    assert_eq!(version(&engine), 1);
    world.released.say(None);
    world.release(&engine, 3, 3);
}

/// What was checked lies in a file until it is loaded, and somebody puts another in its place.
#[test]
fn se_3_what_takes_the_place_of_what_was_signed_is_not_loaded() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.released.put_instead(numbered(3));
    world.released.release(2, numbered(2));
    for _ in 0..2 {
        let error = engine.sync().expect_err("it is not what was signed");
        assert!(chain(&error).contains("replaced after it was checked"), "{error:?}");
        assert_eq!(version(&engine), 1);
    }
    // The same release is fetched once more, and is what was signed.
    world.released.put_instead(None);
    assert!(engine.sync().expect("it is right").is_swapped());
    assert_eq!(version(&engine), 2);
}

#[test]
fn d23_whoever_clears_the_quarantine_is_named() {
    let world = World::new(1, 1);
    let engine = world.open();
    world.release(&engine, 2, 2);
    engine.rollback().expect("it is mapped");
    assert_eq!(engine.clear_quarantine(), 1);
    let lines = world.lines("quarantine.clear");
    assert_eq!(lines.iter().map(|line| line.field("by")).collect::<Vec<_>>(), ["api"]);
}
