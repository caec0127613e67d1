//! What modules leave on threads: thread-local values with destructors, and thread-specific values.
//!
//! Their destructors lie inside the image, which cannot go before they ran. They run on their own thread: when it ends, or,
//! once the image is all that is left of its version, at the next call that the thread makes through any engine. Nobody can
//! be inside the image then: its version was kept by every call, guard and thread, and is gone.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::pin::{Holds, PinKind, thread_name};
use crate::services::{ImageContext, running};

/// How often the thread-specific values of an image are destroyed, each of which may leave another.
///
/// 64: the C library gives up after 4. A value that comes back for ever is leaked; nothing leads to its destructor
/// any more.
const ROUNDS_MAX: usize = 64;

type Destructor = unsafe extern "C" fn(*mut c_void);

/// What is known of one image: which threads have something of it, and its keys.
#[derive(Debug)]
pub(crate) struct Leftovers {
    threads: Mutex<Vec<OnThread>>,
    keys: Mutex<Vec<Key>>,
    holds: Arc<Holds>,
    /// Whether nothing but this keeps the image.
    is_closing: AtomicBool,
    /// Wakes who waits for the image to be clear.
    bell: Sender<()>,
}

#[derive(Debug)]
struct OnThread {
    thread: ThreadId,
    /// The number of its entry among the holders.
    hold: u64,
}

/// A thread-specific key of a module. The real one has no destructor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) key: libc::pthread_key_t,
    pub(crate) destructor: Option<Destructor>,
}

impl Leftovers {
    pub(crate) fn new(holds: Arc<Holds>, bell: Sender<()>) -> Self {
        Self {
            threads: Mutex::default(),
            keys: Mutex::default(),
            holds,
            is_closing: AtomicBool::new(false),
            bell,
        }
    }

    /// Whether no thread has anything of the image.
    pub(crate) fn is_empty(&self) -> bool {
        self.threads.lock().is_empty()
    }

    /// The threads that do, to be asked to destroy it.
    pub(crate) fn begin_closing(&self) -> Vec<ThreadId> {
        // Release pairs with the Acquire in `clear_closing`.
        self.is_closing.store(true, Ordering::Release);
        self.threads.lock().iter().map(|on| on.thread).collect()
    }

    pub(crate) fn add_key(&self, key: Key) {
        self.keys.lock().push(key);
    }

    /// Takes a key off the list, if the module has it.
    pub(crate) fn take_key(&self, key: libc::pthread_key_t) -> Option<Key> {
        let mut keys = self.keys.lock();
        let at = keys.iter().position(|known| known.key == key)?;
        Some(keys.swap_remove(at))
    }

    /// Takes all keys, at the end of the image.
    pub(crate) fn take_keys(&self) -> Vec<Key> {
        std::mem::take(&mut self.keys.lock())
    }

    /// Whether a value of this key is destroyed at the end of its thread.
    pub(crate) fn destroys(&self, key: libc::pthread_key_t) -> bool {
        self.keys.lock().iter().any(|known| known.key == key && known.destructor.is_some())
    }

    /// Notes that this thread has something.
    fn on_this_thread(&self) -> u64 {
        let hold = self.holds.add(PinKind::ThreadLocal, format!("on {}", thread_name()));
        let thread = std::thread::current().id();
        self.threads.lock().push(OnThread { thread, hold });
        hold
    }

    /// Notes that it has nothing any more.
    fn gone(&self, hold: u64) {
        self.holds.remove(hold);
        self.threads.lock().retain(|on| on.hold != hold);
        self.ring();
    }

    /// Has the swapper look whether the image is clear.
    pub(crate) fn ring(&self) {
        // Full means that the swapper will look in any case; gone, that nobody has to.
        let _ = self.bell.try_send(());
    }

    /// Destroys this thread's values of all keys, once; whether there was any.
    fn destroy_values(&self) -> bool {
        let keys = self.keys.lock().clone();
        let mut has_found = false;
        for Key { key, destructor } in keys {
            let Some(destructor) = destructor else { continue };
            // SAFETY: a key that was created and not deleted: that happens at the end of the image.
            let value = unsafe { libc::pthread_getspecific(key) };
            if !value.is_null() {
                has_found = true;
                // SAFETY: as above.
                unsafe { libc::pthread_setspecific(key, ptr::null()) };
                // SAFETY: the module's promise to `pthread_key_create`; the image is mapped, as it is in the list of
                // this thread.
                unsafe { destructor(value) };
            }
        }
        has_found
    }
}

/// What all modules left on one thread.
#[derive(Default)]
struct Here {
    images: RefCell<Vec<OfImage>>,
}

/// What one module left on one thread.
struct OfImage {
    image: Arc<ImageContext>,
    hold: u64,
    /// In the order in which they came; destroyed from the last to the first.
    destructors: Vec<(Destructor, *mut c_void)>,
}

thread_local! {
    /// Without a destructor of its own, so that it can be read at any time in the life of a thread.
    static HERE: Cell<*const Here> = const { Cell::new(ptr::null()) };
}

