//! What a process writes: taken line by line or whole, counted, and bounded.

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

/// How much of one output of a build is kept.
///
/// 1 MiB: some thousand diagnostics, more than anybody reads; a build script
/// that prints without end costs no more than that.
pub(crate) const BUILD_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// The longest line that is taken: `cargo metadata` answers in one.
///
/// 64 MiB: a graph of 5,000 packages has about 20.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Takes the lines of standard output as they come.
pub(crate) trait LineSink: Send + 'static {
    /// One line, without its end.
    fn line(&mut self, line: &[u8]);
}

/// Counts what a process writes.
pub(super) struct Meter {
    bytes: AtomicU64,
    bytes_max: u64,
    exceed: Sender<()>,
}

impl Meter {
    pub(super) fn new(bytes_max: u64, exceed: Sender<()>) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max, exceed }
    }

    fn add(&self, bytes: usize) {
        // Relaxed: a number that only grows; the channel tells that it is too large.
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) > self.bytes_max {
            // Full: it was told.
            let _told = self.exceed.try_send(());
        }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        // Relaxed: as above; the threads that count have ended, or are ignored.
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }
}

/// An output whose bytes are counted.
pub(super) struct Metered<R> {
    pub(super) pipe: R,
    pub(super) meter: Arc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.pipe.read(buffer)?;
        self.meter.add(count);
        Ok(count)
    }
}

pub(super) fn drain_lines<S: LineSink>(pipe: impl Read, sink: &Mutex<Option<S>>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match pipe.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Some(sink) = &mut *sink.lock() else { return };
        sink.line(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

pub(super) fn drain(mut pipe: impl Read, kept: &Mutex<Option<Bounded>>) {
    let mut chunk = [0; 8192];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => match &mut *kept.lock() {
                Some(kept) => kept.push(&chunk[..count]),
                None => return,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Text that grows to a limit; what does not fit is counted and told.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    kept: Vec<u8>,
    dropped: usize,
}

impl Bounded {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = BUILD_OUTPUT_BYTES_MAX - self.kept.len();
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend_from_slice(kept);
        self.dropped += dropped.len();
    }

    pub(crate) fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n[{} more bytes were dropped]\n", self.dropped));
        }
        text
    }
}

/// A sink that keeps the lines whole.
impl LineSink for Vec<Vec<u8>> {
    fn line(&mut self, line: &[u8]) {
        self.push(line.to_owned());
    }
}
