//! A log as it is found: whose it is, where it ends, and whether that is where its head says.

use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hotswap_system::fs::{self, File};

use super::Line;
use super::chain::Chain;
use super::head::Head;
use super::tail::Tail;

/// A file that was opened, and is locked.
pub(super) struct Opened {
    pub(super) file: File,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    pub(super) tail: Tail,
}

impl Opened {
    /// `None` when another process has it.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::append(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let found = file.metadata()?;
        let tail = Tail::of(&mut file)?;
        Ok(Some(Self { file, identity: identity(&found), tail }))
    }
}

/// What tells files apart: device and inode.
pub(super) fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Where a chain goes on that an earlier process left, and what is wrong with what it left.
pub(super) fn join(opened: &Opened, head: Option<Head>) -> (Chain, Option<Line>) {
    let found = opened.tail.last.map_or(Chain::START, |last| last.end);
    let is_intact = opened.tail.last.is_none_or(|last| last.is_intact);
    let Some(head) = head else { return (found, None) };
    let line = |event, message| {
        Line::alert(event)
            .field("last_seq", found.seq)
            .field("head_seq", head.end.seq)
            .field("msg", message)
    };
    if head.end.seq > found.seq {
        // The file was put aside, and the path names a new one.
        let is_new = opened.tail.bytes == 0 && head.inode != opened.identity.1;
        let message = "the log ends before what its head says: lines are gone";
        (head.end, (!is_new).then(|| line("log.truncated", message)))
    } else if head.end.seq == found.seq && (head.end.seal != found.seal || !is_intact) {
        (found, Some(line("log.altered", "the last line is not the one that the head names")))
    } else {
        (found, None)
    }
}
