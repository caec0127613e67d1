//! Why an engine could not be opened, or why what lies in its source cannot run.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hotswap_artifact::{BuildError, Diagnostics, ScanError};

use crate::cap::Crowd;
use crate::load_error::LoadError;
use crate::state::StateFileError;
use crate::version_id::{NO_VERSION, VersionId};

/// The engine could not be opened. Nothing runs, and nothing was left behind.
#[derive(Clone)]
#[non_exhaustive]
pub struct OpenError {
    /// The source, as it was given.
    pub source_name: String,
    /// What went wrong.
    pub kind: OpenErrorKind,
}

/// The ways in which opening can fail.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// What lies in the source does not build or is refused.
    #[error(transparent)]
    First(Box<ReloadError>),
    /// The log file cannot be written.
    #[error(
        "cannot write the log {}; choose another with log_file(..), or none with without_log()",
        path.display()
    )]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// Nobody can be let in at the control socket.
    #[error("cannot listen at the control socket {}", path.display())]
    Control {
        /// Where it was to be.
        path: PathBuf,
        /// What the system answered: `AddrInUse` when another process listens there.
        #[source]
        error: Arc<io::Error>,
    },
    /// The state that was saved cannot be read.
    #[error("{error}")]
    State {
        /// Where, and what to do.
        error: Arc<StateFileError>,
    },
    /// A setting cannot be used.
    #[error("{message}")]
    Setting {
        /// Which, and what it may be.
        message: String,
    },
    /// A thread could not be started.
    #[error("cannot start the {thread} thread")]
    Thread {
        /// Which one.
        thread: &'static str,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// Sources need the `monitor` feature, which this program was built without.
    #[error(
        "building from source needs the feature `monitor` of hotswap-engine; without it only prebuilt and linked modules run"
    )]
    NoMonitor,
    /// A message arrived at `cancel_on`'s channel while `open` waited.
    #[error("opening was cancelled")]
    Cancelled,
}

impl OpenError {
    pub(crate) fn new(source_name: impl Into<String>, kind: OpenErrorKind) -> Self {
        Self { source_name: source_name.into(), kind }
    }

    /// The compiler's output, where the first build failed.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match &self.kind {
            OpenErrorKind::First(error) => error.diagnostics(),
            _ => None,
        }
    }
}

/// What lies in the source cannot run; the current version is unchanged.
#[derive(Clone)]
#[non_exhaustive]
pub struct ReloadError {
    /// The version that stays current; `None` when nothing was loaded yet.
    pub current: Option<VersionId>,
    /// What went wrong.
    pub kind: ReloadErrorKind,
}

/// The ways in which a newcomer can be turned away.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadErrorKind {
    /// It does not build.
    #[error(transparent)]
    Build(Arc<BuildError>),
    /// It was built, and refused before it became current.
    #[error(transparent)]
    Load(Arc<LoadError>),
    /// The source cannot be read.
    #[error(transparent)]
    Unreadable(Arc<ScanError>),
    /// There is no source to look at: the engine runs linked code, or was built without the
    /// `monitor` feature.
    #[error("there is no source to look at")]
    NoSource,
    /// Automatic swaps are paused: a new version was built and waits for `resume`.
    #[error("swaps are paused; a new version waits for resume()")]
    Paused,
    /// Too many versions are still in use ([`EngineBuilder::max_extra_versions`](crate::EngineBuilder::max_extra_versions)):
    /// what was built waits for one of them to go, or to be asked for again.
    #[error("{0}")]
    Crowded(Crowd),
    /// It changes together with others, by what they share, and one of them cannot become current: none of them did. What was
    /// built waits, and is tried again together when that one has something newer.
    #[error("it changes together with {member}, which cannot become current")]
    Group {
        /// The name of that engine.
        member: String,
        /// Why it cannot.
        #[source]
        error: Arc<ReloadError>,
    },
    /// Nothing changes what runs any more: [`Engine::freeze`](crate::Engine::freeze) was called.
    #[error("the engine is frozen")]
    Frozen,
    /// What lies in the source was rolled back; it is not tried again until the source changes, or
    /// [`Engine::clear_quarantine`](crate::Engine::clear_quarantine) is called.
    #[error("{version} was rolled back, and what lies in the source is what it was built from")]
    RolledBack {
        /// The version that was left.
        version: VersionId,
    },
    /// Somebody aborted it ([`Engine::abort`](crate::Engine::abort)). What lies in the source is not tried again until it
    /// changes, or [`Engine::clear_quarantine`](crate::Engine::clear_quarantine) is called.
    #[error("it was aborted before it became current")]
    Aborted,
    /// What lies in the source was rolled back or refused by an earlier process; it is not tried again until the source
    /// changes, or [`Engine::clear_quarantine`](crate::Engine::clear_quarantine) is called.
    #[error("an earlier process put what lies in the source into quarantine: {message}")]
    Quarantined {
        /// The stable code of the reason.
        code: String,
        /// The reason.
        message: String,
    },
    /// There is no version before the current one.
    #[error("there is no earlier version to go back to")]
    NoEarlierVersion,
    /// There is no such version to go back to.
    #[error("{version} never ran in this engine, or so long ago that it is forgotten")]
    UnknownVersion {
        /// What was asked for.
        version: VersionId,
    },
    /// The monitor or the swapper panicked on the way, which is a defect of this library; it starts over, and
    /// what lies in the source is tried again when somebody asks.
    #[error("a panic inside hotswap-engine, which is a defect: {message}")]
    Panicked {
        /// What the panic says.
        message: String,
    },
    /// Asked from the swapper's own thread (a constructor or hook of a module), which cannot wait for itself.
    #[error("a hook cannot wait for the swap that it is part of")]
    FromHook,
    /// Asked in a forked child of the process that opened the engine: its threads exist there only. Calls work.
    #[error(
        "the process was forked after the engine was opened; only the process that opened it can swap"
    )]
    Forked,
    /// The engine was dropped.
    #[error("the engine no longer exists")]
    Closed,
}

