//! A library that somebody else has built.

use std::path::PathBuf;

use hotswap_artifact::{BuildErrorKind, Origin};

use super::{BuildBackend, BuildJob, Built};
use crate::StopSignal;

/// Builds nothing: the file itself is the artifact.
#[derive(Debug)]
pub struct PrebuiltBackend {
    library: PathBuf,
    /// Where it is stored, when it is nobody else's.
    target_dir: Option<PathBuf>,
}

impl PrebuiltBackend {
    /// Takes this file, an absolute path.
    #[must_use]
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self { library: library.into(), target_dir: None }
    }

    /// Takes a file that this process wrote, and nobody writes into: it is kept in the store below the target directory, like
    /// one that was built.
    pub(crate) fn of_ours(library: impl Into<PathBuf>, target_dir: impl Into<PathBuf>) -> Self {
        Self { library: library.into(), target_dir: Some(target_dir.into()) }
    }
}

impl BuildBackend for PrebuiltBackend {
    fn build(&mut self, _job: &BuildJob, _stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        if let Some(target_dir) = &self.target_dir {
            let mut built = Built::new(&self.library, target_dir);
            built.fresh = true;
            return Ok(built);
        }
        // One directory a process: what it derives from foreign files is its own.
        let home = std::env::temp_dir().join(format!("hotswap-{}", hotswap_system::process::id()));
        let mut built = Built::new(&self.library, home);
        built.origin = Origin::Foreign;
        built.fresh = true;
        Ok(built)
    }
}
