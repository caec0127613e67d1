//! What a scan promises, on real files.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::properties::config;

/// Numbers that look random and are the same every time: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn file_scanner(path: &Path) -> Scanner {
    let mut scanner = Scanner::new(&Source::File(path.to_owned()));
    let later = || SystemTime::now() + Duration::from_secs(10);
    scanner.answers = Answers::with_clock(Arc::new(later));
    scanner
}

/// Rewrites files that the scanner believes by their times, and files that are
/// too young for that: the seam is the scanner's clock, ahead by ten seconds or
/// right.
#[test]
fn cd_1_a_rewrite_with_the_same_size_and_an_old_time_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rs");
    let ahead = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&ahead);
    let mut scanner = Scanner::new(&Source::File(path.clone()));
    scanner.answers = Answers::with_clock(Arc::new(move || {
        SystemTime::now() + Duration::from_secs(clock.load(Ordering::SeqCst))
    }));
    let mut random = Random(1);
    let mut text = vec![b'a'; 64];
    fs::write(&path, &text).unwrap();
    let mut fingerprint = scanner.scan().unwrap().fingerprint;
    let mut trusted = 0;
    for case in 0..1000 {
        let is_trusted = random.below(2) == 0;
        if is_trusted {
            trusted += 1;
            ahead.store(10, Ordering::SeqCst);
            scanner.scan().unwrap();
            let reads = scanner.files_read();
            scanner.scan().unwrap();
            assert_eq!(scanner.files_read(), reads, "its times are believed");
            // What is old by the scanner's clock was written a tick ago at least.
            pass_a_tick(&path);
        }
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let place = random.below(64) as usize;
        text[place] = text[place].wrapping_add(1 + random.below(255) as u8);
        let how = if random.below(2) == 0 {
            fs::write(&path, &text).unwrap();
            "in place"
        } else {
            let other = path.with_extension("other");
            fs::write(&other, &text).unwrap();
            fs::rename(&other, &path).unwrap();
            "renamed"
        };
        let back = Duration::from_millis(random.below(2) * random.below(10_000));
        let times = FileTimes::new().set_modified(before - back);
        File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
        ahead.store(0, Ordering::SeqCst);
        let scan = scanner.scan().unwrap();
        assert_ne!(scan.fingerprint, fingerprint, "case {case}: {how}, trusted: {is_trusted}");
        assert_eq!(scan.changed.len(), 1);
        fingerprint = scan.fingerprint;
    }
    assert!(trusted > 400, "{trusted}");
}

/// Writes to another file until the file system's clock is past the time of this.
fn pass_a_tick(path: &Path) {
    let changed = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let probe = path.with_extension("probe");
    let begin = SystemTime::now();
    loop {
        fs::write(&probe, "").unwrap();
        if changed(&probe) > changed(path) {
            return;
        }
        assert!(begin.elapsed().unwrap() < Duration::from_secs(60), "the clock stands still");
    }
}

#[test]
fn an_idle_scan_reads_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rs");
    fs::write(&path, "a").unwrap();
    let mut scanner = file_scanner(&path);
    let first = scanner.scan().unwrap();
    assert_eq!(scanner.files_read(), 1);
    for _ in 0..10 {
        let scan = scanner.scan().unwrap();
        assert_eq!(scan.fingerprint, first.fingerprint);
        assert!(scan.changed.is_empty() && scan.touched.is_empty());
    }
    assert_eq!(scanner.files_read(), 1);
}

#[test]
fn a_touched_file_is_told_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rs");
    fs::write(&path, "a").unwrap();
    let mut scanner = file_scanner(&path);
    let first = scanner.scan().unwrap();
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let scan = scanner.scan().unwrap();
    assert_eq!(scan.fingerprint, first.fingerprint);
    assert_eq!(scan.touched, [PathBuf::from("a.rs")]);
    assert!(scan.changed.is_empty());
}

#[test]
fn an_unreadable_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("a.rs"), "a").unwrap();
    let mut scanner = Scanner::new(&Source::File(root.join("a.rs")));
    scanner.scan().unwrap();
    // Reading this process's memory at address 0 fails for root as well.
    symlink("/proc/self/mem", root.join("bad")).unwrap();
    scanner.learn(vec![root.join("bad")]);
    let error = scanner.scan().unwrap_err();
    assert_eq!(error.path, root.join("bad"));
    assert!(error.to_string().starts_with("cannot read /"), "{error}");
    fs::remove_file(root.join("bad")).unwrap();
    assert!(scanner.scan().unwrap().changed.is_empty());
}

