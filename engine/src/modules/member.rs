//! One module of a registry: its source, and its engine while it is loaded.

use std::panic::Location;
use std::sync::{Arc, Weak};

use hotswap_artifact::Source;
use parking_lot::RwLock;

use super::ModuleErrorKind;
use super::calls::{Link, Links, UnderWay};
use super::lease::{ModuleUser, Users};
use super::registry::Registry;
use super::transition::{Changing, State};
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

impl Member {
    pub(super) fn new(name: String, source: Source, registry: Weak<Registry>) -> Arc<Self> {
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

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    /// The calls of this module.
    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    fn registry(&self) -> Result<Arc<Registry>, ModuleErrorKind> {
        self.registry.upgrade().ok_or(ModuleErrorKind::Closed)
    }

    /// Whether its source is watched, or will be in a moment.
    pub(super) fn is_wanted(&self) -> bool {
        match *self.state.read() {
            State::Loading(_) | State::Loaded(_) => true,
            State::Unloaded | State::Ending(_) => false,
        }
    }

    /// Looks at its engine, if it is loaded.
    fn loaded<T>(&self, look: impl FnOnce(&Engine) -> T) -> Option<T> {
        match &*self.state.read() {
            State::Loaded(engine) => Some(look(engine)),
            State::Unloaded | State::Loading(_) | State::Ending(_) => None,
        }
    }

    /// What its calls go by, if it is loaded.
    pub(crate) fn core(&self) -> Option<Arc<Core>> {
        self.loaded(|engine| Arc::clone(engine.core()))
    }

    /// A handle for the host. Loads it first.
    pub(super) fn engine(
        self: &Arc<Self>,
        location: &'static Location<'static>,
    ) -> Result<Engine, ModuleErrorKind> {
        self.with_engine(&|| location.to_string(), |engine| self.leased(engine, location))
    }

    /// A handle for the host, if it is loaded.
    pub(super) fn engine_if_loaded(&self, location: &'static Location<'static>) -> Option<Engine> {
        self.loaded(|engine| self.leased(engine, location))
    }

    fn leased(&self, engine: &Engine, location: &'static Location<'static>) -> Engine {
        engine.leased(self.users.lease(location))
    }

    /// Begins a call of another module, by the name that this one uses. That one is loaded first.
    pub(super) fn call(&self, name: &str) -> Result<(Arc<Core>, UnderWay), ModuleErrorKind> {
        if let Some(link) = self.links.find(name)
            && let Some(callee) = link.callee()
            && let Some(entered) = callee.loaded(|engine| callee.begin(engine, &link))
        {
            return Ok(entered);
        }
        let (link, callee) = self.registry()?.link(self, name)?;
        callee.with_engine(&|| link.to_string(), |engine| callee.begin(engine, &link))
    }

    fn begin(self: &Arc<Self>, engine: &Engine, link: &Arc<Link>) -> (Arc<Core>, UnderWay) {
        (Arc::clone(engine.core()), link.begin(Arc::clone(self)))
    }

    /// Has another module loaded, by the name that this one uses.
    pub(super) fn find(&self, name: &str) -> Result<(), ModuleErrorKind> {
        let (link, callee) = self.registry()?.link(self, name)?;
        callee.with_engine(&|| link.to_string(), |_| ())
    }

    /// Gives its engine to `with`, under the lock that an unload takes alone. Loads it first, or waits for who does.
    pub(super) fn with_engine<T>(
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
            let mut state = self.state.write();
            match &*state {
                State::Loaded(_) => {}
                State::Loading(transition) | State::Ending(transition) => {
                    let transition = transition.clone();
                    drop(state);
                    transition.wait()?;
                }
                State::Unloaded => {
                    let changing = Changing::new(&self.state);
                    *state = State::Loading(changing.transition());
                    drop(state);
                    self.load(changing, &by())?;
                }
            }
        }
    }

    fn load(self: &Arc<Self>, changing: Changing<'_>, by: &str) -> Result<(), ModuleErrorKind> {
        let opened = self.registry().and_then(|registry| {
            let engine = registry.open(self)?;
            engine.core().journal.intent(None, Line::info("module.load").field("by", by));
            Ok((engine, registry))
        });
        match opened {
            // Under the lock that `close` takes after it has said so.
            Ok((engine, registry)) => changing.loaded(engine, || registry.is_open()),
            Err(failure) => changing.unloaded(Err(failure)),
        }
    }

    /// Unloads it, unless somebody uses it. Blocks for the end of its engine.
    pub(super) fn unload(&self) -> Result<(), ModuleErrorKind> {
        if !can_wait() {
            return Err(ModuleErrorKind::FromHook);
        }
        let (engine, changing) = match self.take_unused() {
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
        changing.unloaded(Ok(()))
    }

    /// Takes its engine, unless somebody uses it. From then on others wait for its end.
    fn take_unused(&self) -> Result<(Engine, Changing<'_>), ModuleErrorKind> {
        // Who begins to use it has this lock, too.
        let mut state = self.state.write();
        let State::Loaded(_) = &*state else { return Err(ModuleErrorKind::NotLoaded) };
        let users = self.users.list();
        if !users.is_empty() {
            return Err(ModuleErrorKind::InUse { users });
        }
        let changing = Changing::new(&self.state);
        let engine = state.take(State::Ending(changing.transition()));
        Ok((engine.expect("it was just looked at"), changing))
    }

    /// Lets go of its engine, whoever uses it.
    pub(super) fn close(&self) {
        let engine = self.state.write().take(State::Unloaded);
        drop(engine);
    }
}
