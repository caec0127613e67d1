//! An edit of the module's own sources goes straight to the compiler.
//!
//! Cargo needs a tenth to a third of the time of such a build to find out that the one crate is to be compiled as it
//! was compiled before, and rustup some of that to find cargo. So the run of the compiler is recorded whenever cargo
//! compiles the crate, and repeated as long as everything else that cargo goes by is as it was ([`basis`]). Cargo's
//! fingerprint of the package is removed first: whatever comes of it, cargo will compile the package when it runs next.

use std::path::{Path, PathBuf};

use hotswap_artifact::{BuildErrorKind, Fingerprint};
use hotswap_system::fs;

use super::basis::{self, Found, OwnSources, basis};
use super::ledger::{self, JobInputs, Ledger};
use super::recording::Invocation;
use super::{Built, Tool, read_inputs, rustc};
use crate::{BuildSettings, StopSignal};

/// Errors about crates that were compiled before: cargo may know better. A code is unlike any other text in brackets.
const ABOUT_OTHER_CRATES: [&str; 8] =
    ["[E0457]", "[E0460]", "[E0461]", "[E0462]", "[E0463]", "[E0464]", "[E0514]", "[E0786]"];

/// A run of the compiler that can be repeated.
#[derive(Debug)]
pub(super) struct Direct {
    invocation: Invocation,
    own: OwnSources,
    /// What the invocation depends on, besides `own`, when it was recorded.
    basis: Fingerprint,
    /// The packages with a path.
    packages: Vec<PathBuf>,
    /// What the build by cargo read.
    inputs: Vec<PathBuf>,
    library: PathBuf,
    dep_info: PathBuf,
    /// What cargo locks while it builds.
    cargo_lock: PathBuf,
    /// Whether cargo's fingerprint of the package was removed.
    is_forgotten: bool,
}

impl Direct {
    /// What cargo just did, with its outputs in this directory, when it can be done again without it.
    pub(super) fn new(
        invocation: Invocation,
        found: Found,
        directory: &Path,
        package: &Path,
        file: Option<&Path>,
        inputs: &JobInputs,
    ) -> Option<Self> {
        let cargo_lock = directory.join(".cargo-lock");
        // Cargo can be told to keep everything elsewhere, where nobody would find its fingerprints.
        let is_here = invocation.option("--out-dir") == Some(directory.join("deps").as_os_str())
            && invocation.variable("CARGO_MANIFEST_DIR") == Some(package.as_os_str())
            && fs::exists(&cargo_lock).unwrap_or(false);
        if !is_here {
            return None;
        }
        let library = basis::library(&invocation)?;
        let dep_info = basis::dep_info(&invocation)?;
        let own = OwnSources::find(package, file, inputs, &invocation, &found)?;
        let basis = basis(&own, inputs, &invocation);
        Some(Self {
            invocation,
            own,
            basis,
            packages: inputs.packages.keys().cloned().collect(),
            inputs: found.inputs,
            library,
            dep_info,
            cargo_lock,
            is_forgotten: false,
        })
    }

    /// Whether nothing but the module's own sources changed since.
    pub(super) fn holds(&self, inputs: &JobInputs) -> bool {
        basis(&self.own, inputs, &self.invocation) == self.basis
    }

    /// Changes when the toolchain may have.
    pub(super) fn circumstances(&self) -> Fingerprint {
        basis::circumstances(self.packages.iter(), &self.invocation)
    }

    /// Compiles. `None` when cargo must be asked: what came of it is not the answer.
    pub(super) fn build(
        &mut self,
        ledger: &Ledger,
        target_dir: &Path,
        settings: &BuildSettings,
        stop: &StopSignal,
    ) -> Option<Result<Built, BuildErrorKind>> {
        let profile = settings.profile.directory();
        let lock = match ledger::lock(&self.cargo_lock, settings.deadline, stop) {
            Ok(lock) => lock,
            Err(BuildErrorKind::Io { .. }) => return None,
            Err(kind) => return Some(Err(kind)),
        };
        self.is_forgotten |= ledger.forget_package(target_dir, profile).ok()?;
        if !self.is_forgotten {
            // Cargo keeps it where we did not look.
            return None;
        }
        // The store may hold a hard link of the last output: a linker that wrote in place would change what may be
        // loaded.
        let _absent = fs::remove_file(&self.library);
        let result = rustc::run(self.invocation.command(), settings, None, stop);
        drop(lock);
        match result {
            Ok(diagnostics) => {
                let read = read_inputs(&self.dep_info, &self.invocation.directory).ok()??;
                fs::metadata(&self.library).ok()?;
                let is_known = |path: &PathBuf| self.own.has(path) || self.own.knows(path);
                if !read.iter().all(is_known) {
                    // Cargo has to write down what the module reads elsewhere: the next process goes by that.
                    return None;
                }
                let mut built = Built::new(&self.library, target_dir);
                built.by = Tool::Rustc;
                built.diagnostics = diagnostics;
                // Who reads what of the rest only cargo knows: all of it stays.
                built.inputs = Some(self.inputs.iter().cloned().chain(read).collect());
                Some(Ok(built))
            }
            Err(kind) => is_of_the_source(&kind).then_some(Err(kind)),
        }
    }
}

/// Whether cargo would say the same: the compiler blames a place in the source, or a limit was reached.
fn is_of_the_source(kind: &BuildErrorKind) -> bool {
    match kind {
        BuildErrorKind::Failed { diagnostics } => {
            let plain = diagnostics.plain();
            diagnostics.names_a_place()
                && !ABOUT_OTHER_CRATES.iter().any(|code| plain.contains(code))
        }
        BuildErrorKind::Stopped
        | BuildErrorKind::TimedOut { .. }
        | BuildErrorKind::TooMuchOutput { .. }
        | BuildErrorKind::OutOfMemory { .. } => true,
        _ => false,
    }
}
