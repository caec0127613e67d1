//! The host's side of the boundary: what a module may ask for, as C functions.
//!
//! None of them unwinds into the module: what could panic is caught here.

mod cells;
mod exit;
mod gate;
mod modules;
pub(crate) mod running;
mod signals;
mod threads;

use std::alloc::Layout;
use std::any::Any;
use std::ffi::c_void;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::ThreadId;

use crossbeam_channel::Sender;
use hotswap_module::__private::{FailureText, RawCall, Services, Shim, Target, Text};
use hotswap_module::{CallError, CallErrorKind, Signature};
use hotswap_system::thread;

use self::gate::{Gate, Inside};
use self::signals::Signals;
pub(crate) use self::threads::{delete_keys, has_keys_left};
use crate::budget;
use crate::failure;
use crate::heap::Account;
use crate::leftovers::{self, Leftovers};
use crate::pin::{Holds, Origin, PinKind, thread_name};
use crate::state::{Bound, Cells, Glue, Kinds};
use crate::version_id::VersionId;

/// What modules may ask of the engine that loaded them.
pub(crate) trait ModuleHost: fmt::Debug + Send + Sync {
    /// A call in the engine's current version.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    unsafe fn call_engine(&self, call: RawCall<'_>) -> Result<(), Box<CallError>>;

    /// A call of another module, out of this image.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    unsafe fn call_named(
        &self,
        calling: &ImageContext,
        module: &str,
        call: RawCall<'_>,
    ) -> Result<(), Box<CallError>>;

    /// Has another module loaded.
    fn find_named(&self, module: &str) -> Result<(), CallError>;

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

    /// The engine's cells, or those that engines share.
    fn cells(&self, are_shared: bool) -> &Cells;
}

/// What the host knows of one image when the image calls.
#[derive(Debug)]
pub(crate) struct ImageContext {
    /// No other image ever has it, nor had it.
    number: u64,
    engine: Weak<dyn ModuleHost>,
    holds: Arc<Holds>,
    /// Set once the version exists.
    version: OnceLock<(VersionId, Weak<dyn Any + Send + Sync>)>,
    /// What it has of the heap.
    heap: Arc<Account>,
    /// What threads have of it still.
    pub(crate) leftovers: Leftovers,
    /// Handlers inside it.
    pub(crate) signals: Signals,
    /// Code of it that runs although nobody holds its version.
    pub(crate) gate: Gate,
    /// Why it is never closed, if so.
    kept_by: OnceLock<String>,
    /// What it says of its state.
    kinds: OnceLock<Kinds>,
    /// The cells that it uses.
    pub(crate) cells: Bound,
}

impl ImageContext {
    /// For an image of this engine, which it does not keep alive.
    pub(crate) fn of<H: ModuleHost + 'static>(engine: &Arc<H>, bell: Sender<()>) -> Self {
        /// From 1: 0 stands for no image.
        static NEXT: AtomicU64 = AtomicU64::new(1);

