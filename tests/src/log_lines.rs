//! Reads hotswap.log back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One line: when, which number, how grave, what, and its pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// UTC time, as written.
    pub time: String,
    /// The number of the line.
    pub seq: u64,
    /// `INFO`, `WARN`, `ERROR`.
    pub level: String,
    /// The dotted name of the event.
    pub event: String,
    /// The pairs, unquoted.
    pub fields: BTreeMap<String, String>,
}

impl LogLine {
    /// Reads one line; `None` when it is none, or only a part of one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (seq, rest) = rest.split_once(' ')?;
        let (level, rest) = rest.split_once(' ')?;
        let (event, rest) = rest.trim_start().split_once(' ')?;
        Some(Self {
            time: time.to_owned(),
            seq: seq.parse().ok()?,
            level: level.to_owned(),
            event: event.to_owned(),
            fields: pairs(rest)?,
        })
    }

    /// The value of a key; empty when it is not there.
    #[must_use]
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }
}

/// The lines of a log file, in order.
///
/// # Panics
///
/// When the file cannot be read, or a line is not what E2 of the requirements says.
#[must_use]
#[track_caller]
pub fn log_lines(path: &Path) -> Vec<LogLine> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    text.lines()
        .map(|line| LogLine::parse(line).unwrap_or_else(|| panic!("not a log line: {line}")))
        .collect()
}

/// `key=value key="quoted \"value\""`; `None` for anything else, a repeated key included.
fn pairs(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => match rest.split_once(' ') {
                Some((value, rest)) => (value.to_owned(), rest),
                None => (rest.to_owned(), ""),
            },
        };
        if pairs.insert(key.to_owned(), value).is_some() {
            return None;
        }
        text = rest.trim_start_matches(' ');
    }
    Some(pairs)
}

/// The value up to its closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[index + 1..])),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back() {
        let line = LogLine::parse(r#"2026-01-31T12:00:00.000000Z 000042 INFO  swap.commit tx=a-1-2 msg="a \"b\" \u001b c" x="""#)
            .expect("a line");
        assert_eq!((line.seq, line.event.as_str()), (42, "swap.commit"));
        assert_eq!(line.field("msg"), "a \"b\" \u{1b} c");
        assert_eq!(line.field("x"), "");
        assert_eq!(LogLine::parse("2026 x INFO swap"), None);
        assert_eq!(pairs("a=1 a=2"), None);
    }
}
