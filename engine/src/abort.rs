//! What is under way, and how it is ended before its commit.

use std::fmt;

use hotswap_artifact::{Abortable, Ending, Fingerprint, Stage};
use parking_lot::Mutex;

use crate::version_id::VersionId;

/// The changes under way, oldest first. Most of the time there is none, now and then one: two when something newer is
/// built while a load hook runs.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Vec<Abortable>>);

impl Changes {
    /// Adds one that begins.
    pub(crate) fn add(&self, change: Abortable) {
        let mut changes = self.0.lock();
        changes.retain(|change| !change.is_over());
        changes.push(change);
    }

    /// Tells all of them to end.
    pub(crate) fn abort(&self) -> Vec<Ending> {
        self.0.lock().iter().filter_map(Abortable::abort).collect()
    }
}

/// What [`Engine::abort`](crate::Engine::abort) ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aborted {
    /// The version that stays current; `None` when nothing was loaded yet.
    pub current: Option<VersionId>,
    /// The changes, oldest first; at least one.
    pub changes: Vec<AbortedChange>,
}

/// A change that was ended before its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AbortedChange {
    /// How far it had come.
    pub stage: Stage,
    /// What the source looked like; `None` of a library that was offered and not read yet.
    pub fingerprint: Option<Fingerprint>,
}

impl Aborted {
    pub(crate) fn new(current: Option<VersionId>, endings: &[Ending]) -> Self {
        let change = |ending: &Ending| AbortedChange {
            stage: ending.stage,
            fingerprint: ending.fingerprint,
        };
        Self { current, changes: endings.iter().map(change).collect() }
    }
}

impl fmt::Display for Aborted {
    /// `aborted the build of 0123456789ab; v1 stays current`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<_> = self.changes.iter().map(ToString::to_string).collect();
        write!(f, "aborted {}", changes.join(" and "))?;
        self.current.map_or(Ok(()), |id| write!(f, "; {id} stays current"))
    }
}

impl fmt::Display for AbortedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)?;
        // As much as tells fingerprints apart; the log has all of it.
        self.fingerprint
            .map_or(Ok(()), |fingerprint| write!(f, " ({:.12})", fingerprint.to_string()))
    }
}

/// Nothing was aborted; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct AbortError {
    /// The version that is current; `None` when nothing was loaded yet.
    pub current: Option<VersionId>,
    /// Why.
    pub kind: AbortErrorKind,
}

/// Why nothing was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AbortErrorKind {
    /// No change is under way, or it was committed just now.
    #[error("nothing is under way; rollback() leaves what is current already")]
    NothingUnderWay,
    /// Asked from a load hook, or a constructor, of the very change: it returns an `Err` instead.
    #[error("a hook cannot abort the swap that it is part of; it returns an Err instead")]
    FromHook,
    /// Asked in a forked child of the process that opened the engine.
    #[error(
        "the process was forked after the engine was opened; only the process that opened it can abort"
    )]
    Forked,
    /// The engine was dropped.
    #[error("the engine no longer exists")]
    Closed,
}

impl fmt::Display for AbortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        self.current.map_or(Ok(()), |id| write!(f, "; {id} is current"))
    }
}
