//! A function by its type: checked when it is made and again for every version that comes.

use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotswap_module::__private::{
    Packed0, Packed1, Packed2, Packed3, Packed4, Packed5, Packed6, Packed7, Packed8, RawCall,
    Status, Typed,
};
use hotswap_module::{Abi, Argument, CallError, Signature};

use crate::check;
use crate::core::{self, Core};
use crate::expectation::Expectation;
use crate::exports::Found;
use crate::modules::Lease;
use crate::slot::Quick;

/// The type of a function, as a handle names it: `fn(u64, u64) -> u64`.
///
/// Borrowed parameters are written with `'static`, as in `fn(&'static str) -> u64`; `call` then takes any borrow.
pub trait FunctionType {
    /// What it takes and gives.
    #[doc(hidden)]
    const SIGNATURE: &'static Signature;
    /// The hash of that.
    #[doc(hidden)]
    const HASH: u64;
}

/// A checked handle to one function of an engine. Every call runs in the version that is current then.
///
/// As long as a handle lives, a version in which the function is missing or has another signature is
/// refused. It never keeps a version mapped between calls.
pub struct Function<F> {
    core: Arc<Core>,
    expectation: Arc<Expectation>,
    /// Names the function in the version that it was called in last.
    ticket: AtomicU64,
    /// How long a call by this handle may take before that is told; then nothing is remembered, so that no call is quick.
    deadline: Option<Duration>,
    /// Of a registry's module, which is in use as long as this lives.
    lease: Option<Arc<Lease>>,
    // Covariant in `F`, and `Send + Sync` whatever `F` is.
    _type: PhantomData<fn() -> F>,
}

impl<F> Clone for Function<F> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            expectation: Arc::clone(&self.expectation),
            // Relaxed, here and below: a ticket is good for its version alone, whoever wrote it.
            ticket: AtomicU64::new(self.ticket.load(Ordering::Relaxed)),
            deadline: self.deadline,
            lease: self.lease.clone(),
            _type: PhantomData,
        }
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.expectation.name).finish_non_exhaustive()
    }
}

impl<F: FunctionType> Function<F> {
    /// Checks the current version, and from now on every one that comes.
    pub(crate) fn new(
        core: Arc<Core>,
        lease: Option<Arc<Lease>>,
        name: &str,
    ) -> Result<Self, CallError> {
        let expectation = Arc::new(Expectation {
            name: name.to_owned(),
            signature: F::SIGNATURE,
            hash: F::HASH,
            wanted_by: "by an open handle".to_owned(),
        });
        // A swap that is past its checks at this moment does not know of this handle; then its calls are
        // errors, since every call compares again.
        core.expectations.add(&expectation);
        let version = core.slot.load();
        let Some(Found { export, .. }) = version.exports.find(name) else {
            return Err(*core.missing(&version, name));
        };
        let wanted = Some((F::SIGNATURE, F::HASH));
        if !check::agrees(wanted, export.signature, export.hash) {
            let kind = check::refusal(wanted, export.signature);
            return Err(CallError::new(name, Some(version.id.number()), kind));
        }
        let ticket = AtomicU64::new(0);
        Ok(Self { core, expectation, ticket, deadline: None, lease, _type: PhantomData })
    }
}

