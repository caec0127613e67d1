//! Releases that were fetched, kept on disk. Nothing in it is believed: it is checked whenever it is used.
//!
//! ```text
//! greet-<who and where>/          of one module from one source
//!     .lock                       held while something is put in or removed
//!     <SHA-256 of the manifest>/  a release: `hotswap.manifest` and its files
//!     incoming-0/                 one that is not complete, of whoever holds incoming-0.lock
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{ContentHash, FetchError};
use hotswap_system::directory::{Directory, EntryKind, NotPrivate, make_private};
use hotswap_system::fs::{self, File};
use hotswap_trust::{FileEntry, FileErrorKind, MANIFEST_NAME, SIGNED_BYTES_MAX, Trust};

use super::release::Release;

/// How many releases are kept.
///
/// 3: what runs, what ran before, and one more for when both are damaged.
const KEPT_MAX: usize = 3;

/// How many things may lie in the directory of a module; more is not looked at. Releases, what is incoming, and locks.
const ENTRIES_MAX: usize = 1_000;

/// How many processes may fetch the same module at a time.
const INCOMING_MAX: u32 = 64;

/// What is kept of one module from one source.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

/// A file that is kept, and whether it can be given.
pub(super) enum Given {
    Yes,
    /// It is not there, or not what was signed.
    No(String),
}

impl Cache {
    /// Makes room, or makes sure that nobody else may write there.
    pub(super) fn open(cache: &Path, name: &str) -> Result<Self, FetchError> {
        let directory = cache.join(name);
        for place in [cache, &directory] {
            make_private(place).map_err(|error| refused(place, error))?;
        }
        Ok(Self { directory })
    }

    /// The releases that are kept and believed, the newest first. Those that cannot be read are passed over.
    pub(super) fn kept(&self, trust: &Trust) -> Vec<Arc<Release>> {
        let listed = self.list().unwrap_or_default();
        let read = |hash: ContentHash| self.read(hash, trust).map(Arc::new);
        let mut kept: Vec<_> = listed.into_iter().filter_map(read).collect();
        kept.sort_by_key(|release| std::cmp::Reverse(release.verified.counter));
        kept
    }

    /// The manifests that seem to be there.
    fn list(&self) -> io::Result<Vec<ContentHash>> {
        let entries = Directory::open(&self.directory)?.list(ENTRIES_MAX)?;
        let hash = |(name, kind): (std::ffi::OsString, EntryKind)| {
            name.to_str()?.parse().ok().filter(|_| kind == EntryKind::Directory)
        };
        Ok(entries.into_iter().filter_map(hash).collect())
    }

    /// Whether the manifest of this release lies there as it should.
    pub(super) fn has_manifest(&self, release: &Release, trust: &Trust) -> bool {
        self.read(release.verified.hash(), trust).is_some()
    }

    fn read(&self, hash: ContentHash, trust: &Trust) -> Option<Release> {
        let place = self.place(hash);
        let mut bytes = Vec::new();
        let directory = Directory::open(&place).ok()?;
        let mut file = directory.file(MANIFEST_NAME.as_ref()).ok()?;
        file.read_at_most(SIGNED_BYTES_MAX as u64 + 1, &mut bytes).ok()?;
        let name = place.join(MANIFEST_NAME).display().to_string();
        Release::read(&name, bytes, trust).ok().filter(|release| release.verified.hash() == hash)
    }

    fn place(&self, hash: ContentHash) -> PathBuf {
        self.directory.join(hash.to_string())
    }

    /// Copies a file of a release that is kept, and hashes what is written.
    pub(super) fn copy(
        &self,
        release: &Release,
        file: &FileEntry,
        to: &Path,
    ) -> Result<Given, FetchError> {
        let mut copy = create(to)?;
        let place = self.place(release.verified.hash());
        match release.verified.copy_file(&place, file.path.as_str(), &mut copy) {
            Ok(()) => Ok(Given::Yes),
            Err(error) => match error.kind {
                FileErrorKind::Write(error) => Err(unwritten(to, error)),
                _ => Ok(Given::No(format!("in {}: {error}", place.display()))),
            },
        }
    }

