//! A module on its way between loaded and not.

use std::convert::Infallible;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::RwLock;

use super::ModuleErrorKind;
use crate::engine::Engine;

/// Where a module stands.
#[derive(Debug)]
pub(super) enum State {
    Unloaded,
    /// Others wait for its end.
    Loading(Transition),
    /// The registry's own handle: only under the lock of this others are made from it.
    Loaded(Engine),
    /// Its engine ends: until it has, with all that it saves, no other begins.
    Ending(Transition),
}

/// What one thread does, and others wait for.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    thread: ThreadId,
    /// Disconnected when it is over.
    over: Receiver<Infallible>,
    /// Why it did not succeed.
    failure: Arc<OnceLock<ModuleErrorKind>>,
}

impl Transition {
    /// Waits for its end, unless this thread is to bring that about. An error is that of the load.
    pub(super) fn wait(&self) -> Result<(), ModuleErrorKind> {
        if self.thread == thread::current().id() {
            return Err(ModuleErrorKind::FromHook);
        }
        // It only ever ends.
        let _ = self.over.recv();
        self.failure.get().cloned().map_or(Ok(()), Err)
    }
}

/// A transition of this thread. Whatever becomes of it, nobody waits for it for ever.
pub(super) struct Changing<'a> {
    state: &'a RwLock<State>,
    transition: Transition,
    is_over: bool,
    _begun: Sender<Infallible>,
}

impl<'a> Changing<'a> {
    pub(super) fn new(state: &'a RwLock<State>) -> Self {
        let (begun, over) = bounded(0);
        let thread = thread::current().id();
        let transition = Transition { thread, over, failure: Arc::default() };
        Self { state, transition, is_over: false, _begun: begun }
    }

    /// What others wait for.
    pub(super) fn transition(&self) -> Transition {
        self.transition.clone()
    }

    /// It is over: loaded, if `is_good` says so under the lock, or unloaded.
    pub(super) fn loaded(
        mut self,
        engine: Engine,
        is_good: impl FnOnce() -> Result<(), ModuleErrorKind>,
    ) -> Result<(), ModuleErrorKind> {
        let mut state = self.state.write();
        match is_good() {
            Ok(()) => {
                *state = State::Loaded(engine);
                self.is_over = true;
                Ok(())
            }
            Err(failure) => {
                drop(state);
                drop(engine);
                self.unloaded(Err(failure))
            }
        }
    }

    /// It is over: nothing is loaded.
    pub(super) fn unloaded(
        mut self,
        outcome: Result<(), ModuleErrorKind>,
    ) -> Result<(), ModuleErrorKind> {
        self.end(outcome.as_ref().err().cloned());
        outcome
    }

    fn end(&mut self, failure: Option<ModuleErrorKind>) {
        if let Some(failure) = failure {
            // Once: it ends once.
            let _ = self.transition.failure.set(failure);
        }
        *self.state.write() = State::Unloaded;
        self.is_over = true;
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Some(ModuleErrorKind::Panicked));
        }
    }
}

impl State {
    /// Takes the engine, if it is loaded, and puts another state in its place.
    pub(super) fn take(&mut self, instead: Self) -> Option<Engine> {
        match mem::replace(self, instead) {
            Self::Loaded(engine) => Some(engine),
            before => {
                *self = before;
                None
            }
        }
    }
}
