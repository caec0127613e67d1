//! Times as manifests have them: UTC, in whole seconds.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: what follows has no text of this length.
const LAST: u64 = 253_402_300_799;

/// A second of UTC, from 1970 to 9999. Shown as `2026-01-31T12:00:00Z`, and read from this form alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Now. What a check goes by is taken once, at its beginning.
    #[must_use]
    pub fn now() -> Self {
        hotswap_system::clock::wall().into()
    }

    /// This much later, at most the last second that there is.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_secs()).min(LAST))
    }

    /// How much later this is than `earlier`; nothing when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// Rounded down; what is outside of the years 1970 to 9999 becomes the nearest second inside.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0)).fmt(f)
    }
}

/// A text is no time of the form `2026-01-31T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time like 2026-01-31T12:00:00Z")]
pub struct ParseTimestampError;

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let time = humantime::parse_rfc3339(text).map_err(|_| ParseTimestampError)?;
        let time = Self::from(time);
        // One text for each time: fractions, and the sixtieth second, are none of ours.
        if time.to_string() == text { Ok(time) } else { Err(ParseTimestampError) }
    }
}
