//! Lines of the log for others: as JSON, and as a line of Python's `logging`.

use std::fmt::Write as _;

use crate::audit::Level;
use crate::log_line::LogLine;

/// Keys whose values are numbers, besides those that end in a unit.
const NUMBERS: &[&str] = &[
    "abi",
    "bytes",
    "bytes_before",
    "calls",
    "calls_old",
    "count",
    "errors",
    "exports",
    "from",
    "head_seq",
    "last_seq",
    "leaked_bytes",
    "lines",
    "lost_lines",
    "mapped",
    "max",
    "pid",
    "records",
    "recovered",
    "schema",
    "seq",
    "to",
    "torn_bytes",
    "version",
    "warnings",
];

/// The line as a JSON object, with a newline: the same keys in the same order.
pub(crate) fn json_line(line: &LogLine) -> Option<String> {
    Some(line.to_json() + "\n")
}

/// What a Python program would have logged; nothing for a line that says nothing in words.
pub(crate) fn plain_line(line: &LogLine) -> Option<String> {
    let level = match line.level {
        Level::Info => "INFO",
        Level::Warn => "WARNING",
        Level::Error => "ERROR",
        Level::Alert => "CRITICAL",
    };
    // One line each.
    let message = line.field("msg")?.replace('\n', "\\n");
    Some(format!("{level}:root:{message}\n"))
}

impl LogLine {
    /// The line as a JSON object, without a newline: `time`, `seq`, `level`, `event`, then its keys in their order.
    ///
    /// Counts and durations are numbers, everything else is a text.
    ///
    /// ```
    /// use hotswap_engine::LogLine;
    ///
    /// # fn main() -> Result<(), hotswap_engine::LogLineError> {
    /// let text = r#"2026-01-31T12:00:00.123456Z 000042 INFO  build.ok tx=5e21-1-3 build_ms=160 msg="a \"b\"""#;
    /// let line: LogLine = text.parse()?;
    /// assert_eq!(
    ///     line.to_json(),
    ///     r#"{"time":"2026-01-31T12:00:00.123456Z","seq":42,"level":"INFO","event":"build.ok","tx":"5e21-1-3","build_ms":160,"msg":"a \"b\""}"#
    /// );
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let time = humantime::format_rfc3339_micros(self.time);
        let (seq, level) = (self.seq, self.level);
        let mut json = format!(r#"{{"time":"{time}","seq":{seq},"level":"{level}","event":"#);
        text(&self.event, &mut json);
        for (key, value) in &self.fields {
            json.push(',');
            text(key, &mut json);
            json.push(':');
            let is_number =
                NUMBERS.contains(&key.as_str()) || key.ends_with("_us") || key.ends_with("_ms");
            match value.parse::<u64>() {
                Ok(number) if is_number && number.to_string() == *value => json.push_str(value),
                _ => text(value, &mut json),
            }
        }
        json.push('}');
        json
    }
}

/// A JSON string.
fn text(value: &str, json: &mut String) {
    json.push('"');
    for character in value.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
