//! Signal handlers inside a module: each holds its image until another handler took its place.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::context_of;
use crate::pin::{Holds, PinKind};

/// The handlers of one image.
#[derive(Debug)]
pub(crate) struct Signals {
    installed: Mutex<Vec<Handler>>,
    holds: Arc<Holds>,
}

#[derive(Debug)]
struct Handler {
    signal: c_int,
    address: libc::sighandler_t,
    /// The number of its entry among the holders.
    hold: u64,
}

impl Signals {
    pub(super) fn new(holds: Arc<Holds>) -> Self {
        Self { installed: Mutex::default(), holds }
    }

    fn add(&self, signal: c_int, address: libc::sighandler_t) {
        if address == libc::SIG_DFL || address == libc::SIG_IGN {
            return;
        }
        let hold = self.holds.add(PinKind::SignalHandler, format!("signal {signal}"));
        self.installed.lock().push(Handler { signal, address, hold });
    }

    /// Whether no handler inside the image is installed any more, as the kernel says.
    pub(crate) fn is_empty(&self) -> bool {
        let mut installed = self.installed.lock();
        installed.retain(|handler| {
            let is_there = current(handler.signal) == Some(handler.address);
            if !is_there {
                self.holds.remove(handler.hold);
            }
            is_there
        });
        installed.is_empty()
    }
}

/// The address of the handler that is installed for a signal.
fn current(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: plain data, for which zeros are a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only, with room for the answer.
    let code = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    (code == 0).then_some(action.sa_sigaction)
}

pub(super) unsafe extern "C" fn signal_action(
    context: *const c_void,
    number: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: the module's promise: null or a valid action.
    let address = unsafe { new.as_ref() }.map(|action| action.sa_sigaction);
    // Before it is installed: from then on it may run.
    // SAFETY: the context of a live image.
    if let (Some(image), Some(address)) = (unsafe { context_of(context) }, address) {
        if image.gate.is_shut() {
            return -1;
        }
        image.signals.add(number, address);
    }
    // SAFETY: the module's promises; its handler stays mapped for as long as it is installed.
    unsafe { libc::sigaction(number, new, old) }
}

pub(super) unsafe extern "C" fn signal(
    context: *const c_void,
    number: c_int,
    handler: libc::sighandler_t,
) -> libc::sighandler_t {
    // SAFETY: the context of a live image.
    if let Some(image) = unsafe { context_of(context) } {
        if image.gate.is_shut() {
            return libc::SIG_ERR;
        }
        image.signals.add(number, handler);
    }
    // SAFETY: the module's promises; its handler stays mapped for as long as it is installed.
    unsafe { libc::signal(number, handler) }
}
