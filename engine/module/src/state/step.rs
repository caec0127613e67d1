//! One step of a migration: from one version of a schema to another.

use serde_json::{Map, Value};

use super::kind::StateType;
use super::operation::{Bytes, decode, encode};
use crate::abi::{Abi, Body};
use crate::arguments::Packed1;

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
    /// Where the names of fields go that the new value does not have.
    pub dropped: *mut Vec<String>,
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
/// When a field that is kept has another type, and when `New` has no first value.
pub unsafe fn automatic<New: StateType>(
    request: Packed1<StepRequest>,
    renamed: &[(&str, &str)],
) -> Result<(), String> {
    let Packed1(request) = request;
    // SAFETY: 1 of the contract.
    let bytes = unsafe { request.bytes.get() };
    let mut old: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| format!("the old value: {error}"))?;
    let first = New::initial().ok_or("a derived step needs a first value: derive Default")?;
    let Value::Object(mut new) = serde_json::to_value(&first).map_err(|error| error.to_string())?
    else {
        return Err("only fields with names can be found by name".to_owned());
    };
    for (old_name, new_name) in renamed {
        if let Some(value) = old.remove(*old_name) {
            old.insert((*new_name).to_owned(), value);
        }
    }
    let mut dropped = Vec::new();
    for (name, value) in old {
        match new.get_mut(&name) {
            Some(place) => *place = value,
            None => dropped.push(name),
        }
    }
    let new: New = serde_json::from_value(Value::Object(new))
        .map_err(|error| format!("{error}; write the step by hand"))?;
    // SAFETY: 2 of the contract.
    unsafe { give(request, new, dropped.into_iter()) }
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
        // A derived step may follow; one that was written needs none.
        if let Ok(text) = serde_json::to_vec(&new) {
            *json = text;
        }
    } else {
        // SAFETY: the contract: there is room.
        unsafe { request.value.cast::<New>().write(new) };
    }
    Ok(())
}

/// The names of a type's own fields.
fn fields<T: Abi>() -> impl Iterator<Item = &'static str> {
    let fields = match <T as Abi>::DESC.body {
        Body::Struct(fields) => fields,
        _ => &[],
    };
    fields.iter().map(|field| field.name)
}
