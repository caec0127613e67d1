//! Why a cell could not be locked.

use std::fmt;

use crate::Abi;
use crate::error::CallErrorKind;

/// A cell could not be locked. Its value is what it was.
#[derive(Debug, Clone, PartialEq, Eq, Abi)]
#[non_exhaustive]
pub struct StateError {
    /// The cell: its schema, and its name where it has one.
    pub state: String,
    /// What is in the way.
    pub kind: StateErrorKind,
}

/// What can be in the way.
#[derive(Debug, Clone, PartialEq, Eq, Abi)]
#[non_exhaustive]
pub enum StateErrorKind {
    /// A later version took the cell over in another layout: this version may read what it was, and write no more.
    StateSuperseded,
    /// This thread holds the cell already, and would wait for itself.
    Held {
        /// Who holds it: a function, or a place in the source.
        holder: String,
        /// Who wants it.
        wanted: String,
    },
    /// Others hold it, for longer than was to be waited.
    Busy,
    /// The version is not current yet: its load hooks and threads cannot reach cells.
    NotCurrent,
    /// The type is another version of the schema than the module's cells have.
    OtherVersion {
        /// That of the type.
        wanted: u16,
        /// That of the cells.
        found: u16,
    },
    /// The code was not called by an engine, so there is no cell: `State::standalone` makes one.
    NoEngine,
    /// The first value could not be made.
    Initial {
        /// Why.
        message: String,
    },
}

impl StateError {
    /// For the engine.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(state: String, kind: StateErrorKind) -> Self {
        Self { state, kind }
    }

    /// What becomes of a call that this ends.
    #[doc(hidden)]
    #[must_use]
    pub fn into_kind(self) -> CallErrorKind {
        match self.kind {
            StateErrorKind::StateSuperseded => CallErrorKind::StateSuperseded { state: self.state },
            StateErrorKind::Held { holder, wanted } => {
                CallErrorKind::StateHeld { state: self.state, holder, wanted }
            }
            _ => CallErrorKind::State { message: self.to_string() },
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state {}: ", self.state)?;
        match &self.kind {
            StateErrorKind::StateSuperseded => f.write_str(
                "a later version took it over in another layout; this call may read it and not write it",
            ),
            StateErrorKind::Held { holder, wanted } => {
                write!(f, "{wanted} wants it on a thread on which {holder} holds it, and would wait for ever")
            }
            StateErrorKind::Busy => f.write_str("others hold it for longer than was to be waited"),
            StateErrorKind::NotCurrent => {
                f.write_str("it cannot be reached before its version is current; write #[after_swap]")
            }
            StateErrorKind::OtherVersion { wanted, found } => {
                write!(f, "the type is version {wanted} of it, and the module's cells have version {found}")
            }
            StateErrorKind::NoEngine => f.write_str(
                "this code was not called by an engine; `State::standalone` makes a cell for tests",
            ),
            StateErrorKind::Initial { message } => write!(f, "its first value could not be made: {message}"),
        }
    }
}

impl std::error::Error for StateError {}

/// What `lock()` unwinds with: no panic, but the end of the call, which the shim hands on as an error of its own.
pub(crate) struct Ended(pub(crate) StateError);
