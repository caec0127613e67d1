//! Who can be called: an engine, a guard, and from inside a module the engine and
//! the host behind it.

use std::ffi::c_void;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;

use crate::abi::Abi;
use crate::arguments::Arguments;
use crate::crossing::{Crossing as _, moved, taken};
use crate::error::{CallError, CallErrorKind};
use crate::services::{Services, Target, Text, services_here};
use crate::signature::{Signature, Typed};

/// One call, with its types erased.
#[derive(Debug)]
pub struct RawCall<'a> {
    /// The name of the function.
    pub name: &'a str,
    /// The signature that the caller relies on, and its hash; `None` when there are
    /// no arguments and the result is to be dropped.
    pub signature: Option<(&'static Signature, u64)>,
    /// The packed arguments.
    pub arguments: *mut u8,
    /// Room for the result; null when it is to be dropped.
    pub out: *mut u8,
}

impl RawCall<'_> {
    /// The signature as it crosses the boundary, and its hash.
    pub(crate) fn signature_parts(&self) -> (*const Signature, u64) {
        self.signature
            .map_or((ptr::null(), 0), |(signature, hash)| (ptr::from_ref(signature), hash))
    }
}

/// Something that exported functions can be called through.
///
/// Implemented by the engine, by its guards, and by what [`engine`] and [`host`] give inside a
/// module. The traits that `#[interface]` writes are implemented for every caller.
///
/// # Safety
///
/// Who implements it promises of `call_raw`:
///
/// 1. `Ok` means that a function whose signature equals the given one has written its result to `out`.
/// 2. The arguments are consumed exactly when the result is `Ok` or an error with
///    [`CallError::was_entered`]; otherwise they were not touched.
pub unsafe trait Caller {
    /// Whether what calls is a module: then memory that crosses leaves its account.
    #[doc(hidden)]
    const IS_MODULE: bool = false;

    /// Makes one call.
    ///
    /// # Safety
    ///
    /// 1. `arguments` points at the packed arguments of the signature, initialised; of no arguments when
    ///    there is no signature.
    /// 2. `out` is null, or points at room for the signature's result.
    ///
    /// # Errors
    ///
    /// When the call gave no result. Boxed, so that a call that succeeds has nothing to move.
    #[doc(hidden)]
    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>>;

    /// Calls a function without arguments and drops its result.
    ///
    /// # Errors
    ///
    /// [`CallErrorKind::Missing`] when nothing of this name is exported,
    /// [`CallErrorKind::Signature`] when it takes arguments,
    /// [`CallErrorKind::Panicked`] when it panicked, [`CallErrorKind::Returned`] when it returned an `Err`.
    #[inline]
    fn call(&self, name: &str) -> Result<(), CallError> {
        let call =
            RawCall { name, signature: None, arguments: ptr::dangling_mut(), out: ptr::null_mut() };
        // SAFETY: 1. no signature and no arguments; a dangling pointer is good for reading nothing.
        // 2. `out` is null.
        unsafe { self.call_raw(call) }.map_err(|error| *error)
    }

    /// Calls a function with arguments and hands over its result; a constant is a function without arguments.
    ///
    /// # Errors
    ///
    /// As [`Caller::call`]; and [`CallErrorKind::Argument`] when an argument has another type than the export's.
    #[inline(always)]
    fn call_with<R: Abi>(&self, name: &str, arguments: impl Arguments) -> Result<R, CallError> {
        call_with(self, name, arguments)
    }
}

/// The body of every `call_with`. Inlined always, as all that a call by name passes on its quick way: the compiler then
/// knows the name where it is a literal, and an engine looks at none of its bytes.
#[inline(always)]
fn call_with<R: Abi, A: Arguments, C: Caller + ?Sized>(
    caller: &C,
    name: &str,
    arguments: A,
) -> Result<R, CallError> {
    let mut packed = ManuallyDrop::new(arguments.pack());
    let given = if C::IS_MODULE { packed.owned_bytes() } else { None };
    let mut out = MaybeUninit::<R>::uninit();
    let call = RawCall {
        name,
        signature: Some((Typed::<A, R>::REFERENCE, Typed::<A, R>::HASH)),
        arguments: (&raw mut packed).cast(),
        out: out.as_mut_ptr().cast(),
    };
    // SAFETY: 1. `packed` is `A::Packed`, which is what the signature of `A` describes.
    // 2. `out` has room for an `R`.
    match unsafe { caller.call_raw(call) } {
        Ok(()) => {
            // SAFETY: 1 of `Caller`: an `R` was written.
            let result = unsafe { out.assume_init() };
            if C::IS_MODULE {
                moved(given, -1);
                moved(result.heap_bytes(), 1);
            }
            Ok(result)
        }
        Err(error) => {
            if C::IS_MODULE && error.was_entered() {
                moved(given, -1);
            }
            Err(failed::<A>(error, packed))
        }
    }
}

/// What is left to do when a call gave no result.
#[cold]
#[inline(never)]
fn failed<A: Arguments>(mut error: Box<CallError>, packed: ManuallyDrop<A::Packed>) -> CallError {
    if !error.was_entered() {
        // 2 of `Caller`: the arguments were not consumed, and are dropped here.
        let packed = ManuallyDrop::into_inner(packed);
        advise::<A>(&mut error, &packed);
    }
    *error
}

