//! State that outlives the version that made it: cells that belong to the host.
//!
//! ```
//! use hotswap_module::{State, export, state};
//! hotswap_module::module!();
//!
//! #[state(version = 1)]
//! #[derive(Default)]
//! pub struct Counters {
//!     pub calls: u64,
//! }
//!
//! #[export]
//! pub fn count(counters: State<Counters>) -> u64 {
//!     let mut counters = counters.lock();
//!     counters.calls += 1;
//!     counters.calls
//! }
//!
//! let counters = State::standalone(Counters::default());
//! assert_eq!(count(counters), 1);
//! assert_eq!(count(counters), 2);
//! ```
//!
//! A version that comes with the same layout gets the very same cell and lock: nothing is copied, and calls
//! still running in the version before exclude those in the new one. One that comes with another layout
//! brings the steps from the old to the new one (`#[migrate]`), which run on a copy before it becomes current.
//! Where one is missing, the engine shows what differs and prints the step as a skeleton.

#[cfg(feature = "state")]
mod cell;
#[cfg(feature = "state")]
mod derived;
#[cfg(feature = "state")]
mod difference;
mod error;
#[cfg(feature = "state")]
mod kind;
mod link;
#[cfg(feature = "state")]
mod operation;
#[cfg(feature = "state")]
mod skeleton;
#[cfg(feature = "state")]
mod source;
#[cfg(feature = "state")]
mod standalone;
#[cfg(feature = "state")]
mod step;

pub(crate) use error::Ended;
pub use error::{StateError, StateErrorKind};
pub use link::{CellLink, CellLinks, Locker};

#[cfg(feature = "state")]
pub use self::{
    cell::{Injected, Shared, State, StateMut, StateRef},
    difference::difference,
    kind::StateType,
    operation::{
        Bytes, DefaultInitial, Initial, NoInitial, Operation, StateRequest, first_value, serve,
    },
    skeleton::skeleton,
    step::{Outcome, StepRequest, automatic, automatic_back, check_step, renamed_field, step},
};
