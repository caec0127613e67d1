//! The hash of each file, remembered for as long as the file cannot have changed.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hotswap_artifact::{Fingerprint, FingerprintHasher};
use hotswap_system::fs::{self, File};

use super::Extent;
use super::stat::Stat;

/// How many bytes are read at a time.
///
/// 64 KiB: large enough that system calls do not show in a profile. A file's
/// hash depends on it, fingerprints of different builds of this crate may differ.
const READ_BYTES: usize = 64 * 1024;

/// How often a file is read again because it was written while it was read.
///
/// Three: an editor is done after one; a file that is written all the time is
/// marked as young instead and read by every look.
const READS_MAX: usize = 3;

/// What was found in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub(crate) digest: Fingerprint,
    pub(crate) stat: Stat,
}

/// The hash of each file, and the stat gate that saves reading it.
///
/// The gate decides by *not equal*: any difference in size, mtime, ctime, inode
/// or device, in whatever direction, means reading. And a hash taken while the
/// file was young is never believed.
#[derive(Default)]
pub(super) struct FileHashes {
    entries: HashMap<PathBuf, Entry>,
    reads: u64,
}

struct Entry {
    hashed: Hashed,
    /// Whether equal times prove equal bytes.
    trusted: bool,
    /// Whether an event would name the file if it were written by this name.
    vouched: bool,
    /// The last look that asked for it.
    look: u64,
}

impl Entry {
    fn holds(&self, path: &Path) -> bool {
        self.trusted && stat(path).is_ok_and(|found| found == self.hashed.stat)
    }

    /// Whether no write can have been missed by who hears of all events. A file that has another
    /// name may be written by that.
    fn is_vouched(&self) -> bool {
        self.vouched && self.trusted && self.hashed.stat.links() == 1
    }
}

fn stat(path: &Path) -> io::Result<Stat> {
    Ok(Stat::of(&fs::metadata(path)?))
}

impl FileHashes {
    /// How many times a file's content was read.
    pub(super) fn reads(&self) -> u64 {
        self.reads
    }

    /// The hash of a file: remembered, or read now.
    pub(super) fn hash(
        &mut self,
        path: &Path,
        look: u64,
        clock: &dyn Fn() -> SystemTime,
    ) -> io::Result<Hashed> {
        let stat = stat(path)?;
        if let Some(entry) = self.entries.get_mut(path)
            && entry.trusted
            && entry.hashed.stat == stat
        {
            entry.look = look;
            return Ok(entry.hashed);
        }
        let (hashed, trusted) = self.read(path, clock)?;
        let vouched = self.entries.get(path).is_some_and(|entry| entry.vouched);
        let entry = Entry { hashed, trusted, vouched, look };
        self.entries.insert(path.to_owned(), entry);
        Ok(hashed)
    }

    /// Whether a file was hashed.
    pub(super) fn knows(&self, path: &Path) -> bool {
        self.entries.contains_key(path)
    }

    /// The files that may hold other bytes than those that were hashed, or are gone.
    pub(super) fn review(&self, extent: Extent<'_>) -> Vec<PathBuf> {
        let is_asked = |entry: &Entry| matches!(extent, Extent::Everything) || !entry.is_vouched();
        let asked = self.entries.iter().filter(|(_, entry)| is_asked(entry));
        let written = asked.filter(|(path, entry)| !entry.holds(path));
        let mut written: Vec<PathBuf> = written.map(|(path, _)| path.clone()).collect();
        if let Extent::Told(told) = extent {
            let is_written = |entry: &Entry, path| !is_asked(entry) && !entry.holds(path);
            let named = told.paths().filter(|path| {
                self.entries.get(*path).is_some_and(|entry| is_written(entry, path))
            });
            written.extend(named.map(Path::to_owned));
        }
        written
    }

    /// Says of which files events would tell.
    pub(super) fn vouch(&mut self, is_told: impl Fn(&Path) -> bool) {
        for (path, entry) in &mut self.entries {
            entry.vouched = is_told(path);
        }
    }

    /// Forgets the files that `look` did not ask for.
    pub(super) fn forget_before(&mut self, look: u64) {
        self.entries.retain(|_, entry| entry.look >= look);
    }

    fn read(&mut self, path: &Path, clock: &dyn Fn() -> SystemTime) -> io::Result<(Hashed, bool)> {
        for _ in 1..READS_MAX {
            let (hashed, trusted, steady) = self.read_once(path, clock)?;
            if steady {
                return Ok((hashed, trusted));
            }
        }
        let (hashed, trusted, steady) = self.read_once(path, clock)?;
        Ok((hashed, trusted && steady))
    }

    /// Reads a file; whether its times will prove its bytes, and whether it stood
    /// still meanwhile.
    fn read_once(
        &mut self,
        path: &Path,
        clock: &dyn Fn() -> SystemTime,
    ) -> io::Result<(Hashed, bool, bool)> {
        self.reads += 1;
        let mut file = File::open(path)?;
        let stat = Stat::of(&file.metadata()?);
        // Before the first byte is read: whatever is written from here on gets a
        // time that differs from one older than the window.
        let young = stat.is_young_at(clock());
        let digest = digest(&mut file)?;
        let steady = Stat::of(&file.metadata()?) == stat;
        Ok((Hashed { digest, stat }, !young, steady))
    }
}

/// The plain SHA-1 of a file, which anybody can compute again.
fn digest(file: &mut File) -> io::Result<Fingerprint> {
    let mut hasher = FingerprintHasher::new();
    let mut chunk = Vec::with_capacity(READ_BYTES);
    loop {
        chunk.clear();
        file.read_at_most(READ_BYTES as u64, &mut chunk)?;
        if chunk.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.part(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_old_file_is_read_once_and_a_young_one_every_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "a").unwrap();
        let later = || SystemTime::now() + Duration::from_secs(10);
        let (mut old, mut young) = (FileHashes::default(), FileHashes::default());
        for look in 0..3 {
            old.hash(&path, look, &later).unwrap();
            young.hash(&path, look, &SystemTime::now).unwrap();
        }
        assert_eq!(old.reads(), 1);
        assert_eq!(young.reads(), 3, "written just now: its times prove nothing");
    }

    #[test]
    fn a_time_in_the_future_proves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "a").unwrap();
        let future = SystemTime::now() + Duration::from_secs(3600);
        File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
        let later = || SystemTime::now() + Duration::from_secs(10);
        let mut hashes = FileHashes::default();
        hashes.hash(&path, 0, &later).unwrap();
        hashes.hash(&path, 1, &later).unwrap();
        assert_eq!(hashes.reads(), 2);
    }
}
