//! What a host does for its modules: a table of C functions.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use crate::error::CallError;
use crate::signature::Signature;
use crate::state::{CellLinks, Locker, StateError};

/// A text that is borrowed for the length of a call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Text {
    start: *const u8,
    length: usize,
}

impl Text {
    /// Borrows a text.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { start: text.as_ptr(), length: text.len() }
    }

    /// The text.
    ///
    /// # Safety
    ///
    /// The text that it was made from is still borrowed.
    #[must_use]
    pub unsafe fn as_str<'a>(self) -> &'a str {
        // SAFETY: the contract; a `Text` is only made from a `str`.
        let bytes = unsafe { std::slice::from_raw_parts(self.start, self.length) };
        // SAFETY: as above, so the bytes are UTF-8.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }
}

/// Whom a call out of a module is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Target {
    /// The engine's current version.
    Engine = 0,
    /// A function that the host provides.
    Host = 1,
}

/// A failure inside a module, told before the shim returns.
#[repr(C)]
#[derive(Debug)]
pub struct FailureText {
    /// The message.
    pub message: Text,
    /// The source file; empty when unknown.
    pub file: Text,
    /// The line, from 1; 0 when unknown.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// How a cell is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Access {
    /// Beside other readers.
    Read = 0,
    /// Alone.
    Write = 1,
}

/// Which cell is to be locked, how, and for whom.
#[repr(C)]
#[derive(Debug)]
pub struct CellQuery {
    /// The schema of its type.
    pub schema: Text,
    /// Its name; empty for the one without.
    pub name: Text,
    /// Who asks.
    pub by: Locker,
    /// Where it is noted, to be found from then on; null for linked code, which may be called by several engines.
    pub links: *const CellLinks,
    /// The version of the schema.
    pub version: u16,
    /// Whether it is the process's cell and not the engine's.
    pub is_shared: bool,
    /// How it is to be locked.
    pub access: Access,
    /// How long to wait.
    pub timeout: Duration,
}

/// A cell that was locked.
#[repr(C)]
#[derive(Debug)]
pub struct LockedCell {
    /// Where its value is.
    pub value: *mut u8,
    /// What to unlock it by.
    pub cell: *const c_void,
}

