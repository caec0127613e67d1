//! The module's end of the connection: allocator, panic hook, logger, start and stop.

use std::alloc::{GlobalAlloc, Layout};
use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::services::{FailureText, Services, Text, connect, services, services_here};
use crate::state::StateError;
use crate::{exits, intercept};

/// What a module's start routine answers.
pub mod start_code {
    /// Connected.
    pub const STARTED: u32 = 0;
    /// A constructor of the module left something allocated before the host's allocator was there.
    pub const ALLOCATED_EARLY: u32 = 1;
    /// A constructor of the module started a thread, or registered a thread-local destructor, a
    /// thread-specific key or a signal handler.
    pub const REGISTERED_EARLY: u32 = 2;
}

/// Connects a freshly loaded module to its host. Emitted into the root record by `module!()`.
///
/// # Safety
///
/// 1. `services` is valid, and stays so for as long as the image is mapped.
/// 2. It is called once, before any export, and nothing else of the image runs meanwhile.
#[must_use]
pub unsafe extern "C" fn start(services: *const Services) -> u32 {
    if ARENA.live.load(Ordering::Relaxed) > 0 {
        return start_code::ALLOCATED_EARLY;
    }
    if intercept::registered_early() {
        return start_code::REGISTERED_EARLY;
    }
    // The module's stdout takes its buffer now, from the arena, so that it is not a leak per version.
    let _ = std::io::stdout().flush();
    // SAFETY: 1 of the contract.
    unsafe { connect(services) };
    // SAFETY: 1 of the contract.
    if !exits::hand_over(unsafe { &*services }) {
        return start_code::REGISTERED_EARLY;
    }
    std::panic::set_hook(Box::new(panic_hook));
    // Filtering is the host's: its level may change at any time, so every record asks.
    if log::set_logger(&Forward).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
    start_code::STARTED
}

unsafe extern "C" {
    /// Runs the handlers that an image registered for its end, and forgets them.
    fn __cxa_finalize(image: *const c_void);
    /// Identifies this image to the C library.
    static __dso_handle: c_void;
}

/// What the module wants done before it goes: what it registered with `atexit`, while it can still use everything; then
/// what its stdout holds is written, which would be lost. May be called again.
pub extern "C" fn stop() {
    // SAFETY: each handler is one that this image registered, and runs once.
    unsafe { __cxa_finalize(&raw const __dso_handle) };
    let _ = std::io::stdout().flush();
}

/// What is told of a panic whose payload is no text.
pub const NOT_TEXT: &str = "a value that is not text";

/// The text of a panic, where it is one.
pub fn payload_text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Hands message and location to the host and prints nothing.
fn panic_hook(info: &PanicHookInfo<'_>) {
    let message = payload_text(info.payload()).unwrap_or(NOT_TEXT);
    let (file, line, column) =
        info.location().map_or(("", 0, 0), |place| (place.file(), place.line(), place.column()));
    tell_failure(message, file, line, column);
}

/// Tells the host what a shim caught; the hook has told the location before, where there is one.
pub(crate) fn hand_over_failure(message: &str) {
    tell_failure(message, "", 0, 0);
}

/// Tells the host why state ended a call.
pub(crate) fn hand_over_end(error: &StateError) {
    if let Some((services, context)) = services_here() {
        // SAFETY: the error is borrowed for the length of the call, which is all the service asks.
        unsafe { (services.state_failed)(context, error) };
    }
}

fn tell_failure(message: &str, file: &str, line: u32, column: u32) {
    if let Some(services) = services() {
        let failure =
            FailureText { message: Text::new(message), file: Text::new(file), line, column };
        // SAFETY: the texts are borrowed for the length of the call, which is all the service asks.
        unsafe { (services.failed)(services.context, &raw const failure) };
    }
}

/// The module's logger: every record goes to the host's.
struct Forward;

