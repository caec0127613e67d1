//! Code that has to be fetched before anybody can look at it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::{Attachment, ContentHash, Fingerprint, Source};

/// A place that code is fetched from: a string, a database, somebody else's server. [`Source::fetched`] makes it a
/// source like any other.
///
/// The monitor asks for the [fingerprint](Self::fingerprint) at every look, and has what lies there
/// [fetched](Self::fetch) when it is another one. What is fetched is then built and swapped like a directory of one's own.
/// All methods are called on the monitor's thread and hold it up, unless the source says that it [is slow](Self::is_slow) and shares
/// that thread: they must be bounded in time.
///
/// ```
/// use std::path::Path;
///
/// use hotswap_artifact::{Fetch, FetchError, Fetched, Fingerprint, Source};
///
/// /// The answer to everything, from nowhere.
/// #[derive(Debug)]
/// struct Constant(&'static str);
///
/// impl Fetch for Constant {
///     fn kind(&self) -> &'static str {
///         "constant"
///     }
///     fn name(&self) -> &str {
///         "answer"
///     }
///     fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
///         Ok(Some(Fingerprint::of(self.0.as_bytes())))
///     }
///     fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
///         let file = directory.join("answer.rs");
///         std::fs::write(&file, self.0)
///             .map_err(|error| FetchError::unavailable("cannot write").caused_by(error))?;
///         Ok(Fetched::new(Fingerprint::of(self.0.as_bytes()), file))
///     }
/// }
///
/// let source = Source::fetched(Constant("pub fn answer() -> u64 { 42 }"));
/// assert_eq!(source.kind(), "constant");
/// ```
pub trait Fetch: fmt::Debug + Send + Sync {
    /// The kind in one word, as hotswap.log has it: `sqlite`.
    fn kind(&self) -> &'static str;

    /// Which module it is and where it lies: `modules.db#greet`. Two of the same kind and name are one source. What
    /// follows the last `#`, or `/`, is the name of the module.
    fn name(&self) -> &str;

    /// By what a later process knows it again, with what served last of it and what is in quarantine. The name, unless that may
    /// stand for something else in another process.
    fn lasting_name(&self) -> Cow<'_, str> {
        self.name().into()
    }

    /// What lies there now; `None` when there is no such module. Cheap, since it is asked at every look, and the truth: as long
    /// as it is the same, nothing is fetched.
    ///
    /// # Errors
    ///
    /// Why it cannot be said. What runs goes on, and the question is put again, after a second, two, .. up to a minute.
    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError>;

    /// Whether [asking](Self::fingerprint) may take long, since a network lies between. Where many sources share one thread, such a
    /// one is asked on another. `false` by default.
    fn is_slow(&self) -> bool {
        false
    }

    /// Somebody asks: the next answer is to be of what lies there then, however long the last one was said to be good for. Does
    /// nothing by default.
    fn refresh(&self) {}

    /// Writes what lies there now into `directory`, which is there, empty, and this call's alone.
    ///
    /// # Errors
    ///
    /// [`unavailable`](FetchError::unavailable) is tried again like a fingerprint that cannot be had;
    /// [`refused`](FetchError::refused) is not, until the fingerprint is another.
    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError>;

    /// Waits between two looks. It sleeps for the whole period, unless it is overridden by who can tell earlier, and cheaply,
    /// that something may have changed. Not called where many sources share one thread: what is told earlier there rings its
    /// [bell](Self::attach).
    fn wait(&self, pause: &Pause<'_>) -> Woken {
        pause.sleep(pause.period())
    }

    /// Is told what the code is for, and gets a bell: each ring is a look. Called once by each monitor, before its first look.
    /// Does nothing by default.
    fn attach(&self, monitor: &Attachment) {
        let _ = monitor;
    }

    /// The lowest [release](Fetched::release) that may run. What ran before and is below it is not gone back to. Zero by default: all of them.
    fn floor(&self) -> u64 {
        0
    }

    /// By what the code is believed, which is worth a line in the log at the start; `None`, the default, where whoever runs the
    /// program has written it.
    fn assurance(&self) -> Option<Assurance> {
        None
    }
}

/// What was fetched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fetched {
    /// What lies in the directory. It may be newer than what was asked for.
    pub fingerprint: Fingerprint,
    /// The code, inside the directory: a file, a crate's directory or a library.
    pub code: Source,
    /// Lines of a `[dependencies]` table, for a single file.
    pub dependencies: Vec<String>,
    /// What is worth a line in the log: `revision 12 by alice`.
    pub note: String,
    /// Its number among the releases of the module, where it has one: [`Fetch::floor`] counts by it.
    pub release: Option<u64>,
    /// SHA-256 of the library, where it is one and that was signed: nothing else is loaded, whoever may write in between.
    pub content: Option<ContentHash>,
    /// Whether somebody else wrote it, who need not be believed in everything: it is built in a sandbox, without network.
    pub is_foreign: bool,
}

/// By what code that is fetched is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assurance {
    /// The level: `L2`.
    pub level: &'static str,
    /// The same for people: `signed by key E7620F1842B4E81F`.
    pub text: String,
}

impl Assurance {
    /// Believed on this level, because of this.
    #[must_use]
    pub fn new(level: &'static str, text: impl Into<String>) -> Self {
        Self { level, text: text.into() }
    }
}

impl Fetched {
    /// Code of one's own, without dependencies, without a note and without a number.
    #[must_use]
    pub fn new(fingerprint: Fingerprint, code: impl Into<Source>) -> Self {
        Self {
            fingerprint,
            code: code.into(),
            dependencies: Vec::new(),
            note: String::new(),
            release: None,
            content: None,
            is_foreign: false,
        }
    }
}

/// A pause between two looks.
pub struct Pause<'a> {
    period: Duration,
    sleep: &'a dyn Fn(Duration) -> Woken,
}

/// Why a pause is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The time is over.
    ByTime,
    /// Something may have changed.
    ByChange,
    /// Somebody asks for a look, or the monitor is to end: the pause must end too.
    ByRequest,
}

impl<'a> Pause<'a> {
    /// A pause of at most this long, and the way to sleep in it.
    #[must_use]
    pub fn new(period: Duration, sleep: &'a dyn Fn(Duration) -> Woken) -> Self {
        Self { period, sleep }
    }

    /// How long it may be.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Sleeps, and ends early by request.
    #[must_use]
    pub fn sleep(&self, time: Duration) -> Woken {
        (self.sleep)(time)
    }
}

impl fmt::Debug for Pause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pause").field("period", &self.period).finish_non_exhaustive()
    }
}

/// Code cannot be fetched; what ran before goes on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchError {
    /// Whether it is worth another attempt.
    pub kind: FetchErrorKind,
    /// What is wrong, as a lower-case fragment.
    pub message: Cow<'static, str>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// Whether another attempt may give something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The place cannot be reached or read now: locked, offline, a full disk.
    Unavailable,
    /// What lies there is no module, or not to be believed, and will not be by being fetched again.
    Refused,
    /// What lies there cannot be told to be the newest: it expired, or the clock is wrong.
    Stale,
}

impl FetchError {
    /// The place cannot be reached or read now.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: FetchErrorKind::Unavailable, message: message.into(), cause: None }
    }

    /// What lies there is no module.
    #[must_use]
    pub fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: FetchErrorKind::Refused, message: message.into(), cause: None }
    }

    /// What lies there cannot be told to be the newest.
    #[must_use]
    pub fn stale(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: FetchErrorKind::Stale, message: message.into(), cause: None }
    }

    /// Names the cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}