    /// Copies a file that is the same in any of these, so that it need not be fetched. Whether there was one.
    pub(super) fn copy_same(
        &self,
        kept: &[Arc<Release>],
        wanted: &FileEntry,
        to: &Path,
    ) -> Result<bool, FetchError> {
        for release in kept {
            let is_same =
                |file: &&FileEntry| (file.bytes, file.hash) == (wanted.bytes, wanted.hash);
            let same = release.verified.files.iter().find(is_same);
            if let Some(same) = same
                && let Given::Yes = self.copy(release, same, to)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a release that turned out to be damaged: it is fetched again when it is wanted.
    pub(super) fn remove(&self, release: &Release) {
        let place = self.place(release.verified.hash());
        let removed = self.locked(|| fs::remove_dir_all(&place));
        if let Err(error) = removed {
            log::warn!("{} is damaged and cannot be removed ({error})", place.display());
        }
    }

    /// A directory of this call's own, for a release to come.
    pub(super) fn stage(&self) -> Result<Staging, FetchError> {
        for number in 0..INCOMING_MAX {
            let directory = self.directory.join(format!("incoming-{number}"));
            let path = directory.with_extension("lock");
            let lock = File::append(&path).map_err(|error| unwritten(&path, error))?;
            if lock.try_lock().is_err() {
                continue;
            }
            // What a process left that was killed.
            let made = remove(&directory).and_then(|()| fs::create_private_dir_all(&directory));
            made.map_err(|error| unwritten(&directory, error))?;
            return Ok(Staging { directory, _lock: lock });
        }
        let text = format!(
            "{INCOMING_MAX} processes fetch the same module into {}",
            self.directory.display()
        );
        Err(FetchError::unavailable(text))
    }

    /// Takes in what is complete: by one rename, so that there is all of a release or nothing. Old ones make room.
    pub(super) fn install(
        &self,
        staging: &Staging,
        release: &Release,
        trust: &Trust,
    ) -> Result<(), FetchError> {
        let manifest = staging.directory.join(MANIFEST_NAME);
        let mut file = create(&manifest)?;
        file.write_all(&release.bytes).map_err(|error| unwritten(&manifest, error))?;
        // All of it as it lies there now, and nothing else.
        let verified = &release.verified;
        let checked = verified.verify_directory(&staging.directory);
        checked.map_err(|error| FetchError::unavailable(error.to_string()))?;
        let place = self.place(verified.hash());
        let installed = self.locked(|| {
            // Somebody else was quicker, and may be copying from it.
            if self.has_manifest(release, trust) && verified.verify_directory(&place).is_ok() {
                return Ok(());
            }
            remove(&place)?;
            fs::rename(&staging.directory, &place)
        });
        installed.map_err(|error| unwritten(&place, error))?;
        if let Err(error) = self.locked(|| self.prune(release, trust)) {
            log::warn!("{}: old releases cannot be removed ({error})", self.directory.display());
        }
        Ok(())
    }

    /// Removes all but the newest, and what is not believed.
    fn prune(&self, installed: &Release, trust: &Trust) -> io::Result<()> {
        let newest = self.kept(trust).into_iter().map(|release| release.verified.hash());
        let others = newest.filter(|hash| *hash != installed.verified.hash());
        let mut spared: Vec<_> = others.take(KEPT_MAX - 1).collect();
        spared.push(installed.verified.hash());
        for hash in self.list()? {
            if !spared.contains(&hash) {
                remove(&self.place(hash))?;
            }
        }
        Ok(())
    }

    /// Does something while no other process does it here.
    fn locked<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let lock = File::append(self.directory.join(".lock"))?;
        lock.lock()?;
        work()
    }
}

/// A directory for a release to come; it is removed, with what is in it, unless it was installed.
#[derive(Debug)]
pub(super) struct Staging {
    directory: PathBuf,
    _lock: File,
}

impl Staging {
    /// Where a file of the release goes. Makes the directories above it.
    pub(super) fn place(&self, file: &FileEntry) -> Result<PathBuf, FetchError> {
        make_place(&self.directory, file.path.as_path())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Whoever has it next removes what is left.
        let _left = remove(&self.directory);
    }
}

/// The path below a directory, whose own directory is made.
pub(super) fn make_place(directory: &Path, below: &Path) -> Result<PathBuf, FetchError> {
    let path = directory.join(below);
    if let Some(parent) = path.parent() {
        fs::create_private_dir_all(parent).map_err(|error| unwritten(parent, error))?;
    }
    Ok(path)
}

/// A file of one's own; what an attempt before left there is gone.
pub(super) fn create(path: &Path) -> Result<File, FetchError> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    removed.and_then(|()| File::create_private(path)).map_err(|error| unwritten(path, error))
}

pub(super) fn unwritten(path: &Path, error: io::Error) -> FetchError {
    FetchError::unavailable(format!("cannot write {}", path.display())).caused_by(error)
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn refused(directory: &Path, error: NotPrivate) -> FetchError {
    let place = directory.display();
    match error {
        NotPrivate::Io { doing, error } => {
            FetchError::unavailable(format!("cannot {doing} releases in {place}")).caused_by(error)
        }
        NotPrivate::Open { owner, mode } => FetchError::unavailable(format!(
            "{place} is where other users may write (owner {owner}, mode {mode:o}), and no place for releases: \
             give it to yourself, with mode 700, or name another with `cache_in`"
        )),
    }
}
