//! What the file system answered to the questions of a look. While every answer is the same, so is
//! what the look found: nothing else needs to be done again.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hotswap_system::{clock, fs};

use super::Extent;
use super::file_hashes::{FileHashes, Hashed};
use super::listings::{Listing, Listings};
use super::stat::Identity;
use super::walk::{is_absent, is_file_left_out};

/// Says what time it is: the seam for tests of the racy window.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Other,
}

/// Answers, and what they were.
///
/// Whatever a look wants to know of the file system it asks here, so that the answers decide what it
/// finds. Each is kept once: what is in a file or a directory by its hash or listing, whether there
/// is anything at all by its kind.
pub(super) struct Answers {
    hashes: FileHashes,
    listings: Listings,
    /// What is neither a file nor a directory: mostly what is not there. With the last look that asked.
    kinds: HashMap<PathBuf, (Option<Kind>, u64)>,
    /// Files that the directory they lie in calls a link.
    links: HashSet<PathBuf>,
    look: u64,
    clock: Clock,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self::with_clock(Arc::new(clock::wall))
    }

    pub(super) fn with_clock(clock: Clock) -> Self {
        Self {
            hashes: FileHashes::default(),
            listings: Listings::default(),
            kinds: HashMap::new(),
            links: HashSet::new(),
            look: 0,
            clock,
        }
    }

    /// A look begins: it asks for everything.
    pub(super) fn begin(&mut self) {
        self.look += 1;
        self.links.clear();
    }

    /// The look is done: what it did not ask for is no part of it.
    pub(super) fn end(&mut self) {
        let look = self.look;
        self.hashes.forget_before(look);
        self.listings.forget_before(look);
        // Of two answers in one look the later counts: cargo writes the lock file meanwhile.
        let is_there = |path: &Path| self.hashes.knows(path) || self.listings.knows(path);
        self.kinds.retain(|path, (_, asked)| *asked >= look && !is_there(path));
    }

    /// Whether the answers are the same: the files that may hold other bytes, none as a rule, or
    /// `None` when something else differs. Takes no memory and reads nothing when all is old and the same.
    pub(super) fn review(&mut self, extent: Extent<'_>) -> Option<Vec<PathBuf>> {
        let is_same = |(path, (known, _)): (&PathBuf, &(Option<Kind>, u64))| {
            kind(path).is_ok_and(|found| found == *known)
        };
        let stands = self.kinds.iter().all(is_same) && self.listings.review(&*self.clock);
        stands.then(|| self.hashes.review(extent))
    }

    /// What a path leads to; `None` when there is nothing.
    pub(super) fn kind(&mut self, path: &Path) -> io::Result<Option<Kind>> {
        let found = kind(path)?;
        // A file is hashed and a directory listed by whoever asked.
        if let None | Some(Kind::Other) = found {
            self.remember(path, found);
        }
        Ok(found)
    }

    /// What is in a file.
    pub(super) fn hash(&mut self, path: &Path) -> io::Result<Hashed> {
        let hashed = self.hashes.hash(path, self.look, &*self.clock);
        if hashed.as_ref().is_err_and(is_absent) {
            self.remember(path, None);
        }
        hashed
    }

    /// What is in a directory, and which one it is.
    pub(super) fn list(&mut self, path: &Path) -> io::Result<(Arc<Listing>, Identity)> {
        self.listings.list(path, self.look, &*self.clock)
    }

    /// Notes that a file is reached through a link.
    pub(super) fn note_link(&mut self, path: PathBuf) {
        self.links.insert(path);
    }

    pub(super) fn links(&self) -> &HashSet<PathBuf> {
        &self.links
    }

    /// Every directory that was listed.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.listings.directories()
    }

    /// Believes events for the files that lie in these directories themselves, as long as the
    /// directories are listed: everything but a write in place shows in a listing.
    pub(super) fn vouch(&mut self, told: &HashMap<&Path, Identity>) {
        let is_listed = |directory: &&Path, identity: &Identity| {
            self.listings.identity(directory) == Some(*identity)
        };
        let mut told = told.clone();
        told.retain(|directory, identity| is_listed(directory, identity));
        let links = &self.links;
        self.hashes.vouch(|path| {
            path.parent().is_some_and(|parent| told.contains_key(parent))
                && !path.file_name().is_some_and(is_file_left_out)
                && !links.contains(path)
        });
    }

    /// Whether a file is found because its directory is listed, not by its name alone.
    pub(super) fn is_walked(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.listings.knows(parent))
            && !path.file_name().is_some_and(is_file_left_out)
    }

    /// How many times a file's content was read.
    pub(super) fn reads(&self) -> u64 {
        self.hashes.reads()
    }

    fn remember(&mut self, path: &Path, found: Option<Kind>) {
        match self.kinds.get_mut(path) {
            Some(known) => *known = (found, self.look),
            None => drop(self.kinds.insert(path.to_owned(), (found, self.look))),
        }
    }
}

fn kind(path: &Path) -> io::Result<Option<Kind>> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(Kind::File)),
        Ok(found) if found.is_dir() => Ok(Some(Kind::Directory)),
        Ok(_) => Ok(Some(Kind::Other)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
