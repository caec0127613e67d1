//! Every step of a swap that migrates state fails, each time that it is taken: what was counted is there, in the old form or in the
//! new one, and when the step can be taken again the next version has it. Rows RB-5 and SM-6.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use hotswap_engine::Engine;
use hotswap_system::fault::{Fault, Manner, Site, Times, Watching, watch};
use hotswap_tests::counted::{builder, counted};
use hotswap_tests::deadline::{until, within};
use hotswap_tests::fault_world::{engine_threads, text_of_panic, until_all_threads_ended};
use hotswap_tests::isolated;
use hotswap_tests::maps::executable_mappings;

/// How long one run may take before it counts as hanging.
const RUN_MAX: Duration = Duration::from_secs(60);

/// A step that is taken more often is made to fail so often only: what follows is as before.
const TIMES_MAX: u64 = 3;

fn total(engine: &Engine) -> u64 {
    engine.call_with("total", ()).expect("exported")
}

fn schema(engine: &Engine) -> u64 {
    engine.call_with("schema", ()).expect("exported")
}

fn open(path: &Path, schema: u64) -> Engine {
    let (builder, _gate) = builder(&counted(schema));
    builder.keep_versions(1).persist_state(path).open().expect("nothing is wrong yet")
}

/// Migrates, rolls back and saves, while a step fails; the steps that were taken meanwhile.
fn run(watching: &'static Watching, fault: Option<Fault>) -> BTreeMap<Site, u64> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    watching.clear();
    let engine = open(&path, 1);
    for _ in 0..3 {
        engine.call_with::<u64>("increment", ()).expect("exported");
    }
    watching.inject_all(fault.into_iter().collect());
    let is_whole = |engine: &Engine| {
        let (total, schema) = (total(engine), schema(engine));
        assert!(total == 3 && (schema == 1 || schema == 4), "{total} in {schema}");
    };
    let panics = fault.is_some_and(|fault| fault.manner == Manner::Panic);
    let expects = |is_ok: bool, schema_now: u64, wanted: u64| {
        // Nobody knows how far a thread came that panicked.
        assert!(panics || is_ok == (schema_now == wanted), "{is_ok}, {schema_now}");
        assert!(is_ok || fault.is_some(), "without a fault");
    };
    let offered = engine.offer(counted(4));
    is_whole(&engine);
    expects(offered.is_ok(), schema(&engine), 4);
    if offered.is_ok() {
        let back = engine.rollback();
        is_whole(&engine);
        expects(back.is_ok(), schema(&engine), 1);
    }
    let saved = catch_unwind(AssertUnwindSafe(|| engine.save_state()));
    let is_saved = matches!(saved, Ok(Ok(())));
    assert!(is_saved || fault.is_some(), "{saved:?}");
    watching.heal();
    let passed = watching.passed();

    is_whole(&engine);
    let again = || engine.offer(counted(5)).is_ok();
    if panics {
        until("the engine recovered", again);
    } else {
        assert!(again(), "the fault is over");
    }
    assert_eq!((schema(&engine), total(&engine)), (5, 3));
    assert_eq!(engine.call_with::<u64>("increment", ()), Ok(4));
    drop(engine);
    until_all_threads_ended();
    let mapped = executable_mappings("libcounted_");
    assert!(mapped.is_empty() || fault.is_some_and(keeps_library), "{mapped:#?}");
    let engine = open(&path, 5);
    assert_eq!(total(&engine), 4, "what was saved is there");
    let left = std::fs::read_dir(directory.path()).expect("ours").count();
    assert!(left == 1 || fault.is_some(), "nothing is left beside it");
    passed
}

/// Whether the loader may keep a library: it was not asked to let go, or nobody can tell whether it did.
fn keeps_library(fault: Fault) -> bool {
    fault.site.file.ends_with("engine/src/image.rs")
}

fn every_step(manner: Manner) {
    for schema in [1, 4, 5] {
        let _built = counted(schema);
    }
    let watching: &'static Watching = Box::leak(Box::new(watch()));
    let steps = run(watching, None);
    let is_ours = |site: &Site| {
        ["/state/", "/swapper/", "services.rs", "image.rs"]
            .iter()
            .any(|part| site.file.contains(part))
    };
    let mut count = 0;
    let mut failures = Vec::new();
    'all: for (site, passed) in steps.into_iter().filter(|(site, _)| is_ours(site)) {
        for number in 0..passed.min(TIMES_MAX) {
            let fault = Fault { site, times: Times::Once(number), manner };
            count += 1;
            let result = catch_unwind(AssertUnwindSafe(|| {
                within(RUN_MAX, "a run", move || drop(run(watching, Some(fault))));
            }));
            watching.heal();
            if let Err(payload) = result {
                failures.push(format!("{site} {number}\n    {}", text_of_panic(&*payload)));
                if !engine_threads().is_empty() {
                    failures.push("threads are left; the cases after it were not run".to_owned());
                    break 'all;
                }
            }
        }
    }
    println!("{count} cases");
    assert!(count > 5, "the steps of state are among those that can fail");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn rb_5_every_step_of_a_migration_may_fail() {
    isolated("rb_5_every_step_of_a_migration_may_fail", || every_step(Manner::Error));
}

#[test]
fn rb_5_every_step_of_a_migration_may_panic() {
    isolated("rb_5_every_step_of_a_migration_may_panic", || every_step(Manner::Panic));
}