#[test]
fn a_missing_source_is_an_error_that_names_it() {
    let mut scanner = Scanner::new(&Source::from("/nowhere/game"));
    let error = scanner.scan().unwrap_err();
    assert_eq!(error.path, Path::new("/nowhere/game"));
    assert_eq!(error.error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_a_build_read_is_covered_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("a.rs"), "a").unwrap();
    fs::write(root.join("b.txt"), "b").unwrap();
    let mut scanner = Scanner::new(&Source::File(root.join("a.rs")));
    let narrow = scanner.scan().unwrap();
    let inputs = || vec![root.join("a.rs"), root.join("b.txt"), root.join("absent")];
    let new: Vec<PathBuf> = scanner.learn(inputs()).into_iter().collect();
    assert_eq!(new, [PathBuf::from("absent"), PathBuf::from("b.txt")]);
    let wide = scanner.scan().unwrap();
    assert_ne!(wide.fingerprint, narrow.fingerprint);
    assert!(scanner.learn(inputs()).is_empty(), "new only once, absent or not");
    fs::write(root.join("b.txt"), "c").unwrap();
    assert_eq!(scanner.scan().unwrap().changed, [PathBuf::from("b.txt")]);
    // No part of the build any more: it differs, but nobody wrote it.
    scanner.learn(vec![root.join("a.rs")]);
    let scan = scanner.scan().unwrap();
    assert_eq!(scan.fingerprint, narrow.fingerprint);
    assert!(!scanner.is_still_input(Path::new("b.txt")));
}

#[test]
fn the_order_of_a_map_keeps_directories_before_what_lies_below() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("data")).unwrap();
    fs::write(root.join("a.rs"), "a").unwrap();
    fs::write(root.join("data/x"), "x").unwrap();
    let mut scanner = Scanner::new(&Source::File(root.join("a.rs")));
    scanner.scan().unwrap();
    assert_eq!(scanner.learn(vec![root.join("data")]).len(), 1);
    assert_eq!(scanner.scan().unwrap().changed, [PathBuf::from("data/x")]);
    assert!(scanner.has_seen(Path::new("data")));
    assert!(!scanner.has_seen(Path::new("dat")));
}

#[test]
fn an_idle_scan_of_a_crate_asks_nobody_and_reads_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("src")).unwrap();
    let manifest = "[package]\nname = \"game\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    fs::write(root.join("src/lib.rs"), "").unwrap();
    let mut scanner = Scanner::new(&Source::from(root));
    let later = || SystemTime::now() + Duration::from_secs(10);
    scanner.answers = Answers::with_clock(Arc::new(later));
    let first = scanner.scan().unwrap();
    assert!(first.problem.is_none());
    assert_eq!(first.files, 3, "the lock file was written");
    let reads = scanner.files_read();
    // No cargo any more: a scan that asked would have a problem.
    scanner.inputs.settings.cargo = Some(PathBuf::from("/nowhere/cargo"));
    let second = scanner.scan().unwrap();
    assert!(second.problem.is_none());
    assert_eq!(second.fingerprint, first.fingerprint);
    assert_eq!(scanner.files_read(), reads);
}

/// What an idle look costs in memory does not depend on how much it looks at.
#[test]
fn an_idle_scan_takes_no_memory_for_a_file() {
    let allocations = |files: usize| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let manifest = "[package]\nname = \"game\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        for number in 0..files {
            let folder = root.join(format!("src/{}", number / 10));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{number}.rs")), "").unwrap();
        }
        fs::write(root.join("src/lib.rs"), "").unwrap();
        let mut scanner = Scanner::new(&Source::from(root));
        let later = || SystemTime::now() + Duration::from_secs(10);
        scanner.answers = Answers::with_clock(Arc::new(later));
        let first = scanner.scan().unwrap();
        assert!(first.files > files);
        let mut idle = None;
        let counted = allocation_counter::measure(|| idle = Some(scanner.scan().unwrap()));
        assert_eq!(idle.unwrap().fingerprint, first.fingerprint);
        counted.count_total
    };
    let few = allocations(10);
    assert_eq!(allocations(1_000), few);
    // The path of the workspace, which a scan hands out.
    assert!(few <= 2, "{few}");
}