impl log::Log for Forward {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        services_here().is_some_and(|(services, context)| {
            // SAFETY: the text is borrowed for the length of the call.
            unsafe {
                (services.log_enabled)(
                    context,
                    metadata.level() as u32,
                    Text::new(metadata.target()),
                ) != 0
            }
        })
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some((services, context)) = services_here() else {
            return;
        };
        let message = record.args().to_string();
        // SAFETY: the texts are borrowed for the length of the call.
        unsafe {
            (services.log)(
                context,
                record.level() as u32,
                Text::new(record.target()),
                Text::new(&message),
                Text::new(record.module_path().unwrap_or("")),
                Text::new(record.file().unwrap_or("")),
                record.line().unwrap_or(0),
            );
        }
    }

    fn flush(&self) {}
}

/// Room for what constructors allocate before the host's allocator is there.
const ARENA_BYTES: usize = 64 * 1024;

/// A bump allocator over static memory. Blocks are never given out twice.
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    used: AtomicUsize,
    /// Blocks given out and not given back. At start anything left is refused: such a block could reach
    /// the host, whose allocator does not know it.
    live: AtomicUsize,
}

// SAFETY: blocks are disjoint, since `used` is only ever raised by compare-exchange.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena {
    bytes: UnsafeCell::new([0; ARENA_BYTES]),
    used: AtomicUsize::new(0),
    live: AtomicUsize::new(0),
};

impl Arena {
    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    fn contains(&self, block: *mut u8) -> bool {
        let offset = (block as usize).wrapping_sub(self.start() as usize);
        offset < ARENA_BYTES
    }

    #[cold]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.start() as usize;
        let mut given = 0;
        // Relaxed: the number itself is all that is shared; blocks are handed over by whoever uses them.
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let start = (base + used).next_multiple_of(layout.align()) - base;
            let end = start.checked_add(layout.size())?;
            given = start;
            (end <= ARENA_BYTES).then_some(end)
        });
        if taken.is_err() {
            return ptr::null_mut();
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `given + size <= ARENA_BYTES`, so the block lies inside the array.
        unsafe { self.start().add(given) }
    }

    #[cold]
    fn dealloc(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The module's global allocator: the host's, once it is known.
///
/// So memory may cross the boundary either way, whatever allocator the host has.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: every block comes from the host's allocator, or from the arena, and goes back to where
// it came from: the arena knows its own by address.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match services() {
            // SAFETY: the caller's promise about the layout is the service's.
            Some(services) => unsafe {
                (services.alloc)(services.context, layout.size(), layout.align())
            },
            None => ARENA.alloc(layout),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match services() {
            // SAFETY: the caller's promise about the layout is the service's.
            Some(services) => unsafe {
                (services.alloc_zeroed)(services.context, layout.size(), layout.align())
            },
            // The arena starts as zeros and no block is given out twice.
            None => ARENA.alloc(layout),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ARENA.contains(block) {
            return ARENA.dealloc();
        }
        if let Some(services) = services() {
            // SAFETY: not of the arena, so the host gave it out, with this layout.
            unsafe {
                (services.dealloc)(services.context, block, layout.size(), layout.align());
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        match services() {
            Some(services) if !ARENA.contains(block) => {
                // SAFETY: not of the arena, so the host gave it out, with this layout.
                unsafe {
                    (services.realloc)(
                        services.context,
                        block,
                        layout.size(),
                        layout.align(),
                        new_size,
                    )
                }
            }
            _ => {
                // SAFETY: the caller promises a size that fits the alignment.
                let new_layout =
                    unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
                // SAFETY: the caller promises a size above zero.
                let moved = unsafe { self.alloc(new_layout) };
                if !moved.is_null() {
                    // SAFETY: both blocks are at least this long and different.
                    unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size)) };
                    // SAFETY: the block is the caller's to give back.
                    unsafe { self.dealloc(block, layout) };
                }
                moved
            }
        }
    }
}
