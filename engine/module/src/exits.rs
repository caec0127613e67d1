//! `atexit` of a module: functions of it that run when it goes, or when the process ends.

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, PoisonError};

use crate::intercept::too_early;
use crate::services::{Services, services};

/// A function to be run, and whose it is.
#[derive(Clone, Copy)]
struct ExitHandler {
    handler: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
    image: *mut c_void,
}

// SAFETY: the addresses are handed over as they are; who runs the function promised that it may run on any thread.
unsafe impl Send for ExitHandler {}

impl ExitHandler {
    fn hand_over(self, services: &Services) -> c_int {
        let Self { handler, argument, image } = self;
        // SAFETY: the promise to `cxa_atexit` is the service's.
        unsafe { (services.exit_add)(services.context, handler, argument, image) }
    }
}

/// How many functions constructors may register, as C++ does for its statics with destructors. They lie in static memory:
/// there is no allocator yet.
const EARLY_MAX: usize = 1_024;

/// What constructors registered, until there is a host.
struct Early {
    handlers: [Option<ExitHandler>; EARLY_MAX],
    count: usize,
}

static EARLY: Mutex<Early> = Mutex::new(Early { handlers: [None; EARLY_MAX], count: 0 });

/// `__cxa_atexit`, which `atexit` of C is made of.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn cxa_atexit(
    handler: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
    image: *mut c_void,
) -> c_int {
    let exit = ExitHandler { handler, argument, image };
    if let Some(services) = services() {
        return exit.hand_over(services);
    }
    let mut early = EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    let count = early.count;
    let Some(place) = early.handlers.get_mut(count) else { return too_early() };
    *place = Some(exit);
    early.count += 1;
    0
}

/// Hands over what constructors registered, in their order; `false` when the host has no memory for it.
pub(crate) fn hand_over(services: &Services) -> bool {
    let early = EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut handlers = early.handlers[..early.count].iter().flatten();
    handlers.all(|exit| exit.hand_over(services) == 0)
}
