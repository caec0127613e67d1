//! hotswap.log: one event, one line, one write.
//!
//! ```text
//! 2026-01-31T12:00:00.123456Z 000042 INFO  swap.commit engine=game tx=5e21-1-3 mono_us=81234 from=7 to=8 .. msg="v8 is current"
//! ```

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs::TryLockError;
use std::io::{self, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Instant, SystemTime};

use hotswap_system::clock;
use hotswap_system::fs::{self, File};
use hotswap_system::process;
use parking_lot::Mutex;

/// The version of this format, told by every `log.open` line.
pub(crate) const SCHEMA: u32 = 1;

/// The longest line; a longer one loses the end of its last value. 16 KiB holds every signature and the first error
/// of a build; compilers' whole output goes to the error values that callers get.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// How much of an existing file is read to find its last sequence number.
const TAIL_BYTES: u64 = 64 * 1024;

/// The moment from which `mono_us` counts, and this process's random-enough id.
pub(crate) static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let now = clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = (u64::from(process::id()) << 32 ^ u64::from(now.subsec_nanos()))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Boot { start: clock::now(), id: (id >> 32) as u32 }
});

/// One start of a process.
pub(crate) struct Boot {
    start: Instant,
    pub(crate) id: u32,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    const fn padded(self) -> &'static str {
        match self {
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR",
        }
    }

    const fn facade(self) -> log::Level {
        match self {
            Self::Info => log::Level::Info,
            Self::Warn => log::Level::Warn,
            Self::Error => log::Level::Error,
        }
    }
}

/// A line being put together: the event, then `key=value` pairs in the order they are added.
#[derive(Debug)]
pub(crate) struct Line {
    level: Level,
    event: &'static str,
    fields: String,
}

impl Line {
    pub(crate) fn new(level: Level, event: &'static str) -> Self {
        Self { level, event, fields: String::new() }
    }

    pub(crate) fn info(event: &'static str) -> Self {
        Self::new(Level::Info, event)
    }

    pub(crate) fn warn(event: &'static str) -> Self {
        Self::new(Level::Warn, event)
    }

    pub(crate) fn error(event: &'static str) -> Self {
        Self::new(Level::Error, event)
    }

    /// Adds `key=value`, quoted where it must be.
    pub(crate) fn field(mut self, key: &str, value: impl Display) -> Self {
        let _ = write!(self.fields, " {key}=");
        quote(&value.to_string(), &mut self.fields);
        self
    }

    /// Puts who it is about in front of all other fields.
    pub(crate) fn of(self, engine: &str, tx: Option<impl Display>) -> Self {
        let mut line = Self::new(self.level, self.event).field("engine", engine).maybe("tx", tx);
        line.fields.push_str(&self.fields);
        line
    }

    /// Adds a pair if there is a value.
    pub(crate) fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// Adds an error with its whole chain of causes: `outcome`, `err` (a stable code) and `msg`.
    pub(crate) fn failure(self, code: &str, error: &dyn std::error::Error) -> Self {
        self.field("err", code).field("msg", chain(error))
    }
}

/// An error and everything behind it, joined by colons.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// Writes a value as logfmt wants it: bare when it is plain, otherwise quoted and escaped.
fn quote(value: &str, line: &mut String) {
    let is_plain =
        |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=' && c != '\\';
    if !value.is_empty() && value.chars().all(is_plain) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for character in value.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(line, "\\u{:04x}", control as u32);
            }
            other => line.push(other),
        }
    }
    line.push('"');
}

/// One log file. All engines of a process that log to one path share one of these.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// The number of the last line.
    seq: u64,
    /// Lines that could not be written since the last one that could. Of the first, a part may have been.
    lost: u64,
}

/// The files that are open, so that one path has one writer.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<LogFile>>> = Mutex::new(BTreeMap::new());

impl LogFile {
    /// Opens a log for appending, or joins the writer that this process already has.
    ///
    /// When another process holds it, `<stem>-<pid>.<extension>` beside it is used and says so.
    pub(crate) fn open(path: &Path) -> io::Result<Arc<Self>> {
        let path = std::path::absolute(path)?;
        let mut open = OPEN.lock();
        if let Some(writer) = open.get(&path).and_then(Weak::upgrade) {
            return Ok(writer);
        }
        let (opened, instead_of) = match Self::try_open(&path)? {
            Some(opened) => (opened, None),
            None => {
                let own = beside(&path);
                let opened = Self::try_open(&own)?.ok_or_else(|| {
                    io::Error::new(io::ErrorKind::WouldBlock, "locked by another process")
                })?;
                (opened, Some(path.clone()))
            }
        };
        let opened = Arc::new(opened);
        open.retain(|_, writer| writer.strong_count() > 0);
        open.insert(path, Arc::downgrade(&opened));
        drop(open);
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        opened.write(
            &Line::info("log.open")
                .field("schema", SCHEMA)
                .field("host", host.trim())
                .field("pid", process::id())
                .field("boot", format!("{:08x}", BOOT.id))
                .maybe("instead_of", instead_of.map(|path| path.display().to_string())),
        );
        Ok(opened)
    }

