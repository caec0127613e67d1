//! Versions that were replaced and may still be in use by calls.

use std::mem;

use crate::slot::hazard::Record;
use crate::sync::{Arc, heavy_barrier};

/// Keeps a reference on each replaced version for as long as a slot names it. The swapper's own.
#[derive(Debug)]
pub(crate) struct Draining<T, C = ()> {
    versions: Vec<Entry<T, C>>,
}

#[derive(Debug)]
struct Entry<T, C> {
    version: Arc<T>,
    /// What goes with it; dropped after it.
    companions: Vec<C>,
}

impl<T, C> Draining<T, C> {
    pub(crate) fn new() -> Self {
        Self { versions: Vec::new() }
    }

    /// Adds what `publish` gave.
    pub(crate) fn add(&mut self, version: Arc<T>) {
        self.add_with(version, Vec::new());
    }

    /// Keeps something else as well, for as long as the version is in use.
    pub(crate) fn add_with(&mut self, version: Arc<T>, companions: Vec<C>) {
        self.versions.push(Entry { version, companions });
    }

    /// Keeps nothing else any more on account of a version: it is current again.
    pub(crate) fn forget_companions(&mut self, version: &Arc<T>) {
        let of_it = |entry: &&mut Entry<T, C>| Arc::ptr_eq(&entry.version, version);
        self.versions.iter_mut().filter(of_it).for_each(|entry| entry.companions.clear());
    }

    /// Drops the references on those that no call is in; with companions, those that are not `held` otherwise either. Whoever leaves
    /// one of the others rings.
    pub(crate) fn release<'a>(
        &mut self,
        records: impl Fn() -> Box<dyn Iterator<Item = &'a Record> + 'a>,
        held: impl Fn(&T) -> bool,
    ) {
        if self.versions.is_empty() {
            return;
        }
        // Pairs with the barriers in `Current::claim` and `Current::release`: a call that is not seen here sees that
        // its version is not current.
        heavy_barrier();
        self.versions.retain(|Entry { version, companions }| {
            if !companions.is_empty() && held(version) {
                return true;
            }
            let version = Arc::as_ptr(version);
            records().any(|record| record.names(version))
        });
    }

    /// Whether nothing drains.
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
}

impl<T, C> Drop for Draining<T, C> {
    fn drop(&mut self) {
        // What a call may still be in stays for ever: this is the end of a swapper that panicked.
        self.versions.drain(..).for_each(mem::forget);
    }
}
