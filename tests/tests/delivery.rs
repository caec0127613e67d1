//! What is done to releases, wherever they lie: rows D1 to D9, D15 and D19 of the threat model, each against an engine that runs. What ran goes
//! on, the refusal is told with file and key, and the next good publication installs.

use std::fs;

use hotswap_engine::ContentHash;
use hotswap_tests::release_world::{Carrier, MANIFEST, Release, ReleaseWorld, library};
use hotswap_tests::siege::{Siege, chain, version};
use hotswap_trust::{CodeKind, KeyPair, Previous, SIGNED_BYTES_MAX, Trust};

/// What is done, and what the refusal has to name.
type Attack = (&'static str, fn(&mut ReleaseWorld), &'static [&'static str]);

/// All attacks that need one publication.
const ATTACKS: &[Attack] = &[
    ("D1: the first byte of the library", |world| flip(world, |_| 0), FILE),
    ("D1: a byte in its middle", |world| flip(world, |length| length / 2), FILE),
    ("D1: its last byte", |world| flip(world, |length| length - 1), FILE),
    ("D1: a byte more", |world| resize(world, |bytes| bytes.push(0)), FILE),
    ("D1: a byte less", |world| resize(world, |bytes| bytes.truncate(bytes.len() - 1)), FILE),
    ("D1: half of it", |world| resize(world, |bytes| bytes.truncate(bytes.len() / 2)), FILE),
    ("D1: nothing", |world| resize(world, Vec::clear), FILE),
    ("D1: another module in its place", |world| resize(world, |bytes| *bytes = code(3)), FILE),
    ("D1: another key", another_key, &["#greet", "KEY", "believed"]),
    ("D1: no signature", unsigned, &["#greet", "signed"]),
    ("D1: no bytes", |world| world.write(MANIFEST, b""), &["#greet", "no signed"]),
    ("D1: a web page", page, &["#greet", "no signed"]),
    ("D4: the file of the release before", mixed_file, FILE),
    ("D4: the signatures of another release", mixed_signature, MADE),
    ("D5: a counter at its end", |world| edit(world, |made| made.counter = u64::MAX), FAR),
    ("D6: a manifest that is too long", too_long, &["#greet", "bytes"]),
    ("D8: of another module", |world| edit(world, |made| made.module = text("other")), OTHER),
    ("D8: of another channel", |world| edit(world, |made| made.channel = text("beta")), OTHER),
    ("D8: for another target", |world| edit(world, |made| made.target = some("wasm")), OTHER),
    ("D8: for another boundary", |world| edit(world, |made| made.abi = some("1")), OTHER),
    (
        "D8: of another compiler",
        |world| edit(world, |made| made.toolchain = some("rustc 1")),
        OTHER,
    ),
    ("D9: the file is withheld", withheld, FILE),
    ("D15: a path that leads up", |world| forged(world, "../greet.so"), &["#greet"]),
    ("D15: a path from the root", |world| forged(world, "/tmp/gre.so"), &["#greet"]),
    ("D15: a path with a NUL", |world| forged(world, "libgree\0.so"), &["#greet"]),
    ("D15: a manifest as a file", |world| forged(world, "hotswap.manifest"), &["#greet"]),
    ("D19: signed as something else", as_something_else, &["#greet", "KEY"]),
    ("a fork", fork, &["KEY", "follows"]),
    ("D2: another release of the number that runs", same_number, &["KEY", "of this number"]),
];

/// The file, and the key that signed what it should be.
const FILE: &[&str] = &["libgreet.so", "KEY", "release 2 of greet"];
/// The manifest, and whose signature it is not.
const MADE: &[&str] = &["#greet", "KEY", "not of these bytes"];
/// What it is for.
const OTHER: &[&str] = &["KEY", "was asked for"];
const FAR: &[&str] = &["KEY", "more than"];

/// SE-1, SE-2 and SE-5: all of them, each on an engine of its own, over plain HTTP, in a directory and in a database.
#[test]
fn se_1_what_is_not_what_was_signed_for_this_host_displaces_nothing() {
    for carrier in Carrier::ALL {
        for (name, attack, said) in ATTACKS {
            let what = format!("{carrier:?}, {name}");
            let mut siege = Siege::begin(carrier);
            siege.world.at_once(attack);
            siege.withstands(&what, said);
            siege.recovers(&what);
        }
    }
}

/// One after the other on one engine: no refusal leaves anything by which a later release is judged.
#[test]
fn se_5_d24_no_attack_leaves_a_trace_that_the_next_good_release_stumbles_over() {
    let mut siege = Siege::begin(Carrier::Http);
    for (what, attack, _) in ATTACKS {
        siege.world.at_once(attack);
        let before = siege.version();
        assert!(siege.engine.sync().is_err(), "{what}");
        assert_eq!(siege.version(), before, "{what}");
        siege.recovers(what);
    }
}

/// Nothing can be opened on what is not good, either, and what is said is said there.
#[test]
fn se_5_what_is_not_good_at_first_is_said_and_the_next_good_release_opens() {
    for carrier in Carrier::ALL {
        for (name, attack, _) in ATTACKS {
            // Some need a release before them to be wrong.
            let mut world = ReleaseWorld::new(carrier);
            world.at_once(attack);
            let Err(error) = world.engine().open() else { continue };
            let text = chain(&error);
            assert!(text.contains("greet"), "{carrier:?}, {name}: {text}");
            world.publish(3);
            let engine = world.engine().open();
            let engine = engine.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
            assert_eq!(version(&engine), 3, "{carrier:?}, {name}");
        }
    }
}

/// A byte of each line of what is sent: of the signatures, their comments, and each field of the manifest.
#[test]
fn d1_a_changed_byte_in_any_line_of_a_manifest_is_refused() {
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        let lines = siege.world.next(2).signed.split(|byte| *byte == b'\n').count() - 1;
        assert!(lines > 15, "signatures, and a line for each field: {lines}");
        for line in 0..lines {
            let number = siege.version() % 3 + 1;
            let release = siege.world.next(number);
            let mut bytes = release.signed.clone();
            let start = bytes.split(|byte| *byte == b'\n').take(line).map(|text| text.len() + 1);
            let start: usize = start.sum();
            let length = bytes[start..].iter().position(|byte| *byte == b'\n');
            let place = start + length.expect("each line ends") / 2;
            bytes[place] ^= 1;
            siege.world.at_once(|world| {
                world.publish_release(&release);
                world.write(MANIFEST, &bytes);
            });
            let what = format!("{carrier:?}, line {line}: {}", String::from_utf8_lossy(&bytes));
            siege.withstands(&what, &["#greet"]);
            siege.recovers(&what);
        }
    }
}

/// Release 3 runs; 1 and 2 are as good as ever, and signed.
#[test]
fn d2_an_older_release_is_refused_also_after_a_restart_and_without_a_cache() {
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        let older = siege.world.publish(2);
        siege.engine.sync().expect("it is good");
        siege.world.publish(3);
        siege.engine.sync().expect("it is good");
        let what = format!("{carrier:?}");
        siege.world.put(&older);
        siege.withstands(&what, &["KEY", "release 2", "release 3 was accepted"]);
        // Another process runs what served last, and is not pushed back either; nor is one that has lost its cache.
        for lost in ["nothing", "target", "cache"] {
            let world = siege.end();
            if lost != "nothing" {
                world.forget(lost);
            }
            let engine = world.engine().open();
            let engine = engine.unwrap_or_else(|error| panic!("lost {lost}: {}", chain(&error)));
            assert_eq!(version(&engine), 3, "{what}, lost {lost}");
            siege = Siege::of(world, engine);
            siege.withstands(&what, &["KEY", "release 3 was accepted"]);
        }
        // Whoever has neither has nothing to run, and is not pushed back for that.
        let mut world = siege.end();
        world.forget("target");
        let error = world.engine().open().expect_err("there is nothing good");
        assert!(chain(&error).contains("release 3 was accepted"), "{what}: {}", chain(&error));
        world.publish(1);
        assert_eq!(version(&world.engine().open().expect("it is good")), 1, "{what}");
    }
}