impl<F> Function<F> {
    /// The name it calls.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.expectation.name
    }

    /// Gives calls by this handle, and by clones of it, a deadline, whatever module and builder say; `Duration::MAX` takes theirs
    /// away. See [`docs::deadlines`](crate::docs::deadlines).
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        let ticket = AtomicU64::new(0);
        Self { deadline: Some(deadline), ticket, ..self }
    }

    /// The function was entered and gave no result.
    #[cold]
    #[inline(never)]
    fn failed(&self, quick: Quick<'_>, code: u32) -> CallError {
        let error = core::failed(quick.version, &self.expectation.name, code);
        self.core.slot.leave(quick);
        *error
    }

    /// The first call in a version, or one that cannot enter quickly: compares, and remembers the function's place.
    ///
    /// # Safety
    ///
    /// As `Core::call_in`, with the signature of `F`.
    #[cold]
    #[inline(never)]
    unsafe fn call_anew(&self, arguments: *mut u8, out: *mut u8) -> Result<(), Box<CallError>> {
        let entered = self.core.slot.enter();
        let version = entered.version();
        let name = &self.expectation.name;
        let signature = Some((self.expectation.signature, self.expectation.hash));
        if self.deadline.is_some() {
            let deadline = self.deadline;
            // SAFETY: the contract of this function.
            return unsafe {
                self.core.call_otherwise(version, name, signature, arguments, out, deadline)
            };
        }
        let call = RawCall { name, signature, arguments, out };
        // SAFETY: the contract of this function.
        let called = unsafe { self.core.call_in(version, call) };
        if called.as_ref().err().is_none_or(|error| error.was_entered())
            && let Some(ticket) = version.exports.ticket(name)
        {
            self.ticket.store(ticket, Ordering::Relaxed);
        }
        called
    }

    #[inline(always)]
    fn call_packed<P, R: Abi>(&self, packed: P) -> Result<R, CallError> {
        let mut packed = ManuallyDrop::new(packed);
        let mut out = MaybeUninit::<R>::uninit();
        let (arguments, result) = ((&raw mut packed).cast(), out.as_mut_ptr().cast());
        if let Some(quick) = self.core.slot.enter_quickly() {
            // Relaxed: a ticket is good for its version alone, whoever wrote it.
            if let Some(export) = quick.version.exports.at(self.ticket.load(Ordering::Relaxed)) {
                // SAFETY:
                // 1. Signature: each `call` below packs the arguments of the signature of its own `F`, and `R` is its
                //    result; the ticket was given out after that was compared with this very export.
                // 2. Mapped: the version is entered until `leave`.
                let code = unsafe { (export.shim)(arguments, result) };
                if code != Status::Done as u32 {
                    return Err(self.failed(quick, code));
                }
                self.core.slot.leave(quick);
                // SAFETY: a result was written.
                return Ok(unsafe { out.assume_init() });
            }
            self.core.slot.leave(quick);
        }
        self.call_otherwise(packed)
    }

    /// A linked function, the first call in a version, or one that cannot enter quickly.
    #[inline(never)]
    fn call_otherwise<P, R: Abi>(&self, mut packed: ManuallyDrop<P>) -> Result<R, CallError> {
        let mut out = MaybeUninit::<R>::uninit();
        let (arguments, result) = ((&raw mut packed).cast(), out.as_mut_ptr().cast());
        if let Some(quick) = self.core.slot.enter_quickly() {
            let ticket = self.ticket.load(Ordering::Relaxed);
            if let Some(export) = quick.version.exports.at_linked(ticket) {
                // SAFETY: as in `call_packed`.
                let code = unsafe { core::run(quick.version, export, arguments, result) };
                if code != Status::Done as u32 {
                    return Err(self.failed(quick, code));
                }
                self.core.slot.leave(quick);
                // SAFETY: a result was written.
                return Ok(unsafe { out.assume_init() });
            }
            self.core.slot.leave(quick);
        }
        // SAFETY: the arguments and the result are those of `F`; it compares.
        match unsafe { self.call_anew(arguments, result) } {
            // SAFETY: a result was written.
            Ok(()) => Ok(unsafe { out.assume_init() }),
            Err(error) => {
                if !error.was_entered() {
                    // SAFETY: the arguments were not consumed, and this is the only drop.
                    unsafe { ManuallyDrop::drop(&mut packed) };
                }
                Err(*error)
            }
        }
    }
}

macro_rules! function_types {
    ($($packed:ident ($($letter:ident $value:ident),*);)*) => {$(
        impl<Output: Abi, $($letter: Argument),*> FunctionType for fn($($letter),*) -> Output {
            const SIGNATURE: &'static Signature = Typed::<($($letter,)*), Output>::REFERENCE;
            const HASH: u64 = Typed::<($($letter,)*), Output>::HASH;
        }

        impl<Output: Abi, $($letter: Argument),*> Function<fn($($letter),*) -> Output> {
            /// Calls the function in the current version.
            ///
            /// Blocks for as long as the function runs, and never for a swap.
            ///
            /// # Errors
            ///
            /// `Panicked` when it panicked, `Closed` when the engine was dropped.
            #[allow(clippy::too_many_arguments, reason = "as many as the function has")]
            #[inline]
            pub fn call(&self, $($value: $letter::At<'_>),*) -> Result<Output, CallError> {
                self.call_packed($packed($($value),*))
            }
        }
    )*};
}

function_types! {
    Packed0 ();
    Packed1 (A a);
    Packed2 (A a, B b);
    Packed3 (A a, B b, C c);
    Packed4 (A a, B b, C c, D d);
    Packed5 (A a, B b, C c, D d, E e);
    Packed6 (A a, B b, C c, D d, E e, F f);
    Packed7 (A a, B b, C c, D d, E e, F f, G g);
    Packed8 (A a, B b, C c, D d, E e, F f, G g, H h);
}
