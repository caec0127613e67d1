//! What stands between the host and an exported function, inside the module.
//!
//! A panic that unwinds out of a library into another copy of std aborts the
//! process, even inside `catch_unwind`: so every shim catches, and hands message
//! and location over by a service.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::crossing::{Crossing, Entry};
use crate::guest;
use crate::state::Ended;

/// The C signature of every export: packed arguments in, result out, a status back.
///
/// A null `out` asks for the result to be dropped; then an `Err` becomes
/// [`Status::Returned`].
pub type Shim = unsafe extern "C" fn(arguments: *mut u8, out: *mut u8) -> u32;

/// What a shim answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The function returned.
    Done = 0,
    /// It panicked; message and location were handed over.
    Panicked = 1,
    /// It panicked, and so did dropping what it panicked with.
    PanickedTwice = 2,
    /// It returned an `Err` that nobody asked for; its text was handed over.
    Returned = 3,
    /// Its state could not be locked; the reason was handed over.
    State = 4,
}

impl Status {
    /// The status that a shim answered with; an unknown number counts as a panic.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::PanickedTwice,
            3 => Self::Returned,
            4 => Self::State,
            _ => Self::Panicked,
        }
    }
}

/// What a shim may ask of a result.
#[derive(Debug)]
pub struct About<R> {
    /// The text of its error, where it has one and is discarded.
    pub failure: fn(&R) -> Option<String>,
    /// Heap bytes that it owns, where that can be told.
    pub owned: fn(&R) -> Option<usize>,
}

/// Reads the packed arguments, calls `body`, and writes the result.
///
/// # Safety
///
/// 1. `arguments` points at an initialised `P`, whose ownership passes to this call.
/// 2. `out` is null or points at room for an `R`.
pub unsafe fn run<P: Crossing, R>(
    arguments: *mut u8,
    out: *mut u8,
    body: fn(P) -> R,
    about: About<R>,
) -> u32 {
    // SAFETY: 1 of the contract.
    let packed = unsafe { arguments.cast::<P>().read() };
    let entry = Entry::new(&packed, needs_drop::<R>() && !out.is_null());
    let mut given = Some(0);
    let status = match catch_unwind(AssertUnwindSafe(|| body(packed))) {
        Ok(result) if out.is_null() => discard(result, about.failure),
        Ok(result) => {
            given = (about.owned)(&result);
            // SAFETY: 2 of the contract.
            unsafe { out.cast::<R>().write(result) };
            Status::Done
        }
        Err(payload) => panicked(payload),
    };
    entry.end(given);
    status as u32
}

#[cold]
fn panicked(payload: Box<dyn Any + Send>) -> Status {
    let payload = match payload.downcast::<Ended>() {
        Ok(ended) => {
            guest::hand_over_end(&ended.0);
            return Status::State;
        }
        Err(payload) => payload,
    };
    let message = guest::payload_text(&*payload).unwrap_or(guest::NOT_TEXT).to_owned();
    guest::hand_over_failure(&message);
    match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        Ok(()) => Status::Panicked,
        Err(second) => {
            // Dropping the first payload panicked: what came out of that may do so again, so it is leaked.
            std::mem::forget(second);
            // The hook has told of the second panic meanwhile; the first is what the caller wants to know.
            guest::hand_over_failure(&message);
            Status::PanickedTwice
        }
    }
}

fn discard<R>(result: R, failure: fn(&R) -> Option<String>) -> Status {
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        let text = failure(&result);
        drop(result);
        text
    }));
    match dropped {
        Ok(None) => Status::Done,
        Ok(Some(text)) => {
            guest::hand_over_failure(&text);
            Status::Returned
        }
        Err(payload) => panicked(payload),
    }
}

/// Chooses, by method resolution in the code that `#[export]` writes, how the `Err`
/// of a discarded result is told: `(&&&Discard::<R>::new()).failure()`.
pub struct Discard<R>(PhantomData<R>);

impl<R> fmt::Debug for Discard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Discard")
    }
}

impl<R> Discard<R> {
    /// For a result of type `R`.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only our macro names it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A result whose error has a text for people.
pub trait DiscardDisplay<R> {
    /// Tells the error of such a result.
    fn failure(&self) -> fn(&R) -> Option<String>;
}

impl<T, E: fmt::Display> DiscardDisplay<Result<T, E>> for &&Discard<Result<T, E>> {
    fn failure(&self) -> fn(&Result<T, E>) -> Option<String> {
        |result| result.as_ref().err().map(ToString::to_string)
    }
}

/// A result whose error has only its debug form.
pub trait DiscardDebug<R> {
    /// Tells the error of such a result.
    fn failure(&self) -> fn(&R) -> Option<String>;
}

impl<T, E: fmt::Debug> DiscardDebug<Result<T, E>> for &Discard<Result<T, E>> {
    fn failure(&self) -> fn(&Result<T, E>) -> Option<String> {
        |result| result.as_ref().err().map(|error| format!("{error:?}"))
    }
}

/// Any other result: dropped without a word.
pub trait DiscardAny<R> {
    /// Tells nothing.
    fn failure(&self) -> fn(&R) -> Option<String>;
}

impl<R> DiscardAny<R> for Discard<R> {
    fn failure(&self) -> fn(&R) -> Option<String> {
        |_| None
    }
}
