//! The host's side of the boundary: what a module may ask for, as C functions.
//!
//! None of them unwinds into the module: what could panic is caught here.

use std::alloc::Layout;
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use hotswap_module::__private::{FailureText, RawCall, Services, Target, Text};
use hotswap_module::{CallError, CallErrorKind, Signature};

use crate::failure;
use crate::pin::{Holds, PinKind, thread_name};

/// What modules may ask of the engine that loaded them.
pub(crate) trait ModuleHost: fmt::Debug + Send + Sync {
    /// A call in the engine's current version.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    unsafe fn call_engine(&self, call: RawCall<'_>) -> Result<(), Box<CallError>>;

    /// A call of a function that the host provides.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    unsafe fn call_host(&self, call: RawCall<'_>) -> Result<(), CallError>;

    /// Looks at the source now, and gives the number of the version that is current then.
    fn reload(&self) -> Result<u64, CallError>;

    /// A thread of the module panicked; no call takes it.
    fn module_panicked(&self, thread: &str, message: &str, location: &str);
}

/// What the host knows of one image when the image calls.
#[derive(Debug)]
pub(crate) struct ImageContext {
    engine: Weak<dyn ModuleHost>,
    /// Set once the version exists; until then nothing can be held.
    version: OnceLock<Weak<dyn Any + Send + Sync>>,
    holds: Arc<Holds>,
}

impl ImageContext {
    /// For an image of this engine, which it does not keep alive.
    pub(crate) fn of<H: ModuleHost + 'static>(engine: &Arc<H>) -> Self {
        let engine: Weak<H> = Arc::downgrade(engine);
        Self { engine, version: OnceLock::new(), holds: Arc::default() }
    }

    pub(crate) fn holds(&self) -> Arc<Holds> {
        Arc::clone(&self.holds)
    }

    /// From here on, what the module registers holds this version.
    pub(crate) fn attach<V: Any + Send + Sync>(&self, version: &Arc<V>) {
        let version: Weak<V> = Arc::downgrade(version);
        // Set once, right after the version was made.
        let _ = self.version.set(version);
    }

    /// Holds the version until the result is dropped; `None` before it exists.
    fn hold(&self, kind: PinKind, origin: String) -> Option<Hold> {
        let version = self.version.get()?.upgrade()?;
        let holds = self.holds();
        Some(Hold { number: holds.add(kind, origin), holds, _version: version })
    }
}

/// Keeps a version mapped on behalf of something the module registered.
struct Hold {
    number: u64,
    holds: Arc<Holds>,
    _version: Arc<dyn Any + Send + Sync>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.remove(self.number);
    }
}

/// The table of one image, together with what its `context` points at.
#[derive(Debug)]
pub(crate) struct ImageServices {
    table: Services,
    context: Arc<ImageContext>,
}

impl ImageServices {
    pub(crate) fn new(context: Arc<ImageContext>) -> Self {
        Self { table: table(Arc::as_ptr(&context).cast()), context }
    }

    pub(crate) fn table(&self) -> *const Services {
        &raw const self.table
    }

    pub(crate) fn context(&self) -> &ImageContext {
        &self.context
    }
}

/// The table for linked modules: their context is that of the call on their thread.
pub(crate) static LINKED: Services = table(ptr::null());

const fn table(context: *const c_void) -> Services {
    Services {
        context,
        alloc,
        alloc_zeroed,
        dealloc,
        realloc,
        log_enabled,
        log,
        failed,
        call,
        reload,
        thread_atexit,
        thread_create,
        key_create,
        signal_action,
        signal,
    }
}

/// What the host knows of the image that calls.
///
/// # Safety
///
/// `context` is what `table` was made with, or what the host named for linked code: an `ImageContext`, which
/// lives as long as its image; or null.
unsafe fn context_of<'a>(context: *const c_void) -> Option<&'a ImageContext> {
    // SAFETY: the contract.
    unsafe { context.cast::<ImageContext>().as_ref() }
}

