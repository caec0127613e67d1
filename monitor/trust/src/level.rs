//! How much is known about where code comes from.

use std::fmt;

/// What is checked before code is taken. Higher levels check all that lower ones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Nobody is named: whoever can write there is believed, and files are held against the manifest that lies there.
    L0,
    /// The host names the SHA-256 of the manifest: this release and no other.
    L1,
    /// The host names a key: any release that it signed, if it is not older than what is known, not expired, and follows what is known.
    L2,
}

/// One thing that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// Every file has the length and the SHA-256 that the manifest gives, and there is no other.
    Files,
    /// Module, channel, target, ABI and compiler are those that were asked for.
    Identity,
    /// A key signed the bytes of the manifest.
    Signature,
    /// The number of the release does not fall, nor jump, and one number is one release.
    Counter,
    /// The release is not below the floor.
    Floor,
    /// The release is not past its expiry.
    Expiry,
    /// The release follows what was accepted before.
    Previous,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Identity => "identity",
            Self::Signature => "signature",
            Self::Counter => "counter",
            Self::Floor => "floor",
            Self::Expiry => "expiry",
            Self::Previous => "previous",
        })
    }
}

impl Level {
    /// What is checked.
    #[must_use]
    pub const fn checks(self) -> &'static [Check] {
        match self {
            Self::L0 | Self::L1 => &[Check::Files, Check::Identity],
            Self::L2 => &[
                Check::Files,
                Check::Identity,
                Check::Signature,
                Check::Counter,
                Check::Floor,
                Check::Expiry,
                Check::Previous,
            ],
        }
    }

    /// `L0`, `L1`, `L2`, for keys of a log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
        }
    }

    /// In a few words.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::L0 => "believed as it is, nobody signed it",
            Self::L1 => "one release by its SHA-256",
            Self::L2 => "signed releases, newest first",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
