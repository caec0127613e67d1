//! Settings of a registry.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::Collection;

use super::Modules;
use super::registry::{ModuleSettings, Registry};
use crate::builder::{DEFAULT_LOG, EngineBuilder};
use crate::error::OpenError;

/// Settings for [`Modules`]; made by [`Modules::builder`].
#[must_use = "nothing can be loaded before open()"]
pub struct ModulesBuilder {
    collection: Box<dyn Collection>,
    settings: ModuleSettings,
    control: Option<PathBuf>,
}

impl fmt::Debug for ModulesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModulesBuilder")
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}

impl ModulesBuilder {
    pub(super) fn new(collection: Box<dyn Collection>) -> Self {
        let settings = ModuleSettings {
            poll_every: Duration::from_secs(1),
            log: Some(DEFAULT_LOG.into()),
            each: Vec::new(),
        };
        Self { collection, settings, control: None }
    }

    /// How often sources are looked at: 1 ms to 24 h, 1 s by default.
    pub fn poll_every(mut self, period: Duration) -> Self {
        self.settings.poll_every = period;
        self
    }

    /// Where hotswap.log is written, for all modules; by default `hotswap.log` in the working directory.
    pub fn log_file(mut self, path: impl AsRef<Path>) -> Self {
        self.settings.log = Some(path.as_ref().into());
        self
    }

    /// Writes no log file. Its lines still go to the `log` facade.
    pub fn without_log(mut self) -> Self {
        self.settings.log = None;
        self
    }

    /// Everything else that the engine of a module may be told, by the name of the module: it is called whenever one is loaded. Several
    /// are called one after the other.
    ///
    /// ```
    /// use hotswap_engine::{Modules, Profile};
    ///
    /// let modules = Modules::builder("modules")
    ///     .each(|_, engine| engine.profile(Profile::Release).provide("beep", || ()))
    ///     .each(|name, engine| match name {
    ///         "world" => engine.persist_state("world.state"),
    ///         _ => engine,
    ///     });
    /// # drop(modules);
    /// ```
    pub fn each(
        mut self,
        each: impl Fn(&str, EngineBuilder) -> EngineBuilder + Send + Sync + 'static,
    ) -> Self {
        self.settings.each.push(Box::new(each));
        self
    }

    /// Lets the registry and its modules be asked and told from outside, as [`EngineBuilder::control`] does one engine:
    /// `hotswap modules --tree`, `hotswap status --module greet`. Needs the feature `control`, which is on by default.
    pub fn control(mut self, path: impl AsRef<Path>) -> Self {
        self.control = Some(path.as_ref().into());
        self
    }

    /// The registry. Nothing is loaded yet.
    ///
    /// # Errors
    ///
    /// When nobody can be let in at the control socket.
    pub fn open(mut self) -> Result<Modules, OpenError> {
        let control = self.control.take();
        let modules = Modules::of(self.into_registry());
        let Some(path) = control else { return Ok(modules) };
        modules.listen(path).map_err(|kind| OpenError::new("modules", kind))?;
        Ok(modules)
    }

    pub(super) fn into_registry(self) -> Arc<Registry> {
        Registry::new(self.collection, self.settings)
    }
}
