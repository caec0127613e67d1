//! A value of a state type, which only code of a module can make, read and drop.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use hotswap_module::__private::{Bytes, Operation, Packed1, Shim, StateRequest, Status};
use hotswap_module::CallErrorKind;

use crate::failure;

/// A value as bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resting {
    /// As postcard.
    pub(crate) bytes: Vec<u8>,
    /// As JSON; empty where that cannot carry it.
    pub(crate) json: Vec<u8>,
}

/// Memory of a layout, with a value in it or room for one. Dropping it leaks the value: only code of a module can drop that.
pub(crate) struct Value {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: what lies there is of a state type, which is `Send + Sync`.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

impl Value {
    /// Room for a value, in which there is none.
    fn room(layout: Layout) -> Self {
        if layout.size() == 0 {
            // Any address that is aligned, and no null.
            let start = ptr::without_provenance_mut(layout.align());
            return Self { start: NonNull::new(start).unwrap_or(NonNull::dangling()), layout };
        }
        // SAFETY: its size is not zero.
        let start = unsafe { alloc(layout) };
        Self { start: NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }

    #[inline]
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Has code write a value to new memory.
    pub(super) fn make(
        layout: Layout,
        write: impl FnOnce(*mut u8) -> Result<(), String>,
    ) -> Result<Self, String> {
        let value = Self::room(layout);
        match write(value.as_ptr()) {
            Ok(()) => Ok(value),
            Err(message) => {
                value.free();
                Err(message)
            }
        }
    }

    /// Drops the value and gives its memory back. What panics while it is dropped is leaked.
    ///
    /// # Safety
    ///
    /// 1. The shim is that of the value's type, and mapped.
    /// 2. There is a value.
    pub(super) unsafe fn end(self, shim: Shim) {
        let value = self.as_ptr();
        let request = StateRequest { operation: Operation::Drop, value, ..NOTHING };
        // SAFETY: both parts of the contract; it is dropped once, since this takes `self`.
        let _ = unsafe { operate(shim, request) };
        self.free();
    }

    /// Gives the memory back, in which there is no value any more.
    fn free(self) {
        if self.layout.size() > 0 {
            // SAFETY: it was allocated with this layout, and is given back once: this takes `self`.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

/// Has the code of a state type do something.
///
/// # Safety
///
/// 1. The shim is that of a state type whose form is the value's, and stays mapped until this returns.
/// 2. The request keeps the contract of `hotswap_module::__private::serve`.
pub(super) unsafe fn operate(shim: Shim, request: StateRequest) -> Result<(), String> {
    let mut packed = ManuallyDrop::new(Packed1(request));
    // SAFETY: both parts of the contract; the result is dropped, an `Err` of it told.
    let code = unsafe { shim((&raw mut packed).cast(), ptr::null_mut()) };
    told(code)
}

/// What a shim of state says of its failure.
pub(super) fn told(code: u32) -> Result<(), String> {
    match failure::take(Status::from_code(code)) {
        None => Ok(()),
        Some(CallErrorKind::Returned { message } | CallErrorKind::State { message }) => {
            Err(message)
        }
        Some(CallErrorKind::Panicked { message, location }) => {
            let place = location.map(|location| format!(" at {location}")).unwrap_or_default();
            Err(format!("panicked{place}: {message}"))
        }
        Some(other) => Err(format!("{other:?}")),
    }
}

pub(super) const NOTHING: StateRequest = StateRequest {
    operation: Operation::Check,
    value: ptr::null_mut(),
    bytes: Bytes::new(&[]),
    out: ptr::null_mut(),
};

/// A value as bytes.
///
/// # Safety
///
/// 1. The shim is that of the value's type, and mapped.
/// 2. The value is there, and nobody changes it.
pub(super) unsafe fn resting_of(
    shim: Shim,
    value: *mut u8,
    wants_json: bool,
) -> Result<Resting, String> {
    let mut resting = Resting::default();
    let encode = StateRequest {
        operation: Operation::Encode,
        value,
        out: &raw mut resting.bytes,
        ..NOTHING
    };
    // SAFETY: both parts of the contract.
    unsafe { operate(shim, encode) }?;
    if wants_json {
        let json = StateRequest {
            operation: Operation::Json,
            value,
            out: &raw mut resting.json,
            ..NOTHING
        };
        // SAFETY: both parts of the contract.
        if unsafe { operate(shim, json) }.is_err() {
            resting.json.clear();
        }
    }
    Ok(resting)
}

/// Makes a value of a type from bytes, to be put into a cell of its form.
pub(super) fn decode(shim: Shim, layout: Layout, bytes: &[u8]) -> Result<Value, String> {
    made_from(Operation::Decode, shim, layout, bytes)
}

/// Makes a value of a type from JSON that has its fields, and others maybe.
pub(super) fn find(shim: Shim, layout: Layout, json: &[u8]) -> Result<Value, String> {
    made_from(Operation::Among, shim, layout, json)
}

fn made_from(
    operation: Operation,
    shim: Shim,
    layout: Layout,
    bytes: &[u8],
) -> Result<Value, String> {
    Value::make(layout, |value| {
        let bytes = Bytes::new(bytes);
        let request = StateRequest { operation, value, bytes, ..NOTHING };
        // SAFETY: 1. who calls this has the shim of the layout's type, mapped. 2. there is room; the bytes are borrowed.
        unsafe { operate(shim, request) }
    })
}
