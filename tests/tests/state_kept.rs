//! State that outlives the program, and state that engines share.

use std::fs;
use std::path::Path;

use hotswap_engine::{Engine, OpenErrorKind, StateProblem};
use hotswap_tests::counted::{builder, counted, problem};
use hotswap_tests::prebuilt::{self, Kind, library};

fn increment(engine: &Engine) -> u64 {
    engine.call_with("increment", ()).expect("exported")
}

fn open(schema: u64, path: &Path) -> Engine {
    builder(&counted(schema)).0.persist_state(path).open().expect("opens")
}

#[test]
fn what_an_engine_had_the_next_one_has() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    let engine = open(1, &path);
    assert_eq!((increment(&engine), increment(&engine)), (1, 2));
    drop(engine);
    let engine = open(1, &path);
    assert_eq!(increment(&engine), 3);
    drop(engine);
    // By the same steps as a swap, in either direction.
    let engine = open(5, &path);
    assert_eq!(increment(&engine), 4);
    drop(engine);
    assert_eq!(
        fs::read_dir(directory.path()).expect("readable").count(),
        1,
        "nothing else is left there"
    );
}

/// What no version has a type for stays as it is, and is saved again.
#[test]
fn what_nobody_has_a_type_for_is_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    let engine = open(2, &path);
    increment(&engine);
    drop(engine);
    drop(prebuilt::engine(&prebuilt::numbered(1)).persist_state(&path).open().expect("opens"));
    assert_eq!(increment(&open(2, &path)), 2);
}

#[test]
fn saved_state_that_no_step_leads_from_keeps_the_first_version_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    let engine = open(5, &path);
    increment(&engine);
    drop(engine);
    let before = fs::read(&path).expect("saved");
    let error = builder(&counted(1)).0.persist_state(&path).open().expect_err("no way down");
    assert!(
        error.to_string().contains("there is version 5 of it, the module wants version 1"),
        "{error}"
    );
    assert_eq!(fs::read(&path).expect("still there"), before, "nothing is lost");
}

#[test]
fn a_damaged_file_is_an_error_that_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    let engine = open(2, &path);
    increment(&engine);
    drop(engine);
    let whole = fs::read(&path).expect("saved");
    for length in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).expect("ours");
        let error = builder(&counted(2)).0.persist_state(&path).open().expect_err("cut off");
        let OpenErrorKind::State { error } = &error.kind else { panic!("{error}") };
        assert!(error.to_string().contains("it is damaged; move it away"), "{error}");
    }
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).expect("ours");
        let error = builder(&counted(2)).0.persist_state(&path).open().expect_err("changed");
        assert!(matches!(error.kind, OpenErrorKind::State { .. }), "{error}");
    }
    fs::write(&path, &whole).expect("ours");
    assert_eq!(increment(&open(2, &path)), 2);
}

#[test]
fn what_cannot_be_saved_leaves_what_was() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("state");
    let engine = open(1, &path);
    increment(&engine);
    engine.save_state().expect("saves");
    let before = fs::read(&path).expect("saved");
    increment(&engine);
    // Where the unfinished file would lie.
    let name = format!("state.{}", std::process::id());
    fs::create_dir(directory.path().join(&name)).expect("ours");
    let error = engine.save_state().expect_err("it cannot be written");
    assert!(error.to_string().contains("what was saved before stays"), "{error}");
    assert_eq!(fs::read(&path).expect("still there"), before);
    fs::remove_dir(directory.path().join(&name)).expect("ours");
    engine.save_state().expect("saves");
    assert_ne!(fs::read(&path).expect("saved"), before);
}

/// The module of `shared.rs`, whose schema nobody else in this process has.
fn shared(name: &str, schema: &str, edit: impl FnOnce(String) -> String) -> std::path::PathBuf {
    let source = prebuilt::source("shared.rs");
    let state = format!("#[state(name = \"{schema}\", version = 1)]");
    library(name, &edit(source.replace("#[state(version = 1)]", &state)), Kind::Module)
}

#[test]
fn engines_share_a_cell() {
    let library = shared("shared_by_two", "ScoreOfTwo", |source| source);
    let (one, two) = (
        prebuilt::engine(&library).open().expect("opens"),
        prebuilt::engine(&library).open().expect("opens"),
    );
    assert_eq!(one.call_with("add", (2u64,)), Ok(2u64));
    assert_eq!(two.call_with("add", (3u64,)), Ok(5u64));
    assert_eq!(one.call_with("add_named", (7u64,)), Ok(7u64));
    assert_eq!(two.call_with("add_named", (1u64,)), Ok(8u64));
    assert_eq!(two.states().len(), 2, "and none of its own that it did not use");
    // One engine swaps, one ends: the cell stays.
    one.offer(&library).expect("swaps");
    assert_eq!(one.call_with("add", (1u64,)), Ok(6u64));
    drop(two);
    assert_eq!(one.call_with("add", (1u64,)), Ok(7u64));
    drop(one);
    let three = prebuilt::engine(&library).open().expect("opens");
    assert_eq!(three.call_with("add", (1u64,)), Ok(8u64), "it rested while nobody used it");
}

#[test]
fn a_shared_cell_is_not_migrated_under_another_engine() {
    let library = shared("shared_in_use", "ScoreInUse", |source| source);
    let next = shared("shared_in_use_next", "ScoreInUse", |source| {
        source
            .replace("version = 1", "version = 2")
            .replace("pub points: u64,", "pub points: u64,\n    pub bonus: u64,")
            .replace("#[derive(Debug", "#[hotswap_module::migrate(auto, from = 1)]\n#[derive(Debug")
    });
    let (one, two) = (
        prebuilt::engine(&library).allow_one_way_migrations().open().expect("opens"),
        prebuilt::engine(&library).open().expect("opens"),
    );
    assert_eq!(one.call_with("add", (2u64,)), Ok(2u64));
    assert_eq!(two.call_with("add", (2u64,)), Ok(4u64));
    let error = one.offer(&next).expect_err("the other uses it");
    assert!(matches!(problem(&error), StateProblem::InUse { from: 1, to: 2 }), "{error}");
    assert_eq!(one.call_with("add", (1u64,)), Ok(5u64));
    drop(two);
    one.offer(&next).expect("nobody else uses it");
    assert_eq!(one.call_with("add", (1u64,)), Ok(6u64));
    assert_eq!(one.states()[0].version, 2, "{:?}", one.states());
}
