//! The way to a log: what is written goes through a queue to the thread of its file.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_system::{clock, process, thread};
use parking_lot::{Condvar, Mutex};

use super::facade::Facade;
use super::scribe::{Entry, Health, Scribe};
use super::writer::Writer;
use super::{BOOT, Line, LogSettings};

/// How many lines wait for the thread. 1,024: a hundred swaps; what comes on top while a disk
/// hangs is counted as lost.
const QUEUE_LINES_MAX: usize = 1_024;

/// How long whoever waits for a line waits. 1 s: a disk that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long whoever must know that a line is written waits. 5 s: a machine that is busy gets there, and only the swapper
/// waits.
const INTENT_PATIENCE: Duration = Duration::from_secs(5);

/// One log: a file, or only the `log` facade. All engines of a process that log to one path share one of these.
pub(crate) struct LogFile {
    /// The name in the table of open ones.
    key: PathBuf,
    /// The file that is really written; `None` for the facade alone.
    path: Option<PathBuf>,
    /// Taken when this is dropped, which ends the thread.
    queue: Option<Sender<Entry>>,
    order: Mutex<()>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    health: Arc<Health>,
}

/// When something happened, however late it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) wall: SystemTime,
    pub(crate) since_boot: Duration,
}

impl Stamp {
    pub(crate) fn now() -> Self {
        Self { wall: clock::wall(), since_boot: clock::since(BOOT.start) }
    }

    /// Since the start of the process; never 0.
    pub(super) fn milliseconds(self) -> u64 {
        u64::try_from(self.since_boot.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// The logs that are open, so that one path has one writer. One that is being closed stays until it is.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<LogFile>>> = Mutex::new(BTreeMap::new());
static CLOSED: Condvar = Condvar::new();

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LogFile");
        shown.field("path", &self.path).field("health", &self.health).finish_non_exhaustive()
    }
}

impl LogFile {
    /// Opens a log for appending, or joins the writer that this process already has, whatever its settings.
    ///
    /// When another process holds it, `<stem>-<pid>.<extension>` beside it is used and says so.
    pub(crate) fn open(path: &Path, settings: LogSettings) -> io::Result<Arc<Self>> {
        let path = std::path::absolute(path)?;
        Self::join_or(path.clone(), || {
            // Here and not on the thread: a log that cannot be written from the start is an error.
            let writer = match Writer::open(&path, settings.clone(), None)? {
                Some(writer) => writer,
                None => {
                    let locked =
                        || io::Error::new(io::ErrorKind::WouldBlock, "locked by another process");
                    Writer::open(&beside(&path), settings, Some(&path))?.ok_or_else(locked)?
                }
            };
            Ok(Some(writer))
        })
    }

    /// The `log` facade alone.
    pub(crate) fn facade() -> io::Result<Arc<Self>> {
        Self::join_or(PathBuf::new(), || Ok(None))
    }

    fn join_or(
        key: PathBuf,
        open: impl FnOnce() -> io::Result<Option<Writer>>,
    ) -> io::Result<Arc<Self>> {
        let mut table = OPEN.lock();
        while let Some(entry) = table.get(&key) {
            if let Some(log) = entry.upgrade() {
                return Ok(log);
            }
            // Its thread still holds the lock of the file.
            if CLOSED.wait_for(&mut table, PATIENCE).timed_out() {
                break;
            }
        }
        let writer = open()?;
        let path = writer.as_ref().map(|writer| writer.path().to_owned());
        let (queue, entries) = bounded(QUEUE_LINES_MAX);
        let (alive, ended) = bounded(0);
        let health = Arc::<Health>::default();
        let facade = Facade::start(alive.clone())?;
        let mut scribe =
            Scribe { entries, writer, facade, health: Arc::clone(&health), _alive: alive };
        thread::spawn("hotswap-log", move || scribe.run())?;
        let (queue, order) = (Some(queue), Mutex::default());
        let log = Arc::new(Self { key: key.clone(), path, queue, order, ended, health });
        table.insert(key, Arc::downgrade(&log));
        Ok(log)
    }

