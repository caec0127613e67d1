//! Row SW-5, its second half: what is under way is ended before its commit, and the version before stays.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hotswap_engine::audit::{Finding, FindingKind, Outcome, trail, verify};
use hotswap_engine::{
    AbortErrorKind, Engine, EngineBuilder, Event, OpenErrorKind, ReloadError, ReloadErrorKind,
    Stage, StopSignal, Verdict, VersionState,
};
use hotswap_system::clock;
use hotswap_tests::deadline::{PATIENCE, event, receive, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::place::{Before, Place};
use hotswap_tests::{isolated, prebuilt};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("the current version answers")
}

/// Asks on a thread of its own; the answer.
fn asking(
    engine: &Engine,
    ask: impl FnOnce(&Engine) -> Result<Verdict, ReloadError> + Send + 'static,
) -> Receiver<Result<Verdict, ReloadError>> {
    let (tell, told) = bounded(1);
    let engine = engine.clone();
    thread::spawn(move || tell.send(ask(&engine)));
    told
}

fn is_aborted(answer: &Result<Verdict, ReloadError>) {
    let error = answer.as_ref().expect_err("it was aborted");
    assert!(matches!(error.kind, ReloadErrorKind::Aborted), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "it was aborted before it became current; {} stays current",
            error.current.expect("one")
        )
    );
}

/// Whatever was announced ended, as the log tells.
fn everything_has_an_outcome(log: &Path) {
    let findings = verify(log).expect("readable").findings;
    let open = |finding: &Finding| matches!(finding.kind, FindingKind::Unfinished { .. });
    assert!(!findings.iter().any(open), "{findings:#?}");
}

/// Nothing is under way: it is said, and changes nothing.
fn is_at_rest(engine: &Engine) {
    let before = engine.version();
    let error = engine.abort().expect_err("nothing is under way");
    assert_eq!(error.kind, AbortErrorKind::NothingUnderWay);
    assert!(error.to_string().contains("rollback() leaves what is current already"), "{error}");
    assert_eq!(engine.version(), before);
}

/// A place whose builds but the first block until they are stopped, or let go.
struct Blocking {
    place: Place,
    engine: Engine,
    begun: Receiver<()>,
}

impl Blocking {
    fn open() -> Self {
        Self::open_with(|builder| builder)
    }

    fn open_with(set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let place = Place::new();
        let (begin, begun) = unbounded();
        let mut builds = 0;
        let before = move |stop: &StopSignal| {
            builds += 1;
            if builds > 1 {
                begin.send(()).expect("the test waits");
            }
            if builds == 2 {
                assert!(stop.channel().recv_timeout(PATIENCE).is_err());
                assert!(stop.is_stopped(), "it was aborted");
            }
        };
        let backend = Before { before, compiler: place.compiler() };
        let engine = set(place.engine().backend(backend)).open().expect("opens");
        Self { place, engine, begun }
    }
}

#[test]
fn sw_5_abort_before_commit_returns_to_the_old_version() {
    let Blocking { place, engine, begun } = Blocking::open();
    is_at_rest(&engine);
    let events = engine.subscribe();
    place.edit(2);
    let answer = asking(&engine, Engine::sync);
    receive(&begun, "the build");
    let aborted = engine.abort().expect("a build is under way");
    assert_eq!(aborted.changes.len(), 1);
    assert_eq!(aborted.changes[0].stage, Stage::Building);
    let fingerprint = aborted.changes[0].fingerprint.expect("it was looked at").to_string();
    assert_eq!(
        aborted.to_string(),
        format!("aborted the build ({}); v1 stays current", &fingerprint[..12])
    );
    is_aborted(&receive(&answer, "a verdict"));
    assert_eq!((version(&engine), engine.status().swap_count), (1, 0));
    event(&events, "a refusal", |event| match event {
        Event::Refused { error } => matches!(error.kind, ReloadErrorKind::Aborted).then_some(()),
        _ => None,
    });
    is_at_rest(&engine);
    // One change, one id; what was announced has an outcome.
    let told = place.lines("swap.abort").remove(0);
    assert_eq!(told.field("err"), "aborted");
    let tx = told.field("tx").to_owned();
    let quarantine = place.lines("quarantine.add").remove(0);
    assert_eq!((quarantine.field("tx"), quarantine.field("reason")), (&*tx, "aborted"));
    assert_eq!(quarantine.field("fp"), format!("sha1:{fingerprint}"));
    assert_eq!(place.lines("build.cancel").remove(0).field("tx"), tx);
    let trail = trail(place.log()).expect("readable");
    let change = trail.changes.iter().find(|change| change.tx == tx).expect("told");
    assert!(matches!(&change.outcome, Outcome::Refused { code, .. } if code == "aborted"));
    everything_has_an_outcome(&place.log());
    // It is not tried again, asked or taken back and done again ..
    is_aborted(&engine.reload());
    place.edit(1);
    assert!(engine.sync().is_ok_and(|verdict| !verdict.is_swapped()));
    place.edit(2);
    is_aborted(&engine.sync());
    assert_eq!(place.lines("quarantine.hit").remove(0).field("reason"), "aborted");
    assert!(begun.is_empty(), "nothing was built");
    // .. until it changes,
    place.edit(3);
    engine.sync().expect("it is another");
    assert_eq!(version(&engine), 3);
    // or somebody clears it.
    place.edit(2);
    is_aborted(&engine.sync());
    assert_eq!(engine.clear_quarantine(), 1);
    assert!(engine.reload().is_ok_and(|verdict| verdict.is_swapped()));
    assert_eq!(version(&engine), 2);
}

