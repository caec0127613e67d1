//! What a module's own runtime asks of the C library, redirected to the host.
//!
//! `dlclose` silently keeps a library whose thread-local destructors are pending, and
//! a thread-specific key with a destructor inside an unloaded image crashes at thread
//! exit. So no address inside a module reaches libc without its host knowing: `module!()`
//! defines these symbols, hidden, inside the cdylib, where its own std binds to
//! them; each jumps to a function here, and the host decides what it means for the
//! version's life.
//!
//! Before the host is connected nothing may be registered; what is tried is
//! remembered and the module is refused at start.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::services::services;

/// Whether a constructor registered something before the host was connected.
static REGISTERED_EARLY: AtomicBool = AtomicBool::new(false);

pub(crate) fn registered_early() -> bool {
    // Relaxed: start runs after all constructors on the same thread.
    REGISTERED_EARLY.load(Ordering::Relaxed)
}

#[cold]
fn too_early() -> c_int {
    REGISTERED_EARLY.store(true, Ordering::Relaxed);
    libc::EAGAIN
}

/// `__cxa_thread_atexit_impl`.
///
/// # Safety
///
/// As that function's: `destructor` may be called with `object` when this thread ends.
pub unsafe extern "C" fn thread_atexit(
    destructor: unsafe extern "C" fn(*mut c_void),
    object: *mut c_void,
    _image: *mut c_void,
) -> c_int {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe { (services.thread_atexit)(services.context, destructor, object) },
        None => too_early(),
    }
}

/// `pthread_create`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe {
            (services.thread_create)(services.context, thread, attributes, start, argument)
        },
        None => too_early(),
    }
}

/// `pthread_key_create`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn pthread_key_create(
    key: *mut libc::pthread_key_t,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe { (services.key_create)(services.context, key, destructor) },
        None => too_early(),
    }
}

/// `pthread_key_delete`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn pthread_key_delete(key: libc::pthread_key_t) -> c_int {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe { (services.key_delete)(services.context, key) },
        None => too_early(),
    }
}

/// `pthread_setspecific`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn pthread_setspecific(
    key: libc::pthread_key_t,
    value: *const c_void,
) -> c_int {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe { (services.key_set)(services.context, key, value) },
        None => too_early(),
    }
}

/// `sigaction`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe { (services.signal_action)(services.context, signal, new, old) },
        None => {
            too_early();
            -1
        }
    }
}

/// `signal`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    match services() {
        // SAFETY: the caller's promise is the service's.
        Some(services) => unsafe { (services.signal)(services.context, signal, handler) },
        None => {
            too_early();
            libc::SIG_ERR
        }
    }
}

/// `dl_iterate_phdr`, finding nothing: std's back-trace printer keeps megabytes of symbol
/// tables per image for ever. Unwinding does not pass here, and the host can symbolise.
pub extern "C" fn dl_iterate_phdr(_callback: *const c_void, _data: *mut c_void) -> c_int {
    0
}
