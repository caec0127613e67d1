//! Where built libraries are kept: by the hash of their bytes.
//!
//! Several processes share a store. Every file appears whole, under a name that
//! tells what is inside; what is found there is hashed before it is used, and
//! replaced when it is not what its name says.

pub(crate) mod index;
pub(crate) mod projects;
mod record_text;
pub(crate) mod records;
pub(crate) mod report;
pub(crate) mod trial;
mod whole;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hotswap_artifact::{Artifact, BuildErrorKind, ContentHash, Fingerprint, Origin};
use hotswap_system::clock;
use hotswap_system::fs::{self, File};

use crate::build::Built;
use whole::Temporary;

pub(crate) use index::{Entry, Index, Known};

/// How many libraries a store keeps, besides what each source served last.
///
/// 32: rollback reaches that far; at 3 MB a debug build, about 100 MB.
pub(crate) const STORE_FILES_MAX: usize = 32;

/// How many sources a target directory is made for: of so many it is remembered what served, what cargo said, and more than one
/// result.
///
/// 1,024: a thousand modules of one program.
const SOURCES_MAX: usize = 1_024;

/// Puts a library into the store, or leaves a foreign one where it is, and
/// hashes what will be loaded.
pub(crate) fn store(
    built: &Built,
    fingerprint: Fingerprint,
    build_time: Duration,
) -> Result<Artifact, BuildErrorKind> {
    let (path, content, home) = match built.origin {
        Origin::Foreign => {
            let content =
                ContentHash::of_file(&built.library).map_err(io_kind("read", &built.library))?;
            (built.library.clone(), content, built.target_dir.clone())
        }
        Origin::Built => {
            let directory = built.target_dir.join("store");
            let (path, content) = keep(&built.library, &directory)?;
            whole::sweep(&directory);
            trim_libraries(&directory, &path);
            (path, content, built.target_dir.join("stage"))
        }
    };
    let bytes = fs::metadata(&path).map_err(io_kind("read", &path))?.len();
    Ok(Artifact {
        path,
        fingerprint,
        content,
        bytes,
        origin: built.origin,
        build_time,
        release: None,
        home,
    })
}

/// What lies in the store under the name of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Whole(Artifact),
    /// It is not what its name says, and neither may be what the compiler left: the
    /// two may be one file.
    Damaged,
    Absent,
}

/// Looks for the library with these bytes, and reads it.
pub(crate) fn find(
    target_dir: &Path,
    fingerprint: Fingerprint,
    content: ContentHash,
    build_time: Duration,
) -> Found {
    let path = library_path(&target_dir.join("store"), content);
    match ContentHash::of_file(&path) {
        Ok(found) if found == content => {}
        Ok(_) => {
            log::warn!("{} is not what its name says; it is built again", path.display());
            return Found::Damaged;
        }
        Err(_) => return Found::Absent,
    }
    touch(&path);
    let Ok(bytes) = fs::metadata(&path).map(|found| found.len()) else { return Found::Absent };
    let (origin, home) = (Origin::Built, target_dir.join("stage"));
    Found::Whole(Artifact {
        path,
        fingerprint,
        content,
        bytes,
        origin,
        build_time,
        release: None,
        home,
    })
}

/// Links the library under a name of its own, hashes *that* inode, and gives it
/// the hash as its name: whatever cargo does to its output meanwhile, the name
/// tells what is inside.
fn keep(library: &Path, directory: &Path) -> Result<(PathBuf, ContentHash), BuildErrorKind> {
    match keep_once(library, directory) {
        // Another process took ours for one of the dead.
        Err(BuildErrorKind::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            keep_once(library, directory)
        }
        kept => kept,
    }
}

fn keep_once(library: &Path, directory: &Path) -> Result<(PathBuf, ContentHash), BuildErrorKind> {
    fs::create_dir_all(directory).map_err(io_kind("create", directory))?;
    // Gone at the end in any case: renaming onto another link of the same inode does
    // nothing and leaves both names. *Source*: rename(2).
    let temporary = Temporary::below(directory);
    if fs::hard_link(library, &temporary.path).is_err() {
        // Another file system, or one without links.
        fs::copy(library, &temporary.path).map_err(io_kind("store", library))?;
    }
    name_by_content(&temporary.path, directory)
}

fn name_by_content(
    temporary: &Path,
    directory: &Path,
) -> Result<(PathBuf, ContentHash), BuildErrorKind> {
    let content = ContentHash::of_file(temporary).map_err(io_kind("read", temporary))?;
    let path = library_path(directory, content);
    if is_same_file(temporary, &path) || ContentHash::of_file(&path).is_ok_and(|h| h == content) {
        touch(&path);
    } else {
        // Not there, or not what its name says: somebody wrote into it, or a disk
        // lost a part of it.
        whole::publish(temporary, &path).map_err(io_kind("store", &path))?;
    }
    Ok((path, content))
}

