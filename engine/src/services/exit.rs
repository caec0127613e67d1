//! What a module has run at the end of the process, or at its own: `atexit`.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::{ImageContext, running, shared_context};
use crate::pin::{Origin, PinKind, thread_name};

type Handler = unsafe extern "C" fn(*mut c_void);

unsafe extern "C" {
    fn __cxa_atexit(handler: Handler, argument: *mut c_void, image: *mut c_void) -> c_int;
}

/// A handler inside an image. The C library runs it by `run`, when the process ends or the image says that it goes.
struct ExitHandler {
    image: Arc<ImageContext>,
    handler: Handler,
    argument: *mut c_void,
}

pub(super) unsafe extern "C" fn exit_add(
    context: *const c_void,
    handler: Handler,
    argument: *mut c_void,
    own: *mut c_void,
) -> c_int {
    // SAFETY: the context of a live image.
    let image = unsafe { shared_context(context) }.filter(|image| !image.gate.is_shut());
    let Some(image) = image else { return libc::EAGAIN };
    let main = Box::into_raw(Box::new(ExitHandler { image, handler, argument }));
    // SAFETY: a function of the host's, which is never unmapped, and an object that it takes back.
    let code = unsafe { __cxa_atexit(run, main.cast(), own) };
    if code != 0 {
        // SAFETY: it was not registered, so nobody else takes it.
        drop(unsafe { Box::from_raw(main) });
    }
    code
}

/// The process may end while the swapper unmaps: then one of the two finds that the other came first.
unsafe extern "C" fn run(handler: *mut c_void) {
    // SAFETY: made by `exit_add`, run once.
    let ExitHandler { image, handler, argument } =
        *unsafe { Box::from_raw(handler.cast::<ExitHandler>()) };
    let origin = Origin::Text(format!("atexit on {}", thread_name()));
    if let Some(_hold) = image.hold(PinKind::Hook, origin) {
        // SAFETY: the module's promise to `atexit`; the image is mapped while it is held.
        running::run(&image, || unsafe { handler(argument) });
    }
}
