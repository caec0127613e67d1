//! When a long build is worth a line.

use std::time::{Duration, Instant};

use crate::span;

/// A build that ends sooner needs no line.
const FIRST_AFTER: Duration = Duration::from_secs(2);

/// How often a line is rewritten on a terminal: it counts seconds.
const TERMINAL_PERIOD: Duration = Duration::from_secs(1);

/// How often a line is added to a file: rarely, but often enough to show life.
const FILE_PERIOD: Duration = Duration::from_secs(30);

/// The lines about one build.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    start: Instant,
    next: Duration,
    period: Duration,
}

impl Progress {
    pub(crate) fn new(name: &str, start: Instant, is_terminal: bool) -> Self {
        let period = if is_terminal { TERMINAL_PERIOD } else { FILE_PERIOD };
        Self { name: name.to_owned(), start, next: FIRST_AFTER, period }
    }

    /// When there is something to show next.
    pub(crate) fn due(&self) -> Instant {
        self.start + self.next
    }

    /// The line to show now, if it is time.
    pub(crate) fn line(&mut self, now: Instant) -> Option<String> {
        let elapsed = now.saturating_duration_since(self.start);
        if elapsed < self.next {
            return None;
        }
        while self.next <= elapsed {
            self.next += self.period;
        }
        let whole = Duration::from_secs(elapsed.as_secs());
        let shown = if whole.as_secs() < 60 {
            format!("{} s", whole.as_secs())
        } else {
            span::readable(whole)
        };
        Some(format!("building {} .. {shown}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(is_terminal: bool, seconds: &[u64]) -> Vec<Option<String>> {
        let start = Instant::now();
        let mut progress = Progress::new("game", start, is_terminal);
        seconds.iter().map(|&second| progress.line(start + Duration::from_secs(second))).collect()
    }

    #[test]
    fn a_terminal_counts_seconds_after_two() {
        let shown = lines(true, &[1, 2, 2, 3, 65]);
        let expected = [
            None,
            Some("building game .. 2 s".to_owned()),
            None,
            Some("building game .. 3 s".to_owned()),
            Some("building game .. 1 min 5 s".to_owned()),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_file_gets_few_lines() {
        let seconds: Vec<u64> = (0..=62).collect();
        assert_eq!(lines(false, &seconds).iter().flatten().count(), 3);
    }
}
