//! One step of a migration: from one version of a schema to another.

use std::fmt;

use super::derived;

use super::kind::StateType;
use super::operation::{Bytes, decode, encode, to_json};
use crate::abi::{Abi, Body, Desc, Field};
use crate::arguments::Packed1;
use crate::crossing::Crossing;

/// One step, as its shim takes it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct StepRequest {
    /// The old value: postcard, or JSON for a step that is derived.
    pub bytes: Bytes,
    /// Room for the new value; null when it is wanted as bytes.
    pub value: *mut u8,
    /// Where the new value's bytes go, as postcard and JSON; null when it is wanted as a value.
    pub out: *mut [Vec<u8>; 2],
    /// Whether JSON is wanted too: a derived step follows. It stays empty where it cannot carry the value.
    pub wants_json: bool,
    /// Where the names of fields go that the new value does not have.
    pub dropped: *mut Vec<String>,
}

/// What it makes and drops belongs to cells, and is on no version's account.
impl Crossing for Packed1<StepRequest> {
    fn owned_bytes(&self) -> Option<usize> {
        None
    }
}

/// Runs a step that somebody wrote.
///
/// # Safety
///
/// 1. `bytes` are borrowed until this returns.
/// 2. Exactly one of `value` and `out` is not null: room for a `New`, to which one is written exactly when the
///    answer is `Ok`; or two vectors that nobody else uses. `dropped` points at such a vector.
///
/// # Errors
///
/// The step's own, as text; and when the bytes are no `Old`.
pub unsafe fn step<Old: StateType, New: StateType>(
    request: Packed1<StepRequest>,
    body: impl FnOnce(Old) -> Result<New, String>,
) -> Result<(), String> {
    let Packed1(request) = request;
    // SAFETY: 1 of the contract.
    let old = decode::<Old>(unsafe { request.bytes.get() })?;
    let new = body(old)?;
    let dropped = fields::<Old>().filter(|name| !fields::<New>().any(|kept| kept == *name));
    // SAFETY: 2 of the contract.
    unsafe { give(request, new, dropped.map(str::to_owned)) }
}

/// Runs a step that is derived: fields are found by name, what is new is taken from the first value, and
/// `renamed` gives old and new names.
///
/// # Safety
///
/// As [`step`], with JSON in `bytes`.
///
/// # Errors
///
/// When what is kept does not survive as it is in the new type, when a field that is said to be renamed is not
/// there, and when `New` has no first value.
pub unsafe fn automatic<New: StateType>(
    request: Packed1<StepRequest>,
    renamed: &[(&str, &str)],
) -> Result<(), String> {
    let Packed1(request) = request;
    // SAFETY: 1 of the contract.
    let bytes = unsafe { request.bytes.get() };
    let (new, dropped) = derived::value::<New>(bytes, renamed)?;
    // SAFETY: 2 of the contract.
    unsafe { give(request, new, dropped.into_iter()) }
}

/// Runs the way back of a step that is derived: gives the value as JSON, with the names that its fields had.
///
/// # Safety
///
/// 1. `bytes` are JSON, borrowed until this returns.
/// 2. `out` points at two vectors that nobody else uses.
///
/// # Errors
///
/// When the bytes are no JSON of a struct.
pub unsafe fn automatic_back(
    request: Packed1<StepRequest>,
    renamed: &[(&str, &str)],
) -> Result<(), String> {
    let Packed1(request) = request;
    // SAFETY: 1 of the contract.
    let back = derived::back(unsafe { request.bytes.get() }, renamed)?;
    // SAFETY: 2 of the contract.
    let [_, json] = unsafe { &mut *request.out };
    *json = back;
    Ok(())
}

/// A field of a derived type's description, under the name that it had.
///
/// # Panics
///
/// At compile time, when the type has no such field.
#[must_use]
pub const fn renamed_field(desc: &'static Desc, index: usize, name: &'static str) -> Field {
    let Body::Struct(fields) = desc.body else { panic!("only a struct has a derived step") };
    Field { name, offset: fields[index].offset, ty: fields[index].ty }
}

/// What a step that somebody wrote returns: the new value, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "a step of a migration cannot return `{Self}`",
    label = "neither a state type nor a `Result` of one",
    note = "return the new value, or `Result<Counters, E>` where `E` can be shown: String, say"
)]
pub trait Outcome {
    /// The type of the new value.
    type New: StateType;

    /// The new value, or why there is none.
    fn into_result(self) -> Result<Self::New, String>;
}

impl<T: StateType> Outcome for T {
    type New = T;

    fn into_result(self) -> Result<T, String> {
        Ok(self)
    }
}

impl<T: StateType, E: fmt::Display> Outcome for Result<T, E> {
    type New = T;

    fn into_result(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Refuses, at compile time, a step that leads from somewhere else than it says, or elsewhere than up.
///
/// # Panics
///
/// Then, with the advice.
#[track_caller]
pub const fn check_step<Old: StateType, New: StateType>(from: u16) {
    assert!(
        is_same(Old::SCHEMA, New::SCHEMA),
        "the two types are of different schemas: write `name = \"..\"` in the `#[state(..)]` of the old one"
    );
    assert!(
        Old::VERSION == from,
        "`from` is not the version in the `#[state(..)]` of the type that the step takes"
    );
    assert!(
        Old::VERSION < New::VERSION,
        "a step leads to a later version: raise that of the new type; the way back is its `down`"
    );
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// Hands over what came out of a step.
///
/// # Safety
///
/// 2 of `step`.
unsafe fn give<New: StateType>(
    request: StepRequest,
    new: New,
    dropped: impl Iterator<Item = String>,
) -> Result<(), String> {
    // SAFETY: the contract.
    unsafe { &mut *request.dropped }.extend(dropped);
    if request.value.is_null() {
        // SAFETY: the contract: as there is no room for a value, there is for bytes.
        let [bytes, json] = unsafe { &mut *request.out };
        encode(&new, bytes)?;
        if request.wants_json && to_json(&new, json).is_err() {
            json.clear();
        }
    } else {
        // SAFETY: the contract: there is room.
        unsafe { request.value.cast::<New>().write(new) };
    }
    Ok(())
}

/// The names of a type's own fields.
pub(super) fn fields<T: Abi>() -> impl Iterator<Item = &'static str> {
    let fields = match <T as Abi>::DESC.body {
        Body::Struct(fields) => fields,
        _ => &[],
    };
    fields.iter().map(|field| field.name)
}