/// The engine of the image that calls, if it still exists.
///
/// # Safety
///
/// As `context_of`.
unsafe fn engine_of(context: *const c_void) -> Option<Arc<dyn ModuleHost>> {
    // SAFETY: the contract.
    let known = unsafe { context_of(context) }?;
    known.engine.upgrade()
}

/// Holds the version of the image that calls.
///
/// # Safety
///
/// As `context_of`.
unsafe fn hold(context: *const c_void, kind: PinKind, origin: String) -> Option<Hold> {
    // SAFETY: the contract.
    let known = unsafe { context_of(context) }?;
    known.hold(kind, origin)
}

unsafe extern "C" fn alloc(size: usize, align: usize) -> *mut u8 {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the module's allocator was asked for the same, with a size above zero.
    unsafe { std::alloc::alloc(layout) }
}

unsafe extern "C" fn alloc_zeroed(size: usize, align: usize) -> *mut u8 {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the module's allocator was asked for the same, with a size above zero.
    unsafe { std::alloc::alloc_zeroed(layout) }
}

unsafe extern "C" fn dealloc(block: *mut u8, size: usize, align: usize) {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the block came from this allocator with this layout, on whichever side.
    unsafe { std::alloc::dealloc(block, layout) }
}

unsafe extern "C" fn realloc(
    block: *mut u8,
    size: usize,
    align: usize,
    new_size: usize,
) -> *mut u8 {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the block came from this allocator with this layout, and the new size is the module's promise.
    unsafe { std::alloc::realloc(block, layout, new_size) }
}

/// The level that a number stands for; out of range is the nearest.
fn level(number: u32) -> log::Level {
    log::Level::iter().nth(number.saturating_sub(1) as usize).unwrap_or(log::Level::Trace)
}

unsafe extern "C" fn log_enabled(_context: *const c_void, number: u32, target: Text) -> u32 {
    let level = level(number);
    if level > log::max_level() {
        return 0;
    }
    let enabled = catch_unwind(|| {
        // SAFETY: the text is borrowed for the length of this call.
        let target = unsafe { target.as_str() };
        log::logger().enabled(&log::Metadata::builder().level(level).target(target).build())
    });
    u32::from(enabled.unwrap_or(false))
}

unsafe extern "C" fn log(
    _context: *const c_void,
    number: u32,
    target: Text,
    message: Text,
    module_path: Text,
    file: Text,
    line: u32,
) {
    // A logger that panics loses this record and nothing else.
    let _ = catch_unwind(|| {
        // SAFETY: the texts are borrowed for the length of this call.
        let [target, message, module_path, file] =
            [target, message, module_path, file].map(|text| unsafe { text.as_str() });
        log::logger().log(
            &log::Record::builder()
                .level(level(number))
                .target(target)
                .args(format_args!("{message}"))
                .module_path(Some(module_path).filter(|path| !path.is_empty()))
                .file(Some(file).filter(|file| !file.is_empty()))
                .line(Some(line).filter(|line| *line > 0))
                .build(),
        );
    });
}

unsafe extern "C" fn failed(context: *const c_void, failure: *const FailureText) {
    // SAFETY: the module's record lives for the length of this call.
    let failure = unsafe { &*failure };
    // SAFETY: the texts are borrowed as long as the record.
    let message = unsafe { failure.message.as_str() };
    // SAFETY: as above.
    let file = unsafe { failure.file.as_str() };
    let location =
        (!file.is_empty()).then(|| format!("{file}:{}:{}", failure.line, failure.column));
    if failure::is_module_thread() && location.is_some() {
        // SAFETY: the context of a live image.
        let engine = unsafe { engine_of(context) };
        if let Some(engine) = engine {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                engine.module_panicked(&thread_name(), message, location.as_deref().unwrap_or(""));
            }));
        }
    }
    failure::note(message, location);
}

