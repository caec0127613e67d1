//! One engine's view of hotswap.log: every line carries the engine and, inside a change, its id.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::{BOOT, Line, LogError, LogFile};

/// Engines of this process, counted: two may have one name.
static ENGINES: AtomicU64 = AtomicU64::new(1);

/// The id that joins all lines of one change: boot, engine, and the change's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tx(String);

impl fmt::Display for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes the lines of one engine.
#[derive(Debug)]
pub(crate) struct Journal {
    engine: String,
    number: u64,
    offers: AtomicU64,
    log: Arc<LogFile>,
    /// How many lines were handed over, and of how many of them somebody has waited for.
    written: AtomicU64,
    flushed: AtomicU64,
    unwritten: Unwritten,
}

/// What becomes of a swap that cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unwritten {
    /// It is refused.
    #[default]
    Refuse,
    /// It is done all the same.
    Swap,
}

impl Journal {
    pub(crate) fn new(engine: String, log: Arc<LogFile>, unwritten: Unwritten) -> Self {
        // Relaxed: only uniqueness matters, here and below.
        let number = ENGINES.fetch_add(1, Ordering::Relaxed);
        let (written, flushed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { engine, number, offers: AtomicU64::new(1), log, written, flushed, unwritten }
    }

    /// The id of the monitor's change of this number.
    pub(crate) fn change(&self, number: u64) -> Tx {
        Tx(format!("{:08x}-{}-{number}", BOOT.id, self.number))
    }

    /// A new id for a library that somebody offers.
    pub(crate) fn offer(&self) -> Tx {
        let number = self.offers.fetch_add(1, Ordering::Relaxed);
        Tx(format!("{:08x}-{}-o{number}", BOOT.id, self.number))
    }

    /// The file that is written, if any.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.log.path()
    }

    /// How many lines were never written: the disk was full, or did not answer.
    pub(crate) fn lost(&self) -> u64 {
        self.log.lost()
    }

    /// Writes one line, and does not wait for it; `tx` is there for the lines of a change.
    pub(crate) fn write(&self, tx: Option<&Tx>, line: Line) {
        self.log.write(line.of(&self.engine, tx));
        // Release pairs with the Acquire in `flush`: a line that is counted is on its way.
        self.written.fetch_add(1, Ordering::Release);
    }

    /// Writes what is about to happen to what is current, and waits until it stands there. An error means that it must not
    /// happen.
    pub(crate) fn announce(&self, tx: &Tx, line: Line) -> io::Result<()> {
        match (self.log.intent(line.of(&self.engine, Some(tx))), self.unwritten) {
            (Err(error), Unwritten::Refuse) => Err(error),
            (Err(_), Unwritten::Swap) | (Ok(()), _) => Ok(()),
        }
    }

    /// Follows the log's path if it names another file by now.
    pub(crate) fn reopen(&self) -> Result<(), LogError> {
        self.log.reopen().map_err(LogError::at("reopen", self.path().unwrap_or(Path::new(""))))
    }

    /// Writes what is about to happen, and waits until it stands there, or could not be written: for what must be possible in
    /// any case.
    pub(crate) fn intent(&self, tx: Option<&Tx>, line: Line) {
        self.write(tx, line);
        self.flush();
    }

    /// Waits for the lines that were written, but not for a disk that hangs. Of no new line, it does not wake the thread
    /// that writes, which takes its time while all processors are busy.
    pub(crate) fn flush(&self) {
        let written = self.written.load(Ordering::Acquire);
        // Relaxed: nothing is read by it.
        if self.flushed.load(Ordering::Relaxed) < written {
            self.log.flush();
            self.flushed.fetch_max(written, Ordering::Relaxed);
        }
    }
}
