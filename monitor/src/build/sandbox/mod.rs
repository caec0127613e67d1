//! Builds of code that others wrote get at nothing but what a compiler needs.

mod advice;
mod crates;
pub(super) mod crowd;
mod reads;
mod room;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_artifact::{BuildErrorKind, Source};

use hotswap_system::fs;

use crate::BuildSettings;

pub(crate) use advice::advice;
pub(crate) use room::Room;

/// What is built in a sandbox.
///
/// There a build finds no network, sees of its environment only what compilers go by (`PATH`, `LANG`, `CC` and the like), and of the
/// file system only the toolchain, cargo's registry, the system's libraries, its own code, and what
/// [`BuildSettings::sandbox_reads`] adds: no home, no keys, neither log nor store. It writes to a directory that is empty at first
/// and is removed after it, `HOME`, `TMPDIR` and `CARGO_HOME` included, so that nothing that one build leaves reaches the next: all dependencies are compiled
/// each time. Cargo runs with `--offline`, and for a crate with `--locked`: there has to be a `Cargo.lock`, and all that it
/// names in the crate's own `vendor/` or in cargo's registry on this machine. There are [limits](SandboxLimits), and no process outlives the build.
///
/// That is enforced by Landlock (Linux 5.13; from 6.12 on signals as well) and seccomp, for x86-64 and aarch64. What the kernel does not have is
/// left out, and said: the line `build.intent` of hotswap.log has `sandbox=landlock-v7,seccomp`, or less, down to
/// `sandbox=none`, and is a warning then. An empty directory, a short environment, `--offline` and limits there are everywhere.
///
/// It is no other user: a build may change modes and times of files that belong to whoever runs this program, though neither
/// read nor write them, and sees names of processes. And it decides what the module does: that is not confined once it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Sandbox {
    /// What somebody else wrote, as its source says ([`Fetched::is_foreign`](crate::Fetched::is_foreign)), with what this kernel has.
    #[default]
    Foreign,
    /// The same; but where the kernel confines not all of files, network and processes, it is not built
    /// ([`BuildErrorKind::Unconfined`](crate::BuildErrorKind::Unconfined)).
    Required,
    /// Everything, one's own code too, with what this kernel has. The workspace of a crate can be read, and what it names by `path`.
    Always,
    /// Nothing: a build may do whatever this program may, and use the network.
    Never,
}

/// What a build in a [sandbox](Sandbox) may use, besides the limits of all builds: its deadline, its output, and
/// [`memory_bytes_max`](BuildSettings::memory_bytes_max), which is 16 GiB there unless it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxLimits {
    /// How many processes it may have at a time; looked at ten times a second, after which it is ended. Default: 256.
    pub processes_max: usize,
    /// How large each file may grow. Default: 2 GiB. The number of files is limited by the disk alone.
    pub file_bytes_max: u64,
    /// How much processor time each process may take. Default: half an hour.
    pub cpu: Duration,
}

/// 256: cargo starts a compiler for each processor, each of these a linker.
const PROCESSES_MAX: usize = 256;

/// 2 GiB: ten times the largest library with all its debug information.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Half an hour: with ten minutes until the deadline, three processors the whole time.
const CPU: Duration = Duration::from_secs(30 * 60);

/// 16 GiB of address space: a linker with a thread for each of many processors reserves far more than it uses.
const MEMORY_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

impl Default for SandboxLimits {
    fn default() -> Self {
        Self { processes_max: PROCESSES_MAX, file_bytes_max: FILE_BYTES_MAX, cpu: CPU }
    }
}

/// That builds by some settings are confined, and on whose behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// What the code names by `path` is readable only if the user of this program wrote it.
    is_foreign: bool,
    /// The lines of a `[dependencies]` table that are the user's own.
    own_dependencies: Vec<String>,
}

impl BuildSettings {
    /// The settings by which this source is built, in a sandbox or not.
    pub(crate) fn of_source(mut self, source: &Source, is_foreign: bool) -> Self {
        let is_confined = match self.sandbox {
            // Nothing is compiled.
            _ if matches!(source, Source::Prebuilt(_)) => false,
            Sandbox::Foreign | Sandbox::Required => is_foreign,
            Sandbox::Always => true,
            Sandbox::Never => false,
        };
        if is_confined && self.confinement.is_none() {
            let own_dependencies = self.file_dependencies.clone();
            self.confinement = Some(Confinement { is_foreign, own_dependencies });
            self.offline = true;
            // The package around a single file has no lock file of its own.
            self.locked = matches!(source, Source::Crate(_));
            self.memory_bytes_max.get_or_insert(MEMORY_BYTES_MAX);
        }
        self
    }

    /// Where builds of this source find nothing but what they need; `None` where they are not confined.
    pub(crate) fn room(
        &self,
        target_dir: Option<&Path>,
        source: &Path,
    ) -> Result<Option<Room>, BuildErrorKind> {
        let Some(confinement) = &self.confinement else { return Ok(None) };
        let target_dir: PathBuf = match target_dir.or(self.target_dir.as_deref()) {
            Some(target_dir) => target_dir.to_owned(),
            None => match fs::metadata(source) {
                // A file, or nothing.
                Ok(found) if found.is_dir() => crates::workspace(source),
                _ => source.parent().unwrap_or(source),
            }
            .join("target/hotswap"),
        };
        Room::enter(&target_dir, self, confinement, source).map(Some)
    }
}
