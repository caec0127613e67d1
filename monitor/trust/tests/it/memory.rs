//! What a client remembers on its disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hotswap_trust::{
    Accepted, KeyPair, News, StateErrorKind, Subject, TrustErrorKind, TrustState, TrustStore,
    Verified,
};
use tempfile::TempDir;

use crate::harness::{after, key, noon, releases, verified, wanted};

fn subject() -> Subject {
    Subject::new("https://host/modules", "greet", "stable")
}

struct Disk {
    directory: TempDir,
    store: TrustStore,
    releases: Vec<Verified>,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = TrustStore::open(directory.path().join("trust")).unwrap();
        Self { directory, store, releases: releases(&key(), 5) }
    }

    fn check(&self, release: &Verified) -> Accepted {
        self.store.load(&subject()).unwrap().check(release, noon(), &wanted()).unwrap()
    }

    fn take(&self, index: usize) {
        let accepted = self.check(&self.releases[index]);
        self.store.remember(&subject(), &accepted).unwrap();
    }

    fn counter(&self) -> u64 {
        self.store.load(&subject()).unwrap().counter()
    }

    fn names(&self) -> Vec<String> {
        let listed = fs::read_dir(self.directory.path().join("trust")).unwrap();
        let mut names: Vec<_> =
            listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// By a store of the next process, which has nothing else.
#[test]
fn d2_an_older_release_is_refused_after_a_restart() {
    let disk = Disk::new();
    disk.take(4);
    let again = TrustStore::open(disk.directory.path().join("trust")).unwrap();
    let state = again.load(&subject()).unwrap();
    let error = state.check(&disk.releases[2], noon(), &wanted()).unwrap_err();
    assert_eq!(error.kind, TrustErrorKind::Older { accepted: 5 });
    assert_eq!(state.check(&disk.releases[4], noon(), &wanted()).unwrap().news(), News::Unchanged);
}

#[test]
fn each_source_module_and_channel_is_remembered_for_itself() {
    let disk = Disk::new();
    disk.take(4);
    let others = [
        Subject::new("https://other/modules", "greet", "stable"),
        Subject::new("https://host/modules", "greet2", "stable"),
        Subject::new("https://host/modules", "greet", "beta"),
        Subject::new("https://host/modulesgreet", "", "stable"),
        // One after the other they are the same text.
        Subject::new("x", "greet", "greetb"),
        Subject::new("xgreet", "greet", "b"),
        Subject::new("https://host/modules\nmodule greet", "greet", "stable"),
        Subject::new("x".repeat(100_000), "../../greet", "stable\n"),
        Subject::new("x".repeat(100_001), "../../greet", "stable\n"),
    ];
    for other in &others {
        assert_eq!(disk.store.load(other).unwrap().counter(), 0);
        let accepted =
            disk.store.load(other).unwrap().check(&disk.releases[0], noon(), &wanted()).unwrap();
        disk.store.remember(other, &accepted).unwrap();
        assert_eq!(disk.store.load(other).unwrap().counter(), 1);
    }
    assert_eq!(disk.counter(), 5);
    assert_eq!(disk.names().len(), others.len() + 2, "one each, and a lock: {:?}", disk.names());
}

fn refused(store: &TrustStore) -> String {
    let error = store.load(&subject()).expect_err("it is damaged");
    assert!(matches!(error.kind, StateErrorKind::Damaged { .. }), "{error}");
    error.to_string()
}

/// A damaged file is never taken for none, which would be to believe anything.
#[test]
fn a_file_cut_or_changed_anywhere_is_an_error_that_says_what_to_do() {
    let disk = Disk::new();
    disk.take(4);
    let path = disk.store.path(&subject());
    let whole = fs::read(&path).unwrap();
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        refused(&disk.store);
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[end] ^= 1 << bit;
            fs::write(&path, flipped).unwrap();
            refused(&disk.store);
        }
    }
    fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
    let text = refused(&disk.store);
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    for part in ["greet (stable) from https://host/modules", "restore the file", "remove it"] {
        assert!(text.contains(part), "{text}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(disk.counter(), 5);
}

/// Nor is one that cannot be read.
#[test]
fn what_cannot_be_read_is_an_error() {
    let disk = Disk::new();
    fs::create_dir(disk.store.path(&subject())).unwrap();
    let error = disk.store.load(&subject()).unwrap_err();
    assert!(matches!(error.kind, StateErrorKind::Io { .. }), "{error}");
    let accepted = TrustState::default().check(&disk.releases[0], noon(), &wanted()).unwrap();
    disk.store.remember(&subject(), &accepted).unwrap_err();
}

#[test]
fn a_file_of_another_subject_is_damaged() {
    let disk = Disk::new();
    disk.take(0);
    let other = Subject::new("https://host/modules", "greet", "beta");
    fs::copy(disk.store.path(&subject()), disk.store.path(&other)).unwrap();
    let error = disk.store.load(&other).unwrap_err();
    assert!(error.to_string().contains("it is of greet (stable)"), "{error}");
}

/// A process that was killed between making the new file and giving it its name.
#[test]
fn what_a_killed_process_left_is_replaced() {
    let disk = Disk::new();
    disk.take(0);
    let left = disk.store.path(&subject()).with_extension("new");
    fs::write(&left, "hotswap tr").unwrap();
    disk.take(1);
    assert_eq!((disk.counter(), left.exists()), (2, false));
}

/// Both looked at the same time; the later one may not take back what the earlier one wrote.
#[test]
fn of_two_processes_the_slower_one_looks_again() {
    let disk = Disk::new();
    disk.take(0);
    let (slow, quick) = (disk.check(&disk.releases[1]), disk.check(&disk.releases[2]));
    disk.store.remember(&subject(), &quick).unwrap();
    let error = disk.store.remember(&subject(), &slow).unwrap_err();
    assert!(matches!(error.kind, StateErrorKind::Changed { .. }), "{error}");
    assert_eq!(disk.counter(), 3);
}

#[test]
fn nothing_new_writes_nothing() {
    let disk = Disk::new();
    disk.take(0);
    let path = disk.store.path(&subject());
    fs::remove_file(&path).unwrap();
    let key = key();
    let release = verified(&key, &disk.releases[0]);
    let state = disk.check(&release).state();
    let accepted = state.check(&release, noon(), &wanted()).unwrap();
    disk.store.remember(&subject(), &accepted).unwrap();
    assert!(!path.exists());
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn where_others_may_write_nothing_is_remembered() {
    let disk = Disk::new();
    let path = disk.directory.path().join("trust");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    disk.take(0);
    assert_eq!(mode(&disk.store.path(&subject())), 0o600);
    for bad in [0o770, 0o702, 0o1777] {
        set_mode(&path, bad);
        let error = TrustStore::open(&path).unwrap_err();
        assert!(matches!(error.kind, StateErrorKind::NotPrivate { .. }), "{error}");
    }
    set_mode(&path, 0o755);
    TrustStore::open(&path).unwrap();
}

/// For people: when the keys are others, or a number was published that nothing can follow.
#[test]
fn d5_what_is_forgotten_begins_anew() {
    let disk = Disk::new();
    let key: KeyPair = key();
    let mut far = after(&disk.releases[0]);
    far.counter = u64::MAX;
    far.floor = u64::MAX;
    let accepted = disk.check(&verified(&key, &far));
    disk.store.remember(&subject(), &accepted).unwrap();
    let state = disk.store.load(&subject()).unwrap();
    state.check(&disk.releases[1], noon(), &wanted()).unwrap_err();
    disk.store.forget(&subject()).unwrap();
    disk.take(1);
    disk.store.forget(&subject()).unwrap();
    disk.store.forget(&subject()).expect("there is nothing to forget");
    assert_eq!(disk.counter(), 0);
}
