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

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

pub use crate::exits::cxa_atexit;
use crate::services::services;

/// Whether a constructor registered something before the host was connected.
static REGISTERED_EARLY: AtomicBool = AtomicBool::new(false);

pub(crate) fn registered_early() -> bool {
    // Relaxed: start runs after all constructors on the same thread.
    REGISTERED_EARLY.load(Ordering::Relaxed)
}

/// Notes that a constructor registered something.
#[cold]
pub(crate) fn too_early() -> c_int {
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

/// What C11's functions on threads answer.
mod thrd {
    use std::ffi::c_int;

    pub(super) const SUCCESS: c_int = 0;
    const ERROR: c_int = 2;
    const NO_MEMORY: c_int = 3;

    /// What POSIX's answer is here. *Source*: glibc's `threads.h` and `thrd_priv.h`.
    pub(super) fn answer(code: c_int) -> c_int {
        match code {
            0 => SUCCESS,
            libc::ENOMEM => NO_MEMORY,
            _ => ERROR,
        }
    }
}

/// The start routine of a C11 thread, and its argument.
struct C11Thread {
    start: extern "C-unwind" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
}

/// `thrd_create`: a thread as any other, whose result is a number.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn thrd_create(
    thread: *mut libc::pthread_t,
    start: extern "C-unwind" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> c_int {
    extern "C-unwind" fn run(thread: *mut c_void) -> *mut c_void {
        // SAFETY: made below, run once.
        let C11Thread { start, argument } = *unsafe { Box::from_raw(thread.cast::<C11Thread>()) };
        ptr::without_provenance_mut(start(argument) as usize)
    }
    if services().is_none() {
        return thrd::answer(too_early());
    }
    let main = Box::into_raw(Box::new(C11Thread { start, argument }));
    // SAFETY: the caller's promise; `run` takes what it gets.
    let code = unsafe { pthread_create(thread, ptr::null(), run, main.cast()) };
    if code != 0 {
        // SAFETY: no thread was made, so nobody else takes it.
        drop(unsafe { Box::from_raw(main) });
    }
    thrd::answer(code)
}

/// `tss_create`: in glibc a key is the same for C11 as for POSIX.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn tss_create(
    key: *mut c_uint,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    // SAFETY: the caller's promise.
    thrd::answer(unsafe { pthread_key_create(key, destructor) })
}

/// `tss_delete`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn tss_delete(key: c_uint) {
    // SAFETY: the caller's promise. There is nobody to take an error.
    let _ = unsafe { pthread_key_delete(key) };
}

/// `tss_set`.
///
/// # Safety
///
/// As that function's.
pub unsafe extern "C" fn tss_set(key: c_uint, value: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    thrd::answer(unsafe { pthread_setspecific(key, value) })
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
