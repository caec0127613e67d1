//! From a fingerprinted source to a library.

mod basis;
mod cargo;
mod direct;
pub(crate) mod environment;
mod guardian;
pub(crate) mod ledger;
mod linker;
pub(crate) mod messages;
pub(crate) mod output;
mod prebuilt;
pub(crate) mod process;
mod recipe;
mod recording;
mod rustc;
pub(crate) mod sandbox;
pub(crate) mod supervised;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{BuildErrorKind, Diagnostics, Fingerprint, Origin, Source};
use hotswap_system::fs;

use crate::scan::read_dep_info;
use crate::scan::walk::is_absent;
use crate::{BuildSettings, StopSignal};
use ledger::JobInputs;

pub use cargo::CargoBackend;
pub use prebuilt::PrebuiltBackend;
pub use rustc::RustcBackend;
pub use sandbox::{Sandbox, SandboxLimits};

/// Compiles a source. The monitor calls it on a thread that it starts for each
/// build, one build at a time, and looks at the source meanwhile.
pub trait BuildBackend: Send {
    /// Builds what lies in the source now. Blocks until it is done; ends soon,
    /// without leaving a process, when `stop` is given: the monitor ends, or
    /// something newer lies in the source.
    ///
    /// # Errors
    ///
    /// Why there is no library. [`BuildErrorKind::Failed`],
    /// [`BuildErrorKind::NoLibrary`] and [`BuildErrorKind::Manifest`] are taken as
    /// the source's fault and remembered: that fingerprint is not built again.
    fn build(&mut self, job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind>;

    /// What, besides the source, decides what a build gives: settings, and where
    /// results are remembered. With a recipe a fingerprint is built only once, by
    /// all processes that share the target directory; without, the default, once a
    /// process. Must be quick.
    fn recipe(&self, job: &BuildJob) -> Option<Recipe> {
        let _ = job;
        None
    }

    /// The version of the compiler, in any form: results of another are not used.
    /// `None` when it cannot be found out, when there is no compiler, say: then
    /// what was built before is used, and nothing new remembered. May take as long
    /// as asking takes.
    fn toolchain(&self, stop: &StopSignal) -> Option<Vec<u8>> {
        let _ = stop;
        Some(Vec::new())
    }

    /// Says what moved while the last build ran, after its library was put into
    /// the store: nothing, when the build counts. Called once after each build,
    /// unless the monitor ends. A backend that keeps results for later must not
    /// keep those that belong to a file that moved. Does nothing by default.
    fn close(&mut self, moved: &[PathBuf]) {
        let _ = moved;
    }
}

/// One build to be done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BuildJob {
    /// What lies in the source, by the scan before.
    pub fingerprint: Fingerprint,
    /// Where the lock file lies, when the scan found out.
    pub workspace_root: Option<PathBuf>,
    /// What the scan found, so that cargo can be told what it would miss.
    pub(crate) inputs: Option<JobInputs>,
    /// Whether a library of an earlier build was found damaged, and with it maybe
    /// what cargo takes for fresh.
    pub(crate) is_output_doubted: bool,
}

impl BuildJob {
    /// A build of what has this fingerprint.
    #[must_use]
    pub const fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, workspace_root: None, inputs: None, is_output_doubted: false }
    }
}

/// What, besides the source and the toolchain, decides what a build gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipe {
    /// The target directory, with the store of results below it.
    pub target_dir: PathBuf,
    /// Everything else, in any form: builds with the same text give the same.
    pub text: Vec<u8>,
}

impl Recipe {
    /// A recipe for results that are kept in this directory.
    #[must_use]
    pub fn new(target_dir: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        Self { target_dir: target_dir.into(), text: text.into() }
    }
}

