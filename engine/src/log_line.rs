//! hotswap.log, read back.

use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::audit::{LINE_BYTES_MAX, Level, quote};

/// One line of hotswap.log.
///
/// Only what the engine itself would write is a line: one space between columns, a number of six digits or more,
/// values quoted where they must be and nowhere else. So [`Display`](fmt::Display) gives back the very text that was
/// parsed, and what somebody else wrote into the file is noticed.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use hotswap_engine::{LogLevel, LogLine};
///
/// # fn main() -> Result<(), hotswap_engine::LogLineError> {
/// let text = r#"2026-01-31T12:00:00.123456Z 000042 WARN  build.fail tx=5e21-1-3 msg="no `x`\nin src/lib.rs""#;
/// let line: LogLine = text.parse()?;
/// assert_eq!((line.seq, line.level, line.event.as_str()), (42, LogLevel::Warn, "build.fail"));
/// assert_eq!(line.field("msg"), Some("no `x`\nin src/lib.rs"));
/// assert_eq!(line.field("to"), None);
/// assert_eq!(line.time, SystemTime::UNIX_EPOCH + Duration::from_micros(1_769_860_800_123_456));
/// assert_eq!(line.to_string(), text);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When it was written, to the microsecond, by the system's clock: it may go back. `mono_us` does not.
    pub time: SystemTime,
    /// The number of the line. The next one has the next number, in the next file and the next process as well.
    pub seq: u64,
    /// How much it matters.
    pub level: Level,
    /// What happened: `swap.commit`.
    pub event: String,
    /// Keys and values in the order of the line, unquoted. No key stands twice.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of a key.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// Reads a hotswap.log line by line. Blocks as the reader does.
///
/// A line that is not one is an error in its place, and the next line follows: a log that was damaged is still read
/// to its end. Only an error of the reader itself ends it. Empty lines, which a write that failed may leave, are
/// passed over. No more than the longest line there can be is held in memory, whatever is read.
///
/// A crash can tear a line. At the end of a file that is [`LogLineErrorKind::Torn`]; the next process
/// completes it with a newline, and then it may read like a whole line with less in it. But it does not end in a
/// hash: [`verify`](crate::audit::verify()) tells the two apart.
///
/// ```
/// use hotswap_engine::{LogLineErrorKind, log_lines};
///
/// let file = b"2026-01-31T12:00:00.000000Z 000001 INFO  engine.start mono_us=7\n\
///              garbage\n\
///              2026-01-31T12:00:01.000000Z 000002 INFO  swap.commit mono_us=9 from=0 t";
/// let mut lines = log_lines(&file[..]);
/// let first = lines.next().transpose()?.expect("three lines");
/// assert_eq!(first.event, "engine.start");
/// let second = lines.next().expect("three lines").expect_err("no log line");
/// assert_eq!(second.to_string(), "line 2, column 1: expected a time like 2026-01-31T12:00:00.123456Z");
/// let third = lines.next().expect("three lines").expect_err("it has no end");
/// assert!(matches!(third.kind, LogLineErrorKind::Torn));
/// assert!(lines.next().is_none());
/// # Ok::<(), hotswap_engine::LogLineError>(())
/// ```
pub fn log_lines<R: BufRead>(reader: R) -> LogLines<R> {
    LogLines { reader, line: 0, has_ended: false }
}

/// The lines of a hotswap.log; made by [`log_lines`].
#[derive(Debug)]
pub struct LogLines<R> {
    reader: R,
    /// The number of the line that was read last.
    line: u64,
    has_ended: bool,
}

/// A text is no line of hotswap.log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogLineError {
    /// Which line of what was read, from 1; `None` for a text that was parsed alone. Not [`LogLine::seq`].
    pub line: Option<u64>,
    /// Where in the line, in characters from 1.
    pub column: usize,
    /// How long the text is, without a newline; `LINE_BYTES_MAX + 1` of one that is longer.
    pub(crate) line_bytes: u64,
    /// What is wrong there.
    pub kind: LogLineErrorKind,
}

/// The ways in which a text can fail to be a line of hotswap.log.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogLineErrorKind {
    /// It does not begin with a time.
    #[error("expected a time like 2026-01-31T12:00:00.123456Z")]
    Time,
    /// No number follows the time.
    #[error("expected the number of the line, in six digits or more")]
    Seq,
    /// No level follows the number.
    #[error("expected INFO, WARN, ERROR or ALERT, padded to five characters")]
    Level,
    /// No event follows the level.
    #[error("expected the name of an event")]
    Event,
    /// Something else than a key and `=`.
    #[error("expected one space and key=value")]
    Key,
    /// A key stands twice: which value counts nobody can tell.
    #[error("{key} stands there twice")]
    Repeated {
        /// The key.
        key: String,
    },
    /// A value is not quoted as it must be, or its quotes are not closed.
    #[error("the value is not quoted as the log quotes it")]
    Value,
    /// Longer than any line of the log.
    #[error("the line is longer than {bytes_max} bytes")]
    TooLong {
        /// The length of the longest line there can be.
        bytes_max: usize,
    },
    /// The bytes are no text.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// The file ends inside the line: it is being written, or a crash tore it.
    #[error("the file ends inside this line")]
    Torn,
    /// The reader failed; nothing is read after it.
    #[error("cannot read on")]
    Read(#[source] Arc<io::Error>),
}

