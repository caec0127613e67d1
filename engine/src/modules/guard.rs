//! One version of each module for a unit of work.

use std::collections::HashMap;

use crate::guard::Guard;

/// Guards of all modules that were loaded when it was made: calls through them run in the versions of then, whatever is
/// swapped, loaded or unloaded meanwhile. Made by [`Modules::pin`](crate::Modules::pin).
///
/// Calls that those versions make to other modules go to what is current there, or to what belongs with them when they
/// were swapped together with it.
#[derive(Debug)]
pub struct ModulesGuard {
    pub(super) names: HashMap<String, usize>,
    pub(super) guards: Vec<Guard>,
}

impl ModulesGuard {
    /// The guard of a module, by any name by which it was asked for; `None` when it was not loaded.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Guard> {
        self.names.get(name).map(|at| &self.guards[*at])
    }
}