unsafe extern "C" fn call(
    context: *const c_void,
    target: u32,
    name: Text,
    signature: *const Signature,
    hash: u64,
    arguments: *mut u8,
    out: *mut u8,
    error: *mut CallError,
) -> u32 {
    // SAFETY: the text is borrowed for the length of this call.
    let name = unsafe { name.as_str() };
    // SAFETY: the signature is constant data of the calling image, which is mapped while it calls, and
    // is looked at only during this call.
    let signature = unsafe { signature.as_ref() }.map(|signature| (signature, hash));
    let request = RawCall { name, signature, arguments, out };
    // SAFETY: the context of a live image.
    let engine = unsafe { engine_of(context) };
    let result = contained(name, || match engine {
        None => Err(CallError::new(name, None, CallErrorKind::Closed)),
        Some(engine) if target == Target::Host as u32 => {
            // SAFETY: the module's promises about arguments and room are those of `call_raw`.
            unsafe { engine.call_host(request) }
        }
        // SAFETY: as above.
        Some(engine) => unsafe { engine.call_engine(request) }.map_err(|error| *error),
    });
    match result {
        Ok(()) => 0,
        Err(failure) => {
            // SAFETY: the module gave room for an error.
            unsafe { error.write(failure) };
            1
        }
    }
}

/// A panic of ours must not unwind into the module. The functions that are called catch their own.
fn contained<T>(name: &str, work: impl FnOnce() -> Result<T, CallError>) -> Result<T, CallError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // What dropping it might do is not worth knowing here.
        mem::forget(payload);
        let message = "the engine panicked, which is a defect of it".to_owned();
        Err(CallError::new(name, None, CallErrorKind::Refused { message }))
    })
}

unsafe extern "C" fn reload(
    context: *const c_void,
    version: *mut u64,
    error: *mut CallError,
) -> u32 {
    let closed = || CallError::new("reload", None, CallErrorKind::Closed);
    // SAFETY: the context of a live image.
    let engine = unsafe { engine_of(context) };
    let result =
        contained("reload", || engine.ok_or_else(closed).and_then(|engine| engine.reload()));
    match result {
        Ok(number) => {
            // SAFETY: the module gave room for the number.
            unsafe { version.write(number) };
            0
        }
        Err(failure) => {
            // SAFETY: the module gave room for an error.
            unsafe { error.write(failure) };
            1
        }
    }
}

unsafe extern "C" {
    fn __cxa_thread_atexit_impl(
        destructor: unsafe extern "C" fn(*mut c_void),
        object: *mut c_void,
        image: *const c_void,
    ) -> c_int;
    /// Identifies the host's own image to the C library.
    static __dso_handle: c_void;
    /// With the type of `start` that lets a thread be ended by unwinding.
    #[link_name = "pthread_create"]
    fn real_pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
}

/// A thread-local destructor of a module, waiting for its thread to end.
struct PendingDestructor {
    destructor: unsafe extern "C" fn(*mut c_void),
    object: *mut c_void,
    _hold: Hold,
}

unsafe extern "C" fn thread_atexit(
    context: *const c_void,
    destructor: unsafe extern "C" fn(*mut c_void),
    object: *mut c_void,
) -> c_int {
    // SAFETY: the context of a live image.
    let hold = unsafe { hold(context, PinKind::ThreadLocal, format!("on {}", thread_name())) };
    let Some(hold) = hold else {
        return libc::EAGAIN;
    };
    let pending = Box::new(PendingDestructor { destructor, object, _hold: hold });
    // SAFETY: the C library gets a function and an image of the host's, which is never unmapped, and an
    // object that `run_destructor` takes back.
    unsafe {
        __cxa_thread_atexit_impl(
            run_destructor,
            Box::into_raw(pending).cast(),
            &raw const __dso_handle,
        )
    }
}

