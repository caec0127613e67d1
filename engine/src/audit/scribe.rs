//! The one thread that writes a log: a disk that does not answer holds up nobody else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use hotswap_system::clock;
use hotswap_system::thread::panic_text;

use super::facade::Facade;
use super::writer::Writer;
use super::{Line, Stamp};

/// How long nothing is written before the head is brought up to date: longer than the lines of one swap are apart, so
/// that none of them waits for it.
const HEAD_DELAY: Duration = Duration::from_millis(50);

/// How long the head may be behind while lines keep coming.
const HEAD_AGE_MAX: Duration = Duration::from_secs(1);

/// What both sides of the queue know of it.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Since when, in milliseconds from the start of the process, somebody waited in vain and nothing was
    /// written; 0 when all is well.
    pub(super) stalled_since_ms: AtomicU64,
    /// Lines that found no room in the queue and were not told of yet.
    pub(super) overflow: AtomicU64,
    /// Lines that were never written, since the start.
    pub(super) lost: AtomicU64,
}

/// What the thread gets.
pub(super) enum Entry {
    Line {
        line: Line,
        at: Stamp,
    },
    /// A line that must stand there before something is done.
    Intent {
        line: Line,
        at: Stamp,
        written: Sender<io::Result<()>>,
    },
    /// Answered when everything before it is done.
    Flush(Sender<()>),
    /// The path may name another file.
    Reopen(Sender<io::Result<()>>),
}

/// The thread's own.
pub(super) struct Scribe {
    pub(super) entries: Receiver<Entry>,
    pub(super) writer: Option<Writer>,
    pub(super) facade: Facade,
    pub(super) health: Arc<Health>,
    /// Its end is ours.
    pub(super) _alive: Sender<()>,
}

impl Scribe {
    pub(super) fn run(&mut self) {
        self.tell_notices();
        let mut behind_since = clock::now();
        loop {
            let is_behind = self.writer.as_ref().is_some_and(Writer::head_is_behind);
            let entry = if !is_behind {
                let entry = self.entries.recv().map_err(|_| RecvTimeoutError::Disconnected);
                behind_since = clock::now();
                entry
            } else if clock::since(behind_since) < HEAD_AGE_MAX {
                self.entries.recv_timeout(HEAD_DELAY)
            } else {
                Err(RecvTimeoutError::Timeout)
            };
            match entry {
                Ok(entry) => self.serve(entry),
                Err(RecvTimeoutError::Timeout) => self.write_head(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.write_head();
    }

    fn serve(&mut self, entry: Entry) {
        // Who waited may have given up.
        match entry {
            Entry::Line { line, at } => {
                // Counted and told where it failed.
                let _lost = self.line(&line, at);
                self.facade.tell(line);
            }
            Entry::Intent { line, at, written } => {
                let result = self.line(&line, at);
                let result = result.and_then(|()| self.with_writer(Writer::sync_if_wanted));
                let _gave_up = written.send(result);
                self.facade.tell(line);
            }
            Entry::Flush(done) => {
                let _gave_up = done.send(());
            }
            Entry::Reopen(done) => {
                let _gave_up = done.send(self.with_writer(Writer::reopen));
            }
        }
    }

    fn line(&mut self, line: &Line, at: Stamp) -> io::Result<()> {
        let result = self.append(line, at);
        let since_ms = self.health.stalled_since_ms.swap(0, Ordering::Relaxed);
        if since_ms != 0 {
            let line = Line::warn("log.stalled")
                .field("stalled_ms", Stamp::now().milliseconds().saturating_sub(since_ms))
                .field("msg", "the log did not answer in time");
            let _lost = self.append(&line, at);
            self.facade.tell(line);
        }
        result
    }

    /// What the writer had to say by itself.
    fn tell_notices(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        writer.notices.drain(..).for_each(|line| self.facade.tell(line));
    }

    /// Appends a line to the file. The first failure in a row is told to the facade, the others are only counted.
    fn append(&mut self, line: &Line, at: Stamp) -> io::Result<()> {
        let overflow = self.health.overflow.swap(0, Ordering::Relaxed);
        let result = self.with_writer(|writer| {
            writer.lost += overflow;
            writer.append(line, at)
        });
        if let Err(error) = &result {
            self.health.lost.fetch_add(1, Ordering::Relaxed);
            let Some(writer) = &mut self.writer else { return result };
            writer.lost += 1;
            if writer.lost == overflow + 1 {
                let path = writer.path().display();
                let message = format!("cannot write {path}: {error}");
                self.facade.tell(Line::error("log.lost").field("msg", message));
            }
        }
        result
    }

    fn write_head(&mut self) {
        if self.writer.as_ref().is_some_and(Writer::head_is_behind) {
            // That it could not be written is said in the log.
            let _lost = self.with_writer(Writer::write_head);
        }
    }

    /// Works on the file, if there is one.
    fn with_writer(&mut self, work: impl FnOnce(&mut Writer) -> io::Result<()>) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        // Unwind safety: the writer looks at the end of the file again when it does not know it.
        let result = catch_unwind(AssertUnwindSafe(|| work(writer)))
            .unwrap_or_else(|payload| Err(io::Error::other(panic_text(payload))));
        self.tell_notices();
        result
    }
}