/// What was good once, and is what runs, is not served for ever.
#[test]
fn d4_each_file_of_a_release_is_of_that_release() {
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        let files = several(1);
        for (path, _) in &files {
            let release = siege.world.next_of(CodeKind::Crate, several(2), |_| {});
            let (of_it, old) = (find(&release.files, path), find(&files, path));
            siege.world.at_once(|world| {
                world.publish_release(&release);
                world.write(&Release::place_of(of_it), old);
            });
            let what = format!("{carrier:?}, {path}");
            siege.withstands(&what, &[path, "KEY", "release"]);
            siege.recovers(&what);
        }
    }
}

/// A valid release of everything else, in the place of what was asked for.
#[test]
fn d8_each_other_module_channel_and_platform_is_refused() {
    let words = |made: &mut hotswap_trust::Manifest, pair: usize| {
        made.module = text(["greet", "other"][pair & 1]);
        made.channel = text(["stable", "beta"][pair >> 1 & 1]);
        if pair & 4 != 0 {
            made.target = some("aarch64-unknown-linux-gnu");
        }
        if pair & 8 != 0 {
            made.abi = some("1");
        }
    };
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        for pair in 1..16 {
            let release = siege.world.next_with(2, |made| words(made, pair));
            siege.world.put(&release);
            let what = format!("{carrier:?}, {}", release.verified.described());
            siege.withstands(&what, OTHER);
        }
        siege.recovers("all of them");
    }
}