/// Runs on the ending thread; the hold ends after the module's destructor has returned.
unsafe extern "C" fn run_destructor(pending: *mut c_void) {
    // SAFETY: made by `thread_atexit`, run once.
    let pending = unsafe { Box::from_raw(pending.cast::<PendingDestructor>()) };
    // SAFETY: the module's promise to `__cxa_thread_atexit_impl`; the hold keeps its code mapped.
    unsafe { (pending.destructor)(pending.object) };
}

/// A thread that a module starts.
struct ModuleThread {
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
    hold: Hold,
}

unsafe extern "C" fn thread_create(
    context: *const c_void,
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the context of a live image.
    let hold = unsafe { hold(context, PinKind::Thread, format!("started by {}", thread_name())) };
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

/// The first frame of a module's thread. Its hold ends when the module's routine has returned; what
/// the thread still destroys afterwards holds the version by itself.
extern "C-unwind" fn run_thread(main: *mut c_void) -> *mut c_void {
    // SAFETY: made by `thread_create`, run once.
    let main = unsafe { Box::from_raw(main.cast::<ModuleThread>()) };
    failure::enter_module_thread();
    let ModuleThread { start, argument, hold } = *main;
    let result = start(argument);
    drop(hold);
    result
}

/// How many thread-specific keys modules have taken for good, in this process.
static KEYS_TAKEN: AtomicUsize = AtomicUsize::new(0);

/// How many keys modules may take. The C library has 1,024 for a process, and a standard library that gets
/// none aborts the process; a version takes one or two, so that the last one admitted finds some.
const KEYS_MAX: usize = 768;

/// Whether another version may be admitted: modules have not used up the process's keys.
pub(crate) fn has_keys_left() -> bool {
    // Relaxed: a limit with room to spare.
    KEYS_TAKEN.load(Ordering::Relaxed) < KEYS_MAX
}

/// Keeps a version mapped for the life of the process.
///
/// # Safety
///
/// As `context_of`.
unsafe fn hold_for_good(context: *const c_void, kind: PinKind, origin: &str) {
    // SAFETY: the contract.
    let hold = unsafe { hold(context, kind, origin.to_owned()) };
    // A version that does not exist yet has nothing to be held: its start is refused instead.
    mem::forget(hold);
}

unsafe extern "C" fn key_create(
    context: *const c_void,
    key: *mut libc::pthread_key_t,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    // Relaxed: a limit with room to spare.
    KEYS_TAKEN.fetch_add(1, Ordering::Relaxed);
    if destructor.is_some() {
        // SAFETY: the context of a live image.
        unsafe { hold_for_good(context, PinKind::ThreadKey, "pthread_key_create") };
    }
    // SAFETY: the module's promises; its destructor stays mapped, as it is held for good.
    unsafe { libc::pthread_key_create(key, destructor) }
}

fn is_handler(handler: libc::sighandler_t) -> bool {
    handler != libc::SIG_DFL && handler != libc::SIG_IGN
}

unsafe extern "C" fn signal_action(
    context: *const c_void,
    number: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: the module's promise: null or a valid action.
    if unsafe { new.as_ref() }.is_some_and(|action| is_handler(action.sa_sigaction)) {
        // SAFETY: the context of a live image.
        unsafe { hold_for_good(context, PinKind::SignalHandler, &format!("signal {number}")) };
    }
    // SAFETY: the module's promises; its handler stays mapped, as it is held for good.
    unsafe { libc::sigaction(number, new, old) }
}

unsafe extern "C" fn signal(
    context: *const c_void,
    number: c_int,
    handler: libc::sighandler_t,
) -> libc::sighandler_t {
    if is_handler(handler) {
        // SAFETY: the context of a live image.
        unsafe { hold_for_good(context, PinKind::SignalHandler, &format!("signal {number}")) };
    }
    // SAFETY: the module's promises; its handler stays mapped, as it is held for good.
    unsafe { libc::signal(number, handler) }
}
