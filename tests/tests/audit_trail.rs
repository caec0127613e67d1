//! What a log tells of the changes that it is about, and of what runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hotswap_engine::audit::{
    Built, Change, Finding, FindingKind, Outcome, RunState, story, trail, verify,
};
use hotswap_engine::{Engine, VersionState};
use hotswap_tests::counted::{builder, counted, counted_with};
use hotswap_tests::fault_world::FaultWorld;
use hotswap_tests::{CrateFixture, prebuilt, versioned};

/// Looks, and waits until everything about what was found is written.
fn look(engine: &Engine) {
    let _either = engine.sync();
    let _as_before = engine.sync();
}

#[test]
fn each_change_is_told_from_its_source_to_what_became_of_it() {
    let world = FaultWorld::new();
    let engine = world.engine().name("told").open().expect("opens");
    look(&engine);
    let second = world.edit(2);
    look(&engine);
    world.edit_text("broken\n");
    look(&engine);
    // Taken back, in other words: what was built before is found, and runs already.
    world.edit_text(&(second + "// and a comment\n"));
    look(&engine);
    let guard = engine.pin();
    engine.offer(prebuilt::numbered(3)).expect("swaps");
    engine.offer(world.path("nothing.so")).expect_err("there is none");
    engine.pause();
    world.edit(1);
    engine.sync().expect_err("swaps are paused");
    drop(guard);
    drop(engine);

    let trail = trail(world.log()).expect("readable");
    let outcomes: Vec<&Outcome> = trail.changes.iter().map(|change| &change.outcome).collect();
    let expected = [
        "Current { from: None, to: 1,",
        "Current { from: Some(1), to: 2,",
        "NotBuilt { message: \"source.rs:1:1: not a version\" }",
        "Same { version: 2 }",
        "Current { from: Some(2), to: 3,",
        "Refused { code: \"load.file\", message: \"cannot read ",
        "Paused",
    ];
    assert_eq!(outcomes.len(), expected.len(), "{outcomes:#?}");
    for (outcome, expected) in outcomes.iter().zip(expected) {
        let told = format!("{outcome:?}");
        assert!(told.starts_with(expected), "{told}, expected {expected}");
    }
    let change = |index: usize| -> &Change { &trail.changes[index] };
    assert!(trail.changes.iter().all(|change| change.engine == "told"));
    assert!(matches!(change(1).built, Some(Built::Compiled(_))), "{:?}", change(1));
    assert_eq!(change(4).built, Some(Built::Offered));
    assert_eq!(change(1).trigger.as_deref(), Some("manual"));
    assert_eq!(change(1).cause.as_deref(), Some("source.rs"));
    assert_eq!(change(4).trigger.as_deref(), Some("offer"));
    assert_eq!(change(2).current_before, Some(2));
    assert!(change(1).fingerprint.as_deref().is_some_and(|text| text.starts_with("sha1:")));
    assert_eq!(change(1).content.as_deref().map(str::len), Some(64));
    let Outcome::Current { drained_after, calls, .. } = change(1).outcome else { panic!() };
    assert!(drained_after.is_some() && calls == 0, "nobody was in it");

    // The whole story of one, with the end of what it replaced.
    let lines = story(world.log(), &change(1).tx).expect("readable");
    assert_eq!(lines.first().map(|line| line.event.as_str()), Some("detect.change"));
    assert_eq!(lines.last().map(|line| line.event.as_str()), Some("version.unloaded"));
    assert!(lines.iter().any(|line| line.event == "swap.commit"));

    // What ran, and that it ended.
    let [run] = &trail.engines[..] else { panic!("{:#?}", trail.engines) };
    assert!(matches!(run.state, RunState::Stopped(_)), "{run:#?}");
    assert_eq!(run.pid, Some(std::process::id()));
    let states: Vec<_> = run.versions.iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Unloaded; 3]);
    assert_eq!(run.versions[2].tx, change(4).tx);
}