impl ReloadError {
    pub(crate) fn new(current: VersionId, kind: ReloadErrorKind) -> Self {
        Self { current: (current != NO_VERSION).then_some(current), kind }
    }

    /// The compiler's output, where the build failed.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match &self.kind {
            ReloadErrorKind::Build(error) => error.diagnostics(),
            _ => None,
        }
    }

    /// A short stable code for logs: `build`, `load.signature`, ..
    pub(crate) fn code(&self) -> String {
        match &self.kind {
            ReloadErrorKind::Build(_) => "build".to_owned(),
            ReloadErrorKind::Load(error) => format!("load.{}", error.kind.code()),
            ReloadErrorKind::Unreadable(_) => "unreadable".to_owned(),
            ReloadErrorKind::NoSource => "no_source".to_owned(),
            ReloadErrorKind::Paused => "paused".to_owned(),
            ReloadErrorKind::Crowded(_) => "crowded".to_owned(),
            ReloadErrorKind::Group { .. } => "group".to_owned(),
            ReloadErrorKind::Frozen => "frozen".to_owned(),
            ReloadErrorKind::RolledBack { .. } => "rolled_back".to_owned(),
            ReloadErrorKind::Aborted => "aborted".to_owned(),
            ReloadErrorKind::Quarantined { code, .. } => code.clone(),
            ReloadErrorKind::NoEarlierVersion => "no_earlier_version".to_owned(),
            ReloadErrorKind::UnknownVersion { .. } => "unknown_version".to_owned(),
            ReloadErrorKind::Panicked { .. } => "panicked".to_owned(),
            ReloadErrorKind::FromHook => "from_hook".to_owned(),
            ReloadErrorKind::Forked => "forked".to_owned(),
            ReloadErrorKind::Closed => "closed".to_owned(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open {}: {}", self.source_name, self.kind)
    }
}

// The kind is part of the text, so the cause is the kind's own.
impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.kind.to_string();
        f.write_str(&text)?;
        // What a compiler said has many lines; what is still true then stands on its own.
        let join = if text.contains('\n') { "\n" } else { "; " };
        self.current.map_or(Ok(()), |id| write!(f, "{join}{id} stays current"))
    }
}

impl Error for ReloadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// What `fn main() -> Result<(), Box<dyn Error>>` prints is the debug form: for people it is the text and
/// its causes, and the structure only with `{:#?}`.
pub(crate) fn readable(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(inner) = cause {
        write!(f, "\n  caused by: {inner}")?;
        cause = inner.source();
    }
    Ok(())
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return readable(self, f);
        }
        f.debug_struct("OpenError")
            .field("source_name", &self.source_name)
            .field("kind", &self.kind)
            .finish()
    }
}

impl fmt::Debug for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return readable(self, f);
        }
        f.debug_struct("ReloadError")
            .field("current", &self.current)
            .field("kind", &self.kind)
            .finish()
    }
}
