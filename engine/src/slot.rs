//! The home of the current version: the one seam between callers and the swapper.

use std::mem;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::version::Version;

/// Holds the current version.
///
/// The lock guards a pointer and is held for the length of a reference count's
/// increment or of one assignment, never while module code runs: held across calls it
/// starves the swap and deadlocks nested ones. *Source*: `tests/tests/swap.rs`, rows SW-2 and IF-3.
#[derive(Debug)]
pub(crate) struct Slot {
    current: RwLock<Arc<Version>>,
}

impl Slot {
    pub(crate) fn new(version: Version) -> Self {
        Self { current: RwLock::new(Arc::new(version)) }
    }

    /// The current version, kept mapped for as long as the result lives.
    pub(crate) fn load(&self) -> Arc<Version> {
        // `read` and not `read_recursive`: a waiting swap goes before new readers, so that it is never starved. No
        // thread asks while it has the lock, since nothing of ours or of a module runs under it.
        Arc::clone(&self.current.read())
    }

    /// Makes `version` current by one assignment and gives the previous one. Only the swapper calls this.
    pub(crate) fn publish(&self, version: Arc<Version>) -> Arc<Version> {
        mem::replace(&mut *self.current.write(), version)
    }
}
