//! What the monitor tells the engine over its channel.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Artifact, BuildError, FetchError, Fingerprint, Group, UnderWay};

/// One message from the monitor: what lies in the source now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Notification {
    /// The monitor's number of the change that this ends, counted from 1;
    /// `None` when nothing had changed.
    pub change: Option<u64>,
    /// That change, which may be told to end until it is committed; its receiver has it from now on.
    pub under_way: Option<UnderWay>,
    /// What made the monitor look.
    pub trigger: Trigger,
    /// Every scan asked for up to this ticket is answered by this message:
    /// whatever was written before it was asked for has been considered.
    pub through: Ticket,
    /// What changed.
    pub cause: Cause,
    /// What became of it.
    pub outcome: Outcome,
    /// Who changed with it, because of something that they share: each of them sends one notification with this
    /// group, whatever became of it. `None` of a change that is the source's own.
    pub group: Option<Arc<Group>>,
}

impl Notification {
    /// A message about `outcome`.
    #[must_use]
    pub fn new(
        change: Option<(u64, UnderWay)>,
        trigger: Trigger,
        through: Ticket,
        cause: Cause,
        outcome: Outcome,
    ) -> Self {
        let (change, under_way) = change.unzip();
        Self { change, under_way, trigger, through, cause, outcome, group: None }
    }

    /// The same message, of a source that changed together with others.
    #[must_use]
    pub fn with_group(self, group: Arc<Group>) -> Self {
        Self { group: Some(group), ..self }
    }
}

/// What became of a scan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// A new artifact is ready to be loaded.
    Ready(Artifact),
    /// The source does not build. Sent once per change; and again, from memory
    /// and without a build, in answer to a ticket.
    Failed(Arc<BuildError>),
    /// The source is what it was when an artifact was last handed over. Sent
    /// only in answer to a ticket, or when a change was taken back.
    Unchanged(Fingerprint),
    /// The source cannot be read now; what was handed over before stays good.
    Unreadable(Arc<ScanError>),
    /// The monitor panicked while it looked, which is a defect of it; it starts over. The text
    /// is the panic's.
    Panicked(Arc<str>),
}

/// The source could not be scanned; the monitor goes on looking.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub struct ScanError {
    /// The source, as it was named when it was opened.
    pub source_name: String,
    /// The file or directory that could not be read.
    pub path: PathBuf,
    /// What the system answered.
    #[source]
    pub error: Arc<io::Error>,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_os_str() == self.source_name.as_str() {
            write!(f, "cannot read {}", self.source_name)
        } else {
            write!(f, "cannot read {} in {}", self.path.display(), self.source_name)
        }
    }
}

impl ScanError {
    /// Joins the system's answer with what was being read.
    #[must_use]
    pub fn new(source_name: impl Into<String>, path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self { source_name: source_name.into(), path: path.into(), error: Arc::new(error) }
    }

    /// What a source said that code is fetched from, where it is that.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&FetchError> {
        self.error.get_ref()?.downcast_ref()
    }
}

/// The number of a scan that somebody asked for; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// What made the monitor look at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// The first look, when the monitor started.
    Start,
    /// The polling period was over.
    Poll,
    /// The file system reported an event.
    Event,
    /// Somebody pushed: a server, a deploy hook, `wake()`.
    Push,
    /// A person or a program asked by name: `reload()`, `sync()`.
    Manual,
}

impl Trigger {
    /// The word in hotswap.log: `start`, `poll`, `event`, `push` or `manual`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Poll => "poll",
            Self::Event => "event",
            Self::Push => "push",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What changed: the first path in order, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The first of the paths that differ, relative to the source where it lies
    /// inside; `None` when nothing is known to differ.
    pub first: Option<PathBuf>,
    /// How many paths differ: changed, new or gone.
    pub count: usize,
}

impl fmt::Display for Cause {
    /// `src/lib.rs`, or `src/lib.rs +2` when two more changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.first, self.count) {
            (None, _) => f.write_str("nothing"),
            (Some(path), 0 | 1) => write!(f, "{}", path.display()),
            (Some(path), count) => write!(f, "{} +{}", path.display(), count - 1),
        }
    }
}
