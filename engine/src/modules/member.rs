//! One module of a registry: its source, and its engine while it is loaded.

use std::convert::Infallible;
use std::mem;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_artifact::Source;
use parking_lot::RwLock;

use super::ModuleErrorKind;
use super::calls::{Link, Links, UnderWay};
use super::lease::{ModuleUser, Users};
use super::registry::Registry;
use crate::audit::Line;
use crate::core::{Core, can_wait};
use crate::engine::Engine;

/// A module that somebody asked for once. It stays known when it is unloaded, and so do its calls.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    source: Source,
    state: RwLock<State>,
    users: Arc<Users>,
    links: Links,
    registry: Weak<Registry>,
}

#[derive(Debug)]
enum State {
    Unloaded,
    Loading(Attempt),
    /// The registry's own handle: only under this lock others are made from it.
    Loaded(Engine),
}

/// Somebody loads it, others wait.
#[derive(Debug, Clone)]
struct Attempt {
    /// Disconnected when it is over.
    over: Receiver<Infallible>,
    /// Why it did not succeed.
    failure: Arc<OnceLock<ModuleErrorKind>>,
}

impl Member {
    pub(crate) fn new(name: String, source: Source, registry: Weak<Registry>) -> Arc<Self> {
        Arc::new(Self {
            name,
            source,
            state: RwLock::new(State::Unloaded),
            users: Arc::default(),
            links: Links::default(),
            registry,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn users(&self) -> &Users {
        &self.users
    }

    /// The calls of this module.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// The way to another module, by the name that this one uses.
    pub(crate) fn link(&self, name: &str) -> Result<Arc<Link>, ModuleErrorKind> {
        let known = self.links.find(name).filter(|link| link.is_good());
        known.map_or_else(
            || self.registry.upgrade().ok_or(ModuleErrorKind::Closed)?.link(self, name),
            Ok,
        )
    }

    /// Whether its source is watched, or will be in a moment.
    pub(crate) fn is_wanted(&self) -> bool {
        !matches!(*self.state.read(), State::Unloaded)
    }

    /// Looks at its engine, if it is loaded.
    pub(crate) fn loaded<T>(&self, look: impl FnOnce(&Engine) -> T) -> Option<T> {
        match &*self.state.read() {
            State::Loaded(engine) => Some(look(engine)),
            State::Unloaded | State::Loading(_) => None,
        }
    }

    /// What its calls go by, if it is loaded.
    pub(crate) fn core(&self) -> Option<Arc<Core>> {
        self.loaded(|engine| Arc::clone(engine.core()))
    }

    /// A handle for the host. Loads it first.
    pub(crate) fn engine(
        self: &Arc<Self>,
        location: &'static Location<'static>,
    ) -> Result<Engine, ModuleErrorKind> {
        self.with_engine(&|| location.to_string(), |engine| self.leased(engine, location))
    }

    /// A handle for the host, if it is loaded.
    pub(crate) fn engine_if_loaded(&self, location: &'static Location<'static>) -> Option<Engine> {
        self.loaded(|engine| self.leased(engine, location))
    }

    fn leased(&self, engine: &Engine, location: &'static Location<'static>) -> Engine {
        engine.leased(self.users.lease(location))
    }

    /// Begins a call of another module. Loads this one first.
    pub(crate) fn enter(
        self: &Arc<Self>,
        link: &Arc<Link>,
    ) -> Result<(Arc<Core>, UnderWay), ModuleErrorKind> {
        let by = || format!("module {}", link.caller());
        self.with_engine(&by, |engine| (Arc::clone(engine.core()), link.begin(Arc::clone(self))))
    }

    /// Gives its engine to `with`, under the lock that an unload takes alone. Loads it first, or waits for who does.
    pub(crate) fn with_engine<T>(
        self: &Arc<Self>,
        by: &dyn Fn() -> String,
        mut with: impl FnMut(&Engine) -> T,
    ) -> Result<T, ModuleErrorKind> {
        loop {
            if let Some(found) = self.loaded(&mut with) {
                return Ok(found);
            }
            if !can_wait() {
                return Err(ModuleErrorKind::FromHook);
            }
            let (begun, attempt) = self.attempt();
            match begun {
                Some(begun) => self.load(begun, &by()),
                // It only ever ends.
                None => drop(attempt.over.recv()),
            }
            if let Some(failure) = attempt.failure.get() {
                return Err(failure.clone());
            }
        }
    }

    /// The attempt that is under way, or one that is begun now.
    fn attempt(self: &Arc<Self>) -> (Option<Loading>, Attempt) {
        let mut state = self.state.write();
        let (begun, over) = bounded(0);
        let attempt = Attempt { over, failure: Arc::default() };
        match &*state {
            State::Loading(attempt) => (None, attempt.clone()),
            // It was loaded just now: an attempt that is over.
            State::Loaded(_) => (None, attempt),
            State::Unloaded => {
                *state = State::Loading(attempt.clone());
                let loading =
                    Loading { member: Arc::clone(self), attempt: attempt.clone(), _begun: begun };
                (Some(loading), attempt)
            }
        }
    }

    fn load(self: &Arc<Self>, loading: Loading, by: &str) {
        let opened = self.registry.upgrade().ok_or(ModuleErrorKind::Closed).and_then(|registry| {
            let engine = registry.open(self)?;
            engine.core().journal.intent(None, Line::info("module.load").field("by", by));
            Ok(engine)
        });
        loading.end(opened);
    }

    /// Unloads it, unless somebody uses it. Blocks for the end of its engine.
    pub(crate) fn unload(&self) -> Result<(), ModuleErrorKind> {
        if !can_wait() {
            return Err(ModuleErrorKind::FromHook);
        }
        let engine = match self.take_unused() {
            Err(ModuleErrorKind::InUse { users }) => {
                if let Some(core) = self.core() {
                    let line = Line::warn("module.in_use");
                    core.journal.intent(None, line.field("users", ModuleUser::join(&users)));
                }
                return Err(ModuleErrorKind::InUse { users });
            }
            taken => taken?,
        };
        engine.core().journal.intent(None, Line::info("module.unload"));
        drop(engine);
        Ok(())
    }

    /// Takes its engine, unless somebody uses it. From then on nobody finds it.
    fn take_unused(&self) -> Result<Engine, ModuleErrorKind> {
        // Who begins to use it has this lock, too.
        let mut state = self.state.write();
        let users = self.users.list();
        if matches!(*state, State::Loaded(_)) && !users.is_empty() {
            return Err(ModuleErrorKind::InUse { users });
        }
        state.take().ok_or(ModuleErrorKind::NotLoaded)
    }

    /// Lets go of its engine, whoever uses it.
    pub(crate) fn close(&self) {
        let engine = self.state.write().take();
        drop(engine);
    }
}

impl State {
    /// Takes the engine, if it is loaded.
    fn take(&mut self) -> Option<Engine> {
        match mem::replace(self, Self::Unloaded) {
            Self::Loaded(engine) => Some(engine),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// The load of a module by this thread. Whatever becomes of it, nobody waits for it for ever.
struct Loading {
    member: Arc<Member>,
    attempt: Attempt,
    _begun: Sender<Infallible>,
}

impl Loading {
    fn end(self, opened: Result<Engine, ModuleErrorKind>) {
        let mut state = self.member.state.write();
        let is_closed = self.member.registry.upgrade().is_none_or(|registry| registry.is_closed());
        let unused = match opened {
            // Under the lock that `close` takes after it has said so.
            Ok(engine) if is_closed => {
                self.fail(ModuleErrorKind::Closed);
                Some(engine)
            }
            Ok(engine) => {
                *state = State::Loaded(engine);
                None
            }
            Err(failure) => {
                self.fail(failure);
                None
            }
        };
        if !matches!(*state, State::Loaded(_)) {
            *state = State::Unloaded;
        }
        drop(state);
        drop(unused);
    }

    fn fail(&self, failure: ModuleErrorKind) {
        // Once: an attempt ends once.
        let _ = self.attempt.failure.set(failure);
    }
}

impl Drop for Loading {
    /// Without an end where something panicked: the next who asks tries again.
    fn drop(&mut self) {
        let mut state = self.member.state.write();
        let is_ours = matches!(&*state, State::Loading(attempt) if Arc::ptr_eq(&attempt.failure, &self.attempt.failure));
        if is_ours {
            *state = State::Unloaded;
            self.fail(ModuleErrorKind::Panicked);
        }
    }
}
