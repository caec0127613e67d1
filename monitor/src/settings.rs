//! How a source is built.

use std::path::PathBuf;
use std::time::Duration;

use crate::build::sandbox::{Confinement, Sandbox, SandboxLimits};

/// The longest a build may take when nobody says otherwise.
///
/// Ten minutes: a first build of a large dependency tree on a small machine
/// stays below it, a build script that waits for ever does not.
const BUILD_DEADLINE: Duration = Duration::from_secs(600);

/// How much a build may write when nobody says otherwise.
///
/// 64 MiB: cargo's messages about 1,000 packages are 2 MiB; a macro that prints
/// without end is there in a second.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a source is built. None of this enters the fingerprint: it is set once,
/// when the monitor starts.
///
/// ```
/// use hotswap_monitor::{BuildSettings, Profile};
///
/// let mut settings = BuildSettings::default();
/// settings.profile = Profile::Release;
/// settings.offline = true;
/// assert!(settings.default_features);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildSettings {
    /// What the module is compiled for. Default: [`Profile::Hot`].
    pub profile: Profile,
    /// What links the module. Default: [`Linker::Quickest`].
    pub linker: Linker,
    /// The features to switch on, as after `--features`.
    pub features: Vec<String>,
    /// Whether the default features are on. Default: true.
    pub default_features: bool,
    /// Refuse to change the lock file (`--locked`).
    pub locked: bool,
    /// Never use the network (`--offline`).
    pub offline: bool,
    /// How long one build may run before it is ended with all its processes.
    /// Default: ten minutes.
    pub deadline: Duration,
    /// Take what was built before, by another process too, from the store in the
    /// target directory, and a compiler's error of before as the answer. Default:
    /// true. Off for a source whose build depends on what no fingerprint covers, the
    /// environment, say.
    pub reuse_builds: bool,
    /// How much address space each process of a build may have. Default: no limit.
    ///
    /// The limit is set right after the first process has started, and inherited.
    /// It counts what is mapped, not what is used: rustc maps about 1 GiB for a
    /// small crate. A compiler that dies of it says so in words; those known to us
    /// become [`OutOfMemory`](crate::BuildErrorKind::OutOfMemory), others a plain
    /// failure.
    pub memory_bytes_max: Option<u64>,
    /// How much a build may write to its outputs before it is ended with all its
    /// processes. Default: 64 MiB. Of that, 1 MiB is kept.
    ///
    /// What a build script prints goes to cargo, not here.
    pub output_bytes_max: u64,
    /// What is built in a sandbox. Default: [`Sandbox::Foreign`].
    pub sandbox: Sandbox,
    /// What a build there may use.
    pub sandbox_limits: SandboxLimits,
    /// Files and directories that a build there may read and execute as well, absolute: a compiler of one's own, crates that
    /// foreign code finds by path. Default: none.
    pub sandbox_reads: Vec<PathBuf>,
    /// Where builds go. Default: `target/hotswap` beside the lock file that the
    /// crate uses; for a single file, in the file's directory.
    ///
    /// Several monitors may share one directory, in several processes too: builds
    /// take turns, and crates or libraries of the same name are kept apart. A
    /// cargo that is run there by hand is not.
    pub target_dir: Option<PathBuf>,
    /// The cargo to run. Default: `$CARGO` at run time, else `cargo` on PATH.
    pub cargo: Option<PathBuf>,
    /// The rustc that builds a single file. Default: `$RUSTC` at run time, else
    /// `rustc` on PATH.
    pub rustc: Option<PathBuf>,
    /// Arguments for rustc, given for the final crate only.
    pub rustc_args: Vec<String>,
    /// Lines of a `[dependencies]` table for a single-file source, such as
    /// `hotswap-module = { path = "/x" }`. With any, the file is built by cargo
    /// as a generated package; without, by rustc directly.
    pub file_dependencies: Vec<String>,
    /// Keep the compiler's ANSI colours in the rendered diagnostics.
    pub color: bool,
    /// Set for a source that is built in a sandbox.
    pub(crate) confinement: Option<Confinement>,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            linker: Linker::default(),
            features: Vec::new(),
            default_features: true,
            locked: false,
            offline: false,
            deadline: BUILD_DEADLINE,
            reuse_builds: true,
            memory_bytes_max: None,
            output_bytes_max: OUTPUT_BYTES_MAX,
            sandbox: Sandbox::default(),
            sandbox_limits: SandboxLimits::default(),
            sandbox_reads: Vec::new(),
            target_dir: None,
            cargo: None,
            rustc: None,
            rustc_args: Vec::new(),
            file_dependencies: Vec::new(),
            color: false,
            confinement: None,
        }
    }
}

