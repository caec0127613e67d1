//! Why a call gave no result.

use std::fmt;

use crate::Abi;

/// A call gave no result. The host goes on, and so does the version that was called.
#[derive(Debug, Clone, PartialEq, Eq, Abi)]
#[non_exhaustive]
pub struct CallError {
    /// The function that was asked for.
    pub function: String,
    /// The version that answered, where one did.
    pub version: Option<u64>,
    /// What went wrong.
    pub kind: CallErrorKind,
}

/// The ways in which a call can fail.
#[derive(Debug, Clone, PartialEq, Eq, Abi)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// Nothing of this name is exported.
    Missing {
        /// A name that differs little, where there is one.
        similar: Option<String>,
    },
    /// One argument has another type than the export's.
    Argument {
        /// Which one, counted from 1.
        position: usize,
        /// The type that the export takes.
        expected: String,
        /// The type that was given.
        found: String,
        /// What to write instead, where that is known: `2u64`.
        write: Option<String>,
    },
    /// The signatures differ otherwise: in the number of arguments or in the result.
    Signature {
        /// What the caller expects, as people write it.
        expected: String,
        /// What the version has.
        found: String,
    },
    /// The function panicked; the panic was contained.
    Panicked {
        /// The panic's message.
        message: String,
        /// `file:line:column`, where it is known.
        location: Option<String>,
    },
    /// The function returned an `Err` that `call` does not hand on.
    Returned {
        /// The error's text.
        message: String,
    },
    /// The call wanted to write state that a later version took over in another layout. What it did until then is done.
    StateSuperseded {
        /// The cell.
        state: String,
    },
    /// The call wanted state that its own thread holds already, and would have waited for itself. What it did until
    /// then is done.
    StateHeld {
        /// The cell.
        state: String,
        /// Who holds it: a function, or a place in the source.
        holder: String,
        /// Who wanted it.
        wanted: String,
    },
    /// The call ended because state could not be locked for another reason. What it did until then is done.
    State {
        /// The reason.
        message: String,
    },
    /// The engine no longer exists.
    Closed,
    /// Called from code that no engine has loaded.
    NoEngine,
    /// The module that was asked for by its name cannot be had.
    NoModule {
        /// Why.
        message: String,
    },
    /// The engine refused what was asked, and says why.
    Refused {
        /// The reason.
        message: String,
    },
}

impl CallError {
    /// An error of `kind` in calling `function`.
    #[must_use]
    pub fn new(function: impl Into<String>, version: Option<u64>, kind: CallErrorKind) -> Self {
        Self { function: function.into(), version, kind }
    }

    /// Whether the function was entered: it panicked, returned an error or could not lock its state, and what
    /// it did until then is done.
    #[must_use]
    pub const fn was_entered(&self) -> bool {
        matches!(
            self.kind,
            CallErrorKind::Panicked { .. }
                | CallErrorKind::Returned { .. }
                | CallErrorKind::StateSuperseded { .. }
                | CallErrorKind::StateHeld { .. }
                | CallErrorKind::State { .. }
        )
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.function)?;
        let version = Version(self.version);
        match &self.kind {
            CallErrorKind::Missing { similar: None } => write!(f, "not exported by {version}"),
            CallErrorKind::Missing { similar: Some(name) } => {
                write!(f, "not exported by {version}; did you mean {name}?")
            }
            CallErrorKind::Argument { position, expected, found, write } => {
                write!(f, "argument {position}: expected {expected}, got {found}")?;
                write.as_ref().map_or(Ok(()), |literal| write!(f, " (write {literal})"))
            }
            CallErrorKind::Signature { expected, found } => {
                write!(f, "expected fn{expected}, {version} has fn{found}")
            }
            CallErrorKind::Panicked { message, location: Some(location) } => {
                write!(f, "panicked in {version} at {location}: {message}")
            }
            CallErrorKind::Panicked { message, location: None } => {
                write!(f, "panicked in {version}: {message}")
            }
            CallErrorKind::Returned { message } => {
                write!(f, "returned an error in {version}: {message}")
            }
            CallErrorKind::StateSuperseded { state } => write!(
                f,
                "ended in {version}: a later version took over state {state} in another layout, and what this one wrote would be lost"
            ),
            CallErrorKind::StateHeld { state, holder, wanted } => write!(
                f,
                "ended in {version}: {wanted} wants state {state} on a thread on which {holder} holds it, and would wait for ever"
            ),
            CallErrorKind::State { message } => write!(f, "ended in {version}: {message}"),
            CallErrorKind::Closed => f.write_str("the engine no longer exists"),
            CallErrorKind::NoEngine => {
                f.write_str("this code was not called by an engine, so there is none to ask")
            }
            CallErrorKind::NoModule { message } | CallErrorKind::Refused { message } => {
                f.write_str(message)
            }
        }
    }
}

/// `v7`, or words where no version is known.
struct Version(Option<u64>);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "v{number}"),
            None => f.write_str("the host"),
        }
    }
}

impl std::error::Error for CallError {}
