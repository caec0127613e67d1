//! Numbers as people write them.

use crate::Samples;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Bytes,
    /// Of one processor, from 0 to 1.
    Share,
    Threads,
}

impl Unit {
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Seconds => time(value),
            Self::Bytes => bytes(value),
            Self::Share => share(value),
            Self::Threads => threads_named(value as usize),
        }
    }

    /// The median, and between what nine of ten readings lie.
    pub(super) fn spread(self, samples: &Samples) -> String {
        format!("{} ({})", self.show(samples.median()), self.range(samples))
    }

    /// Between what nine of ten readings lie.
    pub(super) fn range(self, samples: &Samples) -> String {
        let (low, high) = (samples.quantile(0.05), samples.quantile(0.95));
        format!("{} to {}", self.show(low), self.show(high))
    }
}

/// `1.34 ns`, `20.1 ms`, `3 s`.
pub(super) fn time(seconds: f64) -> String {
    scaled(seconds, &[("s", 1.0), ("ms", 1e-3), ("\u{b5}s", 1e-6), ("ns", 1e-9)])
}

/// `26.4 KB`; a KB has 1,024 bytes.
pub(super) fn bytes(bytes: f64) -> String {
    scaled(
        bytes,
        &[("GB", 1024.0 * 1024.0 * 1024.0), ("MB", 1024.0 * 1024.0), ("KB", 1024.0), ("B", 1.0)],
    )
}

/// `0.012 %`.
pub(super) fn share(share: f64) -> String {
    format!("{} %", digits(share * 100.0))
}

/// `1.34x`.
pub(super) fn times(ratio: f64) -> String {
    format!("{}x", digits(ratio))
}

/// `10,000`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let grouped = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    grouped.collect::<Vec<_>>().join(",")
}

/// `1 file`, `10,000 files`.
pub(super) fn files_named(number: usize) -> String {
    if number == 1 { "1 file".to_owned() } else { format!("{} files", count(number as u64)) }
}

/// `1 thread`, `8 threads`.
pub(super) fn threads_named(number: usize) -> String {
    if number == 1 { "1 thread".to_owned() } else { format!("{number} threads") }
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let found = units.iter().find(|(_, factor)| value.abs() >= *factor * 0.9995);
    let (unit, factor) = found.or(units.last()).expect("there are units");
    format!("{} {unit}", digits(value / factor))
}

/// Three digits that count, without zeros that say nothing.
fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let before = value.abs().log10().floor() as i32 + 1;
    let places = usize::try_from(3 - before).unwrap_or(0).min(5);
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let shown = [1.5e-9, 0.9999e-3, 0.0201, 3.0, 0.0].map(time);
        assert_eq!(shown, ["1.5 ns", "1 ms", "20.1 ms", "3 s", "0"]);
        assert_eq!(bytes(27_034.0), "26.4 KB");
        assert_eq!(bytes(-2048.0), "-2 KB");
        assert_eq!(share(0.000_123), "0.0123 %");
        assert_eq!([times(1.336), times(61.0), times(1234.0)], ["1.34x", "61x", "1234x"]);
        assert_eq!([count(7), count(10_000)], ["7", "10,000"]);
    }
}
