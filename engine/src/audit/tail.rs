//! The end of a log that somebody else wrote, or that a crash left.

use std::io::{self, SeekFrom};
use std::time::SystemTime;

use hotswap_system::fs::File;

use super::chain::Joint;
use crate::log_line::LogLine;

/// How much of the end is read. 64 KiB: four of the longest lines, so that a whole one is among them.
const TAIL_BYTES: u64 = 64 * 1024;

/// How long the time is that a line begins with.
const TIME_BYTES: usize = "2026-01-31T12:00:00.123456Z".len();

/// What stands at the end of a file, and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last whole line, if any, as it says of itself.
    pub(super) last: Option<Joint>,
    /// How long the piece of a line is that stands behind the last newline.
    pub(super) torn_bytes: u64,
    /// How long the file is.
    pub(super) bytes: u64,
    /// The time of the first line, if it begins with one.
    pub(super) began: Option<SystemTime>,
}

impl Tail {
    pub(super) fn of(file: &mut File) -> io::Result<Self> {
        let bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        // Not to the end: a device may have none.
        file.read_at_most(TAIL_BYTES, &mut tail)?;
        let mut lines = tail.split(|byte| *byte == b'\n').rev();
        let torn = lines.next().unwrap_or_default();
        let joint = |line: &[u8]| {
            let line: LogLine = std::str::from_utf8(line).ok()?.parse().ok()?;
            Joint::of(&line)
        };
        // Of a line without its newline only the hash shows that it is whole.
        let whole = joint(torn).filter(|joint| joint.is_intact);
        let last = whole.or_else(|| lines.find_map(joint));
        let mut first = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_at_most(TIME_BYTES as u64, &mut first)?;
        let first = String::from_utf8_lossy(&first);
        let began = humantime::parse_rfc3339(&first).ok();
        Ok(Self { last, torn_bytes: torn.len() as u64, bytes, began })
    }
}
