//! Why a library was refused before it became current.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hotswap_artifact::ContentHash;

use crate::state::StateProblem;
use crate::version_id::VersionId;

/// A library was refused; whatever was current before still is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadError {
    /// The number it would have had.
    pub version: VersionId,
    /// The library.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: LoadErrorKind,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

// The kind is the text, so the cause is the kind's own.
impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// The reasons for a refusal. Each names what was expected and what was found.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// The file cannot be read, linked, copied or opened.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// Its bytes are not those that were stored: it changed or is still being written.
    #[error(
        "the library's content is {found}, expected {expected}: it changed after it was built, or is still being written"
    )]
    Content {
        /// The hash that was recorded.
        expected: ContentHash,
        /// The hash of the bytes.
        found: ContentHash,
    },
    /// It is no whole library: empty, garbage or cut off.
    #[error("{} is not a whole library: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is for another processor, word size or system.
    #[error("the library is built for {found}, this host is {expected}")]
    Architecture {
        /// The host's.
        expected: String,
        /// The library's.
        found: String,
    },
    /// It is a library, but no module.
    #[error("the library is no hot-swappable module: {reason}")]
    NotAModule {
        /// What is missing, and what to write.
        reason: String,
    },
    /// It speaks another version of the boundary.
    #[error(
        "the module uses boundary {found} of hotswap-module, this host uses {expected}: build both with the same version"
    )]
    Boundary {
        /// The host's.
        expected: String,
        /// The module's.
        found: String,
    },
    /// Another compiler built it.
    #[error(
        "the module was built by {found}, this host by {expected}: Rust layouts are only equal within one compiler"
    )]
    Toolchain {
        /// The host's.
        expected: String,
        /// The module's.
        found: String,
    },
    /// It aborts on panic.
    #[error(
        "the module is built with panic=abort, so that a panic in it would end the host: remove `panic = \"abort\"` from its profile"
    )]
    PanicAbort,
    /// It has something that can neither be unloaded nor contained.
    #[error("the module {what}: {advice}")]
    Unsupported {
        /// What it does.
        what: String,
        /// What to do instead.
        advice: String,
    },
    /// Two exports have one name.
    #[error(
        "{name} is exported twice, by {first} and by {second}: rename one with #[export(name = \"..\")]"
    )]
    Duplicate {
        /// The name.
        name: String,
        /// The module path of one.
        first: String,
        /// The module path of the other.
        second: String,
    },
    /// A function that somebody relies on is missing.
    #[error("{name}: expected fn{expected} ({wanted_by}), {version} has no {name}")]
    Missing {
        /// The function.
        name: String,
        /// The expected signature.
        expected: String,
        /// Who relies on it.
        wanted_by: String,
        /// The version that was refused.
        version: VersionId,
    },
    /// A function that somebody relies on has another signature.
    #[error("{name}: expected fn{expected}, {version} has fn{found}")]
    Signature {
        /// The function.
        name: String,
        /// The expected signature; with layouts where the short forms are equal.
        expected: String,
        /// What the version has.
        found: String,
        /// The version that was refused.
        version: VersionId,
    },
    /// The module wants a function that the host does not provide.
    #[error(
        "{version} needs {name} from its host, which {provides}: provide it with .provide(\"{name}\", ..)"
    )]
    HostFunction {
        /// The function.
        name: String,
        /// What the host has: nothing, or another signature.
        provides: String,
        /// The version that was refused.
        version: VersionId,
    },
    /// A load hook refused it.
    #[error("its load hook {name} {reason}")]
    Hook {
        /// The function.
        name: String,
        /// What it did: returned an error, panicked, took too long, called the engine.
        reason: String,
    },
    /// No thread could be started for its load hooks.
    #[error("no thread could be started for its load hooks")]
    Thread {
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// The system's loader refused it.
    #[error("the loader refused it: {message}")]
    Loader {
        /// What it said.
        message: String,
    },
    /// The loaded image is not the file that was verified.
    #[error("the loader gave another image than the file that was verified: {reason}")]
    WrongImage {
        /// What differs.
        reason: String,
    },
    /// What was about to be done could not be written down, and is not done unwritten.
    #[error(
        "cannot write the log{}: no version becomes current unless the log says so first",
        path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default()
    )]
    Log {
        /// The log.
        path: Option<PathBuf>,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// The process has no room for another version.
    #[error("{what}: restart the program, or end what holds its earlier versions")]
    Exhausted {
        /// What is used up, and by whom.
        what: String,
    },
    /// Its source lets no release run any more that has so low a number ([`Fetch::floor`](crate::Fetch::floor)).
    #[error("it is release {release} of its source, and none below {floor} may run any more")]
    BelowFloor {
        /// Its number.
        release: u64,
        /// The lowest that may run.
        floor: u64,
    },
    /// Somebody aborted it while it was judged; who waits is told [`Aborted`](crate::ReloadErrorKind::Aborted).
    #[error("it was aborted before it became current")]
    Aborted,
    /// Judging it panicked, which is a defect of this library.
    #[error("a panic while it was judged, which is a defect of hotswap-engine: {message}")]
    Panicked {
        /// What the panic says.
        message: String,
    },
    /// It cannot have the state that there is. The cells are what they were.
    #[error("state {state}: {problem}")]
    State {
        /// Which cell.
        state: String,
        /// Why.
        problem: Box<StateProblem>,
    },
    /// A constructor of the module did what only running code may do.
    #[error(
        "a constructor of the module {what} before the host was connected: do it in an export instead"
    )]
    EarlyStart {
        /// What it did.
        what: &'static str,
    },
}

