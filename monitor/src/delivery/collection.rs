//! Released modules, by name.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hotswap_artifact::{Collection, FetchError, ModuleName, Source};
use hotswap_trust::Trust;

use super::{Place, ReleaseDirectory, Releases, ReleasesError};

/// Where the releases of many modules lie.
pub trait Base: fmt::Debug + Send + Sync {
    /// Where those of this module on this channel lie, whether there are any or not. Asks nobody.
    fn place(&self, module: &str, channel: &str) -> Arc<dyn Place>;

    /// The modules that have releases on this channel. Nobody vouches for this list.
    ///
    /// # Errors
    ///
    /// When it cannot be told: a web server has files, and no list of them.
    fn names(&self, channel: &str) -> Result<Vec<ModuleName>, FetchError>;
}

/// Modules that others released, for a registry of engines: all below one base, or several that have the same.
///
/// What is there by name is not checked by that; the [`Releases`] of a module are, before anything of them is used. A module
/// of which a release was accepted is there until what is remembered of it is forgotten.
#[derive(Debug, Clone)]
pub struct ReleasedModules {
    bases: Vec<Arc<dyn Base>>,
    trust: Trust,
}

impl ReleasedModules {
    /// The modules below these bases, by whom the host trusts. Asks nobody.
    #[must_use]
    pub fn new(bases: impl IntoIterator<Item = Arc<dyn Base>>, trust: Trust) -> Self {
        Self { bases: bases.into_iter().collect(), trust }
    }

    /// The modules below a directory, by whom the host trusts. A relative path is taken from the working directory of now.
    #[must_use]
    pub fn in_directory(path: impl AsRef<Path>, trust: Trust) -> Self {
        Self::new([Arc::new(ReleaseDirectory::new(path)) as Arc<dyn Base>], trust)
    }

    fn releases(&self, module: &ModuleName) -> Result<Releases, ReleasesError> {
        let (module, channel) = (module.as_str(), self.trust.wanted_channel());
        let places = self.bases.iter().map(|base| base.place(module, channel));
        Releases::new(module, places, self.trust.clone())
    }
}

impl Collection for ReleasedModules {
    fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
        let mut names = Vec::new();
        for base in &self.bases {
            names.extend(base.names(self.trust.wanted_channel())?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
        // A name of several parts is none that a release has.
        if !ModuleName::is_part(name.as_str()) {
            return Ok(None);
        }
        let releases = self.releases(name);
        let releases = releases.map_err(|error| FetchError::refused(error.to_string()))?;
        Ok(releases.is_there()?.then(|| releases.into()))
    }

    fn place(&self, name: &ModuleName) -> Option<Source> {
        self.releases(name).ok().map(Source::from)
    }
}
