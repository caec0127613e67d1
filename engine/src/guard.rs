//! One version for a unit of work.

use std::panic::Location;
use std::sync::Arc;
use std::thread;

use hotswap_module::__private::RawCall;
use hotswap_module::{Abi, Arguments, CallError, Caller};

use crate::core::Core;
use crate::pin::{Left, Origin, PinKind};
use crate::version::Version;
use crate::version_id::VersionId;

/// Keeps one version for as long as it lives: all calls through it run in that version, whatever is
/// swapped meanwhile.
///
/// It delays nothing but the unloading of its version. A guard that outlives its engine goes on working.
#[derive(Debug)]
pub struct Guard {
    core: Arc<Core>,
    version: Arc<Version>,
    hold: u64,
}

impl Guard {
    /// Keeps what is current.
    pub(crate) fn new(core: Arc<Core>, location: &'static Location<'static>) -> Self {
        loop {
            let version = core.slot.load();
            let origin = Origin::Place(location, thread::current());
            let hold = version.holds.add(PinKind::Guard, origin);
            // One that was replaced with others by now may have been so before the swapper could see this guard: then nobody
            // keeps those others for it.
            if version.siblings.is_any() && !Arc::ptr_eq(&version, &core.slot.load()) {
                version.holds.remove(hold);
                continue;
            }
            return Self { core, version, hold };
        }
    }

    /// The version that it keeps.
    #[must_use]
    pub fn version(&self) -> VersionId {
        self.version.id
    }

    /// As [`Engine::call`](crate::Engine::call), in this guard's version.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call(&self, name: &str) -> Result<(), CallError> {
        Caller::call(self, name)
    }

    /// As [`Engine::call_with`](crate::Engine::call_with), in this guard's version.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call_with<R: Abi>(&self, name: &str, arguments: impl Arguments) -> Result<R, CallError> {
        Caller::call_with(self, name, arguments)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.version.holds.remove(self.hold) == Left::Calls || self.version.siblings.is_any() {
            // Who waits for the version may be waiting for nobody else; and what belongs with it is kept no longer.
            self.core.slot.ring();
        }
    }
}

// SAFETY: `Core::call_in` compares the signatures before it calls, and its errors tell whether it entered.
unsafe impl Caller for Guard {
    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        // SAFETY: the caller's promises, and the guard holds the version.
        unsafe { self.core.call_in(&self.version, call) }
    }
}
