//! Versions that were replaced and may still be in use by calls.

use std::mem;

use crate::slot::hazard::Record;
use crate::sync::{Arc, heavy_barrier};

/// Keeps a reference on each replaced version for as long as a slot names it. The swapper's own.
#[derive(Debug)]
pub(crate) struct Draining<T> {
    versions: Vec<Arc<T>>,
}

impl<T> Draining<T> {
    pub(crate) fn new() -> Self {
        Self { versions: Vec::new() }
    }

    /// Adds what `publish` gave.
    pub(crate) fn add(&mut self, version: Arc<T>) {
        self.versions.push(version);
    }

    /// Drops the references on those that no call is in. Whoever leaves one of the others rings.
    pub(crate) fn release<'a>(
        &mut self,
        records: impl Fn() -> Box<dyn Iterator<Item = &'a Record> + 'a>,
    ) {
        if self.versions.is_empty() {
            return;
        }
        // Pairs with the barriers in `Current::claim` and `Current::release`: a call that is not seen here sees that
        // its version is not current.
        heavy_barrier();
        self.versions.retain(|version| {
            let version = Arc::as_ptr(version);
            records().any(|record| record.names(version))
        });
    }

    /// Whether nothing drains.
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
}

impl<T> Drop for Draining<T> {
    fn drop(&mut self) {
        // What a call may still be in stays for ever: this is the end of a swapper that panicked.
        self.versions.drain(..).for_each(mem::forget);
    }
}
