//! Below which release nothing may run any more.

use std::fmt;
use std::sync::Arc;

use hotswap_artifact::Fetch;

/// Which releases of a source may run: one who publishes says that none below a number may, and what served before is no
/// exception. Stays good when the monitor has ended.
#[derive(Clone, Default)]
pub struct Floor {
    pub(super) fetches: Vec<Arc<dyn Fetch>>,
}

impl Floor {
    /// The lowest number that may run; 0 when all may. Of a chain of sources the highest of theirs. It never falls. Asks each
    /// source for what it remembers ([`Fetch::floor`]), and blocks no longer than that.
    ///
    /// What has no number is none of its business: it is what whoever runs the program put there, as a file of theirs. A source
    /// with a floor gives nothing without a number.
    #[must_use]
    pub fn lowest(&self) -> u64 {
        self.fetches.iter().map(|fetch| fetch.floor()).max().unwrap_or(0)
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor").field("lowest", &self.lowest()).finish()
    }
}
