//! What became of what lies in the source.

use std::fmt;

use crate::version_id::VersionId;

/// What lies in the source now is what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It was new, and is current now.
    Swapped {
        /// The version before; `None` for the first.
        from: Option<VersionId>,
        /// The version now.
        to: VersionId,
    },
    /// It is what was current already.
    Unchanged {
        /// The version.
        current: VersionId,
    },
}

impl Verdict {
    /// The version that is current after it.
    #[must_use]
    pub const fn current(&self) -> VersionId {
        match self {
            Self::Swapped { to, .. } => *to,
            Self::Unchanged { current } => *current,
        }
    }

    /// Whether another version became current.
    #[must_use]
    pub const fn is_swapped(&self) -> bool {
        matches!(self, Self::Swapped { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Swapped { to, .. } => write!(f, "{to} is current"),
            Self::Unchanged { current } => write!(f, "unchanged, {current} stays current"),
        }
    }
}
