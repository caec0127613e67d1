//! Functions that the host gives to its modules.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hotswap_module::__private::{
    NOT_TEXT, Packed0, Packed1, Packed2, Packed3, Packed4, Packed5, Packed6, RawCall, Typed,
    payload_text,
};
use hotswap_module::{Abi, CallError, CallErrorKind, Signature};

use crate::check;

/// A function or closure that can be provided: up to six owned arguments, an owned result.
///
/// Implemented for every `Fn(A, ..) -> R + Send + Sync + 'static` with `A: Abi` and `R: Abi`. `P` only
/// helps the compiler to find the implementation. A text arrives as `String`: what a module
/// lends for the length of a call, a host closure could keep.
pub trait HostFunction<P>: Send + Sync + 'static {
    /// The signature that modules see.
    #[doc(hidden)]
    const SIGNATURE: &'static Signature;
    /// The hash of it.
    #[doc(hidden)]
    const HASH: u64;
    /// Reads packed arguments, calls, and writes the result unless `out` is null.
    ///
    /// # Safety
    ///
    /// `arguments` are initialised, packed, of this signature, and consumed; `out` is null or has room.
    #[doc(hidden)]
    unsafe fn call_packed(&self, arguments: *mut u8, out: *mut u8);
}

macro_rules! host_functions {
    ($($packed:ident ($($letter:ident $value:ident),*);)*) => {$(
        impl<Function, Output, $($letter),*> HostFunction<fn($($letter),*) -> Output> for Function
        where
            Function: Fn($($letter),*) -> Output + Send + Sync + 'static,
            Output: Abi,
            $($letter: Abi),*
        {
            const SIGNATURE: &'static Signature = Typed::<($($letter,)*), Output>::REFERENCE;
            const HASH: u64 = Typed::<($($letter,)*), Output>::HASH;

            unsafe fn call_packed(&self, arguments: *mut u8, out: *mut u8) {
                // SAFETY: the contract: initialised, of this type, consumed here.
                let $packed($($value),*) = unsafe { arguments.cast::<$packed<$($letter),*>>().read() };
                let result = self($($value),*);
                if !out.is_null() {
                    // SAFETY: the contract: room for the result.
                    unsafe { out.cast::<Output>().write(result) };
                }
            }
        }
    )*};
}

host_functions! {
    Packed0 ();
    Packed1 (A a);
    Packed2 (A a, B b);
    Packed3 (A a, B b, C c);
    Packed4 (A a, B b, C c, D d);
    Packed5 (A a, B b, C c, D d, E e);
    Packed6 (A a, B b, C c, D d, E e, F f);
}

/// A provided function with its types erased: packed arguments in, result out.
type Erased = Arc<dyn Fn(*mut u8, *mut u8) + Send + Sync>;

#[derive(Clone)]
struct Entry {
    signature: &'static Signature,
    hash: u64,
    call: Erased,
}

/// All functions that one host provides.
#[derive(Clone, Default)]
pub(crate) struct Provided {
    functions: HashMap<String, Entry>,
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.functions.keys()).finish()
    }
}

impl Provided {
    /// Adds a function; one of the same name is replaced.
    pub(crate) fn add<P, F: HostFunction<P>>(&mut self, name: &str, function: F) {
        let call: Erased = Arc::new(move |arguments, out| {
            // SAFETY: only `call_raw` calls this, after it compared the signatures.
            unsafe { function.call_packed(arguments, out) }
        });
        self.functions
            .insert(name.to_owned(), Entry { signature: F::SIGNATURE, hash: F::HASH, call });
    }

    /// The signature of a provided function, and its hash.
    pub(crate) fn signature(&self, name: &str) -> Option<(&'static Signature, u64)> {
        self.functions.get(name).map(|entry| (entry.signature, entry.hash))
    }

    /// Calls a provided function. A panic in it is contained here.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    pub(crate) unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), CallError> {
        let Some(entry) = self.functions.get(call.name) else {
            let kind = CallErrorKind::Missing { similar: None };
            return Err(CallError::new(call.name, None, kind));
        };
        if !check::agrees(call.signature, entry.signature, entry.hash) {
            let kind = check::refusal(call.signature, entry.signature);
            return Err(CallError::new(call.name, None, kind));
        }
        catch_unwind(AssertUnwindSafe(|| (entry.call)(call.arguments, call.out))).map_err(
            |payload| {
                let message = payload_text(&*payload).unwrap_or(NOT_TEXT).to_owned();
                if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    // Dropping it panicked, and what came out of that may do so again: it is leaked.
                    mem::forget(second);
                }
                CallError::new(call.name, None, CallErrorKind::Panicked { message, location: None })
            },
        )
    }
}
