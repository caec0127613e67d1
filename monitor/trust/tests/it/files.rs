//! Files of a release: fetched, in a directory, and while somebody changes them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hotswap_system::fs::File;
use hotswap_trust::{
    CodeKind, FileEntry, FileErrorKind, ListErrorKind, MANIFEST_NAME, Manifest, Verified,
};
use tempfile::TempDir;

use crate::harness::{entry, key, noon, prebuilt, verified, write};

const FILES: [(&str, &[u8]); 4] = [
    ("Cargo.toml", b"[package]"),
    ("build.rs", b""),
    ("src/a/deep.rs", b"mod deep;"),
    ("src/lib.rs", b"fn f1() {}"),
];

/// A crate, signed, and a directory that holds it.
fn release() -> (Verified, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in FILES {
        write(directory.path(), path, content);
    }
    let mut manifest = Manifest::new("greet", CodeKind::Crate, noon());
    manifest.files = FileEntry::list_directory(directory.path()).unwrap();
    (verified(&key(), &manifest), directory)
}

/// How a directory is refused, and for which file.
#[track_caller]
fn refused(release: &Verified, directory: &Path) -> (String, FileErrorKind) {
    let error = release.verify_directory(directory).expect_err("it is not what was signed");
    // Which release, who signed it, and where it was said.
    let text = error.to_string();
    assert!(text.contains(&release.described()), "{text}");
    assert!(text.contains(&release.signers()[0].to_string()), "{text}");
    (error.path, error.kind)
}

#[test]
fn a_directory_is_what_was_listed() {
    let (release, directory) = release();
    let listed: Vec<_> = release.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(listed, FILES.map(|(path, _)| path));
    release.verify_directory(directory.path()).unwrap();
    // The manifest lies beside what it lists, and is no part of it; nor is what was built there.
    write(directory.path(), MANIFEST_NAME, b"manifest");
    release.verify_directory(directory.path()).unwrap();
    write(directory.path(), "target/debug/x", b"x");
    write(directory.path(), ".git/HEAD", b"x");
    assert_eq!(FileEntry::list_directory(directory.path()).unwrap(), release.files);
    for (path, content) in FILES {
        let mut file = release.open_file(directory.path(), path).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, content, "from its beginning");
    }
}

#[test]
fn d1_every_flipped_bit_of_a_file_is_refused() {
    let (release, directory) = release();
    for (path, content) in FILES {
        for place in 0..content.len() {
            for bit in 0..8 {
                let mut flipped = content.to_vec();
                flipped[place] ^= 1 << bit;
                write(directory.path(), path, &flipped);
                let (named, kind) = refused(&release, directory.path());
                assert_eq!(named, path);
                assert!(matches!(kind, FileErrorKind::Content { .. }), "{kind}");
                release.open_file(directory.path(), path).expect_err("not this one");
            }
        }
        write(directory.path(), path, content);
    }
    release.verify_directory(directory.path()).unwrap();
}

/// A mirror that has the manifest of one release and a file of another.
#[test]
fn d4_a_file_of_another_release_is_refused() {
    let (release, directory) = release();
    write(directory.path(), "src/lib.rs", b"fn f2() {}");
    assert_eq!(refused(&release, directory.path()).0, "src/lib.rs");
}

#[test]
fn d6_what_never_ends_is_stopped_one_byte_after_its_end() {
    let release = verified(&key(), &prebuilt(b"library"));
    let mut check = release.file_check("libgreet.so").unwrap();
    assert_eq!(check.bytes_left(), 7);
    let mut taken = 0;
    let error = loop {
        match check.update(b"lib") {
            Ok(()) => taken += 3,
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind, FileErrorKind::TooLong { bytes: 7 }), "{error}");
    assert_eq!((taken, check.bytes_left()), (6, 1));
    // On a disk as well: the device is not read to its end.
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "libgreet.so", b"library");
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("libgreet.so"));
    file.unwrap().set_len(1 << 40).unwrap();
    let error = release.open_file(directory.path(), "libgreet.so").unwrap_err();
    assert!(matches!(error.kind, FileErrorKind::TooLong { bytes: 7 }), "{error}");
}

