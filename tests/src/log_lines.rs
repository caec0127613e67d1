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
        .map(|line| parse(line).unwrap_or_else(|| panic!("not a log line: {line}")))
        .collect()
}

/// The lines of a log of which some could not be written, in order. What there is of those is left out: it stands in
/// front of the line that tells how many are missing, or of the one that a new writer begins with, or at the end as long
/// as nothing could be written again.
///
/// # Panics
///
/// When the file cannot be read, when anything else in it is no line, or when the lines are not numbered one after the
/// other.
#[must_use]
#[track_caller]
pub fn log_lines_with_gaps(path: &Path) -> Vec<LogLine> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (text, _torn) = text.rsplit_once('\n').unwrap_or_default();
    let mut lines: Vec<LogLine> = Vec::new();
    let mut may_be_torn = true;
    for line in text.rsplit('\n') {
        let next = lines.last();
        // A line that was lost has the number of the one that was written in its place.
        let whole = parse(line).filter(|line| next.is_none_or(|next| line.seq < next.seq));
        let Some(line) = whole else {
            let number = line.split(' ').nth(1).and_then(|number| number.parse().ok());
            let is_in_place = next.is_some_and(|next| number == Some(next.seq));
            assert!(may_be_torn || is_in_place, "not a log line: {line}");
            continue;
        };
        let begins = |line: &LogLine| line.event == "log.open";
        let is_next = next.is_none_or(|next| line.seq + 1 == next.seq || begins(next));
        assert!(is_next, "{line:#?} is followed by {next:#?}");
        may_be_torn = begins(&line) || line.fields.contains_key("lost_lines");
        lines.push(line);
    }
    lines.reverse();
    lines
}

fn parse(line: &str) -> Option<LogLine> {
    let (time, rest) = line.split_once(' ')?;
    let (seq, rest) = rest.split_once(' ')?;
    let (level, rest) = rest.split_once(' ')?;
    let (event, rest) = rest.trim_start().split_once(' ')?;
    Some(LogLine {
        time: time.to_owned(),
        seq: seq.parse().ok()?,
        level: level.to_owned(),
        event: event.to_owned(),
        fields: pairs(rest)?,
    })
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
        let line = parse(r#"2026-01-31T12:00:00.000000Z 000042 INFO  swap.commit tx=a-1-2 msg="a \"b\" \u001b c" x="""#)
            .expect("a line");
        assert_eq!((line.seq, line.event.as_str()), (42, "swap.commit"));
        assert_eq!(line.field("msg"), "a \"b\" \u{1b} c");
        assert_eq!(line.field("x"), "");
        assert_eq!(parse("2026 x INFO swap"), None);
        assert_eq!(pairs("a=1 a=2"), None);
    }
}