impl fmt::Display for Level {
    /// As it stands in a line, without the padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.padded().trim_end())
    }
}

impl fmt::Display for LogLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "column {}: {}", self.column, self.kind)
    }
}

// The kind is part of the text, so the cause is the kind's own.
impl std::error::Error for LogLineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

impl fmt::Display for LogLine {
    /// The line as it is written, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_micros(self.time);
        write!(f, "{time} {:06} {} {}", self.seq, self.level.padded(), self.event)?;
        self.fields.iter().try_for_each(|(key, value)| write!(f, " {key}={}", quoted(value)))
    }
}

impl FromStr for LogLine {
    type Err = LogLineError;

    /// Parses one line, without its newline.
    fn from_str(text: &str) -> Result<Self, LogLineError> {
        let mut cursor = Cursor { text, start: 0 };
        if text.len() > LINE_BYTES_MAX {
            return Err(cursor.error(LogLineErrorKind::TooLong { bytes_max: LINE_BYTES_MAX }));
        }
        let time = cursor.column(time, LogLineErrorKind::Time)?;
        let seq = cursor.column(number, LogLineErrorKind::Seq)?;
        let level = cursor.level()?;
        let event = cursor.column(plain, LogLineErrorKind::Event)?;
        let mut fields: Vec<(String, String)> = Vec::new();
        while !cursor.rest().is_empty() {
            let key = cursor.key()?;
            if fields.iter().any(|(known, _)| *known == key) {
                return Err(cursor.error(LogLineErrorKind::Repeated { key }));
            }
            cursor.start += key.len() + 1;
            fields.push((key, cursor.value()?));
        }
        Ok(Self { time, seq, level, event, fields })
    }
}

/// A place in a line, always between two characters.
struct Cursor<'text> {
    text: &'text str,
    start: usize,
}

impl<'text> Cursor<'text> {
    fn rest(&self) -> &'text str {
        &self.text[self.start..]
    }

    /// What is wrong at this place.
    fn error(&self, kind: LogLineErrorKind) -> LogLineError {
        let column = self.text[..self.start].chars().count() + 1;
        LogLineError { line: None, column, line_bytes: self.text.len() as u64, kind }
    }

    /// One column, and the space behind it if it is not the last.
    fn column<T>(
        &mut self,
        parse: fn(&str) -> Option<T>,
        kind: LogLineErrorKind,
    ) -> Result<T, LogLineError> {
        let column = self.rest().split(' ').next().unwrap_or_default();
        let value = parse(column).ok_or_else(|| self.error(kind))?;
        self.start += column.len();
        self.space();
        Ok(value)
    }

    /// Passes a space by, unless it ends the line: there it belongs to nothing.
    fn space(&mut self) {
        if self.rest().starts_with(' ') && self.rest().len() > 1 {
            self.start += 1;
        }
    }

    /// The level is padded, so it is no column like the others.
    fn level(&mut self) -> Result<Level, LogLineError> {
        let level =
            [Level::Info, Level::Warn, Level::Error, Level::Alert].into_iter().find(|level| {
                let after = self.rest().strip_prefix(level.padded());
                after.is_some_and(|after| after.starts_with(' '))
            });
        let level = level.ok_or_else(|| self.error(LogLineErrorKind::Level))?;
        self.start += level.padded().len();
        self.space();
        Ok(level)
    }

    /// The key of the pair that begins here; stays where it is.
    fn key(&self) -> Result<String, LogLineError> {
        let key = self.rest().split_once('=').and_then(|(key, _)| plain(key));
        key.ok_or_else(|| self.error(LogLineErrorKind::Key))
    }

    /// The value that begins here, and the space behind it if there is one.
    fn value(&mut self) -> Result<String, LogLineError> {
        let rest = self.rest();
        let (value, length) = if rest.starts_with('"') {
            unquoted(rest).ok_or_else(|| self.error(LogLineErrorKind::Value))?
        } else {
            let bare = rest.split(' ').next().unwrap_or_default();
            (bare.to_owned(), bare.len())
        };
        if quoted(&value) != rest[..length] {
            return Err(self.error(LogLineErrorKind::Value));
        }
        self.start += length;
        match self.rest().as_bytes().first() {
            None => {}
            Some(b' ') => self.space(),
            Some(_) => return Err(self.error(LogLineErrorKind::Key)),
        }
        Ok(value)
    }
}

/// The time, if it is written as the log writes times.
fn time(text: &str) -> Option<SystemTime> {
    let time = humantime::parse_rfc3339(text).ok()?;
    (humantime::format_rfc3339_micros(time).to_string() == text).then_some(time)
}

