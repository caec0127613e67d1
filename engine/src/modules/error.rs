//! Why something was not done with a module.

use std::error::Error;
use std::fmt;

use hotswap_artifact::{FetchError, ModuleNameError};

use super::ModuleUser;
use crate::error::{OpenError, ReloadError, readable};

/// Something was not done with a module of a registry; what it ran before, it runs.
#[derive(Clone)]
#[non_exhaustive]
pub struct ModuleError {
    /// The module, as it was asked for.
    pub module: String,
    /// Why.
    pub kind: ModuleErrorKind,
}

/// Why something was not done with a module.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleErrorKind {
    /// No module can have this name.
    #[error(transparent)]
    Name(ModuleNameError),
    /// The collection has no such module.
    #[error("the collection has no such module")]
    Missing,
    /// The collection cannot say whether it has it.
    #[error("the collection cannot be asked")]
    Collection(#[source] FetchError),
    /// It cannot be loaded. The next who asks for it tries again.
    #[error(transparent)]
    Open(OpenError),
    /// A function given to `each` panicked while the module was being loaded.
    #[error("loading it panicked")]
    Panicked,
    /// What lies in its source cannot run.
    #[error(transparent)]
    Reload(ReloadError),
    /// It is in use.
    #[error("it is in use: {}", ModuleUser::join(users))]
    InUse {
        /// By whom.
        users: Vec<ModuleUser>,
    },
    /// It is not loaded.
    #[error("it is not loaded")]
    NotLoaded,
    /// The module that asks was loaded by no registry.
    #[error(
        "the engine of the module that asks was opened by itself and not by a registry (`Modules`)"
    )]
    NoRegistry,
    /// The registry is closed.
    #[error("its registry is closed")]
    Closed,
    /// From a hook that must not call the engine, or a function given to `each` that asks for the module that it is for.
    #[error("what an engine waits for, a hook or a setting, cannot ask for modules")]
    FromHook,
}

impl ModuleError {
    pub(crate) fn new(module: impl Into<String>, kind: ModuleErrorKind) -> Self {
        Self { module: module.into(), kind }
    }
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            // It says the name itself.
            ModuleErrorKind::Name(error) => error.fmt(f),
            // Of no module in particular.
            kind if self.module.is_empty() => kind.fmt(f),
            kind => write!(f, "module {}: {kind}", self.module),
        }
    }
}

impl Error for ModuleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl fmt::Debug for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return readable(self, f);
        }
        f.debug_struct("ModuleError")
            .field("module", &self.module)
            .field("kind", &self.kind)
            .finish()
    }
}
