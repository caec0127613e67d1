//! Between which versions a hook runs.

use crate::Abi;

/// The versions between which a hook of a module runs; it may take one of these as its argument.
///
/// `#[on_load]` and `#[after_swap]` get the version before and their own, `#[before_unload]` its own and the one that is
/// current by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Abi)]
#[non_exhaustive]
pub struct VersionChange {
    /// The number of the version before; `None` for the first.
    pub from: Option<u64>,
    /// The number of the version after it; `None` when the engine ends.
    pub to: Option<u64>,
}

impl VersionChange {
    /// From one version to another.
    #[must_use]
    pub const fn new(from: Option<u64>, to: Option<u64>) -> Self {
        Self { from, to }
    }
}