unsafe extern "C" {
    fn __cxa_thread_atexit_impl(
        destructor: Destructor,
        object: *mut c_void,
        image: *const c_void,
    ) -> c_int;
    /// Identifies the host's own image to the C library.
    static __dso_handle: c_void;
}

/// Has a destructor of a module run on this thread, in the end. `false` when there is no memory for it.
///
/// # Safety
///
/// The destructor may be called with this object, once, on this thread.
pub(crate) unsafe fn add(
    image: &Arc<ImageContext>,
    destructor: Destructor,
    object: *mut c_void,
) -> bool {
    let Some(here) = here() else { return false };
    here.of(image, |of_image| of_image.destructors.push((destructor, object)));
    true
}

/// Notes that this thread has thread-specific values of a module.
pub(crate) fn note(image: &Arc<ImageContext>) -> bool {
    here().map(|here| here.of(image, |_| ())).is_some()
}

/// Destroys all that modules left on this thread: it ends.
pub(crate) fn clear_thread() {
    // SAFETY: made by `here`; freed by `at_exit`, which takes it off first.
    if let Some(here) = unsafe { HERE.get().as_ref() } {
        here.clear(|_| true);
    }
}

/// Destroys what modules left on this thread that are on their way out.
pub(crate) fn clear_closing() {
    // SAFETY: as in `clear_thread`.
    if let Some(here) = unsafe { HERE.get().as_ref() } {
        // Acquire pairs with the Release in `begin_closing`: everything that was called in the image has ended. What runs
        // all the same, on this thread, may have borrowed what is here.
        here.clear(|image| {
            image.leftovers.is_closing.load(Ordering::Acquire) && !running::is_here(image)
        });
    }
}

/// This thread's list, which the C library runs at its end.
fn here() -> Option<&'static Here> {
    if HERE.get().is_null() {
        let new = Box::into_raw(Box::<Here>::default());
        // SAFETY: the C library gets a function and an image of the host's, which is never unmapped, and an object that
        // `at_exit` takes back.
        let code =
            unsafe { __cxa_thread_atexit_impl(at_exit, new.cast(), &raw const __dso_handle) };
        if code != 0 {
            // SAFETY: just made, and nobody has it.
            drop(unsafe { Box::from_raw(new) });
            return None;
        }
        HERE.set(new);
    }
    // SAFETY: as in `clear_thread`.
    unsafe { HERE.get().as_ref() }
}

/// The end of the thread. What destructors of the host leave after this gets a list of its own, which the C library runs
/// next.
unsafe extern "C" fn at_exit(here: *mut c_void) {
    clear_thread();
    HERE.set(ptr::null());
    // SAFETY: made by `here`, run once, and nobody else has it any more.
    drop(unsafe { Box::from_raw(here.cast::<Here>()) });
}

impl Here {
    /// Does something with what an image left here.
    fn of(&self, image: &Arc<ImageContext>, work: impl FnOnce(&mut OfImage)) {
        let mut images = self.images.borrow_mut();
        let at = images.iter().position(|of_image| Arc::ptr_eq(&of_image.image, image));
        let at = at.unwrap_or_else(|| {
            let hold = image.leftovers.on_this_thread();
            images.push(OfImage { image: Arc::clone(image), hold, destructors: Vec::new() });
            images.len() - 1
        });
        work(&mut images[at]);
    }

    /// Destroys what the chosen images left, the latest first, until nothing comes after.
    fn clear(&self, is_chosen: impl Fn(&ImageContext) -> bool) {
        loop {
            let images = self.images.borrow();
            let chosen = images.iter().rev().find(|of_image| is_chosen(&of_image.image));
            let Some(image) = chosen.map(|of_image| Arc::clone(&of_image.image)) else { return };
            drop(images);
            self.clear_image(&image);
        }
    }

    fn clear_image(&self, image: &Arc<ImageContext>) {
        let mut rounds = 0;
        loop {
            // Nothing is borrowed while a destructor runs: it may leave something more.
            while let Some((destructor, object)) = self.pop(image) {
                // SAFETY: the contract of `add`; and the image is mapped, as this thread is in its list.
                running::run(image, || unsafe { destructor(object) });
            }
            rounds += 1;
            if rounds > ROUNDS_MAX || !running::run(image, || image.leftovers.destroy_values()) {
                break;
            }
        }
        let mut images = self.images.borrow_mut();
        let at = images.iter().position(|of_image| Arc::ptr_eq(&of_image.image, image));
        let of_image = at.map(|at| images.remove(at));
        drop(images);
        if let Some(of_image) = of_image {
            // From here on the image may go.
            image.leftovers.gone(of_image.hold);
        }
    }

    fn pop(&self, image: &Arc<ImageContext>) -> Option<(Destructor, *mut c_void)> {
        let mut images = self.images.borrow_mut();
        let of_image = images.iter_mut().find(|of_image| Arc::ptr_eq(&of_image.image, image))?;
        of_image.destructors.pop()
    }
}