    /// The file that is really written, if any.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How many lines were never written.
    pub(crate) fn lost(&self) -> u64 {
        // Relaxed: a number for people to look at.
        self.health.lost.load(Ordering::Relaxed)
    }

    /// Hands a line over; never waits. Where there is no room it is counted, and the next line says so.
    pub(crate) fn write(&self, line: Line) {
        let Some(queue) = &self.queue else { return };
        let is_full = {
            // So that times go up in the file as they do in the queue. Nothing waits under it.
            let _order = self.order.lock();
            queue.try_send(Entry::Line { line, at: Stamp::now() }).is_err()
        };
        if is_full {
            self.overflowed();
        }
    }

    /// Counts a line that found no room.
    fn overflowed(&self) {
        // Relaxed: counts only.
        self.health.overflow.fetch_add(1, Ordering::Relaxed);
        self.health.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until everything handed over is written, or could not be; not for long, and not at all while
    /// nothing gets written.
    pub(crate) fn flush(&self) {
        // Relaxed: a hint whether waiting is worth it.
        if self.health.stalled_since_ms.load(Ordering::Relaxed) == 0 {
            // Who must know whether something is written asks for an intent.
            let _gave_up = self.ask(PATIENCE, |done| (Entry::Flush(done), Stamp::now()));
        }
    }

    /// Writes a line and waits until it stands in the file: on the disk, if that was asked for.
    pub(crate) fn intent(&self, line: Line) -> io::Result<()> {
        let asked = self.ask(INTENT_PATIENCE, |written| {
            let at = Stamp::now();
            (Entry::Intent { line, at, written }, at)
        });
        asked.inspect_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.overflowed();
            }
        })?
    }

    /// Follows the path if it names another file by now.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.ask(PATIENCE, |done| (Entry::Reopen(done), Stamp::now()))?
    }

    /// Waits for an answer of the thread, but not for a disk that hangs.
    fn ask<T>(
        &self,
        patience: Duration,
        entry: impl FnOnce(Sender<T>) -> (Entry, Stamp),
    ) -> io::Result<T> {
        let closed = || io::Error::other("the log was closed");
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        let (reply, answer) = bounded(1);
        let (is_asked, begin) = {
            let _order = self.order.lock();
            let (entry, at) = entry(reply);
            (queue.try_send(entry).is_ok(), at)
        };
        let refusal = if !is_asked {
            io::Error::new(io::ErrorKind::WouldBlock, "too many lines wait to be written")
        } else if let Ok(answer) = answer.recv_timeout(patience) {
            return Ok(answer);
        } else {
            let message = format!("it did not answer within {} s", patience.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, message)
        };
        // Relaxed: as in `flush`.
        self.health.stalled_since_ms.store(begin.milliseconds(), Ordering::Relaxed);
        Err(refusal)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        drop(self.queue.take());
        // Lines under way get written; a thread that hangs is left behind.
        let _hangs = self.ended.recv_timeout(PATIENCE);
        let mut table = OPEN.lock();
        if table.get(&self.key).is_some_and(|entry| entry.strong_count() == 0) {
            table.remove(&self.key);
        }
        drop(table);
        CLOSED.notify_all();
    }
}

/// `hotswap.log` → `hotswap-<pid>.log`.
fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    path.with_file_name(format!("{stem}-{}{}", process::id(), extension.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_path_has_one_writer_and_can_be_opened_again() {
        let path = std::env::temp_dir().join(format!("hotswap-shared-{}.log", process::id()));
        for _ in 0..20 {
            let first = LogFile::open(&path, LogSettings::default()).expect("opens");
            let second = LogFile::open(&path, LogSettings::default()).expect("joins");
            assert!(Arc::ptr_eq(&first, &second));
            assert_eq!(first.path(), Some(path.as_path()));
        }
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(text.matches("log.open").count(), 20, "each time its own lock: {text}");
        fs::remove_file(&path).expect("removable");
    }
}