#[test]
fn a_file_in_pieces_is_the_same_file() {
    let release = verified(&key(), &prebuilt(b"library"));
    let check = |pieces: &[&[u8]]| {
        let mut check = release.file_check("libgreet.so").unwrap();
        pieces.iter().try_for_each(|piece| check.update(piece))?;
        check.finish()
    };
    check(&[b"library"]).unwrap();
    check(&[b"", b"l", b"ibrar", b"y", b""]).unwrap();
    let error = check(&[b"librar"]).unwrap_err();
    assert!(matches!(error.kind, FileErrorKind::TooShort { bytes: 7, found: 6 }), "{error}");
    let error = check(&[b"librarx"]).unwrap_err();
    assert!(matches!(error.kind, FileErrorKind::Content { .. }), "{error}");
    let error = release.file_check("../libgreet.so").unwrap_err();
    assert!(matches!(error.kind, FileErrorKind::NotListed), "{error}");
}

#[test]
fn d9_a_part_of_a_release_is_refused() {
    let (release, directory) = release();
    for (path, content) in FILES {
        fs::remove_file(directory.path().join(path)).unwrap();
        let (named, kind) = refused(&release, directory.path());
        assert_eq!(named, path);
        assert!(matches!(kind, FileErrorKind::Io(_)), "{kind}");
        write(directory.path(), path, content);
    }
    release.verify_directory(directory.path()).unwrap();
}

#[test]
fn d9_what_was_added_to_a_release_is_refused() {
    let (release, directory) = release();
    let extra = [
        "evil.rs",
        "src/evil.rs",
        "src/a/.hidden",
        ".cargo/config.toml",
        "src/a/hotswap.manifest",
        "SRC/lib.rs",
        "new\nline",
    ];
    for path in extra {
        write(directory.path(), path, b"");
        let (named, kind) = refused(&release, directory.path());
        let top = path.split('/').next().unwrap().escape_debug().to_string();
        assert!(named.starts_with(&top), "{named}");
        assert!(matches!(kind, FileErrorKind::NotListed), "{kind}");
        fs::remove_file(directory.path().join(path)).unwrap();
        let _kept_if_not_empty = fs::remove_dir(directory.path().join(path).parent().unwrap());
    }
    fs::create_dir(directory.path().join("empty")).unwrap();
    assert_eq!(refused(&release, directory.path()).0, "empty");
}

/// What an archive or another user may put in the place of a file.
#[test]
fn d15_links_devices_and_directories_are_no_files() {
    let (release, directory) = release();
    let outside = tempfile::tempdir().unwrap();
    let path = directory.path();
    // The right bytes, by a link: it may lead elsewhere the next moment.
    write(outside.path(), "lib.rs", b"fn f1() {}");
    fs::remove_file(path.join("src/lib.rs")).unwrap();
    symlink(outside.path().join("lib.rs"), path.join("src/lib.rs")).unwrap();
    let (named, kind) = refused(&release, path);
    assert_eq!(named, "src/lib.rs");
    assert!(matches!(kind, FileErrorKind::NoFile { what: "a link" }), "{kind}");
    release.open_file(path, "src/lib.rs").expect_err("a link");
    // A directory in its place, and a file in the place of a directory.
    fs::remove_file(path.join("src/lib.rs")).unwrap();
    fs::create_dir(path.join("src/lib.rs")).unwrap();
    assert_eq!(refused(&release, path).0, "src/lib.rs");
    fs::remove_dir_all(path.join("src")).unwrap();
    write(path, "src", b"");
    assert_eq!(refused(&release, path).0, "src");
    // The directory on the way is a link to a good one.
    fs::remove_file(path.join("src")).unwrap();
    for (name, content) in FILES {
        write(outside.path(), name, content);
    }
    symlink(outside.path().join("src"), path.join("src")).unwrap();
    assert_eq!(refused(&release, path).0, "src");
    release.open_file(path, "src/lib.rs").expect_err("a link leads to it");
    // Something that waits for ever to be written to.
    fs::remove_file(path.join("src")).unwrap();
    write(path, "src/a/deep.rs", b"mod deep;");
    let pipe = path.join("src/lib.rs");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert_eq!(refused(&release, path).0, "src/lib.rs");
    release.open_file(path, "src/lib.rs").expect_err("a pipe");
}