#[test]
fn d9_a_release_without_any_one_of_its_files_is_refused_as_a_whole() {
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        for (path, _) in several(2) {
            let release = siege.world.next_of(CodeKind::Crate, several(2), |_| {});
            siege.world.at_once(|world| {
                world.publish_release(&release);
                world.remove(&Release::place_of(find(&release.files, &path)));
            });
            let what = format!("{carrier:?}, {path}");
            siege.withstands(&what, &[&path, "KEY"]);
            assert_eq!(siege.world.kept("target/hotswap/sources"), siege.world.kept("none"));
            // It comes late, and is whole.
            siege.world.write(&Release::place_of(b"nothing of this release"), b"nothing");
            siege.recovers(&what);
        }
    }
}

/// A release raises the floor: nothing below it runs again, neither by a rollback nor in the next process.
#[test]
fn d23_what_a_release_forbids_is_not_gone_back_to() {
    for carrier in Carrier::ALL {
        let what = format!("{carrier:?}");
        let mut siege = Siege::begin(carrier);
        let first = siege.engine.version();
        let forbidding = siege.world.next_with(2, |made| made.floor = 2);
        siege.world.publish_release(&forbidding);
        siege.engine.sync().unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        for error in [
            siege.engine.rollback().expect_err("it is below the floor"),
            siege.engine.rollback_to(first).expect_err("it is below the floor"),
        ] {
            let text = chain(&error);
            assert!(text.contains("below") && text.contains('2'), "{what}: {text}");
        }
        assert_eq!(siege.version(), 2, "{what}");
        let refused = siege.world.lines().into_iter().filter(|line| {
            line.event.starts_with("rollback")
                && line.fields.values().any(|it| it.contains("below"))
        });
        assert!(refused.count() > 0, "{what}: {:#?}", siege.world.lines());
        // The next process finds only what is forbidden beside what it may run.
        let world = siege.end();
        let engine = world.engine().open().expect("it is good");
        assert_eq!(version(&engine), 2, "{what}");
        Siege::of(world, engine).recovers(&what);
    }
}

/// The host that takes one release by its hash takes no other, signed or not.
#[test]
fn se_1_a_pinned_release_is_the_only_one() {
    for carrier in Carrier::ALL {
        let mut world = ReleaseWorld::new(carrier);
        let release = world.publish(1);
        let trust = world.trust_of(Trust::pinned(release.verified.hash()));
        let source = world.source_of(trust);
        let siege = Siege::open(world, |world| world.engine_of(source));
        let mut siege = siege;
        siege.world.publish(2);
        siege.withstands("another release", &[&release.verified.hash().to_string()]);
        siege.world.put(&release);
        siege.engine.sync().expect("it is what was pinned");
        assert_eq!(siege.version(), 1);
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn code(number: u64) -> Vec<u8> {
    library(number).remove(0).1
}

/// A crate of three files.
fn several(number: u64) -> Vec<(String, Vec<u8>)> {
    let manifest = "[package]\nname = \"greet\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    vec![
        (text("Cargo.toml"), format!("{manifest}# {number}\n").into_bytes()),
        (text("build.rs"), format!("fn main() {{}} // {number}\n").into_bytes()),
        (text("src/lib.rs"), format!("pub fn version() -> u64 {{ {number} }}\n").into_bytes()),
    ]
}

fn find<'a>(files: &'a [(String, Vec<u8>)], path: &str) -> &'a [u8] {
    &files.iter().find(|(known, _)| known == path).expect("listed").1
}

