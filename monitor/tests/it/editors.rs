//! The ways in which editors and tools save (CD-6), and bursts of writes (CD-8).

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hotswap_monitor::{Fingerprint, Outcome, Scanner, Source};

use crate::fake::{self, builder, source};
use crate::harness::{PATIENCE, Watched, pause, ready, write, write_crate};

/// A way to save: its name, what it does to the crate, and whether the text of
/// `src/lib.rs` is `two` afterwards.
pub(crate) type Way = (&'static str, fn(&Path), bool);

pub(crate) const WAYS: &[Way] = &[
    ("in place", |root| write(root, "src/lib.rs", "two"), true),
    (
        "in place, in two writes with a pause",
        |root| {
            write(root, "src/lib.rs", "");
            pause(Duration::from_millis(5));
            write(root, "src/lib.rs", "two");
        },
        true,
    ),
    (
        "temporary and rename",
        |root| {
            write(root, "src/.lib.rs.swp", "swap file");
            write(root, "src/lib.rs.tmp", "two");
            fs::rename(root.join("src/lib.rs.tmp"), root.join("src/lib.rs")).unwrap();
            fs::remove_file(root.join("src/.lib.rs.swp")).unwrap();
        },
        true,
    ),
    (
        "backup and create",
        |root| {
            write(root, "src/4913", "");
            fs::remove_file(root.join("src/4913")).unwrap();
            fs::rename(root.join("src/lib.rs"), root.join("src/lib.rs~")).unwrap();
            write(root, "src/lib.rs", "two");
        },
        true,
    ),
    (
        "delete, then create again",
        |root| {
            fs::remove_file(root.join("src/lib.rs")).unwrap();
            pause(Duration::from_millis(5));
            write(root, "src/lib.rs", "two");
        },
        true,
    ),
    ("a new folder with a file", |root| write(root, "src/part/deep/mod.rs", "new"), false),
    (
        "a folder that is moved in",
        |root| {
            write(root, "../moved/mod.rs", "new");
            fs::rename(root.join("../moved"), root.join("src/moved")).unwrap();
        },
        false,
    ),
    (
        "a link that points elsewhere now",
        |root| {
            std::os::unix::fs::symlink("../texts/two", root.join("src/link.new")).unwrap();
            fs::rename(root.join("src/link.new"), root.join("src/link")).unwrap();
        },
        false,
    ),
    (
        "a linked folder that is another now",
        |root| {
            std::os::unix::fs::symlink("folders/two", root.join("current.new")).unwrap();
            fs::rename(root.join("current.new"), root.join("src/current")).unwrap();
        },
        false,
    ),
    ("a file that is deleted", |root| fs::remove_file(root.join("src/old.rs")).unwrap(), false),
    (
        "a file that is renamed",
        |root| fs::rename(root.join("src/old.rs"), root.join("src/new.rs")).unwrap(),
        false,
    ),
];

/// A crate with a bit of everything.
pub(crate) fn prepare(root: &Path) {
    write_crate(root, "game", "one");
    write(root, "src/old.rs", "old");
    write(root, "texts/one", "<one>");
    write(root, "texts/two", "<two>");
    write(root, "src/folders/one/mod.rs", "<one>");
    write(root, "src/folders/two/mod.rs", "<two>");
    std::os::unix::fs::symlink("../texts/one", root.join("src/link")).unwrap();
    std::os::unix::fs::symlink("folders/one", root.join("src/current")).unwrap();
}

#[test]
fn cd_6_every_way_to_save_is_one_new_fingerprint() {
    // All at once: they mostly wait for the source to stand still.
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(|| is_one_new_fingerprint(way));
        }
    });
}

fn is_one_new_fingerprint((way, save, is_two): &Way) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    prepare(&root);
    // Long enough for the pauses within a way, on a busy machine too.
    let fake = fake::crate_builder(&root, |_, _, _| {}).settle(Duration::from_millis(200));
    let watched = Watched::polling(fake, Duration::from_millis(2));
    let first = ready(watched.next());
    save(&root);
    let second = ready(watched.next());
    assert_ne!(second.fingerprint, first.fingerprint, "{way}");
    let text = fs::read_to_string(&second.path).unwrap();
    assert_eq!(text == "two", *is_two, "{way}: {text}");
    // Nothing follows: the next answer is that nothing has changed.
    match watched.scan().outcome {
        Outcome::Unchanged(fingerprint) => assert_eq!(fingerprint, second.fingerprint),
        other => panic!("{way}: {other:?}"),
    }
    assert_eq!(watched.builds(), 2, "{way}");
}

#[test]
fn cd_6_the_crate_that_vanishes_and_returns() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    prepare(&root);
    let watched = Watched::with(fake::crate_builder(&root, |_, _, _| {}));
    ready(watched.next());
    let away = directory.path().join("away");
    fs::rename(&root, &away).unwrap();
    let outcome = watched.scan().outcome;
    assert!(matches!(outcome, Outcome::Unreadable(_)), "{outcome:?}");
    fs::rename(&away, &root).unwrap();
    watched.unchanged();
    // And as another one.
    fs::rename(&root, &away).unwrap();
    prepare(&root);
    write(&root, "src/lib.rs", "two");
    let artifact = watched.ready();
    assert_eq!(fs::read(&artifact.path).unwrap(), b"two");
}

/// As many writes as an editor's worst plug-in makes.
#[test]
fn cd_8_a_burst_of_a_thousand_writes_is_two_builds_at_most() {
    const WRITES: u32 = 1000;
    let (_directory, file) = source("one");
    // The writer of a busy machine pauses for longer than the default settle time.
    let fake = builder(&file, |_, _, _| {}).settle(Duration::from_millis(100));
    let watched = Watched::polling(fake, Duration::from_secs(1));
    let first = ready(watched.next());
    watched.steps();
    let begin = Instant::now();
    for write in 1..=WRITES {
        fs::write(&file, format!("write {write}")).unwrap();
        pause((begin + Duration::from_millis(1) * write) - Instant::now());
    }
    let last = loop {
        let artifact = ready(watched.next());
        if fs::read(&artifact.path).unwrap() == b"write 1000" {
            break artifact;
        }
        assert!(begin.elapsed() < PATIENCE, "the last write was not built");
    };
    assert_ne!(last.fingerprint, first.fingerprint);
    watched.unchanged();
    let builds = watched.builds();
    assert!((1..=2).contains(&builds), "{builds} builds");
}

/// The same, looked at as often as possible: what decides is the settle time.
#[test]
fn cd_8_a_checkout_is_one_build() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    prepare(&root);
    let fake = fake::crate_builder(&root, |_, _, _| {}).settle(Duration::from_millis(200));
    let watched = Watched::polling(fake, Duration::from_millis(1));
    ready(watched.next());
    watched.steps();
    for number in 0..300 {
        write(&root, &format!("src/part_{}/file_{number}.rs", number % 7), "text");
    }
    let after: Fingerprint = Scanner::new(&Source::from(&root)).scan().unwrap().fingerprint;
    assert_eq!(ready(watched.next()).fingerprint, after);
    watched.unchanged();
    assert_eq!(watched.builds(), 1);
}
