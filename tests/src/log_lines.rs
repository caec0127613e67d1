//! Reads a whole hotswap.log of which every line must be good.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use hotswap_engine::audit::EVENTS;

/// One line, as tests ask about it: every column a text, and a key that is not there an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// UTC time, as written.
    pub time: String,
    /// The number of the line.
    pub seq: u64,
    /// `INFO`, `WARN`, `ERROR`, `ALERT`.
    pub level: String,
    /// The dotted name of the event.
    pub event: String,
    /// The pairs, unquoted.
    pub fields: BTreeMap<String, String>,
}

impl LogLine {
    /// The value of a key; empty when it is not there.
    #[must_use]
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }
}

impl From<hotswap_engine::LogLine> for LogLine {
    fn from(line: hotswap_engine::LogLine) -> Self {
        let text = line.to_string();
        Self {
            time: text.split(' ').next().unwrap_or_default().to_owned(),
            seq: line.seq,
            level: line.level.to_string(),
            event: line.event,
            fields: line.fields.into_iter().collect(),
        }
    }
}

/// The lines of a log file, in order.
///
/// # Panics
///
/// When the file cannot be read, or anything in it is no log line, or lacks a key that all lines of its event have.
#[must_use]
#[track_caller]
pub fn log_lines(path: &Path) -> Vec<LogLine> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    hotswap_engine::log_lines(BufReader::new(file))
        .map(|line| match line {
            Ok(line) => {
                assert_eq!(missing_keys(&line), Ok(vec![]), "{line}");
                line.into()
            }
            Err(error) => panic!("{}: {error}", path.display()),
        })
        .collect()
}

/// What a line lacks of what all lines of its event have; an error when there is no such event.
fn missing_keys(line: &hotswap_engine::LogLine) -> Result<Vec<&'static str>, String> {
    let event = EVENTS.iter().find(|event| event.name == line.event);
    let event = event.ok_or_else(|| format!("{} is not in audit::EVENTS", line.event))?;
    let keys = ["mono_us", "prev", "h"].iter().chain(event.keys).copied();
    Ok(keys.filter(|key| line.field(key).is_none()).collect())
}
