//! The file, and the one thread that writes it: a disk or a logger that does not answer holds up nobody else.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::TryLockError;
use std::io::{self, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_system::fs::{self, File};
use hotswap_system::{clock, process, thread};
use parking_lot::{Condvar, Mutex};

use super::{BOOT, Line, SCHEMA, render};

/// How much of an existing file is read to find its last sequence number.
const TAIL_BYTES: u64 = 64 * 1024;

/// How many lines wait for the thread. 1,024: a hundred swaps; what comes on top while a disk
/// hangs is counted as lost.
const QUEUE_LINES_MAX: usize = 1_024;

/// How long whoever waits for a line waits. 1 s: a disk that takes longer does not answer, and
/// swaps go on without it.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// What both sides of the queue know of it.
#[derive(Debug, Default)]
struct Health {
    /// Since when, in milliseconds from the start of the process, somebody waited in vain and nothing was
    /// written; 0 when all is well.
    stalled_since_ms: AtomicU64,
    /// Lines that found no room in the queue and were not told of yet.
    overflow: AtomicU64,
    /// Lines that were never written, since the start.
    lost: AtomicU64,
}

/// What the thread gets.
enum Entry {
    Line {
        line: Line,
        at: Stamp,
    },
    /// A line that stands in the file already, for the facade.
    Written(Line),
    /// Answered when everything before it is done.
    Flush(Sender<()>),
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
    fn milliseconds(self) -> u64 {
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
    /// Opens a log for appending, or joins the writer that this process already has.
    ///
    /// When another process holds it, `<stem>-<pid>.<extension>` beside it is used and says so.
    pub(crate) fn open(path: &Path) -> io::Result<Arc<Self>> {
        let path = std::path::absolute(path)?;
        Self::join_or(path.clone(), || {
            let (mut writer, instead_of) = match Writer::open(&path)? {
                Some(writer) => (writer, None),
                None => {
                    let locked =
                        || io::Error::new(io::ErrorKind::WouldBlock, "locked by another process");
                    (Writer::open(&beside(&path))?.ok_or_else(locked)?, Some(path.clone()))
                }
            };
            let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let line = Line::info("log.open")
                .field("schema", SCHEMA)
                .field("host", host.trim())
                .field("pid", process::id())
                .field("boot", format!("{:08x}", BOOT.id))
                .maybe("instead_of", instead_of.map(|path| path.display().to_string()));
            // Here and not on the thread: a log that cannot be written from the start is an error.
            writer.append(&line, Stamp::now())?;
            Ok(Some((writer, line)))
        })
    }

    /// The `log` facade alone.
    pub(crate) fn facade() -> io::Result<Arc<Self>> {
        Self::join_or(PathBuf::new(), || Ok(None))
    }

    fn join_or(
        key: PathBuf,
        open: impl FnOnce() -> io::Result<Option<(Writer, Line)>>,
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
        let (writer, first) = open()?.unzip();
        let path = writer.as_ref().map(|writer| writer.path.clone());
        let (queue, entries) = bounded(QUEUE_LINES_MAX);
        // There is room: nothing was sent yet.
        let _ = first.map(|line| queue.try_send(Entry::Written(line)));
        let (alive, ended) = bounded(0);
        let health = Arc::<Health>::default();
        let mut scribe = Scribe { entries, writer, health: Arc::clone(&health), _alive: alive };
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
            // Relaxed: counts only.
            self.health.overflow.fetch_add(1, Ordering::Relaxed);
            self.health.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything handed over is written, or could not be; not for long, and not at all while
    /// nothing gets written.
    pub(crate) fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        // Relaxed, here and below: a hint whether waiting is worth it.
        if self.health.stalled_since_ms.load(Ordering::Relaxed) != 0 {
            return;
        }
        let begin = Stamp::now();
        let (done, written) = bounded(1);
        let is_asked = queue.try_send(Entry::Flush(done)).is_ok();
        if !is_asked || written.recv_timeout(PATIENCE).is_err() {
            self.health.stalled_since_ms.store(begin.milliseconds(), Ordering::Relaxed);
        }
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

/// The thread's own.
struct Scribe {
    entries: Receiver<Entry>,
    writer: Option<Writer>,
    health: Arc<Health>,
    /// Its end is ours.
    _alive: Sender<()>,
}

impl Scribe {
    fn run(&mut self) {
        while let Ok(entry) = self.entries.recv() {
            match entry {
                Entry::Line { line, at } => self.line(&line, at),
                Entry::Written(line) => mirror(&line),
                Entry::Flush(done) => {
                    // Who waited may have given up.
                    let _gave_up = done.send(());
                }
            }
        }
    }

    fn line(&mut self, line: &Line, at: Stamp) {
        mirror(line);
        self.append(line, at);
        let since_ms = self.health.stalled_since_ms.swap(0, Ordering::Relaxed);
        if since_ms != 0 {
            let line = Line::warn("log.stalled")
                .field("stalled_ms", Stamp::now().milliseconds().saturating_sub(since_ms))
                .field(
                    "msg",
                    "the log or the host's logger did not answer; swaps went on without it",
                );
            mirror(&line);
            self.append(&line, Stamp::now());
        }
    }

    /// Appends a line to the file. The first failure in a row is told to the facade, the others are only counted.
    fn append(&mut self, line: &Line, at: Stamp) {
        let Some(writer) = &mut self.writer else { return };
        writer.lost += self.health.overflow.swap(0, Ordering::Relaxed);
        // Unwind safety: the writer counts the line as lost, and starts the next on a line of its own.
        let result =
            catch_unwind(AssertUnwindSafe(|| writer.append(line, at))).unwrap_or_else(|payload| {
                std::mem::forget(payload);
                Err(io::Error::other("writing panicked"))
            });
        let Err(error) = result else { return };
        writer.lost += 1;
        self.health.lost.fetch_add(1, Ordering::Relaxed);
        if writer.lost == 1 {
            let path = writer.path.display();
            contained(|| log::error!(target: "hotswap", "cannot write {path}: {error}"));
        }
    }
}

/// An open file.
struct Writer {
    path: PathBuf,
    file: File,
    /// The number of the last line.
    seq: u64,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    /// Whether a part of one of them stands at the end.
    is_torn: bool,
}

impl Writer {
    /// `None` when another process holds the lock.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::append(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (seq, is_whole) = last_line(&mut file)?;
        // A crash in the middle of a line: the next one must not continue it.
        let is_torn = !is_whole;
        Ok(Some(Self { path: path.to_owned(), file, seq, lost: 0, is_torn }))
    }

    fn append(&mut self, line: &Line, at: Stamp) -> io::Result<()> {
        let seq = self.seq + 1;
        let lost = Some(self.lost).filter(|lost| *lost > 0);
        let mut text = render(line, at, seq, lost);
        let was_torn = self.is_torn;
        if was_torn {
            // What there is of an earlier line must not run into this one.
            text.insert(0, '\n');
        }
        // Asked each time: nobody else writes lines here, but somebody may have added to the file.
        let length = self.file.metadata().map(|found| found.len());
        self.is_torn = true;
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // Half a line may read as a whole one: taken back, where the file can be cut.
            if length.and_then(|length| self.file.set_len(length)).is_ok() {
                self.is_torn = was_torn;
            }
            return Err(error);
        }
        self.seq = seq;
        self.lost = 0;
        self.is_torn = false;
        Ok(())
    }
}

/// To the `log` facade, for hosts that collect records there.
fn mirror(line: &Line) {
    // A logger that panics loses this record and nothing else.
    contained(|| {
        log::log!(target: "hotswap", line.level.facade(), "{}{}", line.event, line.fields);
    });
}

/// Runs a foreign logger.
fn contained(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        // Dropping it may panic again.
        std::mem::forget(payload);
    }
}

/// `hotswap.log` → `hotswap-<pid>.log`.
fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    path.with_file_name(format!("{stem}-{}{}", process::id(), extension.unwrap_or_default()))
}

