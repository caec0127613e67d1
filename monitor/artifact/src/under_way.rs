//! A change on its way, which may be told to end before its commit.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Weak};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::Fingerprint;

/// A change from the moment that it is seen, or offered, until it is current or turned away.
///
/// Clones are the same change, handed from who builds it to who loads it. It is over when the last one is dropped.
#[derive(Debug, Clone)]
pub struct UnderWay(Arc<Shared>);

/// What others have of a change: by this it is told to end. It keeps no change under way.
#[derive(Debug, Clone)]
pub struct Abortable(Weak<Shared>);

/// A change that was told to end.
#[derive(Debug, Clone)]
pub struct Ending {
    /// What was being done.
    pub stage: Stage,
    /// The source, as far as it was known.
    pub fingerprint: Option<Fingerprint>,
    /// Disconnected when it has ended.
    pub ended: Receiver<Infallible>,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It is waited for the source to stand still.
    Settling,
    /// It is compiled.
    Building,
    /// It is built, and waits: for the swap before it, for swaps to be resumed, for another attempt.
    Waiting,
    /// Its library is checked and loaded.
    Loading,
    /// A load hook of it runs.
    LoadHook,
    /// State is brought to the form that it wants.
    Migrating,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Disconnected when the change was told to end.
    aborted: Receiver<Infallible>,
    /// Disconnected when the change is over: the sender goes with this.
    ended: Receiver<Infallible>,
    _ends: Sender<Infallible>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    fingerprint: Option<Fingerprint>,
    /// Dropped to tell the change to end.
    abort: Option<Sender<Infallible>>,
    is_committed: bool,
}

impl UnderWay {
    /// A change that begins.
    #[must_use]
    pub fn new(stage: Stage) -> Self {
        let (abort, aborted) = bounded(0);
        let (ends, ended) = bounded(0);
        let state = State { stage, fingerprint: None, abort: Some(abort), is_committed: false };
        Self(Arc::new(Shared { state: Mutex::new(state), aborted, ended, _ends: ends }))
    }

    /// What others may have of it.
    #[must_use]
    pub fn abortable(&self) -> Abortable {
        Abortable(Arc::downgrade(&self.0))
    }

    /// Notes how far it has come. What was committed and is not current after all may be aborted from here on.
    pub fn enter(&self, stage: Stage) {
        let mut state = self.0.state.lock();
        state.stage = stage;
        state.is_committed = false;
    }

    /// Notes what the source looks like.
    pub fn is_of(&self, fingerprint: Fingerprint) {
        self.0.state.lock().fingerprint = Some(fingerprint);
    }

    /// Whether it was told to end. Never blocks.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.state.lock().abort.is_none()
    }

    /// A channel for `select!`: it has something to say (its own end) once the change was told to end, and never
    /// carries a message.
    #[must_use]
    pub fn aborted(&self) -> &Receiver<Infallible> {
        &self.0.aborted
    }

    /// From now on it cannot be told to end; `false` when it was already.
    #[must_use]
    pub fn commit(&self) -> bool {
        let mut state = self.0.state.lock();
        state.is_committed = state.abort.is_some();
        state.is_committed
    }
}

impl Stage {
    /// Its name, for programs: `build`, say.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settling => "settle",
            Self::Building => "build",
            Self::Waiting => "wait",
            Self::Loading => "load",
            Self::LoadHook => "load-hook",
            Self::Migrating => "migrating",
        }
    }
}

impl Abortable {
    /// Tells the change to end; `None` when it is over, or past its commit. Told twice, it ends once.
    #[must_use]
    pub fn abort(&self) -> Option<Ending> {
        let shared = self.0.upgrade()?;
        let mut state = shared.state.lock();
        if state.is_committed {
            return None;
        }
        state.abort = None;
        let State { stage, fingerprint, .. } = *state;
        drop(state);
        Some(Ending { stage, fingerprint, ended: shared.ended.clone() })
    }

    /// Whether the change is over. Never blocks.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl fmt::Display for Stage {
    /// What was ended: `the build`, say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settling => "the wait for the source to stand still",
            Self::Building => "the build",
            Self::Waiting => "the wait of a version that is built",
            Self::Loading => "the check of a new version",
            Self::LoadHook => "the load hook of a new version",
            Self::Migrating => "the migration of state",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_aborted_or_committed_and_never_both() {
        let aborted = UnderWay::new(Stage::Building);
        let ending = aborted.abortable().abort().expect("it is under way");
        assert_eq!(ending.stage, Stage::Building);
        assert!(aborted.is_aborted() && !aborted.commit());
        assert!(aborted.aborted().try_recv().is_err_and(|error| error.is_disconnected()));
        assert!(aborted.abortable().abort().is_some(), "told twice, it ends once");

        let committed = UnderWay::new(Stage::Loading);
        assert!(committed.commit());
        assert!(committed.abortable().abort().is_none() && !committed.is_aborted());
        assert!(committed.aborted().try_recv().is_err_and(|error| error.is_empty()));
    }

    #[test]
    fn it_is_over_when_nobody_has_it() {
        let change = UnderWay::new(Stage::Settling);
        change.is_of(Fingerprint::of(b"source"));
        let (handed_over, abortable) = (change.clone(), change.abortable());
        drop(change);
        handed_over.enter(Stage::LoadHook);
        let ending = abortable.abort().expect("it is under way");
        assert_eq!(ending.stage, Stage::LoadHook);
        assert_eq!(ending.fingerprint, Some(Fingerprint::of(b"source")));
        assert!(ending.ended.try_recv().is_err_and(|error| error.is_empty()));
        drop(handed_over);
        assert!(ending.ended.try_recv().is_err_and(|error| error.is_disconnected()));
        assert!(abortable.is_over() && abortable.abort().is_none());
    }
}
