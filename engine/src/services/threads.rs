//! Threads of a module, and what it leaves on others: the C library never gets an address inside the image.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::{context_of, shared_context};
use crate::failure;
use crate::leftovers::{self, Key};
use crate::pin::{Holds, PinKind, thread_name};

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
    // SAFETY: the module's promise: the destructor may be called with this object, once, on this thread.
    match unsafe { leftovers::add(&image, destructor, object) } {
        true => 0,
        false => libc::EAGAIN,
    }
}

/// The threads of one module. Each holds the image, not the version: who counts references learns when nobody can enter the
/// version any more, and can then tell the module to stop them.
#[derive(Debug)]
pub(super) struct Running {
    state: Mutex<State>,
    holds: Arc<Holds>,
    /// Wakes who waits for the last of them.
    bell: Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    count: usize,
    /// No more can be started: what the module left on threads is being destroyed.
    is_closed: bool,
}

/// Keeps an image mapped on behalf of a thread that the module started.
#[derive(Debug)]
struct Hold {
    number: u64,
    running: Arc<Running>,
}

impl Running {
    pub(super) fn new(holds: Arc<Holds>, bell: Sender<()>) -> Self {
        Self { state: Mutex::default(), holds, bell }
    }

    /// Lets no more threads start, if none runs; whether that is so. Under one lock with their start: a thread that runs while
    /// its thread-local values are destroyed from outside would lose what its frames borrow.
    pub(super) fn close(&self) -> bool {
        let mut state = self.state.lock();
        state.is_closed |= state.count == 0;
        state.is_closed
    }

    /// Holds the image until the result is dropped; `None` when it is about to be closed.
    fn hold(self: &Arc<Self>, origin: String) -> Option<Hold> {
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        state.count += 1;
        drop(state);
        let number = self.holds.add(PinKind::Thread, origin);
        Some(Hold { number, running: Arc::clone(self) })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Running { state, holds, bell } = &*self.running;
        holds.remove(self.number);
        state.lock().count -= 1;
        // Full means that the swapper will look in any case; gone, that nobody has to.
        let _ = bell.try_send(());
    }
}

/// A thread that a module starts.
struct ModuleThread {
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
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
    let hold = unsafe { context_of(context) }
        .and_then(|image| image.running.hold(format!("started by {}", thread_name())));
    let Some(hold) = hold else {
        return libc::EAGAIN;
    };
    let main = Box::into_raw(Box::new(ModuleThread { start, argument, hold }));
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
    let ModuleThread { start, argument, hold } = *main;
    let result = start(argument);
    leftovers::clear_thread();
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
    let Some(image) = (unsafe { context_of(context) }) else { return libc::EAGAIN };
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
