//! Where one confined build, or one question to a compiler, takes place.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use hotswap_artifact::BuildErrorKind;
use hotswap_system::fs;
use hotswap_system::process::{Child, Command};
use hotswap_system::sandbox::{self, Level, Rules};
use rustix::process::{Pid, Resource};

use super::{Confinement, Sandbox, SandboxLimits, crates, crowd, reads};
use crate::BuildSettings;
use crate::build::Built;
use crate::build::process::limit;
use crate::build::recipe::home;
use crate::claimed::{ClaimError, Claimed};
use crate::scan::walk::is_absent;

/// Variables that compilers and linkers go by, and that are no secrets.
const VARIABLES: [&str; 17] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TERM",
    "TZ",
    "RUSTUP_TOOLCHAIN",
    "CC",
    "CXX",
    "AR",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
];

/// The room's name beside its lock.
const ROOM: &str = "room";

/// A directory that is empty at first, and removed when this is dropped; nothing else can be written.
#[derive(Debug)]
pub(crate) struct Room {
    /// What may be written. The lock, beside it, may not.
    directory: PathBuf,
    _claimed: Claimed,
    /// Code that may be read.
    code: BTreeSet<PathBuf>,
    rules: Rules,
    environment: Vec<(OsString, OsString)>,
    limits: SandboxLimits,
    level: Level,
}

impl Room {
    /// Makes one below this directory, for code that lies in `source`: a file, or the directory of a crate.
    pub(super) fn enter(
        target_dir: &Path,
        settings: &BuildSettings,
        confinement: &Confinement,
        source: &Path,
    ) -> Result<Self, BuildErrorKind> {
        let level = sandbox::level().map_err(failed("confine", target_dir))?;
        if settings.sandbox == Sandbox::Required && !level.is_whole() {
            return Err(BuildErrorKind::Unconfined { level: level.to_string() });
        }
        warn_once(level);
        let claimed = empty(&target_dir.join("confined"))?;
        let directory = claimed.directory.join(ROOM);
        for name in ["tmp", "home", "cargo"] {
            let inside = directory.join(name);
            fs::create_private_dir_all(&inside).map_err(failed("create", &inside))?;
        }
        let cargo = directory.join("cargo");
        if let Some(real) = home("CARGO_HOME", ".cargo") {
            for name in reads::OF_CARGO {
                let (real, link) = (real.join(name), cargo.join(name));
                if fs::exists(&real).unwrap_or(false) {
                    fs::symlink(&real, &link).map_err(failed("create", &link))?;
                }
            }
        }
        let code = code(settings, confinement, source);
        Ok(Self {
            rules: rules(settings, &code, &directory),
            environment: environment(&directory),
            limits: settings.sandbox_limits,
            directory,
            _claimed: claimed,
            code,
            level,
        })
    }

    /// Where everything may be written.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A copy of this package's manifest, in a directory where its lock file can be written.
    pub(crate) fn take_in(&self, package: &Path) -> Result<PathBuf, BuildErrorKind> {
        let copy = self.directory.join("package");
        fs::create_dir_all(&copy).map_err(failed("create", &copy))?;
        let (from, to) = (package.join("Cargo.toml"), copy.join("Cargo.toml"));
        fs::copy(&from, &to).map_err(failed("read", &from))?;
        Ok(copy)
    }

    /// Whether this is code that the build was to read, whatever it says that it read.
    pub(crate) fn has_code(&self, path: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let path = real(path);
        self.code.iter().any(|code| path.starts_with(real(code)))
    }

    /// Says no where the library is not a file that lies here: a link would have another file read, a pipe would not end.
    /// All processes of the build have ended, so that nothing changes it from now on.
    pub(crate) fn must_have(&self, built: &Built) -> Result<(), BuildErrorKind> {
        let is_here = |directory: PathBuf| {
            fs::canonicalize(&built.library).is_ok_and(|real| real.starts_with(directory))
                && fs::metadata(&built.library).is_ok_and(|found| found.is_file())
        };
        match fs::canonicalize(&self.directory).is_ok_and(is_here) {
            true => Ok(()),
            false => Err(BuildErrorKind::NoLibrary { diagnostics: built.diagnostics.clone() }),
        }
    }

