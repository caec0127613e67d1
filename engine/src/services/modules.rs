//! Calls of other modules.

use std::ffi::c_void;

use hotswap_module::__private::{RawCall, Text};
use hotswap_module::{CallError, CallErrorKind, Signature};

use super::{answer, contained, context_of, engine_of};

pub(super) unsafe extern "C" fn call_named(
    context: *const c_void,
    module: Text,
    name: Text,
    signature: *const Signature,
    hash: u64,
    arguments: *mut u8,
    out: *mut u8,
    error: *mut CallError,
) -> u32 {
    // SAFETY: the texts are borrowed for the length of this call.
    let [module, name] = [module, name].map(|text| unsafe { text.as_str() });
    // SAFETY: the signature is constant data of the calling image, which is mapped while it calls, and
    // is looked at only during this call.
    let signature = unsafe { signature.as_ref() }.map(|signature| (signature, hash));
    let request = RawCall { name, signature, arguments, out };
    // SAFETY: the context of a live image.
    let calling = unsafe { context_of(context) };
    let result =
        contained(name, || match calling.and_then(|calling| Some((calling.engine()?, calling))) {
            None => Err(CallError::new(name, None, CallErrorKind::Closed)),
            Some((engine, calling)) => {
                // SAFETY: the module's promises about arguments and room are those of `call_raw`.
                let called = unsafe { engine.call_named(calling, module, request) };
                called.map_err(|error| *error)
            }
        });
    // SAFETY: the module gave room for an error.
    unsafe { answer(result, error) }
}

pub(super) unsafe extern "C" fn find_named(
    context: *const c_void,
    module: Text,
    error: *mut CallError,
) -> u32 {
    // SAFETY: the text is borrowed for the length of this call.
    let module = unsafe { module.as_str() };
    // SAFETY: the context of a live image.
    let engine = unsafe { engine_of(context) };
    let result = contained(module, || match engine {
        None => Err(CallError::new(module, None, CallErrorKind::Closed)),
        Some(engine) => engine.find_named(module),
    });
    // SAFETY: the module gave room for an error.
    unsafe { answer(result, error) }
}
