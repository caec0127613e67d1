//! What panics or blocks inside the library reaches no caller: it is told, and started over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_engine::{Engine, Event, ReloadError, ReloadErrorKind, StopSignal, VersionState};
use hotswap_system::clock;
use hotswap_system::fault::{self, Fault, Manner, Operation, Site, Times, Watching};
use hotswap_tests::deadline::{PATIENCE, event, until, within};
use hotswap_tests::place::{Before, Place};
use hotswap_tests::{is_isolated, isolated, maps, prebuilt};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("the current version answers")
}

/// The next swap, whoever asked for it.
fn swapped(events: &Receiver<Event>) {
    event(events, "a swap", |event| matches!(event, Event::Swapped { .. }).then_some(()));
}

fn refusal(error: &ReloadError) -> String {
    assert!(error.current.is_some(), "a version stays current: {error}");
    error.to_string()
}

/// The step of this kind that the product takes in this file.
fn site(watching: &Watching, operation: Operation, file: &str) -> Site {
    let passed = watching.passed();
    let found = passed.keys().find(|site| site.operation == operation && site.file.ends_with(file));
    *found.unwrap_or_else(|| panic!("no {operation:?} in {file}: {passed:#?}"))
}

fn panicking(site: Site, times: Times) -> Fault {
    Fault { site, times, manner: Manner::Panic }
}

#[test]
fn a_backend_that_panics_is_tried_again_without_being_asked() {
    let place = Place::new();
    let builds = AtomicU64::new(0);
    let before = move |_: &StopSignal| {
        // Relaxed: one thread at a time builds.
        assert_ne!(builds.fetch_add(1, Ordering::Relaxed), 1, "the second build");
    };
    let backend = Before { before, compiler: place.compiler() };
    let engine = place.engine().backend(backend).open().expect("opens");
    let events = engine.subscribe();
    place.edit(2);
    let error = engine.sync().expect_err("it panics");
    let text = refusal(&error);
    assert!(text.contains("the build backend panicked: "), "{text}");
    assert!(text.contains("the second build"), "{text}");
    assert_eq!(version(&engine), 1);
    swapped(&events);
    assert_eq!(version(&engine), 2);
    assert_eq!(place.lines("build.fail").len(), 1);
}

/// Lets time pass for whoever waits, until `work` is done.
fn pumped<T: Send + 'static>(
    clock: &clock::Stepped,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = bounded(1);
    std::thread::spawn(move || {
        // The receiver is gone only when the test has failed already.
        let _ = done.send(work());
    });
    let mut found = None;
    until("the work is done while time passes", || {
        found = result.try_recv().ok();
        if found.is_none() {
            clock.advance_to_next();
        }
        found.is_some()
    });
    found.expect("waited for")
}

/// A backend that neither builds nor ends is left behind; the engine goes on, also to its end.
#[test]
fn a_backend_that_blocks_holds_up_nobody() {
    const NAME: &str = "a_backend_that_blocks_holds_up_nobody";
    isolated(NAME, || {
        let place = Place::new();
        let (block, blocked): (Sender<()>, Receiver<()>) = bounded(0);
        let is_blocking = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_blocking);
        let before = move |_: &StopSignal| {
            if asked.load(Ordering::SeqCst) {
                // Ends when the test drops the sender, and for nothing else.
                let _ended = blocked.recv();
            }
        };
        let backend = Before { before, compiler: place.compiler() };
        let builder = place.engine().backend(backend);
        let engine = builder.build_deadline(Duration::from_secs(100)).open().expect("opens");
        // From here on no build is meant to end: time may pass at once.
        let clock = clock::step_by_hand();
        is_blocking.store(true, Ordering::SeqCst);
        place.edit(2);
        let asking = engine.clone();
        let error = pumped(&clock, move || asking.sync()).expect_err("it does not end");
        let text = refusal(&error);
        assert!(text.contains("told to end and has not"), "{text}");
        assert_eq!(version(&engine), 1);
        // Once more: the backend is away still.
        let asking = engine.clone();
        let error = pumped(&clock, move || asking.reload()).expect_err("it has not ended");
        assert!(refusal(&error).contains("told to end and has not"), "{error}");
        drop(clock);
        is_blocking.store(false, Ordering::SeqCst);
        drop(block);
        // It waits for the backend to come back.
        engine.reload().expect("it builds");
        assert_eq!(version(&engine), 2);
    });
}