/// Adds to an error what to write instead of a wrong literal.
#[cold]
fn advise<A: Arguments>(error: &mut CallError, packed: &A::Packed) {
    if let CallErrorKind::Argument { position, expected, found, write } = &mut error.kind
        && is_number(expected)
        && is_number(found)
    {
        let literal = A::literals(packed).into_iter().nth(*position - 1).flatten();
        *write = literal.map(|value| format!("{value}{expected}"));
    }
}

fn is_number(name: &str) -> bool {
    matches!(
        name,
        "u8" | "u16"
            | "u32"
            | "u64"
            | "u128"
            | "usize"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "i128"
            | "isize"
            | "f32"
            | "f64"
    )
}

/// The engine that loaded this module, as a [`Caller`]: calls go to its current version.
///
/// Inside a linked module it is the engine whose call runs on this thread.
#[must_use]
pub const fn engine() -> EngineCaller {
    EngineCaller { _private: () }
}

/// The functions that the host provides (`.provide(..)`), as a [`Caller`].
#[must_use]
pub const fn host() -> HostCaller {
    HostCaller { _private: () }
}

/// What [`engine`] gives.
#[derive(Debug, Clone, Copy)]
pub struct EngineCaller {
    _private: (),
}

/// What [`host`] gives.
#[derive(Debug, Clone, Copy)]
pub struct HostCaller {
    _private: (),
}

impl EngineCaller {
    /// [`Caller::call`], without the trait in scope.
    ///
    /// # Errors
    ///
    /// As there; [`CallErrorKind::NoEngine`] in code that no engine has loaded.
    pub fn call(&self, name: &str) -> Result<(), CallError> {
        Caller::call(self, name)
    }

    /// [`Caller::call_with`], without the trait in scope.
    ///
    /// # Errors
    ///
    /// As there; [`CallErrorKind::NoEngine`] in code that no engine has loaded.
    pub fn call_with<R: Abi>(&self, name: &str, arguments: impl Arguments) -> Result<R, CallError> {
        Caller::call_with(self, name, arguments)
    }

    /// Asks the engine to look at its source now, waits for the verdict, and gives the
    /// number of the version that is current then. The call that asks goes on in
    /// its own version.
    ///
    /// # Errors
    ///
    /// [`CallErrorKind::Refused`] with the reason when what lies in the source cannot run.
    pub fn reload(&self) -> Result<u64, CallError> {
        let mut version = 0;
        // SAFETY: the service's contract: it writes one of the two and says which.
        answered("reload", |services, context, error| unsafe {
            (services.reload)(context, &raw mut version, error)
        })?;
        Ok(version)
    }
}

impl HostCaller {
    /// [`Caller::call`], without the trait in scope.
    ///
    /// # Errors
    ///
    /// As there; [`CallErrorKind::NoEngine`] in code that no engine has loaded.
    pub fn call(&self, name: &str) -> Result<(), CallError> {
        Caller::call(self, name)
    }

    /// [`Caller::call_with`], without the trait in scope.
    ///
    /// # Errors
    ///
    /// As there; [`CallErrorKind::NoEngine`] in code that no engine has loaded.
    pub fn call_with<R: Abi>(&self, name: &str, arguments: impl Arguments) -> Result<R, CallError> {
        Caller::call_with(self, name, arguments)
    }
}

// SAFETY: the service `call` keeps both promises; it is the host's `Caller` on the other side.
unsafe impl Caller for EngineCaller {
    const IS_MODULE: bool = true;

    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { call_service(Target::Engine, call) }.map_err(Box::new)
    }
}

// SAFETY: as above.
unsafe impl Caller for HostCaller {
    const IS_MODULE: bool = true;

    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { call_service(Target::Host, call) }.map_err(Box::new)
    }
}

/// # Safety
///
/// As `Caller::call_raw`.
unsafe fn call_service(target: Target, call: RawCall<'_>) -> Result<(), CallError> {
    // SAFETY: the contract of this function is the service's; the texts are borrowed during the call.
    answered(call.name, |services, context, error| unsafe {
        let (signature, hash) = call.signature_parts();
        let (arguments, out) = (call.arguments, call.out);
        let name = Text::new(call.name);
        (services.call)(context, target as u32, name, signature, hash, arguments, out, error)
    })
}

/// Asks a service that answers 0, or 1 after it wrote an error to where it was told to.
pub(crate) fn answered(
    function: &str,
    ask: impl FnOnce(&Services, *const c_void, *mut CallError) -> u32,
) -> Result<(), CallError> {
    let Some((services, context)) = services_here() else {
        return Err(no_engine(function));
    };
    let mut error = MaybeUninit::<CallError>::uninit();
    match ask(services, context, error.as_mut_ptr()) {
        0 => Ok(()),
        _ => {
            // SAFETY: not 0, so an error was written.
            let error = unsafe { error.assume_init() };
            taken(&error);
            Err(error)
        }
    }
}

#[cold]
fn no_engine(function: &str) -> CallError {
    CallError::new(function, None, CallErrorKind::NoEngine)
}