#[test]
fn sw_5_a_settle_is_aborted() {
    const NAME: &str = "sw_5_a_settle_is_aborted";
    isolated(NAME, || {
        let place = Place::new();
        let engine = place.engine().open().expect("opens");
        // From here on nothing stands still for long enough.
        let clock = clock::step_by_hand();
        place.edit(2);
        let answer = asking(&engine, Engine::sync);
        assert!(clock.wait_for_timer_in("watch/settle.rs", PATIENCE));
        let aborted = engine.abort().expect("it settles");
        assert_eq!(aborted.changes[0].stage, Stage::Settling);
        is_aborted(&receive(&answer, "a verdict"));
        drop(clock);
        assert_eq!(version(&engine), 1);
        assert!(place.lines("detect.settled").len() == 1 && place.lines("build.cancel").is_empty());
        is_aborted(&engine.reload());
        place.edit(3);
        engine.sync().expect("it is another");
        assert_eq!(version(&engine), 3);
    });
}

/// A module whose hook asks the host function `allowed`, which says that it is asked and waits at a gate.
fn hooked() -> PathBuf {
    let body = r#"hotswap_module::host().call_with::<bool>("allowed", ()).map(drop).map_err(|e| e.to_string())"#;
    let source = prebuilt::source("hooked.rs").replace("BODY", body);
    prebuilt::library("hooked_aborted", &source, prebuilt::Kind::Module)
}

/// A builder whose `allowed` tells when it is called and returns when the gate is dropped.
fn gated(builder: EngineBuilder) -> (EngineBuilder, Receiver<()>, Sender<()>) {
    let (gate, gated) = bounded::<()>(0);
    let (asked, is_asked) = unbounded();
    let builder = builder.provide("allowed", move || {
        // The test may be over.
        let _ = asked.send(());
        gated.recv().is_err()
    });
    (builder, is_asked, gate)
}

#[test]
fn sw_5_a_load_hook_is_left_behind() {
    const NAME: &str = "sw_5_a_load_hook_is_left_behind";
    isolated(NAME, || {
        let place = Place::new();
        let library = |number| if number == 2 { hooked() } else { prebuilt::numbered(number) };
        let builder = place.engine().backend(place.compiler().giving(library));
        let (builder, is_asked, gate) = gated(builder);
        let engine = builder.open().expect("opens");
        place.edit(2);
        let answer = asking(&engine, Engine::sync);
        receive(&is_asked, "the hook");
        // The swapper is in the hook, and is not asked.
        let aborted = engine.abort().expect("a hook runs");
        assert_eq!(aborted.changes[0].stage, Stage::LoadHook);
        is_aborted(&receive(&answer, "a verdict"));
        assert_eq!(version(&engine), 1);
        let states: Vec<_> = engine.versions().iter().map(|version| version.state).collect();
        assert_eq!(states, [VersionState::Current], "what was aborted is no version");
        assert!(!executable_mappings("/stage/").is_empty(), "code that runs is never unmapped");
        everything_has_an_outcome(&place.log());
        is_aborted(&engine.reload());
        assert!(is_asked.is_empty(), "it was not loaded again");
        // Another newcomer is judged by itself.
        place.edit(3);
        engine.sync().expect("it is another");
        assert_eq!(version(&engine), 3);
        drop(gate);
        until("the hook's code is unmapped", || place.lines("load.undone").len() == 1);
        // Allowed at last.
        place.edit(2);
        is_aborted(&engine.sync());
        assert_eq!(engine.clear_quarantine(), 1);
        assert!(engine.reload().is_ok_and(|verdict| verdict.is_swapped()));
    });
}