fn library_path(directory: &Path, content: ContentHash) -> PathBuf {
    directory.join(format!("{content}{}", std::env::consts::DLL_SUFFIX))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// The age decides what is removed; this one is in use again.
fn touch(path: &Path) {
    let touched = File::open(path).and_then(|file| file.set_modified(clock::wall()));
    if let Err(error) = touched {
        log::debug!("cannot touch {}: {error}", path.display());
    }
}

/// Removes libraries beyond the limit, but neither the newest nor what a next process would start with.
fn trim_libraries(directory: &Path, newest: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let served = records::sources(directory);
    // With many sources not at every build: to find out what each of them served takes a read of a file for each.
    if entries.count() <= STORE_FILES_MAX + served + served / 8 {
        return;
    }
    let mut kept = BTreeSet::from([newest.to_owned()]);
    let served = records::latest_of_all(directory).into_iter();
    kept.extend(served.map(|content| library_path(directory, content)));
    trim(directory, &kept, STORE_FILES_MAX);
}

/// Removes the oldest beyond the limit, never `kept`, of which one counts. A store that cannot be
/// trimmed is no reason to refuse a build.
fn trim(directory: &Path, kept: &BTreeSet<PathBuf>, files_max: usize) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let entries: Vec<_> = entries.flatten().collect();
    if entries.len() <= files_max {
        return;
    }
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .into_iter()
        .map(|entry| (entry.metadata().and_then(|data| data.modified()), entry.path()))
        .filter_map(|(modified, path)| Some((modified.ok()?, path)))
        .filter(|(_, path)| !kept.contains(path) && path.extension().is_some())
        .collect();
    files.sort_by(|left, right| right.cmp(left));
    for (_, path) in files.iter().skip(files_max - 1) {
        if let Err(error) = fs::remove_file(path) {
            log::warn!("cannot remove {} from the store: {error}", path.display());
        }
    }
}

fn io_kind(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildErrorKind {
    let path = path.to_owned();
    move |error| BuildErrorKind::Io { action, path, error: Arc::new(error) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn stored(directory: &Path, bytes: &str) -> Artifact {
        let library = directory.join("libx.so");
        let _absent = fs::remove_file(&library);
        fs::write(&library, bytes).unwrap();
        let built = Built::new(library, directory);
        store(&built, Fingerprint::of(b""), Duration::ZERO).unwrap()
    }

    #[test]
    fn equal_bytes_share_one_file_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let first = stored(directory.path(), "one");
        let inode = fs::metadata(&first.path).unwrap().ino();
        let again = stored(directory.path(), "one");
        assert_eq!(first.path, again.path);
        assert_eq!(fs::metadata(&again.path).unwrap().ino(), inode);
        assert_eq!(again.content, ContentHash::of(b"one"));
        let same_inode = Built::new(directory.path().join("libx.so"), directory.path());
        fs::remove_file(&first.path).unwrap();
        for _ in 0..2 {
            store(&same_inode, Fingerprint::of(b""), Duration::ZERO).unwrap();
        }
        assert_eq!(fs::read_dir(directory.path().join("store")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_not_used_and_healed() {
        let directory = tempfile::tempdir().unwrap();
        let first = stored(directory.path(), "one");
        let find = || find(directory.path(), first.fingerprint, first.content, Duration::ZERO);
        assert_eq!(find(), Found::Whole(first.clone()));
        for damage in [&b"on"[..], b"", b"One", b"one!"] {
            fs::remove_file(&first.path).unwrap();
            fs::write(&first.path, damage).unwrap();
            assert_eq!(find(), Found::Damaged);
            assert_eq!(stored(directory.path(), "one").path, first.path);
            assert_eq!(find(), Found::Whole(first.clone()), "healed");
        }
        fs::remove_file(&first.path).unwrap();
        assert_eq!(find(), Found::Absent);
        assert_eq!(fs::read_dir(directory.path().join("store")).unwrap().count(), 0);
    }

    #[test]
    fn two_that_store_the_same_at_once_both_have_it() {
        let directory = tempfile::tempdir().unwrap();
        let shared = directory.path();
        std::thread::scope(|scope| {
            for own in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    let own = shared.join(own);
                    fs::create_dir(&own).unwrap();
                    for number in 0..20 {
                        let library = own.join(format!("{number}.so"));
                        fs::write(&library, number.to_string()).unwrap();
                        let built = Built::new(&library, shared);
                        let artifact = store(&built, Fingerprint::of(b""), Duration::ZERO).unwrap();
                        assert_eq!(artifact.content, ContentHash::of_file(&library).unwrap());
                        assert_eq!(ContentHash::of_file(&artifact.path).unwrap(), artifact.content);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(shared.join("store")).unwrap().count(), 20);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let mut last = None;
        for number in 0..STORE_FILES_MAX + 3 {
            let artifact = stored(directory.path(), &number.to_string());
            let age = Duration::from_secs((100 - number) as u64);
            let file = File::open(&artifact.path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            last = Some(artifact.path);
        }
        assert!(last.unwrap().exists());
        let store = directory.path().join("store");
        assert_eq!(fs::read_dir(&store).unwrap().count(), STORE_FILES_MAX);
        assert!(!store.join(format!("{}.so", ContentHash::of(b"0"))).exists());
    }
}
