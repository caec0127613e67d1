//! The registry: many modules by name, each an engine.

mod builder;
pub(crate) mod calls;
mod error;
mod guard;
mod lease;
pub(crate) mod member;
mod registry;
mod transition;

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::select;
use hotswap_artifact::{Collection, Source};
use hotswap_system::clock;

use self::member::Member;
pub(crate) use self::registry::Registry;
use crate::control::{self, Control};
use crate::engine::Engine;
use crate::error::OpenErrorKind;
use crate::status::Status;
use crate::verdict::Verdict;
use crate::version_id::VersionId;

pub use builder::ModulesBuilder;
pub use calls::ModuleCalls;
pub use error::{ModuleError, ModuleErrorKind};
pub use guard::ModulesGuard;
pub(crate) use lease::Lease;
pub use lease::ModuleUser;

/// Modules by name, each with an [`Engine`] of its own. [`docs::modules`](crate::docs::modules) explains it.
///
/// A handle is cheap to clone and to send; all clones are the same registry. When the last one is dropped, it closes the engines that
/// nobody else has, as the drop of an [`Engine`] does; what the host has a handle to goes on.
///
/// ```no_run
/// use hotswap_engine::Modules;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let modules = Modules::new("plugins"); // a directory; nothing is loaded yet
/// for name in modules.names()? {
///     modules.get(&name)?.call("run")?; // loaded by the first who asks
/// }
/// modules.unload("greet")?; // unless somebody uses it
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Modules {
    handle: Arc<Handle>,
}

/// Closes the registry when the last clone is dropped.
struct Handle {
    registry: Arc<Registry>,
    /// What answers from outside; ended after the registry.
    control: OnceLock<Control>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.registry.close();
    }
}

impl fmt::Debug for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collection = self.registry().collection();
        f.debug_struct("Modules").field("collection", &collection).finish_non_exhaustive()
    }
}

/// What the registry says of a module that is loaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModuleStatus {
    /// The name by which it was asked for first; the log has it as `engine`.
    pub name: String,
    /// Everything there is to say about its engine.
    pub engine: Status,
    /// Who uses it: [`Modules::unload`] is refused while there is anybody.
    pub users: Vec<ModuleUser>,
}

impl Modules {
    /// The modules of a collection: a path is a [`Directory`](crate::Directory). As by default: polled every second, log in
    /// `hotswap.log` of the working directory. Nothing is read and nothing loaded yet.
    #[must_use]
    pub fn new(collection: impl Into<Box<dyn Collection>>) -> Self {
        Self::of(Self::builder(collection).into_registry())
    }

    /// Settings for a registry.
    pub fn builder(collection: impl Into<Box<dyn Collection>>) -> ModulesBuilder {
        ModulesBuilder::new(collection.into())
    }

    fn of(registry: Arc<Registry>) -> Self {
        Self { handle: Arc::new(Handle { registry, control: OnceLock::new() }) }
    }

    fn registry(&self) -> &Registry {
        &self.handle.registry
    }

    /// The names of the modules that the collection has now, in order. Asks it; nothing is loaded.
    ///
    /// # Errors
    ///
    /// When the collection cannot be asked.
    pub fn names(&self) -> Result<Vec<String>, ModuleError> {
        let names = self.registry().collection().names();
        let names =
            names.map_err(|error| ModuleError::new("", ModuleErrorKind::Collection(error)))?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// The engine of a module. The first who asks has it built and loaded, and blocks for that; who asks meanwhile waits for the same
    /// load. Of a module that is loaded the collection is not asked: it stays with its source until it is unloaded, also when it
    /// disappears from the collection.
    ///
    /// What is loaded is known by its source: two names that lead to one source are one engine, which has the first of the two.
    ///
    /// A load that fails is the error of everybody who waited for it, and is not remembered: the next who asks has what lies there then
    /// loaded.
    ///
    /// # Errors
    ///
    /// When no module can have that name, the collection has none or cannot be asked, or it does not build or is refused. In a
    /// hook of a module `FromHook`, at once, unless it is loaded.
    #[track_caller]
    pub fn get(&self, name: &str) -> Result<Engine, ModuleError> {
        let location = Location::caller();
        let engine = self.registry().find(name).and_then(|member| member.engine(location));
        engine.map_err(|kind| ModuleError::new(name, kind))
    }

    /// As [`get`](Self::get), of a module that the collection need not have: another directory's `greet` is another module. Its name is
    /// its absolute path, or `<kind>:<name>` of what is fetched.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn get_from(&self, source: impl Into<Source>) -> Result<Engine, ModuleError> {
        let (location, source) = (Location::caller(), source.into());
        let name = source.to_string();
        let engine = self.registry().find_source(source).and_then(|member| member.engine(location));
        engine.map_err(|kind| ModuleError::new(name, kind))
    }

