//! What lies in each directory, remembered for as long as the directory cannot have changed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hotswap_system::fs;

use super::stat::{Identity, Stat};
use super::walk::{is_absent, is_directory_left_out, is_file_left_out};

/// What lies in one directory, without what no build reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// By name.
    pub(super) entries: Vec<Listed>,
    /// Whether the directory says that it is a cache.
    pub(super) is_cache: bool,
}

/// One name in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: OsString,
    pub(super) kind: ListedKind,
}

/// What a directory says that a name is. Pipes, sockets and devices are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListedKind {
    File,
    Directory,
    Link,
}

/// The listing of each directory, and the stat gate that saves listing it.
///
/// A name that comes, goes or becomes another file changes the directory's times; a
/// listing taken while they were young is never believed, as with
/// [`FileHashes`](super::file_hashes::FileHashes).
#[derive(Default)]
pub(super) struct Listings {
    entries: HashMap<PathBuf, Entry>,
}

struct Entry {
    listing: Arc<Listing>,
    stat: Stat,
    identity: Identity,
    /// Whether equal times prove an equal listing.
    trusted: bool,
    /// The last look that asked for it.
    look: u64,
}

impl Entry {
    fn read(path: &Path, now: SystemTime, look: u64) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let (stat, identity) = (Stat::of(&metadata), Identity::of(&metadata));
        let listing = Arc::new(list(path)?);
        let is_steady = Stat::of(&fs::metadata(path)?) == stat;
        let trusted = is_steady && !stat.is_young_at(now);
        Ok(Self { listing, stat, identity, trusted, look })
    }

    fn holds(&self, path: &Path) -> bool {
        self.trusted && fs::metadata(path).is_ok_and(|found| Stat::of(&found) == self.stat)
    }
}

impl Listings {
    /// The listing of a directory and which directory it is: remembered, or listed now.
    pub(super) fn list(
        &mut self,
        path: &Path,
        look: u64,
        clock: &dyn Fn() -> SystemTime,
    ) -> io::Result<(Arc<Listing>, Identity)> {
        if let Some(entry) = self.entries.get_mut(path)
            && entry.holds(path)
        {
            entry.look = look;
            return Ok((Arc::clone(&entry.listing), entry.identity));
        }
        let entry = Entry::read(path, clock(), look)?;
        let found = (Arc::clone(&entry.listing), entry.identity);
        self.entries.insert(path.to_owned(), entry);
        Ok(found)
    }

    /// Whether everything that was listed is the same. A directory that was written,
    /// or may have been, is listed again: most editors write another name for a moment.
    pub(super) fn review(&mut self, clock: &dyn Fn() -> SystemTime) -> bool {
        self.entries.iter_mut().all(|(path, entry)| {
            entry.holds(path)
                || Entry::read(path, clock(), entry.look).is_ok_and(|now| {
                    let is_same = now.listing == entry.listing && now.identity == entry.identity;
                    *entry = now;
                    is_same
                })
        })
    }

    /// Which directory was listed by this name.
    pub(super) fn identity(&self, path: &Path) -> Option<Identity> {
        Some(self.entries.get(path)?.identity)
    }

    /// Whether a directory was listed.
    pub(super) fn knows(&self, path: &Path) -> bool {
        self.entries.contains_key(path)
    }

    /// Every directory that was listed, but for caches.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        let inputs = self.entries.iter().filter(|(_, entry)| !entry.listing.is_cache);
        inputs.map(|(path, _)| path.as_path())
    }

    /// Forgets the directories that `look` did not ask for.
    pub(super) fn forget_before(&mut self, look: u64) {
        self.entries.retain(|_, entry| entry.look >= look);
    }
}

fn list(path: &Path) -> io::Result<Listing> {
    let mut listing = Listing { entries: Vec::new(), is_cache: false };
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => ListedKind::Link,
            Ok(kind) if kind.is_dir() => ListedKind::Directory,
            Ok(kind) if kind.is_file() => ListedKind::File,
            Ok(_) => continue,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        listing.is_cache |= name == "CACHEDIR.TAG";
        let is_left_out = match kind {
            ListedKind::File => is_file_left_out(&name),
            ListedKind::Directory => is_directory_left_out(&name),
            ListedKind::Link => is_file_left_out(&name) && is_directory_left_out(&name),
        };
        if !is_left_out {
            listing.entries.push(Listed { name, kind });
        }
    }
    listing.entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_old_directory_is_listed_once_and_a_young_one_every_time() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "").unwrap();
        let is_remembered = |clock: &dyn Fn() -> SystemTime| {
            let mut listings = Listings::default();
            let (first, _) = listings.list(directory.path(), 0, clock).unwrap();
            let (second, _) = listings.list(directory.path(), 1, clock).unwrap();
            assert_eq!(first, second);
            Arc::ptr_eq(&first, &second)
        };
        assert!(is_remembered(&|| SystemTime::now() + Duration::from_secs(10)));
        assert!(!is_remembered(&SystemTime::now), "written just now: its times prove nothing");
    }
}