/// Publishes a release, and writes something else in the place of its library.
fn resize(world: &mut ReleaseWorld, change: impl FnOnce(&mut Vec<u8>)) {
    let release = world.publish(2);
    let mut bytes = release.files[0].1.clone();
    change(&mut bytes);
    world.write(&release.first_place(), &bytes);
}

fn flip(world: &mut ReleaseWorld, place: fn(usize) -> usize) {
    resize(world, |bytes| {
        let place = place(bytes.len());
        bytes[place] ^= 1;
    });
}

/// Puts a release with another manifest there, signed.
fn edit(world: &mut ReleaseWorld, change: fn(&mut hotswap_trust::Manifest)) {
    let release = world.next_with(2, change);
    world.put(&release);
}

fn another_key(world: &mut ReleaseWorld) {
    let release = world.next(2);
    let thief = KeyPair::generate(None).expect("random bytes");
    world.put(&release);
    world.write(MANIFEST, &thief.sign(&release.verified).expect("a good manifest").to_bytes());
}

fn unsigned(world: &mut ReleaseWorld) {
    let release = world.next(2);
    world.put(&release);
    world.write(MANIFEST, &release.verified.to_bytes().expect("a good manifest"));
}

fn page(world: &mut ReleaseWorld) {
    world.write(MANIFEST, b"<!DOCTYPE html>\n<title>Please log in</title>\n");
}

fn mixed_file(world: &mut ReleaseWorld) {
    let release = world.publish(2);
    world.write(&release.first_place(), &code(1));
}

/// The signatures of one release over the manifest of another.
fn mixed_signature(world: &mut ReleaseWorld) {
    let (first, second) = (world.next(1), world.publish(2));
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8(bytes.to_vec()).expect("text").lines().map(text).collect()
    };
    let (first, second) = (lines(&first.signed), lines(&second.signed));
    let mixed: Vec<&str> = first.iter().take(5).chain(&second[5..]).map(String::as_str).collect();
    world.write(MANIFEST, (mixed.join("\n") + "\n").as_bytes());
}

fn too_long(world: &mut ReleaseWorld) {
    let release = world.publish(2);
    let mut bytes = release.signed;
    bytes.resize(SIGNED_BYTES_MAX + 1, b'\n');
    world.write(MANIFEST, &bytes);
}

fn withheld(world: &mut ReleaseWorld) {
    let release = world.publish(2);
    world.remove(&release.first_place());
}

/// A manifest that this project's own tools refuse to sign: with a path of somebody's own.
fn forged(world: &mut ReleaseWorld, path: &str) {
    let release = world.next(2);
    world.put(&release);
    let good = release.verified.to_bytes().expect("a good manifest");
    let good = String::from_utf8(good).expect("text");
    let bad = good.replace("libgreet.so", path);
    assert_ne!(good, bad);
    let hash = ContentHash::of(bad.as_bytes());
    world.write(MANIFEST, &world.sign_as(bad.as_bytes(), &format!("hotswap manifest v1 {hash}")));
    assert!(!fs::exists("/tmp/gre.so").expect("readable"));
}

fn as_something_else(world: &mut ReleaseWorld) {
    let release = world.next(2);
    world.put(&release);
    let good = release.verified.to_bytes().expect("a good manifest");
    world.write(MANIFEST, &world.sign_as(&good, "timestamp:1"));
}

fn same_number(world: &mut ReleaseWorld) {
    edit(world, |made| (made.counter, made.previous) = (1, None));
}

fn fork(world: &mut ReleaseWorld) {
    let release = world.next_with(2, |made| {
        made.counter = 2;
        made.previous = Some(Previous::new(1, ContentHash::of(b"another release 1")));
    });
    world.put(&release);
}