/// A scanner that remembers finds what one does that looks for the first time, whatever was done to
/// files, links and directories, and however their times were set.
#[test]
fn what_is_remembered_is_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    // No link leads out of what is this test's own.
    let root = &directory.path().join("root");
    fs::create_dir_all(root.join("data")).unwrap();
    fs::write(root.join("a.rs"), "a").unwrap();
    let scanner = |ahead: &Arc<AtomicU64>| {
        let mut scanner = Scanner::new(&Source::File(root.join("a.rs")));
        let clock = Arc::clone(ahead);
        scanner.answers = Answers::with_clock(Arc::new(move || {
            SystemTime::now() + Duration::from_secs(clock.load(Ordering::SeqCst))
        }));
        scanner.learn(vec![root.join("a.rs"), root.join("data"), root.join("later")]);
        scanner
    };
    let ahead = Arc::new(AtomicU64::new(0));
    let mut remembering = scanner(&ahead);
    let mut random = Random(7);
    let mut finds = (0, 0);
    for step in 0..600 {
        disturb(&root.join("data"), &mut random, step);
        // A link to itself cannot be read.
        let (found, fresh) = (remembering.scan().ok(), scanner(&ahead).scan().ok());
        let fingerprint = |scan: &Scan| (scan.fingerprint, scan.files);
        assert_eq!(found.as_ref().map(fingerprint), fresh.as_ref().map(fingerprint), "step {step}");
        match found {
            Some(found) if found.changed.is_empty() => finds.0 += 1,
            found => finds.1 += usize::from(found.is_some()),
        }
        // Half of the steps find everything believed, and then come a tick later at least.
        ahead.store(random.below(2) * 10, Ordering::SeqCst);
        let _looked = remembering.scan();
        fs::write(root.join("now"), "").unwrap();
        pass_a_tick(&root.join("now"));
    }
    assert!(finds.0 > 100 && finds.1 > 100, "{finds:?}");
}

/// What events speak for is passed over until they say something, and never by a whole look. They speak for
/// no file that has two names, is a link, is found by its own name only, or lies in a directory that is another one by now.
#[test]
fn files_that_events_speak_for_wait_until_they_say_something() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let path = |name: &str| root.join(name);
    fs::create_dir_all(path("data/d")).unwrap();
    for name in ["a.rs", "target", "data/one", "data/linked", "data/two", "data/d/x", "data/x.tmp"]
    {
        fs::write(path(name), "0").unwrap();
    }
    symlink(path("target"), path("data/link")).unwrap();
    fs::hard_link(path("data/two"), path("second")).unwrap();
    let mut scanner = file_scanner(&path("a.rs"));
    scanner.learn(vec![path("a.rs"), path("data"), path("data/x.tmp")]);
    scanner.scan().unwrap();
    let identity = |name: &str| Identity::of(&hotswap_system::fs::metadata(path(name)).unwrap());
    let (data, d) = (path("data"), path("data/d"));
    let watched = HashMap::from([(data.as_path(), identity("data")), (&d, identity("a.rs"))]);
    scanner.vouch(&watched);
    for name in ["data/one", "target", "second", "data/d/x", "data/x.tmp", "a.rs"] {
        fs::write(path(name), "1").unwrap();
    }
    let nothing = Told::default();
    let scan = scanner.scan_extent(Extent::Told(&nothing)).unwrap();
    let names = ["a.rs", "data/d/x", "data/link", "data/two", "data/x.tmp"];
    assert_eq!(scan.changed, names.map(PathBuf::from), "all but data/one");
    let mut told = Told::default();
    told.complete(&path("data/one"));
    let scan = scanner.scan_extent(Extent::Told(&told)).unwrap();
    assert_eq!(scan.changed, [PathBuf::from("data/one")]);
    fs::write(path("now"), "").unwrap();
    pass_a_tick(&path("now"));
    fs::write(path("data/one"), "2").unwrap();
    assert!(scanner.scan_extent(Extent::Told(&nothing)).unwrap().changed.is_empty());
    assert_eq!(scanner.scan().unwrap().changed, [PathBuf::from("data/one")]);
    // What is no write in place needs no event.
    fs::write(path("data/new"), "").unwrap();
    fs::rename(path("data/new"), path("data/one")).unwrap();
    fs::remove_file(path("data/linked")).unwrap();
    let scan = scanner.scan_extent(Extent::Told(&nothing)).unwrap();
    assert_eq!(scan.changed, ["data/linked", "data/one"].map(PathBuf::from));
}

