//! What the author of a hot-swappable module depends on.
//!
//! ```
//! use hotswap_module::export;
//! hotswap_module::module!();
//!
//! #[export]
//! pub fn add(a: u64, b: u64) -> u64 {
//!     a + b
//! }
//! # fn main() {}
//! ```
//!
//! The engine builds the crate with `--cfg hotswap`, which reaches only the
//! module itself and never its dependencies. With it, [`module!`] adds the
//! handshake, the forwarding allocator and the hooks; without it only the plain
//! table of exports is left, so that a module crate stays an ordinary library:
//! its tests run, and a host may link it (`Engine::linked`).
//!
//! # What may cross
//!
//! [`Abi`] is owned plain data and may be argument, result or field;
//! [`Argument`] adds borrows for the length of a call. Anything that could point
//! into a module's image (`&'static`, function pointers, trait objects, `HashMap`
//! whose empty table is a static) is not [`Abi`]: that is what makes it safe to
//! unload code.
//!
//! # What survives a swap
//!
//! Statics do not: each version has its own. A type with [`state`](macro@state) is that of a cell which belongs to the host, and
//! [`State`] is how functions reach it; [`macro@migrate`] says how a value becomes one of another layout. `StateMut` and `StateRef` are its guards.
//! The feature `state`, on by default, brings them, and serde as this crate's dependency.

extern crate self as hotswap_module;

mod abi;
mod arguments;
mod caller;
mod crossing;
mod describe;
mod error;
mod exits;
mod guest;
#[doc(hidden)]
pub mod intercept;
mod interface;
mod leaves;
mod linked;
mod module_macro;
mod named;
#[cfg(test)]
mod properties;
mod record;
mod root;
mod services;
mod shim;
mod signature;
mod state;
mod version_change;

pub use abi::{Abi, Argument, Desc};
pub use arguments::Arguments;
pub use caller::{Caller, EngineCaller, HostCaller, engine, host};
pub use error::{CallError, CallErrorKind};
pub use hotswap_macros::{Abi, after_swap, before_unload, export, interface, on_load};
#[cfg(feature = "state")]
pub use hotswap_macros::{migrate, state};
pub use interface::{Interface, Requirement};
pub use linked::Linked;
pub use named::{NamedCaller, engine_named};
pub use root::{ABI_NUMBER, RUSTC, TARGET};
#[cfg(feature = "state")]
pub use serde;
pub use signature::Signature;
#[cfg(feature = "state")]
pub use state::{Shared, State, StateMut, StateRef, StateType, first_value};
pub use state::{StateError, StateErrorKind};
pub use version_change::VersionChange;

/// For the code that our macros write and for the engine; not covered by the
/// version number's promises.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi::{Abi, Argument, Body, Desc, Field, Shape, Variant};
    pub use crate::arguments::{
        Arguments, Packed0, Packed1, Packed2, Packed3, Packed4, Packed5, Packed6, Packed7, Packed8,
    };
    pub use crate::caller::RawCall;
    pub use crate::crossing::{Owner, OwnsSome, OwnsUnknown};
    pub use crate::describe::short;
    pub use crate::guest::{Allocator, NOT_TEXT, payload_text, start, start_code, stop};
    pub use crate::intercept;
    pub use crate::interface::{Interface, Requirement};
    pub use crate::linked::LinkedExport;
    pub use crate::record::{
        Exported, Kind, MalformedRecord, Record, Table, section, step_extra, step_versions,
    };
    pub use crate::root::{Needs, Root, RootFacts};
    pub use crate::services::{
        Access, CellQuery, FailureText, LINKED_CONTEXT, LockedCell, Services, Target, Text,
        link_services, with_linked_context,
    };
    pub use crate::shim::{
        About, Discard, DiscardAny, DiscardDebug, DiscardDisplay, Shim, Status, run,
    };
    pub use crate::signature::{Signature, Typed};
    #[cfg(feature = "state")]
    pub use crate::state::{
        Bytes, DefaultInitial, Initial, Injected, NoInitial, Operation, Outcome, StateRequest,
        StateType, StepRequest, automatic, automatic_back, check_step, difference, renamed_field,
        serve, skeleton, step,
    };
    pub use crate::state::{CellLink, CellLinks, Locker};
    pub use crate::version_change::VersionChange;
    pub use ::core;
    #[cfg(feature = "state")]
    pub use ::serde;
    pub use ::std;
}
