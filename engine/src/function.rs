//! A function by its type: checked when it is made and again for every version that comes.

use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::Arc;

use hotswap_module::__private::{
    Packed0, Packed1, Packed2, Packed3, Packed4, Packed5, Packed6, Packed7, Packed8, RawCall, Typed,
};
use hotswap_module::{Abi, Argument, CallError, Signature};

use crate::check;
use crate::core::Core;
use crate::expectation::Expectation;

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
    // Covariant in `F`, and `Send + Sync` whatever `F` is.
    _type: PhantomData<fn() -> F>,
}

impl<F> Clone for Function<F> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            expectation: Arc::clone(&self.expectation),
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
    pub(crate) fn new(core: Arc<Core>, name: &str) -> Result<Self, CallError> {
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
        let Some(export) = version.exports.get(name) else {
            return Err(core.missing(&version, name));
        };
        check::call(Some((F::SIGNATURE, F::HASH)), export.signature, export.hash)
            .map_err(|kind| CallError::new(name, Some(version.id.number()), kind))?;
        Ok(Self { core, expectation, _type: PhantomData })
    }
}

impl<F> Function<F> {
    /// The name it calls.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.expectation.name
    }

    fn call_packed<P, R: Abi>(&self, packed: P) -> Result<R, CallError> {
        let mut packed = ManuallyDrop::new(packed);
        let mut out = MaybeUninit::<R>::uninit();
        let call = RawCall {
            name: &self.expectation.name,
            signature: Some((self.expectation.signature, self.expectation.hash)),
            arguments: (&raw mut packed).cast(),
            out: out.as_mut_ptr().cast(),
        };
        // SAFETY: each `call` below packs the arguments of the signature of its own `F`, and `R` is its result.
        match unsafe { self.core.call_current(call) } {
            // SAFETY: a result was written.
            Ok(()) => Ok(unsafe { out.assume_init() }),
            Err(error) => {
                if !error.was_entered() {
                    // SAFETY: the arguments were not consumed, and this is the only drop.
                    unsafe { ManuallyDrop::drop(&mut packed) };
                }
                Err(error)
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