#[test]
fn what_cannot_be_released_is_said() {
    let (_, directory) = release();
    let refused = || FileEntry::list_directory(directory.path()).unwrap_err();
    for path in ["src/é.rs", "src/a\nb", "con.rs"] {
        write(directory.path(), path, b"");
        let error = refused();
        assert!(matches!(error.kind, ListErrorKind::Path(_)), "{error}");
        assert!(!error.to_string().contains('\n'), "{error:?}");
        fs::remove_file(directory.path().join(path)).unwrap();
    }
    symlink("lib.rs", directory.path().join("src/link.rs")).unwrap();
    let error = refused();
    assert!(matches!(error.kind, ListErrorKind::NoFile { what: "a link" }), "{error}");
    assert_eq!(error.path, "src/link.rs");
}

/// Ends another thread's work, also when a test fails before it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // Relaxed: nothing is handed over with it.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often somebody swaps the file while it is opened.
const ROUNDS: usize = 10_000;

/// While another thread gives the name to the signed file and to an evil one in turn, what is opened is what was signed, however often
/// it is read, or an error.
#[test]
fn d13_a_file_that_is_swapped_while_it_is_checked_is_never_the_wrong_one() {
    let release = verified(&key(), &prebuilt(b"library"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libgreet.so");
    fs::write(&path, "library").unwrap();
    let is_over = AtomicBool::new(false);
    let mut outcomes = BTreeSet::new();
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            let (good, evil) = (directory.path().join("good"), directory.path().join("evil"));
            while !is_over.load(Ordering::Relaxed) {
                fs::write(&evil, "hostile").unwrap();
                fs::rename(&evil, &path).unwrap();
                fs::write(&good, "library").unwrap();
                fs::rename(&good, &path).unwrap();
            }
        });
        let is_enough = |rounds, met| rounds >= 100 * ROUNDS || (rounds >= ROUNDS && met == 2);
        let mut rounds = 0;
        while !is_enough(rounds, outcomes.len()) {
            rounds += 1;
            let opened = release.open_file(directory.path(), "libgreet.so");
            outcomes.insert(opened.is_ok());
            if let Ok(mut file) = opened {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, b"library");
            }
        }
    });
    assert_eq!(outcomes.len(), 2, "both were met: {outcomes:?}");
}

/// While another thread writes into the file itself, a copy that was taken for good is good.
#[test]
fn d13_a_file_that_is_written_while_it_is_copied_is_never_the_wrong_one() {
    // Several reads long, so that there is a between.
    let good = vec![b'g'; 200_000];
    let release = verified(&key(), &prebuilt(&good));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libgreet.so");
    fs::write(&path, &good).unwrap();
    let is_over = AtomicBool::new(false);
    let copy = directory.path().join("copy");
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            use std::os::unix::fs::FileExt as _;
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                file.write_all_at(b"x", 150_000).unwrap();
                file.write_all_at(b"g", 150_000).unwrap();
            }
        });
        for _ in 0..ROUNDS / 50 {
            let mut out = File::create(&copy).unwrap();
            if release.copy_file(directory.path(), "libgreet.so", &mut out).is_ok() {
                assert_eq!(fs::read(&copy).unwrap(), good);
            }
        }
    });
}

/// What lies in a cache is checked whenever it is used.
#[test]
fn d14_a_file_edited_at_rest_is_refused_the_next_time() {
    let (release, directory) = release();
    release.verify_directory(directory.path()).unwrap();
    write(directory.path(), "build.rs", b"fn main() { canary() }");
    assert_eq!(refused(&release, directory.path()).0, "build.rs");
    release.open_file(directory.path(), "build.rs").expect_err("it was edited");
    release.open_file(directory.path(), "src/lib.rs").expect("it was not");
}

#[test]
fn a_copy_that_cannot_be_written_is_no_copy() {
    let release = verified(&key(), &prebuilt(b"library"));
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "libgreet.so", b"library");
    // Opened for reading only.
    let mut copy = File::open(directory.path().join("libgreet.so")).unwrap();
    let error = release.copy_file(directory.path(), "libgreet.so", &mut copy).unwrap_err();
    assert!(matches!(error.kind, FileErrorKind::Write(_)), "{error}");
    let absent = release.open_file(&directory.path().join("absent"), "libgreet.so").unwrap_err();
    assert!(matches!(absent.kind, FileErrorKind::Io(_)), "{absent}");
    assert_eq!(entry("a", b"").bytes, 0);
}