/// The current version is told from the log alone, by any process, while the engine runs.
#[test]
fn what_runs_is_told_by_the_log_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let open = |name: &str| {
        prebuilt::engine(&prebuilt::numbered(1)).name(name).log_file(&log).open().expect("opens")
    };
    let (first, second) = (open("first"), open("second"));
    second.offer(prebuilt::numbered(2)).expect("swaps");
    let current = || -> Vec<(String, u64, RunState)> {
        let trail = trail(&log).expect("readable");
        let runs = trail.engines.iter().map(|run| {
            let current = run.versions.iter().filter(|one| one.state == VersionState::Current);
            (run.engine.clone(), current.map(|one| one.version).sum(), run.state)
        });
        runs.collect()
    };
    let running = RunState::Running;
    assert_eq!(current(), [("first".to_owned(), 1, running), ("second".to_owned(), 2, running)]);
    drop(first);
    let told = current();
    assert!(matches!(told[0].2, RunState::Stopped(_)), "{told:?}");
    assert_eq!(told[1], ("second".to_owned(), 2, running));
}

/// From the number of a version to the very files that it was built from, and what the compiler said of them.
#[test]
fn au_2_a_version_leads_to_its_source_its_files_and_its_build_log() {
    let unused = |number| versioned(number).replace("{\n    ", "{\n    let unused = 7;\n    ");
    let fixture = CrateFixture::new("reported", &unused(1));
    let log = fixture.path().join("hotswap.log");
    let engine = fixture.engine().log_file(&log).open().expect("builds");
    fixture.edit(&versioned(2));
    engine.sync().expect("builds");
    let versions = engine.versions();
    let engine_reports: Vec<PathBuf> =
        versions.iter().map(|version| version.report.clone().expect("it was built here")).collect();
    // The monitor writes the last of them after the swap, and ends after that.
    drop(engine);
    let trail = trail(&log).expect("readable");
    let run = trail.engines.last().expect("one was opened");
    for (told, (version, path)) in run.versions.iter().zip(versions.iter().zip(engine_reports)) {
        assert_eq!(told.report.as_deref(), path.to_str());
        let text = fs::read_to_string(&path).expect("it was written");
        let fingerprint = version.fingerprint.expect("it was built");
        assert!(text.starts_with("# source "), "{text}");
        assert!(
            text.lines().next().is_some_and(|line| line.ends_with(&format!("sha1:{fingerprint}")))
        );
        assert!(text.contains(&version.content.expect("it was built").to_string()), "{text}");
        assert_eq!(text.contains("unused variable: `unused`"), version.id.number() == 1, "{text}");
        let source = fixture.path().join("src/lib.rs");
        assert!(text.contains(&format!("  {}\n", source.display())), "{text}");
        // Of the first version another file lies there by now.
        let check = Command::new("sha1sum").arg("--check").arg(&path).output().expect("it runs");
        let said = String::from_utf8_lossy(&check.stdout);
        let is_as_built = said.contains(&format!("{}: OK", source.display()));
        assert_eq!(is_as_built, version.id.number() == 2, "{said}");
    }
    assert_eq!(run.versions.len(), 2);
}

/// A version that cannot have the state is refused like any other, and nothing that was announced stays open.
#[test]
fn a_version_that_cannot_have_the_state_is_told_as_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = builder(&counted(1)).0.log_file(&log).open().expect("opens");
    assert_eq!(engine.call_with("increment", ()), Ok(1u64));
    let panics = counted_with("counted_told", 2, |source| {
        source.replacen(
            "Counters2 { calls: old.calls,",
            "assert!(old.calls > 100, \"told\");\n    Counters2 { calls: old.calls,",
            1,
        )
    });
    engine.offer(&panics).expect_err("the step panics");
    drop(engine);
    let changes = trail(&log).expect("readable").changes;
    let Some(Change { outcome: Outcome::Refused { code, message }, .. }) = changes.last() else {
        panic!("{changes:#?}");
    };
    assert_eq!(code, "load.state_step");
    assert!(message.contains("told"), "{message}");
    // The head may not be written yet.
    let findings = verify(&log).expect("readable").findings;
    let is_open = |finding: &&Finding| matches!(finding.kind, FindingKind::Unfinished { .. });
    assert_eq!(findings.iter().find(is_open), None);
}
