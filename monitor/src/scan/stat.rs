//! What the file system says about a file without reading it.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotswap_system::fs::Metadata;

/// A file whose times lie closer than this to the moment of hashing may change
/// again without its times changing; its hash is not kept.
///
/// 2 s: the coarsest file systems in use (FAT) count in 2 s, others in 1 s, and
/// the kernel's own clock ticks every 1 to 10 ms. *Source*: git's and
/// Mercurial's "racy" handling, which this follows.
pub const RACY_WINDOW: Duration = Duration::from_secs(2);

/// How far a file's time may lag behind the clock on a file system that keeps
/// nanoseconds: one tick of the kernel's coarse clock at its slowest (100 Hz).
pub(crate) const CLOCK_TICK: Duration = Duration::from_millis(10);

/// Seconds and nanoseconds since the epoch, as the file system has them.
type FileTime = (i64, i64);

/// Everything about a file that a rewrite is bound to change: at least `ctime`,
/// which no program can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    bytes: u64,
    modified: FileTime,
    changed: FileTime,
    inode: u64,
    device: u64,
    links: u64,
}

/// Which file or directory it is, by whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    /// Where the file system keeps it: the number of a directory that was removed may be another's soon.
    born: Option<SystemTime>,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), born: metadata.created().ok() }
    }

    /// Whether there is no other of this identity, at any time.
    pub(crate) fn is_unique(&self) -> bool {
        self.born.is_some()
    }
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
            links: metadata.nlink(),
        }
    }

    /// How many names the file has.
    pub(crate) fn links(&self) -> u64 {
        self.links
    }

    /// When the file was written, as it says itself.
    pub(crate) fn modified(&self) -> (i64, i64) {
        self.modified
    }

    /// Whether the file may be written after `moment` without its times telling.
    /// A time in the future counts as young: it says nothing.
    pub(crate) fn is_young_at(&self, moment: SystemTime) -> bool {
        self.is_later_than(moment, RACY_WINDOW)
    }

    /// Whether the file may have been written after `moment`.
    pub(crate) fn may_be_written_since(&self, moment: SystemTime) -> bool {
        // Whole seconds come from a file system that keeps no nanoseconds (or,
        // once in a hundred million times, by chance: then this is too careful).
        let granularity = if self.changed.1 == 0 { RACY_WINDOW } else { CLOCK_TICK };
        self.is_later_than(moment, granularity)
    }

    /// When the file, or what is noted of it, was last written: no program can set that.
    pub(crate) fn changed(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::from_secs(seconds.try_into().unwrap_or(0));
        UNIX_EPOCH + since + Duration::from_nanos(nanoseconds.try_into().unwrap_or(0))
    }

    fn is_later_than(&self, moment: SystemTime, granularity: Duration) -> bool {
        let newest = self.modified.max(self.changed);
        let limit =
            moment.checked_sub(granularity).and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
        limit.is_none_or(|limit| {
            // A clock beyond the year 292 billion is not worth a branch.
            let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
            newest >= (seconds, i64::from(limit.subsec_nanos()))
        })
    }
}
