//! Code of an image that runs on a thread without a call or a guard: of its threads, its destructors, and what it has run at
//! the end. What the image has on that thread is not destroyed meanwhile, though its version is gone.

use std::cell::Cell;
use std::ptr;

use super::ImageContext;

thread_local! {
    /// The latest frame of this thread. Without a destructor, so that it can be read at any time in the life of a thread.
    static LATEST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// Such code, on the stack of who runs it.
struct Frame {
    image: *const ImageContext,
    outer: *const Self,
}

impl Drop for Frame {
    fn drop(&mut self) {
        LATEST.set(self.outer);
    }
}

/// Runs code of an image.
pub(crate) fn run<R>(image: &ImageContext, code: impl FnOnce() -> R) -> R {
    let frame = Frame { image, outer: LATEST.get() };
    LATEST.set(&raw const frame);
    code()
}

/// Whether code of this image runs on this thread.
pub(crate) fn is_here(image: &ImageContext) -> bool {
    let mut next = LATEST.get();
    // SAFETY: each frame lies on this thread's stack, and takes itself off the list before it goes.
    while let Some(frame) = unsafe { next.as_ref() } {
        if ptr::eq(frame.image, image) {
            return true;
        }
        next = frame.outer;
    }
    false
}