/// Does one thing to a tree of few names.
fn disturb(root: &Path, random: &mut Random, step: u64) {
    const NAMES: [&str; 9] = ["x", "y", "d/x", "d/y", "d/e/x", "d/e/y", "d", "d/e", "../later"];
    let mut path = || root.join(NAMES[random.below(9) as usize]);
    let (path, other) = (path(), path());
    // Most of what is tried is not possible at the moment, and that is well.
    let _tried = match random.below(20) {
        0..=7 => fs::create_dir_all(path.parent().unwrap())
            .and_then(|()| fs::write(&path, step.to_string())),
        // The same size, and the old time.
        8..=9 => fs::metadata(&path).and_then(|metadata| {
            fs::write(&path, vec![step as u8; metadata.len() as usize])?;
            let times = FileTimes::new().set_modified(metadata.modified()?);
            File::options().write(true).open(&path)?.set_times(times)
        }),
        10 => fs::create_dir_all(&path),
        11..=12 => fs::rename(&path, &other),
        13..=14 => fs::remove_file(&path),
        15 => fs::remove_dir_all(&path),
        16 => symlink(&other, &path),
        17 => symlink("..", &path),
        18 => fs::hard_link(&path, &other),
        _ => fs::write(path.join("CACHEDIR.TAG"), ""),
    };
}

/// Stores and logs hold fingerprints: the same names and bytes give the same one in every release.
#[test]
fn a_fingerprint_stays_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let manifest =
        "[package]\nname = \"game\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    let lock = "# This file is automatically @generated by Cargo.\n\
                # It is not intended for manual editing.\nversion = 4\n\n\
                [[package]]\nname = \"game\"\nversion = \"0.1.0\"\n";
    // Neither the order of bytes nor that of creation: a directory stands where its name does.
    for (name, text) in [
        ("src/z.rs", "z"),
        ("src/a/b/c.rs", ""),
        ("src/a-b.rs", "dash"),
        ("src/a.rs", "dot"),
        ("src/lib.rs", "mod a;"),
        ("src/\u{fc}.txt", "umlaut"),
        ("assets/!.bin", "\0\u{1}"),
        (".cargo/config.toml", ""),
        ("Cargo.toml", manifest),
        ("Cargo.lock", lock),
        // No inputs.
        ("README.md", "no"),
        ("tests/t.rs", "no"),
    ] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text).unwrap();
    }
    let scan = Scanner::new(&Source::from(root)).scan().unwrap();
    assert!(scan.problem.is_none(), "{:?}", scan.problem);
    assert_eq!(scan.files, 10);
    assert_eq!(scan.fingerprint.to_string(), "96f7e09d6356bdc1df74b0546e9d8a609907693a");
}

/// Files by name, of which a few lie in a directory.
fn files() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    btree_map("(d/)?[a-c]{1,2}", vec(prop::sample::select(b"ab".to_vec()), 0..3), 0..5)
}

/// The fingerprint of these files, written and learned in this order.
fn fingerprint_of(files: &[(&String, &Vec<u8>)]) -> Fingerprint {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("d")).unwrap();
    fs::write(root.join("main.rs"), "").unwrap();
    for (name, bytes) in files {
        fs::write(root.join(name), bytes).unwrap();
    }
    let mut scanner = Scanner::new(&Source::File(root.join("main.rs")));
    scanner.learn(files.iter().map(|(name, _)| root.join(name)).collect());
    scanner.scan().unwrap().fingerprint
}

proptest! {
    #![proptest_config(config(150))]

    /// Names and bytes decide; the directory, the times and the order in which files came do not.
    #[test]
    fn a_scan_knows_names_and_bytes_and_no_order(
        (left, right) in files().prop_flat_map(|left| {
            // Any two would differ in much at once: here in nothing, in one name or in one byte alone.
            let (mut renamed, mut longer) = (left.clone(), left.clone());
            if let Some((name, bytes)) = renamed.pop_last() {
                renamed.insert(name + "x", bytes);
            }
            longer.values_mut().take(1).for_each(|bytes| bytes.push(b'a'));
            (Just(left.clone()), prop_oneof![Just(left), Just(renamed), Just(longer), files()])
        }),
    ) {
        let forth: Vec<_> = left.iter().collect();
        let back: Vec<_> = right.iter().rev().collect();
        prop_assert_eq!(fingerprint_of(&forth) == fingerprint_of(&back), left == right);
    }
}
