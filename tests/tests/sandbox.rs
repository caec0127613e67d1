//! Engines whose module somebody else wrote: its builds are confined, it is told by what, and what runs goes on (SE-6, D10).
//! What a build gets at is tried in `monitor/tests/it/sandbox.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotswap_engine::{
    BuildErrorKind, Engine, EngineBuilder, Fetch, FetchError, Fetched, Fingerprint,
    ReloadErrorKind, Sandbox, Source,
};
use hotswap_monitor::{BuildSettings, Monitor, Outcome, Trigger};
use hotswap_system::fault::{self, Fault, Manner, Operation, Site, Times};
use hotswap_tests::deadline::PATIENCE;
use hotswap_tests::{LogLine, build_directory, log_lines, prebuilt, versioned, workspace_root};
use parking_lot::Mutex;
use tempfile::TempDir;

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// What somebody else publishes: a crate, by its `build.rs`, its `src/lib.rs` and its number; version 1 is a library.
#[derive(Debug, Clone)]
struct Publisher(Arc<Mutex<Release>>);

#[derive(Debug, Clone)]
struct Release {
    number: u64,
    build_script: String,
    library: String,
}

impl Publisher {
    fn new() -> Self {
        let release = Release { number: 1, build_script: String::new(), library: String::new() };
        Self(Arc::new(Mutex::new(release)))
    }

    fn publish(&self, build_script: &str, library: &str) {
        let mut release = self.0.lock();
        let number = release.number + 1;
        let (build_script, library) = (build_script.to_owned(), library.to_owned());
        *release = Release { number, build_script, library };
    }

    fn fingerprint_of(release: &Release) -> Fingerprint {
        Fingerprint::of(format!("{release:?}").as_bytes())
    }
}

impl Fetch for Publisher {
    fn kind(&self) -> &'static str {
        "publisher"
    }

    fn name(&self) -> &str {
        "publisher#foreign"
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        Ok(Some(Self::fingerprint_of(&self.0.lock())))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let release = self.0.lock().clone();
        let code = if release.number == 1 {
            let file = directory.join("numbered.so");
            fs::copy(prebuilt::numbered(1), &file).expect("ours");
            file
        } else {
            write_crate(&directory.join("foreign"), &release)
        };
        let mut fetched = Fetched::new(Self::fingerprint_of(&release), code);
        fetched.is_foreign = true;
        Ok(fetched)
    }
}

fn write_crate(package: &Path, release: &Release) -> PathBuf {
    let module = workspace_root().join("engine/module");
    // What is compiled of a dependency that is never needed is compiled for nothing.
    let dependency = match release.library.is_empty() {
        true => String::new(),
        false => format!("hotswap-module = {{ path = {module:?} }}\n"),
    };
    let manifest = format!(
        "[package]\nname = \"foreign\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         {dependency}\n[workspace]\n# {}\n",
        // Cargo is asked anew about another manifest.
        release.number,
    );
    fs::create_dir_all(package.join("src")).expect("ours");
    let write = |name: &str, text: &str| fs::write(package.join(name), text).expect("ours");
    write("Cargo.toml", &manifest);
    write("build.rs", &release.build_script);
    write("src/lib.rs", &release.library);
    fs::copy(workspace_root().join("Cargo.lock"), package.join("Cargo.lock")).expect("ours");
    // What the publisher does: the lock file says what this crate needs and no more.
    let mut cargo = Command::new("cargo");
    let locked = cargo.args(["metadata", "--offline", "--format-version=1"]).current_dir(package);
    assert!(locked.output().expect("cargo starts").status.success());
    package.to_owned()
}

fn engine(place: &TempDir, publisher: &Publisher) -> EngineBuilder {
    Engine::builder(Source::fetched(publisher.clone()))
        .target_dir(place.path().join("target"))
        .log_file(place.path().join("hotswap.log"))
        .poll_every(RARELY)
}

fn place() -> TempDir {
    tempfile::tempdir_in(build_directory()).expect("the target directory is writable")
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("one is current")
}

/// The last time that something was about to be compiled.
fn last_intent(place: &TempDir) -> LogLine {
    let lines = log_lines(&place.path().join("hotswap.log"));
    lines.into_iter().rfind(|line| line.event == "build.intent").expect("something was compiled")
}

/// A build script that writes where it may not, and a canary by which that is seen.
fn escaping(place: &TempDir) -> (String, PathBuf) {
    let canary = place.path().join("canary");
    let script = format!(
        "fn main() {{ let written = std::fs::write({canary:?}, \"\"); panic!(\"tried: {{written:?}}\") }}"
    );
    (script, canary)
}