/// What a build gave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Built {
    /// The library file.
    pub library: PathBuf,
    /// Who wrote it. What we built goes into the store of its target directory,
    /// a foreign file stays where it is.
    pub origin: Origin,
    /// The target directory: the store and the stage lie below it. For a foreign
    /// file, a directory for files derived from it.
    pub target_dir: PathBuf,
    /// Whether nothing had to be compiled.
    pub fresh: bool,
    /// What was run.
    pub by: Tool,
    /// What the compiler said: warnings.
    pub diagnostics: Diagnostics,
    /// The files that the build was seen to read; `None` when nobody knows, then
    /// the scan looks at what it looked at before.
    pub inputs: Option<Vec<PathBuf>>,
}

/// What gave a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// Cargo, which looked at everything.
    Cargo,
    /// The compiler alone: a single file; or an edit of the module's own sources after a build by cargo, compiled as
    /// cargo compiled the module then. Whatever else changed since, there is a build by cargo again.
    Rustc,
    /// Something else, or nothing: the library lay there.
    Other,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cargo => "cargo",
            Self::Rustc => "rustc",
            Self::Other => "other",
        })
    }
}

impl Built {
    /// A library of our own build, without warnings, not fresh.
    #[must_use]
    pub fn new(library: impl Into<PathBuf>, target_dir: impl Into<PathBuf>) -> Self {
        Self {
            library: library.into(),
            origin: Origin::Built,
            target_dir: target_dir.into(),
            fresh: false,
            by: Tool::Other,
            diagnostics: Diagnostics::default(),
            inputs: None,
        }
    }
}

/// The backend that builds this kind of source; the source's path is absolute. What is fetched is written by this process
/// alone.
pub(crate) fn backend_for(
    source: &Source,
    is_fetched: bool,
    settings: &BuildSettings,
) -> Box<dyn BuildBackend> {
    match source {
        Source::File(file) if settings.file_dependencies.is_empty() => {
            Box::new(RustcBackend::new(file, settings.clone()))
        }
        Source::File(file) => Box::new(CargoBackend::for_file(file, settings.clone())),
        Source::Prebuilt(library) => Box::new(match &settings.target_dir {
            Some(target_dir) if is_fetched => PrebuiltBackend::of_ours(library, target_dir),
            _ => PrebuiltBackend::new(library),
        }),
        source => Box::new(CargoBackend::new(source.location(), settings.clone())),
    }
}

/// Where builds of a source go, once it is known; nothing is built for a
/// prebuilt library.
pub(crate) fn target_dir(
    source: &Source,
    workspace_root: Option<&Path>,
    settings: &BuildSettings,
) -> Option<PathBuf> {
    let beside = || match source {
        Source::Crate(_) => workspace_root,
        source => source.location().parent(),
    };
    if matches!(source, Source::Prebuilt(_)) {
        return None;
    }
    let chosen = settings.target_dir.clone();
    chosen.or_else(|| Some(beside()?.join("target/hotswap")))
}

/// Says what a crate source needs, where it is missing.
pub(crate) fn must_have_manifest(package: &Path) -> Result<(), BuildErrorKind> {
    let manifest = package.join("Cargo.toml");
    match fs::exists(&manifest) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BuildErrorKind::Manifest {
            message: format!(
                "no Cargo.toml in {}; a crate source is the directory that holds one",
                package.display()
            ),
        }),
        Err(error) => {
            Err(BuildErrorKind::Io { action: "find", path: manifest, error: Arc::new(error) })
        }
    }
}

/// What a build was seen to read, where the compiler says so. A file that is there and cannot be read is an error:
/// what the build read would be missing in its fingerprint, and the result remembered under that.
pub(crate) fn read_inputs(
    dep_info: &Path,
    base: &Path,
) -> Result<Option<Vec<PathBuf>>, BuildErrorKind> {
    match read_dep_info(dep_info, base) {
        Ok(inputs) => Ok(Some(inputs)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(BuildErrorKind::Io {
            action: "read",
            path: dep_info.to_owned(),
            error: Arc::new(error),
        }),
    }
}

impl fmt::Debug for dyn BuildBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BuildBackend")
    }
}
