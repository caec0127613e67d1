//! What an engine asks of a state type, without knowing it: one function per type.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::slice;

use super::derived;
use super::kind::StateType;
use super::step::fields;
use crate::arguments::Packed1;
use crate::crossing::Crossing;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    /// Write the first value to `value`.
    Initial = 1,
    /// Drop `value`.
    Drop = 2,
    /// Append `value` to `out`, as postcard.
    Encode = 3,
    /// Write to `value` what `bytes` say, which are postcard and nothing more.
    Decode = 4,
    /// Append `value` to `out`, as JSON. An error where JSON cannot carry all of it.
    Json = 5,
    /// Say whether `value` is what it should be.
    Check = 6,
    /// Write to `value` what `bytes` say, which are JSON with all its fields, and others maybe.
    Among = 7,
}

/// Bytes that are borrowed for the length of a call.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Bytes {
    start: *const u8,
    length: usize,
}

impl Bytes {
    /// Borrows bytes.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self { start: bytes.as_ptr(), length: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    ///
    /// What they were made from is still borrowed.
    pub(super) unsafe fn get<'a>(self) -> &'a [u8] {
        // SAFETY: the contract; `Bytes` are only made from a slice.
        unsafe { slice::from_raw_parts(self.start, self.length) }
    }
}

/// One request to a state type, as its shim takes it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct StateRequest {
    /// What is to be done.
    pub operation: Operation,
    /// The value, or room for one; null where none is concerned.
    pub value: *mut u8,
    /// What is read.
    pub bytes: Bytes,
    /// Where bytes go; null where there are none.
    pub out: *mut Vec<u8>,
}

/// What it makes and drops belongs to cells, and is on no version's account.
impl Crossing for Packed1<StateRequest> {
    fn owned_bytes(&self) -> Option<usize> {
        None
    }
}

/// Does what was asked, for `T`.
///
/// # Safety
///
/// 1. `value` points at a `T` that nobody else changes for `Drop` (which consumes it), `Encode`, `Json` and `Check`; at room for one for `Initial`,
///    `Decode` and `Among`, which write there exactly when the answer is `Ok`.
/// 2. `bytes` are borrowed until this returns; `out` points at a vector that nobody else uses for `Encode` and `Json`.
///
/// # Errors
///
/// When there is no first value, when bytes are not a `T`, when a format cannot carry the value, or when the check says no.
pub unsafe fn serve<T: StateType>(request: Packed1<StateRequest>) -> Result<(), String> {
    let Packed1(StateRequest { operation, value, bytes, out }) = request;
    let value = value.cast::<T>();
    match operation {
        Operation::Initial => {
            let first = first_value::<T>()?;
            // SAFETY: 1 of the contract: there is room.
            unsafe { value.write(first) };
        }
        Operation::Drop => {
            // SAFETY: 1 of the contract: it is ours.
            unsafe { ptr::drop_in_place(value) };
        }
        Operation::Encode => {
            // SAFETY: 1 of the contract.
            let value = unsafe { &*value };
            // SAFETY: 2 of the contract.
            let out = unsafe { &mut *out };
            encode(value, out)?;
        }
        Operation::Decode => {
            // SAFETY: 2 of the contract.
            let decoded = decode::<T>(unsafe { bytes.get() })?;
            // SAFETY: 1 of the contract: there is room.
            unsafe { value.write(decoded) };
        }
        Operation::Among => {
            // SAFETY: 2 of the contract.
            let bytes = unsafe { bytes.get() };
            let found = derived::among::<T>(bytes, fields::<T>())?;
            // SAFETY: 1 of the contract: there is room.
            unsafe { value.write(found) };
        }
        Operation::Json => {
            // SAFETY: 1 of the contract.
            let value = unsafe { &*value };
            // SAFETY: 2 of the contract.
            let out = unsafe { &mut *out };
            to_json(value, out)?;
        }
        Operation::Check => {
            // SAFETY: 1 of the contract.
            unsafe { &*value }.check()?;
        }
    }
    Ok(())
}

/// The value that a new cell of this type has: the type's default, or what its `init` gives.
///
/// For steps of a migration: `Counters { calls: old.calls, ..first_value()? }`.
///
/// # Errors
///
/// When the type has neither.
pub fn first_value<T: StateType>() -> Result<T, String> {
    T::initial().ok_or_else(|| {
        let (schema, version) = (T::SCHEMA, T::VERSION);
        format!(
            "{schema} has no first value: derive Default for it, or write #[state(version = {version}, init = function)]"
        )
    })
}

pub(super) fn encode<T: StateType>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    *out = postcard::to_extend(value, mem::take(out)).map_err(|error| error.to_string())?;
    Ok(())
}

pub(super) fn decode<T: StateType>(bytes: &[u8]) -> Result<T, String> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
    match rest.len() {
        0 => Ok(value),
        more => Err(format!("{more} bytes more than a value of {} takes", T::SCHEMA)),
    }
}

/// Writes a value as JSON, and reads it back: what JSON cannot carry (a number that is none, keys that are no text, bytes of a path
/// that are no text) is an error and not lost.
pub(super) fn to_json<T: StateType>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    let text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    let back: T = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    encode(value, &mut before)?;
    encode(&back, &mut after)?;
    if before != after {
        return Err("JSON cannot carry all of it".to_owned());
    }
    out.extend_from_slice(&text);
    Ok(())
}

/// Chooses, by method resolution in the code that `#[state]` writes, how a first value is made.
pub struct Initial<T>(PhantomData<T>);

impl<T> fmt::Debug for Initial<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initial")
    }
}

impl<T> Initial<T> {
    /// For a type `T`.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only our macro names it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A type with a default.
pub trait DefaultInitial<T> {
    /// The default.
    fn initial(&self) -> Option<T>;
}

impl<T: Default> DefaultInitial<T> for &Initial<T> {
    fn initial(&self) -> Option<T> {
        Some(T::default())
    }
}

/// Any other type.
pub trait NoInitial<T> {
    /// Nothing.
    fn initial(&self) -> Option<T>;
}

impl<T> NoInitial<T> for Initial<T> {
    fn initial(&self) -> Option<T> {
        None
    }
}