/// Who offered is told; a library from elsewhere is offered again as if nothing had been.
#[test]
fn sw_5_an_offer_is_aborted_and_may_be_made_again() {
    let (builder, is_asked, gate) = gated(prebuilt::engine(&prebuilt::numbered(1)));
    let engine = builder.open().expect("opens");
    let answer = asking(&engine, |engine| engine.offer(hooked()));
    receive(&is_asked, "the hook");
    let aborted = engine.abort().expect("a hook runs");
    assert!(aborted.changes[0].fingerprint.is_some());
    is_aborted(&receive(&answer, "a verdict"));
    is_at_rest(&engine);
    drop(gate);
    engine.offer(hooked()).expect("it is judged again");
    assert_eq!(version(&engine), 2);
    // It is current: the way back is another.
    is_at_rest(&engine);
    engine.rollback().expect("it is known");
    assert_eq!(version(&engine), 1);
}

/// A version that is loaded again for a rollback is aborted as any other, and nothing is quarantined.
#[test]
fn sw_5_a_rollback_that_loads_is_aborted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let (gate, gated) = bounded::<()>(0);
    let (asked, is_asked) = unbounded();
    let engine = prebuilt::engine(&prebuilt::numbered(1))
        .log_file(&log)
        .provide("allowed", move || {
            asked.send(()).expect("the test waits");
            // The test lets the first and the third through.
            gated.recv().is_ok()
        })
        .open()
        .expect("opens");
    let let_in = |answer: Receiver<Result<Verdict, ReloadError>>| {
        receive(&is_asked, "the hook");
        gate.send(()).expect("the hook waits");
        receive(&answer, "a verdict").expect("it is let in");
        assert_eq!(version(&engine), 2);
    };
    let_in(asking(&engine, |engine| engine.offer(hooked())));
    engine.offer(prebuilt::numbered(3)).expect("swaps");
    let replaced = engine.versions().remove(1);
    assert_eq!(replaced.state, VersionState::Unloaded, "it has to be loaded again");
    let back = |engine: &Engine| asking(engine, move |engine| engine.rollback_to(replaced.id));
    let answer = back(&engine);
    receive(&is_asked, "the hook");
    let aborted = engine.abort().expect("a hook runs");
    assert_eq!(aborted.changes[0].stage, Stage::LoadHook);
    is_aborted(&receive(&answer, "a verdict"));
    assert_eq!(version(&engine), 3);
    assert_eq!(engine.clear_quarantine(), 0);
    // Its own hook, of which nobody wants an answer any more.
    gate.send(()).expect("the hook waits");
    everything_has_an_outcome(&log);
    let_in(back(&engine));
}

/// Either it was aborted, and everybody is told so, or it became current, and nobody is.
#[test]
fn sw_5_an_abort_that_races_with_the_commit_is_one_or_the_other() {
    const ROUNDS: u64 = 200;
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let _built = prebuilt::numbered(2);
    let mut aborted_count = 0;
    for _ in 0..ROUNDS {
        let before = version(&engine);
        let answer = asking(&engine, move |engine| engine.offer(prebuilt::numbered(3 - before)));
        let (mut is_aborted, mut verdict) = (false, None);
        while verdict.is_none() {
            is_aborted |= engine.abort().is_ok();
            verdict = answer.try_recv().ok();
        }
        match verdict.expect("waited for") {
            Ok(_) => assert!(!is_aborted && version(&engine) == 3 - before),
            Err(error) => {
                assert!(matches!(error.kind, ReloadErrorKind::Aborted), "{error}");
                assert!(is_aborted && version(&engine) == before);
            }
        }
        aborted_count += u64::from(is_aborted);
    }
    assert!(aborted_count > 0, "an offer takes longer than it takes to abort it");
}

/// What was built and waits for `resume` is dropped.
#[test]
fn sw_5_what_waits_for_resume_is_aborted() {
    let place = Place::new();
    let engine = place.engine().open().expect("opens");
    engine.pause();
    place.edit(2);
    let error = engine.sync().expect_err("it waits");
    assert!(matches!(error.kind, ReloadErrorKind::Paused), "{error}");
    let aborted = engine.abort().expect("it waits");
    assert_eq!(aborted.changes[0].stage, Stage::Waiting);
    engine.resume();
    assert_eq!(version(&engine), 1);
    is_aborted(&engine.reload());
    is_at_rest(&engine);
    assert_eq!(engine.clear_quarantine(), 1);
    // Nothing is under way before it is asked for.
    is_at_rest(&engine);
    assert!(engine.reload().is_ok_and(|verdict| verdict.is_swapped()));
}