    /// Starts a process that gets at nothing but what is here.
    pub(crate) fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        let child = sandbox::spawn(command, &self.rules, self.level)?;
        let SandboxLimits { file_bytes_max, cpu, .. } = self.limits;
        let process = Pid::from_child(&child);
        limit(process, Resource::Fsize, file_bytes_max);
        limit(process, Resource::Cpu, cpu.as_secs().max(1));
        limit(process, Resource::Core, 0);
        Ok(child)
    }

    /// How many processes there may be, when there are more.
    pub(crate) fn crowd(&self, group: Pid) -> Option<usize> {
        let processes_max = self.limits.processes_max;
        (crowd::processes(group) > processes_max).then_some(processes_max)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It has said why not.
        is_removed(&self.directory);
    }
}

/// Takes the first below this directory that nobody has, and in which no room is left of a build whose process was killed.
fn empty(all: &Path) -> Result<Claimed, BuildErrorKind> {
    let mut blocked = Vec::new();
    loop {
        let claimed = Claimed::first(all)
            .map_err(|ClaimError { path, error }| failed("create", &path)(error))?;
        if is_removed(&claimed.directory.join(ROOM)) {
            return Ok(claimed);
        }
        // As long as it is ours, the next is the first.
        blocked.push(claimed);
    }
}

/// The code itself, what it depends on by paths of the user's own, and what the user adds.
fn code(settings: &BuildSettings, confinement: &Confinement, source: &Path) -> BTreeSet<PathBuf> {
    let mut code = crates::named_in(&confinement.own_dependencies);
    if !confinement.is_foreign && fs::metadata(source).is_ok_and(|found| found.is_dir()) {
        code.extend(crates::with_named(source));
        // Cargo reads the manifests of all of its members.
        code.insert(crates::workspace(source).to_owned());
    }
    code.insert(source.to_owned());
    code.extend(settings.sandbox_reads.iter().cloned());
    code
}

fn rules(settings: &BuildSettings, code: &BTreeSet<PathBuf>, directory: &Path) -> Rules {
    let programs = [settings.cargo_program(), settings.rustc_program()];
    let mut readable = reads::of_the_toolchain(&programs);
    readable.extend(reads::above(directory));
    for path in code {
        readable.extend(reads::above(path));
        readable.push(path.clone());
    }
    let writable = std::iter::once(directory.to_owned());
    Rules { readable, writable: writable.chain(reads::DEVICES.map(PathBuf::from)).collect() }
}

/// All that a build knows of its surroundings.
fn environment(directory: &Path) -> Vec<(OsString, OsString)> {
    let inherited =
        VARIABLES.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let mut environment: Vec<(OsString, OsString)> = inherited.collect();
    for (name, inside) in [("HOME", "home"), ("TMPDIR", "tmp"), ("CARGO_HOME", "cargo")] {
        environment.push((name.into(), directory.join(inside).into()));
    }
    if let Some(rustup) = home("RUSTUP_HOME", ".rustup") {
        environment.push(("RUSTUP_HOME".into(), rustup.into()));
    }
    // Rustup would ask the network for a toolchain that is not there, and a wrapper of the user's a server of its own.
    environment.push(("RUSTUP_AUTO_INSTALL".into(), "0".into()));
    environment.push(("RUSTC_WRAPPER".into(), "".into()));
    environment.push(("RUSTC_WORKSPACE_WRAPPER".into(), "".into()));
    environment
}

/// Removes what a build left, which may have made directories that nobody may enter. Says why it cannot.
fn is_removed(directory: &Path) -> bool {
    match fs::remove_closed_dir_all(directory) {
        Err(error) if !is_absent(&error) => {
            log::warn!("cannot remove what a build left in {}: {error}", directory.display());
            false
        }
        _ => true,
    }
}

fn warn_once(level: Level) {
    static SAID: Once = Once::new();
    if !level.is_whole() {
        SAID.call_once(|| {
            log::warn!(
                "this kernel confines builds of foreign code by {level}, where Landlock and seccomp are wanted: \
                 their build scripts may do what this program may"
            );
        });
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildErrorKind {
    let path = path.to_owned();
    move |error| BuildErrorKind::Io { action, path, error: Arc::new(error) }
}