impl LoadErrorKind {
    /// Whether the same library may be accepted later: the disk, the process or its loader was full, or somebody
    /// relied on a function.
    pub(crate) const fn is_passing(&self) -> bool {
        if let Self::State { problem, .. } = self {
            return problem.is_passing();
        }
        matches!(
            self,
            Self::File { .. }
                | Self::Missing { .. }
                | Self::Signature { .. }
                | Self::Exhausted { .. }
                | Self::Thread { .. }
                | Self::Loader { .. }
                | Self::Log { .. }
                | Self::Panicked { .. }
                // The floor stays; but the same code may be released again.
                | Self::BelowFloor { .. }
        )
    }

    /// Whether it lies in the module alone, whatever host loads it on whatever machine.
    pub(crate) const fn is_of_the_module(&self) -> bool {
        matches!(
            self,
            Self::NotAModule { .. }
                | Self::PanicAbort
                | Self::Unsupported { .. }
                | Self::Duplicate { .. }
                | Self::Hook { .. }
                | Self::EarlyStart { .. }
        )
    }

    /// Whether it is tried again after some time, without being asked: a disk that is full now has room soon.
    pub(crate) const fn is_of_the_machine(&self) -> bool {
        matches!(
            self,
            Self::File { .. } | Self::Thread { .. } | Self::Log { .. } | Self::Panicked { .. }
        )
    }

    /// A short stable code for the log.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Content { .. } => "content",
            Self::Damaged { .. } => "damaged",
            Self::Architecture { .. } => "architecture",
            Self::NotAModule { .. } => "not_a_module",
            Self::Boundary { .. } => "boundary",
            Self::Toolchain { .. } => "toolchain",
            Self::PanicAbort => "panic_abort",
            Self::Unsupported { .. } => "unsupported",
            Self::Duplicate { .. } => "duplicate",
            Self::Missing { .. } => "missing",
            Self::Signature { .. } => "signature",
            Self::HostFunction { .. } => "host_function",
            Self::Hook { .. } => "hook",
            Self::Thread { .. } => "thread",
            Self::Loader { .. } => "loader",
            Self::Log { .. } => "log",
            Self::WrongImage { .. } => "wrong_image",
            Self::Exhausted { .. } => "exhausted",
            Self::State { problem, .. } => problem.code(),
            Self::EarlyStart { .. } => "early_start",
            Self::Panicked { .. } => "panicked",
            Self::BelowFloor { .. } => "below_floor",
            Self::Aborted => "aborted",
        }
    }
}