        let engine: Weak<H> = Arc::downgrade(engine);
        let holds = Arc::<Holds>::default();
        Self {
            // Relaxed: only that it is another each time matters.
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            engine,
            version: OnceLock::new(),
            leftovers: Leftovers::new(Arc::clone(&holds), bell.clone()),
            gate: Gate::new(bell),
            kept_by: OnceLock::new(),
            signals: Signals::new(Arc::clone(&holds)),
            heap: Arc::new(Account::open()),
            holds,
            kinds: OnceLock::new(),
            cells: Bound::default(),
        }
    }

    /// Notes what the image says of its state, once, when it was loaded.
    pub(crate) fn declare(&self, kinds: Kinds) {
        // Set once.
        let _ = self.kinds.set(kinds);
    }

    /// What the image says of its state.
    pub(crate) fn kinds(&self) -> &Kinds {
        self.kinds.get_or_init(Kinds::default)
    }

    /// Its engine, if that still exists.
    fn engine(&self) -> Option<Arc<dyn ModuleHost>> {
        self.engine.upgrade()
    }

    /// The version that it is the image of, while that is mapped.
    pub(crate) fn version<V: Any + Send + Sync>(&self) -> Option<Arc<V>> {
        let (_, version) = self.version.get()?;
        version.upgrade()?.downcast().ok()
    }

    /// Whose image this is.
    pub(crate) fn engine_address(&self) -> usize {
        self.engine.as_ptr().cast::<()>() as usize
    }

    /// Code of it that serves cells.
    pub(crate) fn glue(&self, shim: Shim) -> Glue {
        let version = self.version.get().map_or_else(nobody, |(_, version)| Weak::clone(version));
        Glue { image: self.number, engine: self.engine_address(), shim, version }
    }

    /// Once no code of it runs that nobody waits for (its threads, above all), has what it left on others destroyed: gives the
    /// threads that have something. Nobody can enter the version any more.
    pub(crate) fn begin_closing(&self) -> Vec<ThreadId> {
        if self.gate.is_empty() { self.leftovers.begin_closing() } else { Vec::new() }
    }

    /// Whether nothing that the C library knows leads into the image any more, and no value needs its code.
    pub(crate) fn is_clear(&self) -> bool {
        self.gate.is_empty() && self.is_unknown()
    }

    /// Whether no thread has anything of it, and no handler inside it is installed.
    fn is_unknown(&self) -> bool {
        self.leftovers.is_empty() && self.signals.is_empty()
    }

    /// Lets go of the cells that nothing else can serve, on a thread of its own: its code runs, and may block.
    ///
    /// With `keeps` they stay, as bytes, for a version that has them again.
    pub(crate) fn let_go(self: &Arc<Self>, keeps: bool) {
        let mut cells = self.cells.all();
        cells.retain(|cell| cell.detach(self.number));
        if cells.is_empty() {
            return;
        }
        let Some(hold) = self.hold(PinKind::State, Origin::from("let go".to_owned())) else {
            return;
        };
        let image = Arc::clone(self);
        let work = move || {
            let _hold = hold;
            running::run(&image, || {
                for cell in cells {
                    if let Some(kind) = image.kinds().of_form(&cell.schema, &cell.form) {
                        cell.let_go(kind.shim, keeps || cell.is_shared());
                    }
                }
            });
            leftovers::clear_thread();
        };
        // Without a thread the values are leaked, which needs no code.
        let _ = thread::spawn("hotswap-state", work);
    }

    /// From here on nothing of it is asked to run; `false` when something does. Only the swapper calls this, right before
    /// it closes the image.
    pub(crate) fn shut(&self) -> bool {
        self.gate.shut(|| self.is_unknown())
    }

    /// The image is to stay for good: it imports these functions, by which the C library may keep an address inside it.
    pub(crate) fn keep_for_good(&self, imports: &[String]) {
        if imports.is_empty() {
            return;
        }
        let names = imports.join(", ");
        self.holds.add(PinKind::Import, names.clone());
        // Asked once, right after it was loaded.
        let _ = self.kept_by.set(names);
    }

    /// The functions on whose account it stays for good.
    pub(crate) fn kept_by(&self) -> Option<&str> {
        self.kept_by.get().map(String::as_str)
    }

    pub(crate) fn holds(&self) -> Arc<Holds> {
        Arc::clone(&self.holds)
    }

    pub(crate) fn heap(&self) -> &Arc<Account> {
        &self.heap
    }

    /// Notes the version that it is the image of.
    pub(crate) fn attach<V: Any + Send + Sync>(&self, id: VersionId, version: &Arc<V>) {
        let version: Weak<V> = Arc::downgrade(version);
        // Set once, right after the version was made.
        let _ = self.version.set((id, version));
    }

    /// Holds the image until the result is dropped, whatever becomes of its version; `None` when it is being closed.
    ///
    /// The image and not the version: who counts references to that learns when nobody can enter it any more, and can then
    /// tell the module to stop what it has begun.
    fn hold(self: &Arc<Self>, kind: PinKind, origin: Origin) -> Option<Hold> {
        let inside = Inside::enter(self)?;
        let holds = self.holds();
        Some(Hold { number: holds.add(kind, origin), holds, _inside: inside })
    }
}

/// What nobody holds.
fn nobody() -> Weak<dyn Any + Send + Sync> {
    Weak::<()>::new()
}

/// Keeps an image mapped on behalf of something that the module began.
#[derive(Debug)]
pub(crate) struct Hold {
    number: u64,
    holds: Arc<Holds>,
    _inside: Inside,
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

