//! Threads of a module, and what it leaves on others: the C library never gets an address inside the image.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Hold, ImageContext, context_of, running, shared_context};
use crate::failure;
use crate::leftovers::{self, Key};
use crate::pin::{Origin, PinKind, StartedThread, thread_name};

unsafe extern "C" {
    /// With the type of `start` that lets a thread be ended by unwinding.
    #[link_name = "pthread_create"]
    fn real_pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
}

/// A thread-local value of a module has a destructor: it is the host that runs it.
pub(super) unsafe extern "C" fn thread_atexit(
    context: *const c_void,
    destructor: unsafe extern "C" fn(*mut c_void),
    object: *mut c_void,
) -> c_int {
    // SAFETY: the context of a live image.
    let Some(image) = (unsafe { shared_context(context) }) else { return libc::EAGAIN };
    if image.gate.is_shut() {
        // From inside `dlclose`, where nothing can run it any more: the value is leaked.
        return 0;
    }
    // SAFETY: the module's promise: the destructor may be called with this object, once, on this thread.
    match unsafe { leftovers::add(&image, destructor, object) } {
        true => 0,
        false => libc::EAGAIN,
    }
}

/// A thread that a module starts.
struct ModuleThread {
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
    image: Arc<ImageContext>,
    thread: Arc<StartedThread>,
    hold: Hold,
}

pub(super) unsafe extern "C" fn thread_create(
    context: *const c_void,
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the context of a live image.
    let Some(image) = (unsafe { shared_context(context) }) else { return libc::EAGAIN };
    let started = Arc::<StartedThread>::default();
    let origin = Origin::Started(Arc::clone(&started), thread_name());
    let Some(hold) = image.hold(PinKind::Thread, origin) else { return libc::EAGAIN };
    let main = ModuleThread { start, argument, image, thread: started, hold };
    let main = Box::into_raw(Box::new(main));
    // SAFETY: the module's promises about its pointers, and a start routine of the host's.
    let code = unsafe { real_pthread_create(thread, attributes, run_thread, main.cast()) };
    if code != 0 {
        // SAFETY: no thread was made, so nobody else takes it.
        drop(unsafe { Box::from_raw(main) });
    }
    code
}

/// The first frame of a module's thread. Its hold ends when the module's routine has returned and everything that it left
/// on this thread is destroyed.
extern "C-unwind" fn run_thread(main: *mut c_void) -> *mut c_void {
    // SAFETY: made by `thread_create`, run once.
    let main = unsafe { Box::from_raw(main.cast::<ModuleThread>()) };
    failure::enter_module_thread();
    let ModuleThread { start, argument, image, thread, hold } = *main;
    thread.runs_here();
    let result = running::run(&image, || start(argument));
    leftovers::clear_thread();
    drop(image);
    drop(hold);
    result
}

/// How many thread-specific keys modules have now, in this process.
static KEYS_TAKEN: AtomicUsize = AtomicUsize::new(0);

/// How many keys modules may have at a time. The C library has 1,024 for a process, and a standard library that gets
/// none aborts the process; a version takes one or two, so that the last one admitted finds some.
const KEYS_MAX: usize = 768;

/// Whether another version may be admitted: modules have not used up the process's keys.
pub(crate) fn has_keys_left() -> bool {
    // Relaxed: a limit with room to spare.
    KEYS_TAKEN.load(Ordering::Relaxed) < KEYS_MAX
}

/// `pthread_key_create`: the real key has no destructor, the host runs the module's.
pub(super) unsafe extern "C" fn key_create(
    context: *const c_void,
    key: *mut libc::pthread_key_t,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    // SAFETY: the context of a live image.
    let image = unsafe { context_of(context) }.filter(|image| !image.gate.is_shut());
    let Some(image) = image else { return libc::EAGAIN };
    // SAFETY: the module's promise: room for a key.
    let code = unsafe { libc::pthread_key_create(key, None) };
    if code == 0 {
        // Relaxed: a limit with room to spare.
        KEYS_TAKEN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: just written.
        image.leftovers.add_key(Key { key: unsafe { *key }, destructor });
    }
    code
}

/// `pthread_key_delete`: only of a key that the module has. A standard library gives key 0 back, which it does not
/// like; another's key of the same number must not go.
pub(super) unsafe extern "C" fn key_delete(
    context: *const c_void,
    key: libc::pthread_key_t,
) -> c_int {
    // SAFETY: the context of a live image.
    let image = unsafe { context_of(context) };
    match image.and_then(|image| image.leftovers.take_key(key)) {
        Some(key) => delete(key),
        None => libc::EINVAL,
    }
}

/// Gives keys back that nobody of the module can use any more.
pub(crate) fn delete_keys(keys: Vec<Key>) {
    for key in keys {
        delete(key);
    }
}

fn delete(key: Key) -> c_int {
    // Relaxed: a limit with room to spare.
    KEYS_TAKEN.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: a key that was created for the module, and is deleted once: it was taken off its list.
    unsafe { libc::pthread_key_delete(key.key) }
}

/// `pthread_setspecific`: notes that this thread has something to be destroyed.
pub(super) unsafe extern "C" fn key_set(
    context: *const c_void,
    key: libc::pthread_key_t,
    value: *const c_void,
) -> c_int {
    // SAFETY: the context of a live image.
    if let Some(image) = unsafe { shared_context(context) }
        && !value.is_null()
        && image.leftovers.destroys(key)
        && !leftovers::note(&image)
    {
        return libc::ENOMEM;
    }
    // SAFETY: as the module called it.
    unsafe { libc::pthread_setspecific(key, value) }
}