/// The engine's end waits for nobody for ever.
#[test]
fn an_engine_ends_while_its_backend_blocks() {
    const NAME: &str = "an_engine_ends_while_its_backend_blocks";
    isolated(NAME, || {
        let place = Place::new();
        let (block, blocked): (Sender<()>, Receiver<()>) = bounded(0);
        let (begun, building) = bounded(10);
        let builds = AtomicU64::new(0);
        let before = move |_: &StopSignal| {
            if builds.fetch_add(1, Ordering::SeqCst) == 1 {
                begun.send(()).expect("the test waits");
                let _ended = blocked.recv();
            }
        };
        let backend = Before { before, compiler: place.compiler() };
        let engine = place.engine().backend(backend).open().expect("opens");
        place.edit(2);
        engine.wake();
        hotswap_tests::deadline::receive(&building, "the build");
        within(PATIENCE, "the end of the engine", move || drop(engine));
        assert_eq!(maps::executable_mappings("/stage/"), Vec::<String>::new());
        drop(block);
        until("its thread has ended", || {
            !maps::thread_names().iter().any(|name| name.starts_with("hotswap-"))
        });
    });
}

#[test]
fn a_monitor_that_panics_answers_and_starts_over() {
    const NAME: &str = "a_monitor_that_panics_answers_and_starts_over";
    isolated(NAME, || {
        let place = Place::new();
        let watching = fault::watch();
        let engine = place.engine().open().expect("opens");
        let events = engine.subscribe();
        let scan = site(&watching, Operation::Stat, "monitor/src/scan/file_hashes.rs");
        watching.inject(panicking(scan, Times::Once(0)));
        place.edit(2);
        let error = engine.sync().expect_err("the look panicked");
        assert!(matches!(error.kind, ReloadErrorKind::Panicked { .. }), "{error:?}");
        let text = refusal(&error);
        assert!(
            text.contains("a defect: injected: Stat at monitor/src/scan/file_hashes.rs"),
            "{text}"
        );
        assert_eq!(version(&engine), 1);
        // Nobody asks: it looks again by itself.
        swapped(&events);
        assert_eq!(version(&engine), 2);
        let told = place.lines("monitor.panic");
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].field("restart_ms"), told[0].field("err")), ("100", "panic"));
    });
}

/// Bounded: after ten new starts in a row it waits until somebody asks.
#[test]
fn a_monitor_that_panics_every_time_waits_to_be_asked() {
    const NAME: &str = "a_monitor_that_panics_every_time_waits_to_be_asked";
    isolated(NAME, || {
        let place = Place::new();
        let watching = fault::watch();
        let engine = place.engine().open().expect("opens");
        let clock = clock::step_by_hand();
        let scan = site(&watching, Operation::Stat, "monitor/src/scan/file_hashes.rs");
        watching.inject(panicking(scan, Times::From(0)));
        place.edit(2);
        engine.wake();
        until("it gave up", || {
            clock.advance_to_next();
            let told = place.lines("monitor.panic");
            told.last().is_some_and(|line| line.field("restart_ms").is_empty())
        });
        let delays: Vec<_> = place.lines("monitor.panic");
        assert_eq!(delays.len(), 11);
        assert_eq!(
            (delays[1].field("restart_ms"), delays[9].field("restart_ms")),
            ("200", "51200")
        );
        assert_eq!(version(&engine), 1);
        assert!(watching.heal() >= 11);
        drop(clock);
        engine.reload().expect("it looks when it is asked");
        assert_eq!(version(&engine), 2);
    });
}

