//! Durations as status lines have them: two digits that matter, and a unit.

use std::time::Duration;

/// `4 us`, `160 ms`, `2.1 s`, `3 min 5 s`.
pub(crate) fn readable(span: Duration) -> String {
    match span.as_nanos() {
        0..1_000 => "less than 1 us".to_owned(),
        1_000..1_000_000 => format!("{} us", span.as_micros()),
        1_000_000..1_000_000_000 => format!("{} ms", span.as_millis()),
        1_000_000_000..60_000_000_000 => format!("{:.1} s", span.as_secs_f64()),
        _ => format!("{} min {} s", span.as_secs() / 60, span.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        assert_eq!(readable(Duration::from_nanos(300)), "less than 1 us");
        assert_eq!(readable(Duration::from_nanos(4_900)), "4 us");
        assert_eq!(readable(Duration::from_millis(160)), "160 ms");
        assert_eq!(readable(Duration::from_millis(2_130)), "2.1 s");
        assert_eq!(readable(Duration::from_secs(185)), "3 min 5 s");
    }
}
