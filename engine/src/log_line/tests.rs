//! Log lines are read back as they were written, and nothing else is read as one.

use std::io::{BufReader, Read};
use std::time::Duration;

use proptest::collection::{hash_set, vec};
use proptest::prelude::*;

use super::*;
use crate::audit::{Chain, JOINT_BYTES, Line, Stamp, render};
use crate::properties::config;

const WHOLE: &str = "2026-01-31T12:00:00.123456Z 000042 INFO  swap.commit tx=a-1-2";

fn refusal(text: &str) -> String {
    text.parse::<LogLine>().expect_err(text).to_string()
}

#[test]
fn each_column_says_what_it_expected() {
    assert!(refusal("").starts_with("column 1: expected a time"));
    assert!(refusal(&WHOLE.replace('T', " ")).starts_with("column 1: expected a time"));
    assert!(refusal(&WHOLE.replace("123456Z", "123Z")).starts_with("column 1: "));
    assert!(refusal(&WHOLE.replace("000042", "42")).starts_with("column 29: expected the number"));
    assert!(refusal(&WHOLE.replace("000042", "+00042")).starts_with("column 29: "));
    assert!(refusal(&WHOLE.replace("INFO ", "INFO")).starts_with("column 36: expected INFO"));
    assert!(refusal(&WHOLE.replace("INFO", "DEBUG")).starts_with("column 36: expected INFO"));
    assert!(
        refusal(&WHOLE.replace("swap.commit", "\"x y\"")).starts_with("column 42: expected the")
    );
    assert!(refusal(&format!("{WHOLE} ")).starts_with("column 62: expected one space and key="));
    assert!(refusal(&format!("{WHOLE}  a=1")).starts_with("column 63: expected one space and"));
    assert!(refusal(&format!("{WHOLE} é")).starts_with("column 63: expected one space and key="));
    assert_eq!(refusal(&format!("{WHOLE} tx=b")), "column 63: tx stands there twice");
}

/// What would be read differently by two readers is read by none.
#[test]
fn values_are_quoted_exactly_as_the_log_quotes_them() {
    let values = [
        "",
        "a\"b",
        "a\\b",
        "a=b",
        "a\tb",
        "\u{0}",
        "\"",
        "\"a",
        "\"a\\",
        "\"a b\"c",
        "\"plain\"",
        "\"\\q x\"",
        "\"a\tb\"",
        "\"\u{1b} x\"",
        "\"\\u001B x\"",
        "\"\\u0041 x\"",
        "\"\\u00\"",
        "\"\\u+01b x\"",
        "\"\\ud800 x\"",
        "\"\\u000a x\"",
    ];
    for value in values {
        let text = format!("{WHOLE} msg={value}");
        let error = text.parse::<LogLine>().expect_err(value);
        let is_expected = matches!(error.kind, LogLineErrorKind::Value | LogLineErrorKind::Key);
        assert!(is_expected, "{value}: {error}");
    }
}

/// Everything that may stand in a log that crashes, disks and people worked on.
#[test]
fn a_damaged_log_is_read_to_its_end() {
    let mut file = format!("{WHOLE}\n\n").into_bytes();
    file.extend_from_slice(b"2026-01-31T12:00:00.1\n");
    file.extend_from_slice(&[0; 300]);
    file.push(b'\n');
    file.extend_from_slice(&WHOLE.as_bytes()[..50]);
    file.extend_from_slice(b"\xc3\x28\n");
    file.extend_from_slice(&vec![b'x'; 100_000]);
    file.extend_from_slice(format!("\n{WHOLE}\r\n{WHOLE}\n{WHOLE}").as_bytes());
    let told: Vec<String> = log_lines(BufReader::with_capacity(7, &file[..]))
        .map(|line| match line {
            Ok(line) => line.to_string(),
            Err(error) => error.to_string(),
        })
        .collect();
    let expected = [
        WHOLE,
        "line 3, column 1: expected a time like 2026-01-31T12:00:00.123456Z",
        "line 4, column 1: expected a time like 2026-01-31T12:00:00.123456Z",
        "line 5, column 51: the line is not UTF-8",
        "line 6, column 1: the line is longer than 16384 bytes",
        "line 7, column 57: the value is not quoted as the log quotes it",
        WHOLE,
        "line 9, column 62: the file ends inside this line",
    ];
    assert_eq!(told, expected);
}

/// A reader that is interrupted, and one that breaks.
struct Failing {
    answers: Vec<io::Result<&'static [u8]>>,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.answers.pop().unwrap_or(Ok(b""))?;
        buffer[..part.len()].copy_from_slice(part);
        Ok(part.len())
    }
}

#[test]
fn an_error_of_the_reader_ends_the_lines_and_an_interruption_does_not() {
    let error = |kind: io::ErrorKind| Err(io::Error::from(kind));
    let answers = vec![
        Ok(&b"never read\n"[..]),
        error(io::ErrorKind::PermissionDenied),
        Ok(&b"23456Z 000042 INFO  swap.commit tx=a-1-2\n2026"[..]),
        error(io::ErrorKind::Interrupted),
        Ok(&b"2026-01-31T12:00:00.1"[..]),
    ];
    let mut lines = log_lines(BufReader::new(Failing { answers }));
    let first = lines.next().expect("a line").expect("whole");
    assert_eq!(first.to_string(), WHOLE);
    let error = lines.next().expect("an error").expect_err("it broke");
    assert!(matches!(error.kind, LogLineErrorKind::Read(_)), "{error}");
    let source = std::error::Error::source(&error).expect("the cause");
    assert_eq!(source.to_string(), "permission denied");
    assert!(lines.next().is_none());
}

