//! Every step that only a real compiler takes fails: its processes, what they say, and what is kept of a build.
//!
//! `faults.rs` has all other steps, with a compiler that takes no time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hotswap_engine::Engine;
use hotswap_system::fault::{self, Fault, Manner, Site, Times, Watching};
use hotswap_tests::deadline::{PATIENCE, within};
use hotswap_tests::fault_world::{children, says_why, text_of_panic, until_all_threads_ended};
use hotswap_tests::{CrateFixture, LogLine, isolated, log_lines, versioned};

/// The steps that only a real compiler takes: its processes, their outputs, and what is kept of a build.
const BUILD_FILES: [&str; 4] =
    ["monitor/src/build/", "monitor/src/project.rs", "/dep_info.rs", "monitor/src/scan/inputs.rs"];

/// One engine for all of them: a build takes a thousand times as long as all the rest.
struct RealBuild {
    module: CrateFixture,
    engine: Engine,
    log: PathBuf,
    number: u64,
    /// Whether cargo is asked about each new version.
    asks_cargo: bool,
}

impl RealBuild {
    fn new(name: &str, asks_cargo: bool) -> Self {
        let module = CrateFixture::new(name, &versioned(1));
        let log = module.path().join("hotswap.log");
        let engine = module.engine().log_file(&log).open().expect("nothing is wrong yet");
        Self { module, engine, log, number: 1, asks_cargo }
    }

    /// A new version. Of one that cargo is asked about the manifest is new too.
    fn edit(&mut self) {
        self.number += 1;
        self.module.edit(&versioned(self.number));
        if !self.asks_cargo {
            return;
        }
        let manifest = self.module.path().join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).expect("ours");
        self.module.write("Cargo.toml", &format!("{text}# {}\n", self.number));
    }

    fn version(&self) -> u64 {
        self.engine.call_with("version", ()).expect("one is current")
    }

    /// Edits while a step fails, and once more looks when it does not.
    fn change(&mut self, watching: &Watching, fault: Option<Fault>) -> BTreeMap<Site, u64> {
        let lines_before = log_lines(&self.log).len();
        let before = self.version();
        match fault {
            Some(fault) => watching.inject(fault),
            None => watching.clear(),
        }
        self.edit();
        let engine = self.engine.clone();
        let verdict = within(PATIENCE, "a build", move || engine.sync());
        let expected = if verdict.is_ok() { self.number } else { before };
        assert_eq!(self.version(), expected, "{verdict:?}");
        if verdict.is_ok() {
            // What comes after the answer is done when the next one is there.
            let _either = self.engine.sync();
        }
        let children = children();
        assert!(children.is_empty(), "processes are left: {children:?}");
        watching.heal();
        let passed = watching.passed();
        if let Err(error) = verdict {
            assert!(fault.is_some(), "{error:?}");
            says_why(&error);
            let lines = log_lines(&self.log).split_off(lines_before);
            let is_reason = |line: &LogLine| line.level != "INFO" && !line.field("err").is_empty();
            assert!(lines.iter().any(is_reason), "not told: {lines:#?}");
        }
        let engine = self.engine.clone();
        let again = within(PATIENCE, "a build", move || engine.sync());
        again.expect("the fault is over, and the edit is still there");
        assert_eq!(self.version(), self.number);
        passed
    }
}

/// Fails each of the steps in these files.
fn every_step_may_fail_once(mut build: RealBuild, files: &[&str]) {
    let watching = fault::watch();
    let steps = build.change(&watching, None);
    let is_of_a_build = |site: &Site| files.iter().any(|file| site.file.contains(file));
    let steps: Vec<_> = steps.into_iter().filter(|(site, _)| is_of_a_build(site)).collect();
    assert!(!steps.is_empty(), "none is taken in {files:?}");
    let mut failures = Vec::new();
    for (site, count) in steps {
        println!("{count} {site}");
        // Of the many times that a step is taken, the first two and the last.
        for number in BTreeSet::from([0, 1.min(count - 1), count - 1]) {
            let fault = Fault { site, times: Times::Once(number), manner: Manner::Error };
            let change = AssertUnwindSafe(|| drop(build.change(&watching, Some(fault))));
            if let Err(payload) = catch_unwind(change) {
                watching.heal();
                failures.push(format!("{number} {site}\n    {}", text_of_panic(&*payload)));
            }
        }
    }
    drop(build);
    until_all_threads_ended();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_step_of_a_real_build_may_fail_once() {
    isolated("every_step_of_a_real_build_may_fail_once", || {
        every_step_may_fail_once(RealBuild::new("faults_of_a_build", true), &BUILD_FILES);
    });
}

/// Those that are taken only past cargo.
#[test]
fn every_step_of_a_direct_build_may_fail_once() {
    isolated("every_step_of_a_direct_build_may_fail_once", || {
        let files = ["monitor/src/build/direct.rs", "monitor/src/build/basis.rs"];
        every_step_may_fail_once(RealBuild::new("faults_past_cargo", false), &files);
    });
}

/// What a build read, and nobody could find out: an edit of it is seen all the same.
#[test]
fn cd_1_what_a_build_read_is_known_whatever_fails() {
    isolated("cd_1_what_a_build_read_is_known_whatever_fails", || {
        let module = CrateFixture::new("faults_of_inputs", &versioned(1));
        let outside = module.path().with_extension("txt");
        std::fs::write(&outside, "two").expect("the target directory is writable");
        let engine = module.engine().open().expect("nothing is wrong yet");
        let watching = fault::watch();
        let read = || {
            let passed = watching.passed().into_keys();
            passed.filter(|site| site.file.ends_with("scan/dep_info.rs")).collect::<Vec<_>>()
        };
        module.edit(&versioned(2));
        engine.sync().expect("nothing is wrong yet");
        let sites = read();
        assert_eq!(sites.len(), 1, "{sites:?}");
        let fault = Fault { site: sites[0], times: Times::Once(0), manner: Manner::Error };
        watching.inject(fault);
        let included = format!("include_str!({outside:?}).len() as u64");
        module.edit(&versioned(7).replace("    7\n", &format!("    {included}\n")));
        let _either = engine.sync();
        assert_eq!(watching.heal(), 1, "it was read");
        engine.sync().expect("the fault is over");
        assert_eq!(engine.call_with("version", ()), Ok(3_u64));
        std::fs::write(&outside, "three").expect("the target directory is writable");
        let verdict = engine.sync().expect("nothing is wrong");
        assert!(verdict.is_swapped(), "{verdict}");
        assert_eq!(engine.call_with("version", ()), Ok(5_u64));
    });
}