    /// `None` when another process holds the lock.
    fn try_open(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::append(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (seq, is_whole) = last_line(&mut file)?;
        if !is_whole {
            // A crash in the middle of a line: the next one must not continue it.
            file.write_all(b"\n")?;
        }
        Ok(Some(Self { path: path.to_owned(), writer: Mutex::new(Writer { file, seq, lost: 0 }) }))
    }

    /// The file that is really written.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line, and mirrors it to the `log` facade. A line that cannot be written is counted, and the
    /// first that can be again tells how many are missing.
    pub(crate) fn write(&self, line: &Line) {
        mirror(line);
        let error = self.append(line).err();
        // Not under the lock: the logger may be one that writes here.
        if let Some(error) = error {
            contained(
                || log::error!(target: "hotswap", "cannot write {}: {error}", self.path.display()),
            );
        }
    }

    /// Appends one line. The first failure in a row is an error to be told, the others are only counted.
    fn append(&self, line: &Line) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let seq = writer.seq + 1;
        let lost = Some(writer.lost).filter(|lost| *lost > 0);
        let mut text = render(line, seq, lost);
        if lost.is_some() {
            // What there may be of an earlier line must not run into this one.
            text.insert(0, '\n');
        }
        match writer.file.write_all(text.as_bytes()) {
            Ok(()) => {
                writer.seq = seq;
                writer.lost = 0;
                Ok(())
            }
            Err(error) => {
                writer.lost += 1;
                if writer.lost == 1 { Err(error) } else { Ok(()) }
            }
        }
    }
}

/// The line, with its newline.
fn render(line: &Line, seq: u64, lost: Option<u64>) -> String {
    let time = humantime::format_rfc3339_micros(clock::wall());
    let mono_us = clock::since(BOOT.start).as_micros();
    let mut text = format!("{time} {seq:06} {} {}", line.level.padded(), line.event);
    let _ = write!(text, " mono_us={mono_us}");
    if let Some(lost) = lost {
        let _ = write!(text, " lost_lines={lost}");
    }
    text.push_str(&line.fields);
    if text.len() > LINE_BYTES_MAX {
        let mut end = LINE_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        // Whatever value was cut, the line stays parsable: a quote that is open is closed.
        if (text.matches('"').count() - text.matches("\\\"").count()) % 2 == 1 {
            text.truncate(text.trim_end_matches('\\').len());
            text.push_str("..\"");
        }
    }
    text.push('\n');
    text
}

/// To the `log` facade, for hosts that collect records there.
pub(crate) fn mirror(line: &Line) {
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

    fn quoted(value: &str) -> String {
        let mut line = String::new();
        quote(value, &mut line);
        line
    }

    #[test]
    fn values_are_quoted_when_they_must_be() {
        assert_eq!(quoted("src/lib.rs"), "src/lib.rs");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted("two words"), "\"two words\"");
        assert_eq!(quoted("a\"b\\c\nd\u{1b}"), "\"a\\\"b\\\\c\\nd\\u001b\"");
    }

    #[test]
    fn a_very_long_line_is_cut_and_stays_closed() {
        let line = Line::info("build.fail").field("msg", "x y".repeat(LINE_BYTES_MAX));
        let text = render(&line, 7, None);
        assert!(text.len() <= LINE_BYTES_MAX + 4);
        assert!(text.ends_with("..\"\n"));
    }

    #[test]
    fn the_sequence_continues_after_a_torn_line() {
        let path = std::env::temp_dir().join(format!("hotswap-audit-{}.log", process::id()));
        fs::write(
            &path,
            "2026-01-31T12:00:00.000000Z 000041 INFO  swap.commit\n2026-01-31T12:00:01 0000",
        )
        .expect("writable");
        let log = LogFile::open(&path).expect("opens");
        log.write(&Line::info("engine.start"));
        let text = fs::read_to_string(&path).expect("readable");
        let last = text.lines().last().expect("lines");
        fs::remove_file(&path).expect("removable");
        assert!(last.contains(" 000043 INFO  engine.start "), "{last}");
        assert!(text.contains("\n2026-01-31T12:00:01 0000\n"), "{text}");
    }

    #[test]
    fn one_path_has_one_writer() {
        let path = std::env::temp_dir().join(format!("hotswap-shared-{}.log", process::id()));
        let first = LogFile::open(&path).expect("opens");
        let second = LogFile::open(&path).expect("joins");
        assert!(Arc::ptr_eq(&first, &second));
        fs::remove_file(&path).expect("removable");
    }
}