impl BuildSettings {
    /// The cargo to run: the setting, `$CARGO`, `cargo`.
    pub(crate) fn cargo_program(&self) -> PathBuf {
        program(self.cargo.as_ref(), "CARGO", "cargo")
    }

    /// The rustc to run: the setting, `$RUSTC`, `rustc`.
    pub(crate) fn rustc_program(&self) -> PathBuf {
        program(self.rustc.as_ref(), "RUSTC", "rustc")
    }
}

fn program(chosen: Option<&PathBuf>, variable: &str, name: &str) -> PathBuf {
    let inherited = || std::env::var_os(variable).filter(|value| !value.is_empty());
    chosen
        .cloned()
        .or_else(|| inherited().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(name))
}

/// What links a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Linker {
    /// With [`Profile::Hot`] the linker `wild` where it is on `PATH`, neither cargo's configuration nor
    /// [`rustc_args`](BuildSettings::rustc_args) choose one, and it can link the module; else the toolchain's.
    #[default]
    Quickest,
    /// What the toolchain, or cargo's configuration, says.
    Toolchain,
}

/// What a module is compiled for.
///
/// How long an edit of one function takes, from the saved file to the library, as a multiple of `cargo build` with
/// the profile `dev` after the same edit in the same run (medians of nine, spread about 0.05; 2 cores, x86-64, rustc
/// 1.95.0, its own lld, [without cargo](crate::Tool::Rustc); crates of one file):
///
/// | final crate | 48 lines | with serde | 2,000 lines |
/// | --- | --- | --- | --- |
/// | as in `dev`: full debug information, 256 code generation units | 0.83 | 0.82 | 0.96 |
/// | line tables, 256 | 0.79 | 0.85 | 0.93 |
/// | line tables, 16 | 0.74 | 0.78 | 0.95 |
/// | line tables, 4 | 0.76 | 0.96 | 0.91 |
/// | line tables, 1 | 0.86 | 1.29 | 1.16 |
/// | no debug information, 256 | 0.77 | 0.80 | 0.78 |
///
/// [`Hot`](Self::Hot) is without debug information, with 16 units, and with a linker that leaves out the standard library's
/// debug information, of which 5 MB would be linked, hashed and mapped each time. All of an edit, from the saved file to the
/// first call, then takes 0.72, 0.71 and 0.78 of a `cargo build` (*source*: the report of `benches/`). Split debug information changed nothing. Optimised macros (`build-override`) expand a module of 2,000 lines
/// some 50 ms sooner and make a first build five times as long: no default, but worth a line in the manifest of a large
/// module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Profile {
    /// Quick to edit: cargo's `dev` as the manifest has it, but the final crate has fewer code generation units, and the
    /// library no debug information. Panics name files and lines all the same, and symbols have names; for a debugger that
    /// shows lines and variables there is [`Dev`](Self::Dev).
    #[default]
    Hot,
    /// `dev`, as the manifest has it.
    Dev,
    /// `release`: quick to run.
    Release,
    /// A profile of the manifest. A single file built by rustc alone has no
    /// manifest and is built as with [`Profile::Dev`](Self::Dev).
    Named(String),
}

impl Profile {
    /// What the compiler is told about the final crate, beyond what cargo says.
    pub(crate) fn rustc_args(&self) -> &'static [&'static str] {
        match self {
            Self::Hot if cfg!(target_os = "linux") => {
                // Nobody looks at the library's texts twice: the linker need not look for equal ones.
                &[
                    "-Cdebuginfo=none",
                    "-Cstrip=debuginfo",
                    "-Ccodegen-units=16",
                    "-Clink-arg=-Wl,-O0",
                ]
            }
            Self::Hot => &["-Cdebuginfo=none", "-Cstrip=debuginfo", "-Ccodegen-units=16"],
            Self::Dev | Self::Release | Self::Named(_) => &[],
        }
    }

    /// The name of the directory below the target directory.
    pub(crate) fn directory(&self) -> &str {
        match self {
            Self::Hot | Self::Dev => "debug",
            Self::Release => "release",
            // Cargo's own exceptions: two profiles share another's directory.
            Self::Named(name) => match name.as_str() {
                "dev" | "test" => "debug",
                "bench" => "release",
                name => name,
            },
        }
    }
}