/// Something newer is built while a hook runs: all of it ends.
#[test]
fn sw_5_all_that_is_under_way_ends() {
    const NAME: &str = "sw_5_all_that_is_under_way_ends";
    isolated(NAME, || {
        let place = Place::new();
        let (begin, begun) = unbounded();
        let mut builds = 0;
        let before = move |stop: &StopSignal| {
            builds += 1;
            if builds == 3 {
                begin.send(()).expect("the test waits");
                assert!(stop.channel().recv_timeout(PATIENCE).is_err());
            }
        };
        let library = |number| if number == 2 { hooked() } else { prebuilt::numbered(number) };
        let backend = Before { before, compiler: place.compiler().giving(library) };
        let (builder, is_asked, _gate) = gated(place.engine().backend(backend));
        let builder = builder.poll_every(Duration::from_millis(1));
        let engine = builder.open().expect("opens");
        place.edit(2);
        receive(&is_asked, "the hook");
        place.edit(3);
        receive(&begun, "the build of what is newer");
        let aborted = engine.abort().expect("two changes are under way");
        let stages: Vec<_> = aborted.changes.iter().map(|change| change.stage).collect();
        assert_eq!(stages, [Stage::LoadHook, Stage::Building]);
        assert_eq!(version(&engine), 1);
        assert_eq!(place.lines("quarantine.add").len(), 2);
        is_at_rest(&engine);
    });
}

/// It works from inside a call; in a hook it is an error, at once.
#[test]
fn sw_5_abort_from_a_call_and_from_a_hook() {
    let slot: Arc<OnceLock<Engine>> = Arc::default();
    let inside = Arc::clone(&slot);
    let (tell, told) = unbounded();
    let Blocking { place, engine, begun } = Blocking::open_with(|builder| {
        builder.provide("aborts", move || {
            let answer = inside.get().expect("set").abort().map_err(|error| error.kind);
            tell.send(answer.map(|aborted| aborted.changes[0].stage)).expect("the test waits");
        })
    });
    slot.set(engine.clone()).expect("once");
    place.edit(2);
    let answer = asking(&engine, Engine::sync);
    receive(&begun, "the build");
    assert_eq!(engine.call_with::<u64>("after", ("aborts",)), Ok(1));
    assert_eq!(receive(&told, "an answer"), Ok(Stage::Building));
    is_aborted(&receive(&answer, "a verdict"));
    let body = r#"hotswap_module::host().call_with::<()>("aborts", ()).map_err(|e| e.to_string())"#;
    let source = prebuilt::source("hooked.rs").replace("BODY", body);
    let library = prebuilt::library("hooked_aborts", &source, prebuilt::Kind::Module);
    engine.offer(library).expect("its hook lets it in");
    assert_eq!(receive(&told, "an answer"), Err(AbortErrorKind::FromHook));
}

/// The very first build, of which only who opens has the engine, is aborted by the control socket.
#[test]
fn sw_5_the_control_socket_aborts_the_first_build() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    let place = Place::new();
    let (begin, begun) = unbounded();
    let before = move |stop: &StopSignal| {
        begin.send(()).expect("the test waits");
        assert!(stop.channel().recv_timeout(PATIENCE).is_err());
    };
    let backend = Before { before, compiler: place.compiler() };
    let socket = place.log().with_file_name("game.sock");
    let opening = place.engine().backend(backend).control(&socket).start().expect("starts");
    receive(&begun, "the build");
    let mut stream = UnixStream::connect(&socket).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
        .write_all(b"{\"command\": \"abort\", \"reason\": \"wrong branch\"}\n")
        .expect("somebody reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["ok"]["aborted"][0]["stage"], "build");
    assert!(
        answer["ok"]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("aborted the build ("))
    );
    let error = opening.wait().expect_err("there is no version");
    let OpenErrorKind::First(error) = error.kind else { panic!("{error}") };
    assert!(matches!(error.kind, ReloadErrorKind::Aborted), "{error}");
    let line = place.lines("manual.request").remove(0);
    assert_eq!((line.field("command"), line.field("reason")), ("abort", "wrong branch"));
}