    pub(crate) fn context(&self) -> &Arc<ImageContext> {
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
        heap_here,
        heap_moved,
        log_enabled,
        log,
        state_failed: cells::state_failed,
        failed,
        call,
        call_named: modules::call_named,
        find_named: modules::find_named,
        reload,
        state_try_lock: cells::state_try_lock,
        state_lock: cells::state_lock,
        state_unlock: cells::state_unlock,
        thread_atexit: threads::thread_atexit,
        exit_add: exit::exit_add,
        thread_create: threads::thread_create,
        key_create: threads::key_create,
        key_delete: threads::key_delete,
        key_set: threads::key_set,
        signal_action: signals::signal_action,
        signal: signals::signal,
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

/// As `context_of`, for something that outlives the call.
///
/// # Safety
///
/// As `context_of`; `context` came from an `Arc`, as those of loaded images do.
unsafe fn shared_context(context: *const c_void) -> Option<Arc<ImageContext>> {
    let context = context.cast::<ImageContext>();
    (!context.is_null()).then(|| {
        // SAFETY: the contract: it is alive, so that somebody holds a reference.
        unsafe { Arc::increment_strong_count(context) };
        // SAFETY: the reference that was just added.
        unsafe { Arc::from_raw(context) }
    })
}

/// The engine of the image that calls, if it still exists.
///
/// # Safety
///
/// As `context_of`.
unsafe fn engine_of(context: *const c_void) -> Option<Arc<dyn ModuleHost>> {
    // SAFETY: the contract.
    unsafe { context_of(context) }?.engine()
}

/// Counts what the image was given; negative, what it gave back.
///
/// # Safety
///
/// As `context_of`.
#[inline]
unsafe fn count(context: *const c_void, bytes: i64) {
    // SAFETY: the contract.
    if let Some(image) = unsafe { context_of(context) } {
        budget::charge(bytes);
        image.heap.add(bytes);
    }
}

unsafe extern "C" fn alloc(context: *const c_void, size: usize, align: usize) -> *mut u8 {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the context of a live image.
    unsafe { count(context, size as i64) };
    // SAFETY: the module's allocator was asked for the same, with a size above zero.
    let block = unsafe { std::alloc::alloc(layout) };
    if block.is_null() {
        // SAFETY: the context of a live image.
        unsafe { count(context, -(size as i64)) };
    }
    block
}

unsafe extern "C" fn alloc_zeroed(context: *const c_void, size: usize, align: usize) -> *mut u8 {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the context of a live image.
    unsafe { count(context, size as i64) };
    // SAFETY: the module's allocator was asked for the same, with a size above zero.
    let block = unsafe { std::alloc::alloc_zeroed(layout) };
    if block.is_null() {
        // SAFETY: the context of a live image.
        unsafe { count(context, -(size as i64)) };
    }
    block
}

unsafe extern "C" fn dealloc(context: *const c_void, block: *mut u8, size: usize, align: usize) {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: the context of a live image.
    unsafe { count(context, -(size as i64)) };
    // SAFETY: the block came from this allocator with this layout, on whichever side.
    unsafe { std::alloc::dealloc(block, layout) }
}

unsafe extern "C" fn realloc(
    context: *const c_void,
    block: *mut u8,
    size: usize,
    align: usize,
    new_size: usize,
) -> *mut u8 {
    // SAFETY: both come from a `Layout` of the module.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    let growth = new_size as i64 - size as i64;
    // SAFETY: the context of a live image.
    unsafe { count(context, growth) };
    // SAFETY: the block came from this allocator with this layout, and the new size is the module's promise.
    let moved = unsafe { std::alloc::realloc(block, layout, new_size) };
    if moved.is_null() {
        // SAFETY: the context of a live image.
        unsafe { count(context, -growth) };
    }
    moved
}

unsafe extern "C" fn heap_here(context: *const c_void) -> i64 {
    // SAFETY: the context of a live image.
    unsafe { context_of(context) }.map_or(0, |image| image.heap.here())
}

unsafe extern "C" fn heap_moved(context: *const c_void, bytes: i64) {
    // SAFETY: the context of a live image.
    unsafe { count(context, bytes) };
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
    // SAFETY: the module gave room for an error.
    unsafe { answer(result, error) }
}

/// Answers 0, or writes an error and answers 1.
///
/// # Safety
///
/// There is room for an error.
unsafe fn answer(result: Result<(), CallError>, error: *mut CallError) -> u32 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            // SAFETY: the contract.
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
    // SAFETY: the module gave room for the number.
    let result = result.map(|number| unsafe { version.write(number) });
    // SAFETY: the module gave room for an error.
    unsafe { answer(result, error) }
}