/// The number of the last line, and whether it ends in a newline (an empty file does).
fn last_line(file: &mut File) -> io::Result<(u64, bool)> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    // Not to the end: a device may have none.
    file.read_at_most(TAIL_BYTES, &mut tail)?;
    let text = String::from_utf8_lossy(&tail);
    let number = |line: &str| {
        let mut columns = line.split(' ').skip(1);
        let number = columns.next()?.parse().ok()?;
        // What follows the number shows that the number is whole.
        columns.next().map(|_| number)
    };
    let seq = text.lines().rev().find_map(number);
    Ok((seq.unwrap_or(0), tail.is_empty() || tail.ends_with(b"\n")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_sequence_continues_after_a_torn_line() {
        let path = std::env::temp_dir().join(format!("hotswap-audit-{}.log", process::id()));
        fs::write(
            &path,
            "2026-01-31T12:00:00.000000Z 000041 INFO  swap.commit\n2026-01-31T12:00:01 0000",
        )
        .expect("writable");
        let log = LogFile::open(&path).expect("opens");
        log.write(Line::info("engine.start"));
        log.flush();
        let text = fs::read_to_string(&path).expect("readable");
        let last = text.lines().last().expect("lines");
        fs::remove_file(&path).expect("removable");
        assert!(last.contains(" 000043 INFO  engine.start "), "{last}");
        assert!(text.contains("\n2026-01-31T12:00:01 0000\n"), "{text}");
    }

    #[test]
    fn one_path_has_one_writer_and_can_be_opened_again() {
        let path = std::env::temp_dir().join(format!("hotswap-shared-{}.log", process::id()));
        for _ in 0..20 {
            let first = LogFile::open(&path).expect("opens");
            let second = LogFile::open(&path).expect("joins");
            assert!(Arc::ptr_eq(&first, &second));
            assert_eq!(first.path(), Some(path.as_path()));
        }
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(text.matches("log.open").count(), 20, "each time its own lock: {text}");
        fs::remove_file(&path).expect("removable");
    }
}