/// The host's side of the boundary. One table per loaded image; it outlives the image.
///
/// Every function may be called from any thread of the module. `context` tells the
/// host which image calls.
#[repr(C)]
#[derive(Debug)]
pub struct Services {
    /// Handed back to the host with every call.
    pub context: *const c_void,
    /// The host's `GlobalAlloc::alloc(size, align)`.
    pub alloc: unsafe extern "C" fn(*const c_void, usize, usize) -> *mut u8,
    /// The host's `GlobalAlloc::alloc_zeroed(size, align)`.
    pub alloc_zeroed: unsafe extern "C" fn(*const c_void, usize, usize) -> *mut u8,
    /// The host's `GlobalAlloc::dealloc(pointer, size, align)`.
    pub dealloc: unsafe extern "C" fn(*const c_void, *mut u8, usize, usize),
    /// The host's `GlobalAlloc::realloc(pointer, old size, align, new size)`.
    pub realloc: unsafe extern "C" fn(*const c_void, *mut u8, usize, usize, usize) -> *mut u8,
    /// What this thread has counted for the image, in bytes from some beginning.
    pub heap_here: unsafe extern "C" fn(*const c_void) -> i64,
    /// Bytes that were handed over to the image; negative, by it.
    pub heap_moved: unsafe extern "C" fn(*const c_void, i64),
    /// Whether the host's logger takes records of this level (1 error .. 5 trace) and target.
    pub log_enabled: unsafe extern "C" fn(*const c_void, u32, Text) -> u32,
    /// A record for the host's logger: level, target, message, module path, file, line.
    pub log: unsafe extern "C" fn(*const c_void, u32, Text, Text, Text, Text, u32),
    /// A call on this thread is ended by its state; told before the shim returns.
    pub state_failed: unsafe extern "C" fn(*const c_void, *const StateError),
    /// A panic's or a returned error's text, on the thread it happened on.
    pub failed: unsafe extern "C" fn(*const c_void, *const FailureText),
    /// A call into the engine or the host:
    /// target, name, signature (null: no arguments, result dropped), its hash, packed arguments, out, room for
    /// an error. Answers 0 when the call gave its result, 1 when it wrote an error.
    pub call: unsafe extern "C" fn(
        *const c_void,
        u32,
        Text,
        *const Signature,
        u64,
        *mut u8,
        *mut u8,
        *mut CallError,
    ) -> u32,
    /// As `call`, for the current version of another module: its name in the place of the target.
    pub call_named: unsafe extern "C" fn(
        *const c_void,
        Text,
        Text,
        *const Signature,
        u64,
        *mut u8,
        *mut u8,
        *mut CallError,
    ) -> u32,
    /// Has another module loaded: answers 0 when it is there, 1 when it wrote an error.
    pub find_named: unsafe extern "C" fn(*const c_void, Text, *mut CallError) -> u32,
    /// Asks the engine to look at its source now and waits for the verdict: writes the current version's
    /// number and answers 0, or writes an error and answers 1.
    pub reload: unsafe extern "C" fn(*const c_void, *mut u64, *mut CallError) -> u32,
    /// Locks a cell that was found before, if nothing is in the way, and answers where its value is; null where
    /// `state_lock` has to see to it. The last two are what a `Locker` has: so they travel in registers.
    pub state_try_lock: unsafe extern "C" fn(
        *const c_void,
        *const c_void,
        Access,
        Text,
        &'static Location<'static>,
    ) -> *mut u8,
    /// Locks a cell: writes where its value is, or an error. The texts of the query are constants of the image.
    pub state_lock: unsafe extern "C" fn(
        *const c_void,
        *const CellQuery,
        *mut LockedCell,
        *mut Option<StateError>,
    ),
    /// Unlocks a cell on the thread that locked it; the last number is 1 while a panic unwinds. The context may be null.
    pub state_unlock: unsafe extern "C" fn(*const c_void, *const c_void, Access, u32),
    /// `__cxa_thread_atexit_impl`: destructor, object.
    pub thread_atexit: unsafe extern "C" fn(
        *const c_void,
        unsafe extern "C" fn(*mut c_void),
        *mut c_void,
    ) -> c_int,
    /// `__cxa_atexit`: handler, argument, the image's own handle.
    pub exit_add: unsafe extern "C" fn(
        *const c_void,
        unsafe extern "C" fn(*mut c_void),
        *mut c_void,
        *mut c_void,
    ) -> c_int,
    /// `pthread_create`.
    pub thread_create: unsafe extern "C" fn(
        *const c_void,
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int,
    /// `pthread_key_create`.
    pub key_create: unsafe extern "C" fn(
        *const c_void,
        *mut libc::pthread_key_t,
        Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> c_int,
    /// `pthread_key_delete`.
    pub key_delete: unsafe extern "C" fn(*const c_void, libc::pthread_key_t) -> c_int,
    /// `pthread_setspecific`.
    pub key_set: unsafe extern "C" fn(*const c_void, libc::pthread_key_t, *const c_void) -> c_int,
    /// `sigaction`.
    pub signal_action: unsafe extern "C" fn(
        *const c_void,
        c_int,
        *const libc::sigaction,
        *mut libc::sigaction,
    ) -> c_int,
    /// `signal`.
    pub signal:
        unsafe extern "C" fn(*const c_void, c_int, libc::sighandler_t) -> libc::sighandler_t,
}

// SAFETY: the table is constant once made, its functions may be called from any thread by
// contract, and `context` is only handed back.
unsafe impl Send for Services {}
// SAFETY: as above.
unsafe impl Sync for Services {}

/// The table of whoever loaded this image; null in a host and in a plain library.
///
/// Every image has its own copy of this static.
static SERVICES: AtomicPtr<Services> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// In a host with linked modules: the engine whose call runs on this thread.
    /// No destructor, so that a module's copy registers none.
    pub static LINKED_CONTEXT: Cell<*const c_void> = const { Cell::new(ptr::null()) };
}

/// The services, if this image was loaded or linked by an engine.
#[inline]
pub(crate) fn services() -> Option<&'static Services> {
    // Acquire pairs with the Release in `connect`: who sees the pointer sees the table.
    let services = SERVICES.load(Ordering::Acquire);
    // SAFETY: `connect`'s contract: the table outlives every use from this image.
    unsafe { services.as_ref() }
}

/// The services together with the context to call them with.
pub(crate) fn services_here() -> Option<(&'static Services, *const c_void)> {
    let services = services()?;
    if !services.context.is_null() {
        return Some((services, services.context));
    }
    let context = LINKED_CONTEXT.with(Cell::get);
    (!context.is_null()).then_some((services, context))
}

/// Stores the table.
///
/// # Safety
///
/// The table stays valid for as long as code of this image may run.
pub(crate) unsafe fn connect(services: *const Services) {
    SERVICES.store(services.cast_mut(), Ordering::Release);
}

/// For a host: lets linked modules reach their engine. The table's context is null;
/// the engine of a call is the one that [`with_linked_context`] names.
pub fn link_services(services: &'static Services) {
    // SAFETY: `'static`.
    unsafe { connect(services) };
}

/// For a host: runs `body` with `context` as the engine of linked modules on this thread.
pub fn with_linked_context<R>(context: *const c_void, body: impl FnOnce() -> R) -> R {
    struct Restore(*const c_void);
    impl Drop for Restore {
        fn drop(&mut self) {
            LINKED_CONTEXT.with(|current| current.set(self.0));
        }
    }
    let _restore = Restore(LINKED_CONTEXT.with(|current| current.replace(context)));
    body()
}