/// Texts of all characters that are written in a way of their own, and of all others.
fn value() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        '"',
        '\\',
        '\n',
        '\r',
        '\t',
        '=',
        ' ',
        '\0',
        '\u{7f}',
        '\u{85}',
        '\u{1b}',
        '\u{2028}',
        '\u{feff}',
        'u',
        'n',
        '.',
        'é',
        '\u{10ffff}',
    ]);
    let character = prop_oneof![special, any::<char>(), prop::char::range('a', 'z')];
    vec(character, 0..12).prop_map(String::from_iter)
}

/// Keys and their values; each key stands once, as in every line of ours.
fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    hash_set("[a-z][a-z0-9_]{0,7}", 0..6).prop_flat_map(|keys| {
        let keys: Vec<String> = keys.into_iter().collect();
        vec(value(), keys.len()).prop_map(move |values| keys.iter().cloned().zip(values).collect())
    })
}

fn line_of(level: Level, fields: &[(String, String)]) -> Line {
    let line = Line::new(level, "swap.commit");
    fields.iter().fold(line, |line, (key, value)| line.field(key, value))
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![Level::Info, Level::Warn, Level::Error, Level::Alert])
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn what_is_written_reads_back(
        level in level(),
        fields in fields(),
        seq in prop_oneof![1..2_000_000_u64, any::<u64>()],
    ) {
        let text = render(&line_of(level, &fields), Stamp::now(), seq) + "\n";
        let mut lines = log_lines(text.as_bytes());
        let line = lines.next().expect("one line").expect("well-formed");
        prop_assert!(lines.next().is_none(), "one line: {text}");
        prop_assert_eq!((line.level, line.seq, line.event.as_str()), (level, seq, "swap.commit"));
        let columns = format!(" {level:<5} swap.commit ");
        prop_assert!(text.contains(&columns));
        prop_assert_eq!(line.field("mono_us"), Some(line.fields[0].1.as_str()));
        prop_assert_eq!(&line.fields[1..], &fields);
        prop_assert_eq!(format!("{line}\n"), text);
    }

    /// Any line, whatever its time.
    #[test]
    fn what_is_shown_reads_back(
        micros in 0..253_402_300_800_000_000_u64,
        seq in any::<u64>(),
        level in level(),
        event in "[a-z]{1,8}\\.[a-z_]{1,8}",
        fields in fields(),
    ) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        let line = LogLine { time, seq, level, event, fields };
        prop_assert_eq!(line.to_string().parse::<LogLine>().expect("well-formed"), line);
    }

    /// Whatever is no line is refused; what is one is shown as it was.
    #[test]
    fn any_text_is_refused_or_shown_as_it_was(
        start in 0..WHOLE.len(),
        length in 0..12_usize,
        text in value(),
        quoted in any::<bool>(),
    ) {
        let mut altered = WHOLE.to_owned() + if quoted { " msg=\"a b\\n\\u001b\"" } else { "" };
        let end = (start + length).min(altered.len());
        altered.replace_range(start..end, &text);
        for text in [text, altered] {
            if let Ok(line) = text.parse::<LogLine>() {
                prop_assert_eq!(line.to_string(), text);
            }
        }
    }

    /// Bytes give as many answers as they have lines, and none of them is a panic.
    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b' ')], 0..200),
        capacity in 1..20_usize,
    ) {
        let lines = log_lines(BufReader::with_capacity(capacity, &bytes[..]));
        let expected = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        prop_assert_eq!(lines.count(), expected.count());
    }
}

/// Places a character of its own writing just where a line is cut, in front of it and behind it.
fn assert_cut_reads_back(before: usize, value: &str) {
    let line = Line::info("build.fail").field("x", "y".repeat(before)).field("msg", value);
    let mut chain = Chain::START;
    let text = chain.add(&line, Stamp::now());
    let told = text.trim_end_matches('\n');
    assert!(told.len() <= LINE_BYTES_MAX, "{}", told.len());
    let (told, _) = told.split_once(" prev=").expect("it has room");
    let read: LogLine = told.parse().unwrap_or_else(|error| panic!("{before} {value:?}: {error}"));
    // What is left of the value says that there was more.
    match read.field("msg") {
        Some(whole) if whole == value => {}
        Some(left) => {
            let left = left.strip_suffix("..").expect("it says that it is cut");
            assert!(value.starts_with(left), "{left:?} of {value:?}");
        }
        None => assert!(told.len() > LINE_BYTES_MAX - JOINT_BYTES - 16, "there was room for it"),
    }
}

#[test]
fn a_line_that_is_too_long_is_cut_so_that_it_reads_back() {
    let values =
        ["plain_and_long", "\u{1b}[1m\u{1b}[0m", "a\\", "\\\\ \"\\\"", "é é\u{85}é", "", " "];
    for value in values {
        let room = LINE_BYTES_MAX - JOINT_BYTES;
        for before in room - 100..room - 50 {
            assert_cut_reads_back(before, value);
        }
    }
    assert_cut_reads_back(0, &"x y".repeat(LINE_BYTES_MAX));
    assert_cut_reads_back(0, &(" ".to_owned() + &"\u{1b}".repeat(LINE_BYTES_MAX)));
    assert_cut_reads_back(0, &("x".repeat(LINE_BYTES_MAX) + " quoted for what is cut off"));
    assert_cut_reads_back(LINE_BYTES_MAX + 7, "never reached");
}