    /// Loads a module, if it is not loaded, and gives no handle to it: nobody uses it yet.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn load(&self, name: &str) -> Result<VersionId, ModuleError> {
        let location = Location::caller();
        self.registry().load(name, &|| location.to_string())
    }

    /// Has a module looked at now, as [`Engine::reload`] does, and waits for the verdict. One that is not loaded is loaded.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); and when what lies in the source cannot run, the current version goes on.
    #[track_caller]
    pub fn reload(&self, name: &str) -> Result<Verdict, ModuleError> {
        let fail = |kind| ModuleError::new(name, kind);
        let loaded = self.registry().known(name).and_then(|member| member.core());
        match loaded {
            Some(core) => core.reload().map_err(|error| fail(ModuleErrorKind::Reload(error))),
            None => self.load(name).map(|to| Verdict::Swapped { from: None, to }),
        }
    }

    /// Has all modules that are loaded looked at now, at the same time, and waits for all verdicts. Each has its own; one that
    /// is refused holds up no other.
    #[must_use]
    pub fn reload_all(&self) -> Vec<(String, Result<Verdict, ModuleError>)> {
        let verdicts = self.registry().reload_all().into_iter();
        let named = |(name, verdict): (String, Result<_, _>)| {
            let fail = |error| ModuleError::new(&name, ModuleErrorKind::Reload(error));
            let verdict = verdict.map_err(fail);
            (name, verdict)
        };
        verdicts.map(named).collect()
    }

    /// Unloads a module: its engine ends, as the drop of an [`Engine`] does, which this blocks for. The next who asks for it, by
    /// [`get`](Self::get) or by a call of another module, loads what lies there then.
    ///
    /// Modules that called it are not asked: they know its name and nothing else.
    ///
    /// # Errors
    ///
    /// `NotLoaded`; `InUse`, with who uses it: handles that [`get`](Self::get) gave out, with their clones and what was made from
    /// them (guards, functions), and calls of other modules that are under way. Nothing has changed then.
    pub fn unload(&self, name: &str) -> Result<(), ModuleError> {
        self.registry().unload(name)
    }

    /// As [`unload`](Self::unload); waits until nobody uses it, for this long at most. It can be asked for and called meanwhile.
    ///
    /// # Errors
    ///
    /// As [`unload`](Self::unload), when somebody uses it still.
    pub fn unload_when_free(&self, name: &str, timeout: Duration) -> Result<(), ModuleError> {
        let member = self.registry().loaded_member(name)?;
        let watched = member.users().watch();
        let over = clock::after(timeout);
        loop {
            match member.unload() {
                Err(ModuleErrorKind::InUse { .. }) => {}
                unloaded => return unloaded.map_err(|kind| ModuleError::new(name, kind)),
            }
            select! {
                recv(watched.rung) -> _ => {}
                // Who uses it at the end is told.
                recv(over) -> _ => {
                    return member.unload().map_err(|kind| ModuleError::new(name, kind));
                }
            }
        }
    }

    /// What is loaded, in the order in which it was first asked for.
    #[must_use]
    pub fn status(&self) -> Vec<ModuleStatus> {
        self.registry().status()
    }

    /// The names of what is loaded, in the order in which it was first asked for.
    #[must_use]
    pub fn loaded(&self) -> Vec<String> {
        let all = self.registry().all();
        let loaded = all.iter().filter(|member| member.core().is_some());
        loaded.map(|member| member.name().to_owned()).collect()
    }

    /// Calls between modules, by caller and callee: what is unloaded meanwhile is among them.
    #[must_use]
    pub fn calls(&self) -> Vec<ModuleCalls> {
        self.registry().calls()
    }

    /// Holds the current version of each module that is loaded, for a unit of work. Modules that are swapped together are held in
    /// versions that belong together.
    #[must_use]
    #[track_caller]
    pub fn pin(&self) -> ModulesGuard {
        let location = Location::caller();
        let mut engines = Vec::new();
        let mut names = HashMap::new();
        let mut places: HashMap<*const Member, usize> = HashMap::new();
        for (name, member) in self.registry().by_name() {
            let place = places.get(&Arc::as_ptr(&member)).copied();
            let place = place.or_else(|| {
                engines.push(member.engine_if_loaded(location)?);
                places.insert(Arc::as_ptr(&member), engines.len() - 1);
                Some(engines.len() - 1)
            });
            names.extend(place.map(|place| (name, place)));
        }
        let guards = self
            .registry()
            .pin(|| engines.iter().map(|engine| engine.pin_at(location)).collect::<Vec<_>>());
        ModulesGuard { names, guards }
    }

    /// Lets the registry be asked and told at a socket.
    fn listen(&self, path: PathBuf) -> Result<(), OpenErrorKind> {
        let control = control::open(&self.handle.registry, path)?;
        // Set once, before anybody else has the handle.
        let _ = self.handle.control.set(control);
        Ok(())
    }
}
