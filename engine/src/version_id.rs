//! The number of a version.

use std::fmt;

/// The number of a version within its engine, counted from 1. Displayed as `v7`.
///
/// A number is given when a version becomes current; what was refused on the way has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(pub(crate) u64);

impl VersionId {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// What stands before the first version: it exports nothing.
pub(crate) const NO_VERSION: VersionId = VersionId(0);
