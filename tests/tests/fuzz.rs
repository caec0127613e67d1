//! The bodies of `hotswap_tests::fuzz` over the files of `tests/corpus` and over mutations of them.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use hotswap_engine::Inspection;
use hotswap_tests::build_directory;
use hotswap_tests::fuzz::{TARGETS, Target, of_this_host};
use hotswap_tests::mutation::Mutation;
use hotswap_trust::{PublicKeys, Signed};

/// For each target: together three seconds without optimisation.
const MUTATIONS: u64 = 10_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The files of a target, in the order of their names.
fn files(target: &Target) -> Vec<Vec<u8>> {
    let directory = corpus().join(target.name);
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 2, "{} has a few files", directory.display());
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

/// Feeds a target. What it fails on is kept in a file, to be looked at and to become a part of the corpus.
fn feed(target: &Target, bytes: &[u8]) {
    if catch_unwind(|| (target.body)(bytes)).is_err() {
        let name = hotswap_engine::Fingerprint::of(bytes);
        let path = build_directory().join(format!("{}-{name}", target.name));
        fs::write(&path, bytes).expect("the target directory is writable");
        panic!(
            "{} failed on {}; fix it and add the file to the corpus",
            target.name,
            path.display()
        );
    }
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let files = files(target);
    feed(target, b"");
    files.iter().for_each(|file| feed(target, file));
    for number in 0..MUTATIONS {
        let mut mutation = Mutation::new(number + 1);
        let (file, other) = (mutation.below(files.len()), mutation.below(files.len()));
        let mut bytes = files[file].clone();
        for _ in 0..=mutation.below(3) {
            bytes = mutation.of(&bytes, &files[other]);
        }
        feed(target, &bytes);
    }
}

#[test]
fn archive() {
    run("archive");
}

#[test]
fn compiler_messages() {
    run("compiler_messages");
}

#[test]
fn dep_info() {
    run("dep_info");
}

#[test]
fn hash_text() {
    run("hash_text");
}

#[test]
fn index_entry() {
    run("index_entry");
}

#[test]
fn library() {
    run("library");
}

#[test]
fn log() {
    run("log");
}

#[test]
fn manifest() {
    run("manifest");
}

#[test]
fn public_keys() {
    run("public_keys");
}

/// Without it the mutations of manifests would all be refused at the first look.
#[test]
fn a_manifest_of_the_corpus_passes() {
    let read = |name: &str| fs::read(corpus().join("manifest").join(name)).expect("readable");
    for name in ["crate", "prebuilt", "unsigned"] {
        let signed = Signed::read(name, &read(name)).expect("it has signatures");
        let hash = signed.hash();
        let release = signed.clone().verify_pinned(hash).expect("it passes");
        assert_eq!(release.module, "greet");
        let text = fs::read_to_string(corpus().join("public_keys/two")).expect("readable");
        let keys = PublicKeys::parse("two", &text).expect("two keys");
        assert_eq!(signed.verify(&keys).is_ok(), name != "unsigned", "{name}");
    }
}

/// Without it the mutations of libraries would all be refused at the first look.
#[test]
fn a_library_of_the_corpus_passes() {
    let bytes = of_this_host(&fs::read(corpus().join("library/whole")).expect("readable"));
    let inspection = Inspection::of("whole", &bytes).expect("it passes");
    assert_eq!(inspection.exports[0].signature, "(u64, Point) -> u64");
    assert_eq!(inspection.needs[0].name, "now");
}

#[test]
fn every_corpus_has_its_target_and_its_test() {
    let directories: BTreeSet<String> = fs::read_dir(corpus())
        .expect("readable")
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(directories, targets);
    let tests = include_str!("fuzz.rs");
    for target in targets {
        assert!(tests.contains(&format!("run(\"{target}\")")), "no test feeds {target}");
    }
}