#[test]
fn se_6_a_build_that_tries_to_get_out_is_refused_and_what_runs_goes_on() {
    // No other test makes anything fail meanwhile.
    let _turn = fault::watch();
    let (place, publisher) = (place(), Publisher::new());
    let engine = engine(&place, &publisher).open().expect("a library needs no build");
    let (script, canary) = escaping(&place);
    publisher.publish(&script, "");
    let error = engine.sync().expect_err("its build script panics");
    let ReloadErrorKind::Build(build) = &error.kind else { panic!("{error:?}") };
    let said = build.diagnostics().expect("cargo says why").plain();
    assert!(said.contains("tried: Err(") && said.contains("it is built in a sandbox"), "{said}");
    assert!(!canary.exists());
    assert_eq!(version(&engine), 1);
    let intent = last_intent(&place);
    let sandbox = intent.field("sandbox");
    assert!(sandbox.starts_with("landlock-v") && sandbox.ends_with(",seccomp"), "{sandbox}");
    assert_eq!(intent.level, "INFO");

    // The next good one is built and runs.
    publisher.publish("fn main() {}", &versioned(3));
    engine.sync().expect("it compiles");
    assert_eq!(version(&engine), 3);
    drop(engine);
    assert!(!place.path().join("target/confined/0/room").exists());
}

/// Each step fails once, on a source without dependencies, which the monitor alone builds.
#[test]
fn se_6_every_step_of_a_confined_build_may_fail_and_none_lets_it_out() {
    let watching = fault::watch();
    let (place, publisher) = (place(), Publisher::new());
    let canary = place.path().join("canary");
    let script = format!("fn main() {{ let _ = std::fs::write({canary:?}, \"\"); }}");
    let mut settings = BuildSettings::default();
    settings.target_dir = Some(place.path().join("target"));
    let (monitor, notifications) = Monitor::builder(Source::fetched(publisher.clone()))
        .poll_every(RARELY)
        .build(settings)
        .start()
        .expect("there are threads");
    let look = || {
        let number = publisher.0.lock().number;
        publisher.publish(&format!("{script} // {number}"), "");
        let ticket = monitor.scan(Trigger::Manual);
        loop {
            let told = notifications.recv_timeout(PATIENCE).expect("it answers");
            if told.through >= ticket {
                break told.outcome;
            }
        }
    };
    watching.clear();
    assert!(matches!(look(), Outcome::Ready(_)), "nothing fails");
    let is_of_the_sandbox = |site: &Site| {
        let files = ["build/sandbox/", "/claimed.rs", "system/src/sandbox", "build/process.rs"];
        // Without a kernel that can confine it, it is built all the same; and how often processes are counted is a matter of
        // time.
        let is_left_out = site.operation == Operation::Confine || site.file.contains("crowd");
        !is_left_out && files.iter().any(|file| site.file.contains(file))
    };
    let sites: Vec<Site> = watching.passed().into_keys().filter(is_of_the_sandbox).collect();
    assert!(sites.len() >= 8, "{sites:?}");
    for site in sites {
        watching.inject(Fault { site, times: Times::Once(0), manner: Manner::Error });
        let outcome = look();
        assert!(matches!(outcome, Outcome::Ready(_) | Outcome::Failed(_)), "{site}: {outcome:?}");
        if site.operation == Operation::Remove {
            // What a build left that cannot be removed is in nobody's way.
            assert!(matches!(outcome, Outcome::Ready(_)), "{site}: {outcome:?}");
            let next = place.path().join("target/confined/1");
            assert!(next.is_dir(), "{site}: it is built beside what was left");
        }
        assert_eq!(watching.heal(), 1, "{site}: {outcome:?}");
        let outcome = look();
        assert!(matches!(outcome, Outcome::Ready(_)), "after {site}: {outcome:?}");
        assert!(!canary.exists(), "{site}");
    }
}

#[test]
fn where_the_kernel_has_no_sandbox_it_is_told_or_refused() {
    let (place, publisher) = (place(), Publisher::new());
    let watching = fault::watch();
    let (script, canary) = escaping(&place);
    let open = |sandbox| engine(&place, &publisher).sandbox(sandbox).open();
    let site = {
        let engine = open(Sandbox::Foreign).expect("a library needs no build");
        publisher.publish(&script, "");
        engine.sync().expect_err("its build script panics");
        let passed = watching.passed();
        *passed.keys().find(|site| site.operation == Operation::Confine).expect("it is confined")
    };
    assert!(!canary.exists());
    // A kernel without Landlock and seccomp.
    watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });

    let required = open(Sandbox::Required).expect("what served last runs");
    publisher.publish(&script, "");
    let error = required.sync().expect_err("it is not built");
    let ReloadErrorKind::Build(build) = &error.kind else { panic!("{error:?}") };
    assert!(matches!(build.kind, BuildErrorKind::Unconfined { .. }), "{build:?}");
    assert!(error.to_string().contains("no whole sandbox"), "{error}");
    assert_eq!(version(&required), 1);
    assert!(!canary.exists());
    drop(required);

    let best_effort = open(Sandbox::Foreign).expect("what served last runs");
    publisher.publish(&script, "");
    best_effort.sync().expect_err("its build script panics");
    let intent = last_intent(&place);
    assert_eq!((intent.field("sandbox"), intent.level.as_str()), ("none", "WARN"));
    assert!(canary.exists(), "nothing kept it from that");
    assert_eq!(version(&best_effort), 1);
}
