//! A library that somebody else has built.

use std::path::PathBuf;

use hotswap_artifact::{BuildErrorKind, Origin};

use super::{BuildBackend, BuildJob, Built};
use crate::StopSignal;

/// Builds nothing: the file itself is the artifact.
#[derive(Debug)]
pub struct PrebuiltBackend {
    library: PathBuf,
}

impl PrebuiltBackend {
    /// Takes this file, an absolute path.
    #[must_use]
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self { library: library.into() }
    }
}

impl BuildBackend for PrebuiltBackend {
    fn build(&mut self, _job: &BuildJob, _stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        // One directory a process: what it derives from foreign files is its own.
        let home = std::env::temp_dir().join(format!("hotswap-{}", hotswap_system::process::id()));
        let mut built = Built::new(&self.library, home);
        built.origin = Origin::Foreign;
        built.fresh = true;
        Ok(built)
    }
}