#[test]
fn a_swap_that_panics_is_refused_and_tried_again_without_being_asked() {
    const NAME: &str = "a_swap_that_panics_is_refused_and_tried_again_without_being_asked";
    isolated(NAME, || {
        let place = Place::new();
        let watching = fault::watch();
        let engine = place.engine().open().expect("opens");
        let events = engine.subscribe();
        let publish = site(&watching, Operation::Pass, "engine/src/swapper/supervise.rs");
        watching.inject(panicking(publish, Times::Once(0)));
        place.edit(2);
        let error = engine.sync().expect_err("the swap panicked");
        assert!(refusal(&error).contains("a panic while it was judged"), "{error}");
        assert_eq!(version(&engine), 1);
        swapped(&events);
        assert_eq!(version(&engine), 2);
        assert_eq!(place.lines("load.undone").len(), 1, "what was loaded is gone again");
    });
}

/// A panic in the middle of a request: who asked is told, and the next request is served.
#[test]
fn a_swapper_that_panics_tells_who_waits_and_goes_on() {
    const NAME: &str = "a_swapper_that_panics_tells_who_waits_and_goes_on";
    isolated(NAME, || {
        let place = Place::new();
        let engine = place.engine().open().expect("opens");
        let watching = fault::watch();
        engine.offer(prebuilt::numbered(2)).expect("a module");
        let read = site(&watching, Operation::Open, "engine/src/stage.rs");
        watching.inject(panicking(read, Times::Once(0)));
        let error = engine.offer(prebuilt::numbered(3)).expect_err("it panicked");
        assert!(matches!(error.kind, ReloadErrorKind::Panicked { .. }), "{error:?}");
        assert_eq!(version(&engine), 2);
        assert_eq!(place.lines("swapper.panic").len(), 1);
        engine.offer(prebuilt::numbered(3)).expect("a module");
        assert_eq!(version(&engine), 3);
    });
}

#[test]
fn a_version_whose_unloading_panics_counts_as_mapped() {
    const NAME: &str = "a_version_whose_unloading_panics_counts_as_mapped";
    isolated(NAME, || {
        let place = Place::new();
        let watching = fault::watch();
        let engine = place.engine().keep_versions(0).open().expect("opens");
        engine.offer(prebuilt::numbered(2)).expect("a module");
        let close = site(&watching, Operation::Unload, "engine/src/image.rs");
        watching.inject(panicking(close, Times::Once(0)));
        engine.offer(prebuilt::numbered(3)).expect("a module");
        assert_eq!(version(&engine), 3);
        let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
        assert_eq!(states, [VersionState::Unloaded, VersionState::Pinned, VersionState::Current]);
        let told = place.lines("version.pinned");
        assert!(told[0].field("msg").starts_with("closing it panicked: injected"), "{told:?}");
    });
}

/// A logger of the host that does not return, until it is told to.
struct Blocking(Receiver<()>);

impl log::Log for Blocking {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "hotswap" {
            // The sender is dropped when the test wants it to go on.
            let _ended = self.0.recv();
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_that_blocks_holds_up_no_swap() {
    const NAME: &str = "a_logger_that_blocks_holds_up_no_swap";
    isolated(NAME, || {
        let (block, blocked) = bounded(0);
        log::set_logger(Box::leak(Box::new(Blocking(blocked)))).expect("the first logger");
        log::set_max_level(log::LevelFilter::Trace);
        let place = Place::new();
        let engine = place.engine().open().expect("opens");
        for number in [2, 3] {
            place.edit(number);
            engine.sync().expect("swapped, without a line");
            assert_eq!(version(&engine), number);
        }
        // It holds up no line of the file either.
        assert_eq!(place.lines("swap.commit").len(), 3);
        assert_eq!(engine.status().lost_log_lines, 0);
        drop(block);
    });
}

/// It hangs while the engine ends: the end comes all the same.
#[test]
fn an_engine_ends_while_its_logger_blocks() {
    const NAME: &str = "an_engine_ends_while_its_logger_blocks";
    isolated(NAME, || {
        let (block, blocked) = bounded(0);
        log::set_logger(Box::leak(Box::new(Blocking(blocked)))).expect("the first logger");
        log::set_max_level(log::LevelFilter::Trace);
        let engine = prebuilt::engine(Path::new(&prebuilt::numbered(1))).open().expect("opens");
        assert_eq!(version(&engine), 1);
        within(PATIENCE, "the end of the engine", move || drop(engine));
        drop(block);
        assert!(is_isolated(NAME));
    });
}
