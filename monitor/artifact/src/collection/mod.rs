//! Where modules are found by name.

mod directory;
mod name;
mod or_else;

use std::fmt;

use crate::{FetchError, Source};

pub use directory::Directory;
pub use name::{ModuleName, ModuleNameError};
pub use or_else::OrElse;

/// Modules by name: a [directory](Directory), a database, somebody else's server. A registry of engines asks it.
///
/// It may be asked from any thread, and holds up whoever wants a module: it must be bounded in time.
///
/// ```
/// use hotswap_artifact::{Collection, FetchError, ModuleName, Source};
///
/// /// Modules that the program has in its hands.
/// #[derive(Debug)]
/// struct Texts(Vec<(&'static str, Source)>);
///
/// impl Collection for Texts {
///     fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
///         Ok(self.0.iter().filter_map(|(name, _)| ModuleName::new(name).ok()).collect())
///     }
///     fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
///         let found = self.0.iter().find(|(known, _)| *known == name.as_str());
///         Ok(found.map(|(_, source)| source.clone()))
///     }
/// }
///
/// let texts = Texts(vec![("greet", Source::string("pub fn greet() {}").into())]);
/// let modules = texts.or_else(hotswap_artifact::Directory::new("modules"));
/// assert_eq!(modules.source(&ModuleName::new("greet")?)?.unwrap().kind(), "string");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Collection: fmt::Debug + Send + Sync {
    /// The modules that there are now.
    ///
    /// # Errors
    ///
    /// Why that cannot be said.
    fn names(&self) -> Result<Vec<ModuleName>, FetchError>;

    /// Where this module lies; `None` when there is none now. It is watched there from then on, until it is unloaded.
    ///
    /// # Errors
    ///
    /// Why that cannot be said.
    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError>;

    /// Where this module would lie, whether it is there or not; `None` where that cannot be said. Of [`OrElse`], a module that
    /// appears there later displaces that of the other collection.
    fn place(&self, name: &ModuleName) -> Option<Source> {
        let _ = name;
        None
    }

    /// The modules of this collection, and those of another that it has not: "the database, else files". One that may be in both
    /// is a [chain](Source::chain).
    #[must_use]
    fn or_else(self, other: impl Collection + 'static) -> OrElse
    where
        Self: Sized + 'static,
    {
        OrElse::new(self, other)
    }
}

impl<C: Collection + 'static> From<C> for Box<dyn Collection> {
    fn from(collection: C) -> Self {
        Box::new(collection)
    }
}

/// One by one, as with sources: a path is the modules of a [`Directory`].
macro_rules! from_paths {
    ($($ty:ty)*) => {$(
        impl From<$ty> for Box<dyn Collection> {
            fn from(path: $ty) -> Self {
                Box::new(Directory::new(path))
            }
        }
    )*};
}
from_paths!(&str String &std::path::Path std::path::PathBuf &std::path::PathBuf);
