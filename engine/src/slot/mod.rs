//! The home of the current version: the one seam between callers and the swapper.
//!
//! `hazard` and `draining` are the protocol, which the tests check with a model of memory; `threads` gives each
//! thread its slots; `barrier` is what makes the callers' half cheap.

pub(crate) mod barrier;
pub(crate) mod draining;
pub(crate) mod hazard;
mod threads;

use std::sync::Arc;
use std::sync::atomic::AtomicPtr;

use crossbeam_channel::{Receiver, Sender, bounded};

use self::hazard::Current;
use crate::version::Version;

pub(crate) use self::threads::{Caller, ask, callers, records};

/// Holds the current version.
#[derive(Debug)]
pub(crate) struct Slot {
    current: Current<Version>,
    /// Wakes the swapper: a call that ended is of a version that is not current any more.
    bell: Sender<()>,
}

impl Slot {
    /// A slot, and the channel that has a message when a call of a replaced version has ended.
    pub(crate) fn new(version: Version) -> (Self, Receiver<()>) {
        // One token: it says "look again", how often does not matter.
        let (bell, rung) = bounded(1);
        (Self { current: Current::new(Arc::new(version)), bell }, rung)
    }

    /// What wakes the swapper.
    pub(crate) fn bell(&self) -> Sender<()> {
        self.bell.clone()
    }

    /// The current version, kept mapped for as long as the result lives, on whatever thread.
    pub(crate) fn load(&self) -> Arc<Version> {
        self.current.load()
    }

    /// Makes `version` current by one write and gives the previous one, which calls may still be in: it belongs
    /// into [`draining`]. Only the swapper calls this.
    pub(crate) fn publish(&self, version: Arc<Version>) -> Arc<Version> {
        self.current.publish(version)
    }

    /// Enters the current version for one call on this thread, if that is quick: an outermost call, and no swap at
    /// this very moment. Never waits, and writes nothing that other threads write.
    #[inline(always)]
    pub(crate) fn enter_quickly(&self) -> Option<Quick<'_>> {
        let slot = threads::first_slot();
        if !hazard::is_free(slot) {
            return None;
        }
        let Some(version) = self.current.claim(slot) else {
            // The swapper may have seen what was claimed for a moment.
            self.ring();
            return None;
        };
        // SAFETY:
        // 1. Alive: the slot names it since before it was seen to be current, so that `Draining` keeps its reference
        //    until the slot is cleared (the protocol of `hazard`), which only `leave` does, by value.
        // 2. Shared: versions are only read through references.
        Some(Quick { slot, version: unsafe { &*version } })
    }

    /// The end of a call that entered quickly.
    #[inline(always)]
    pub(crate) fn leave(&self, quick: Quick<'_>) {
        if self.current.release(quick.slot, quick.version) {
            self.ring();
        }
    }

    /// Enters the current version in any case: a nested call, a thread's first call or its last ones. It stays mapped
    /// until the result is dropped.
    pub(crate) fn enter(&self) -> Entered<'_> {
        if let Some(slot) = threads::free_slot() {
            let version = self.current.claim_fenced(slot, || self.ring());
            return Entered { home: self, slot: Some(slot), version };
        }
        Entered { home: self, slot: None, version: Arc::into_raw(self.load()) }
    }

    /// Has the swapper look again.
    #[cold]
    #[inline(never)]
    pub(crate) fn ring(&self) {
        // Full means that the swapper will look in any case; gone, that nobody has to.
        let _ = self.bell.try_send(());
    }
}

/// A version that this thread has entered by the quick way. To be given to `leave`; one that is forgotten keeps its
/// version for ever. For the thread that entered alone, which writes the slot.
#[must_use]
pub(crate) struct Quick<'a> {
    slot: &'static AtomicPtr<()>,
    pub(crate) version: &'a Version,
}

/// A version that this thread has entered. Not `Send`: the slot is the thread's own.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    home: &'a Slot,
    /// What names the version; `None` where a counted reference is held instead.
    slot: Option<&'static AtomicPtr<()>>,
    version: *const Version,
}

impl Entered<'_> {
    /// The version.
    pub(crate) fn version(&self) -> &Version {
        // SAFETY:
        // 1. Alive: as in `enter_quickly`, until the drop clears the slot; or a counted reference is held until then.
        // 2. Shared: versions are only read through references.
        unsafe { &*self.version }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        match self.slot {
            Some(slot) => {
                if self.home.current.release_fenced(slot, self.version) {
                    self.home.ring();
                }
            }
            // SAFETY: it came from `Arc::into_raw` in `enter`, and is given back once, by the only drop.
            None => drop(unsafe { Arc::from_raw(self.version) }),
        }
    }
}
