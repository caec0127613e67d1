//! Reads hotswap.log: whether it is as it was written, and what it tells.
//!
//! [`verify`] checks a log with everything that was rotated away from it; [`crate::docs::log`] says what that proves, and
//! what stands in each line.
//!
//! ```text
//! 2026-01-31T12:00:00.123456Z 000042 INFO  swap.commit mono_us=81234 engine=game tx=5e21-1-3 from=7 to=8 .. prev=c31d.. h=77e0..
//! ```

mod chain;
mod copy;
mod error;
mod events;
mod facade;
mod finding;
mod format;
mod head;
mod intents;
mod log_file;
mod opened;
mod reader;
mod rotation;
mod scribe;
mod settings;
mod tail;
mod trail;
mod verify;
mod writer;

use std::fmt::{Display, Write as _};
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use hotswap_system::{clock, process};

#[cfg(test)]
pub(crate) use self::chain::Chain;
pub(crate) use self::chain::JOINT_BYTES;
pub(crate) use self::copy::CopySettings;
pub use self::error::LogError;
pub use self::events::{EVENTS, LogEvent};
pub use self::finding::{Finding, FindingKind, Severity};
pub(crate) use self::format::{json_line, plain_line};
pub(crate) use self::log_file::{LogFile, Stamp};
pub(crate) use self::settings::LogSettings;
pub use self::trail::{
    Built, Change, EngineRun, Outcome, RunState, RunVersion, Trail, story, trail,
};
pub use self::verify::{Findings, verify};

/// The version of this format, told by every `log.open` line.
pub(crate) const SCHEMA: u32 = 1;

/// The longest line; a longer one loses the end of its last value. 16 KiB holds every signature and the first error
/// of a build; compilers' whole output goes to the error values that callers get.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

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

/// How much a line of hotswap.log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Something went as it should.
    Info,
    /// Something is worth a look: a source that cannot be read, a version that stays mapped.
    Warn,
    /// Something failed: a build, a newcomer that was refused.
    Error,
    /// The log itself cannot be trusted, or has a gap: somebody should come.
    Alert,
}

impl Level {
    pub(crate) const fn padded(self) -> &'static str {
        match self {
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR",
            Self::Alert => "ALERT",
        }
    }

    const fn facade(self) -> log::Level {
        match self {
            Self::Info => log::Level::Info,
            Self::Warn => log::Level::Warn,
            Self::Error | Self::Alert => log::Level::Error,
        }
    }
}

/// A line being put together: the event, then `key=value` pairs in the order they are added.
#[derive(Debug, Clone)]
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

    pub(crate) fn alert(event: &'static str) -> Self {
        Self::new(Level::Alert, event)
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
pub(crate) fn quote(value: &str, line: &mut String) {
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

/// The line up to what joins it to the one before.
pub(crate) fn render(line: &Line, at: Stamp, seq: u64) -> String {
    let time = humantime::format_rfc3339_micros(at.wall);
    let mono_us = at.since_boot.as_micros();
    let (level, event) = (line.level.padded(), line.event);
    let mut text = format!("{time} {seq:06} {level} {event} mono_us={mono_us}{}", line.fields);
    let room = LINE_BYTES_MAX - JOINT_BYTES;
    if text.len() > room {
        crate::log_line::cut(&mut text, room);
    }
    text
}

#[cfg(test)]
mod tests {

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
        let text = render(&line, Stamp::now(), 7);
        assert!(text.len() <= LINE_BYTES_MAX - JOINT_BYTES);
        assert!(text.ends_with("..\""));
    }
}