/// The number, if it is written as the log writes numbers.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (format!("{number:06}") == text).then_some(number)
}

/// The text, if it needs no quotes.
fn plain(text: &str) -> Option<String> {
    (quoted(text) == text).then(|| text.to_owned())
}

/// A value as it stands in a line.
fn quoted(value: &str) -> String {
    let mut text = String::new();
    quote(value, &mut text);
    text
}

/// The value that begins with this quote, and how many bytes it takes, quotes included. Reads more escapes
/// than are written; who calls compares.
fn unquoted(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, index + 1)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                'u' => {
                    let digits: String =
                        characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// Shortens a line to this length, so that it still reads back: a value that loses its end says so by two dots,
/// a pair whose value has no room is left out.
pub(crate) fn cut(line: &mut String, bytes_max: usize) {
    let longest = bytes_max - ELLIPSIS.len() - 1;
    let end = (0..=longest).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
    // Where the last pair begins, and its value if that is quoted and goes on.
    let (mut pair, mut quote_start) = (0, None);
    let mut is_escaped = false;
    for (index, character) in line[..end].char_indices() {
        match (character, quote_start) {
            _ if is_escaped => is_escaped = false,
            ('\\', Some(_)) => is_escaped = true,
            ('"', Some(_)) => quote_start = None,
            ('"', None) => quote_start = Some(index),
            (' ', None) => pair = index,
            _ => {}
        }
    }
    line.truncate(end);
    match quote_start {
        Some(start) => {
            let value = cut_value(&line[start..]) + ELLIPSIS;
            line.truncate(start);
            // Without what made it need its quotes it may need none.
            quote(&value, line);
        }
        None if !line[pair..].contains('=') => line.truncate(pair),
        // It may be whole, and that the others are missing is not to be seen then.
        None if line.ends_with('"') => {}
        None => line.push_str(ELLIPSIS),
    }
}

/// Ends a value that was cut.
const ELLIPSIS: &str = "..";

/// The longest escape: `\u001b`.
const ESCAPE_BYTES_MAX: usize = 6;

/// What a quoted value says that has no closing quote, short of an escape that is not whole.
fn cut_value(quoted: &str) -> String {
    let ends = (quoted.len().saturating_sub(ESCAPE_BYTES_MAX)..=quoted.len()).rev();
    let mut parts = ends.filter_map(|end| quoted.get(..end));
    parts
        .find_map(|part| unquoted(&format!("{part}\"")).filter(|(_, length)| *length > part.len()))
        .map(|(value, _)| value)
        .unwrap_or_default()
}

impl<R: BufRead> Iterator for LogLines<R> {
    type Item = Result<LogLine, LogLineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        while !self.has_ended {
            self.line += 1;
            bytes.clear();
            match self.read_line(&mut bytes) {
                Ok(LineEnd::File) if bytes.is_empty() => self.has_ended = true,
                Ok(LineEnd::Newline) if bytes.is_empty() => {}
                Ok(end) => {
                    let parsed = parse(&bytes, &end);
                    return Some(parsed.map_err(|error| self.at_this_line(error)));
                }
                Err(error) => {
                    self.has_ended = true;
                    let kind = LogLineErrorKind::Read(Arc::new(error));
                    let error = LogLineError { line: None, column: 1, line_bytes: 0, kind };
                    return Some(Err(self.at_this_line(error)));
                }
            }
        }
        None
    }
}

/// What ended a line.
enum LineEnd {
    Newline,
    File,
}

impl<R> LogLines<R> {
    /// The number of the line that was read last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }
}

impl<R: BufRead> LogLines<R> {
    /// Reads one line without its newline. Of one that is too long only as much is kept as shows that it is.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<LineEnd> {
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(LineEnd::File);
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..newline.unwrap_or(chunk.len())];
            let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(newline.is_some());
            self.reader.consume(used);
            if newline.is_some() {
                return Ok(LineEnd::Newline);
            }
        }
    }

    fn at_this_line(&self, error: LogLineError) -> LogLineError {
        LogLineError { line: Some(self.line), ..error }
    }
}

fn parse(bytes: &[u8], end: &LineEnd) -> Result<LogLine, LogLineError> {
    let line_bytes = bytes.len() as u64;
    let error = |column, kind| Err(LogLineError { line: None, column, line_bytes, kind });
    if bytes.len() > LINE_BYTES_MAX {
        // First, since the end that was not kept may have been cut inside a character.
        return error(1, LogLineErrorKind::TooLong { bytes_max: LINE_BYTES_MAX });
    }
    let whole = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(wrong) => {
            let before = String::from_utf8_lossy(&bytes[..wrong.valid_up_to()]);
            return error(before.chars().count() + 1, LogLineErrorKind::NotUtf8);
        }
    };
    match end {
        LineEnd::Newline => whole.parse(),
        // It may read like a line, with a value that goes on in what is missing.
        LineEnd::File => error(whole.chars().count() + 1, LogLineErrorKind::Torn),
    }
}

#[cfg(test)]
mod tests;
