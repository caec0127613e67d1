//! Heap memory that changes hands when a call is made: it leaves the account of the module that made it.
//!
//! A host counts what a module allocates and frees. What an argument or a result owns is made on one side and freed on the
//! other, so that it is moved from account to account where it crosses.

use crate::abi::Argument;
use crate::services::services;

/// What packed arguments own.
pub trait Crossing {
    /// Heap bytes that they own; `None` where that cannot be told.
    fn owned_bytes(&self) -> Option<usize>;
}

/// Heap bytes of another that were handed over to this image.
pub(crate) fn taken(value: &impl Argument) {
    moved(value.heap_bytes(), 1);
}

/// Moves bytes to (1) or from (-1) the account of this image; nothing when they cannot be told, or when there are none.
#[inline(always)]
pub(crate) fn moved(bytes: Option<usize>, sign: i64) {
    if let Some(bytes @ 1..) = bytes {
        count(sign * bytes as i64);
    }
}

fn count(bytes: i64) {
    if let Some(services) = services().filter(|services| !services.context.is_null()) {
        // SAFETY: the image's own context.
        unsafe { (services.heap_moved)(services.context, bytes) };
    }
}

/// What this thread has counted for this image.
fn here() -> i64 {
    services().filter(|services| !services.context.is_null()).map_or(0, |services| {
        // SAFETY: the image's own context.
        unsafe { (services.heap_here)(services.context) }
    })
}

/// The account at the beginning of a call into this image.
pub(crate) struct Entry {
    /// What was counted before; of a call that hands over nothing nobody asks.
    before: i64,
    /// Whether what the arguments own could be told.
    is_told: bool,
}

impl Entry {
    /// Takes over what the arguments own. Of numbers all of this is nothing, which the compiler knows. `may_give` when the result may own something.
    #[inline(always)]
    pub(crate) fn new(arguments: &impl Crossing, may_give: bool) -> Self {
        let owned = arguments.owned_bytes();
        let before = if may_give || owned.is_none() { here() } else { 0 };
        moved(owned, 1);
        Self { before, is_told: owned.is_some() }
    }

    /// Hands over the result. Of a call of which it cannot be told what crossed, nothing is counted.
    #[inline(always)]
    pub(crate) fn end(self, given: Option<usize>) {
        match given {
            Some(_) if self.is_told => moved(given, -1),
            _ => self.leave_out(),
        }
    }

    fn leave_out(self) {
        count(self.before.wrapping_sub(here()));
    }
}

/// A field, of which derived code asks by method resolution what it owns: `(&&Owner(field)).owned_bytes()`. A type that cannot
/// cross is an error of its description already, and is none here.
#[derive(Debug)]
pub struct Owner<'a, T>(pub &'a T);

/// A field that can cross.
pub trait OwnsSome {
    /// As of all that crosses: heap bytes that it owns; `None` where that cannot be told.
    fn owned_bytes(&self) -> Option<usize>;
}

impl<T: Argument> OwnsSome for &Owner<'_, T> {
    fn owned_bytes(&self) -> Option<usize> {
        self.0.heap_bytes()
    }
}

/// Any other.
pub trait OwnsUnknown {
    /// Cannot be told.
    fn owned_bytes(&self) -> Option<usize>;
}

impl<T> OwnsUnknown for Owner<'_, T> {
    fn owned_bytes(&self) -> Option<usize> {
        None
    }
}
