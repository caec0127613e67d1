//! How modules are built: only with the feature `monitor`.

use std::path::Path;
use std::time::Duration;

use hotswap_monitor::{BuildBackend, Linker, Profile, Sandbox, SandboxLimits};

use super::EngineBuilder;

impl EngineBuilder {
    /// What the module is compiled for: [`Profile::Hot`] by default, which is quick to edit. [`Profile::Dev`] is the
    /// development profile as the manifest has it.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.watch.build.profile = profile;
        self
    }

    /// What links the module: by default the linker `wild` where it is installed, see [`Linker::Quickest`].
    pub fn linker(mut self, linker: Linker) -> Self {
        self.watch.build.linker = linker;
        self
    }

    /// Turns on features of the module's crate.
    pub fn features<T: Into<String>>(mut self, features: impl IntoIterator<Item = T>) -> Self {
        self.watch.build.features.extend(features.into_iter().map(Into::into));
        self
    }

    /// Turns off the default features of the module's crate.
    pub fn no_default_features(mut self) -> Self {
        self.watch.build.default_features = false;
        self
    }

    /// Builds with exactly the lock file: `cargo --locked`.
    pub fn locked(mut self) -> Self {
        self.watch.build.locked = true;
        self
    }

    /// Builds without network: `cargo --offline`.
    pub fn offline(mut self) -> Self {
        self.watch.build.offline = true;
        self
    }

    /// How long a build may take before it is ended; 10 minutes by default.
    pub fn build_deadline(mut self, deadline: Duration) -> Self {
        self.watch.build.deadline = deadline;
        self
    }

    /// What is built in a sandbox: by default what somebody else wrote, see [`Sandbox`].
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.watch.build.sandbox = sandbox;
        self
    }

    /// What a build in a sandbox may use.
    pub fn sandbox_limits(mut self, limits: SandboxLimits) -> Self {
        self.watch.build.sandbox_limits = limits;
        self
    }

    /// Lets builds in a sandbox read and execute this file, or what lies in this directory; a relative path is taken from
    /// the working directory of now. May be said more than once.
    pub fn sandbox_reads(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        // One that cannot be made absolute names nothing.
        self.watch.build.sandbox_reads.extend(std::path::absolute(path));
        self
    }

    /// Runs the compiler in every process, also for what an earlier one built or could not build: for modules that
    /// read the environment while they are built, which is no part of the fingerprint.
    pub fn rebuild_always(mut self) -> Self {
        self.watch.build.reuse_builds = false;
        self
    }

    /// How much address space, in bytes, each process of a build may have; unlimited by default. A
    /// small crate takes about 1 GiB.
    pub fn build_memory_max(mut self, bytes: u64) -> Self {
        self.watch.build.memory_bytes_max = Some(bytes);
        self
    }

    /// How many bytes a build may write to its outputs before it is ended; 64 MiB by default.
    pub fn build_output_max(mut self, bytes: u64) -> Self {
        self.watch.build.output_bytes_max = bytes;
        self
    }

    /// Where builds go; by default `target/hotswap` beside the module's lock file.
    pub fn target_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.watch.build.target_dir = Some(directory.as_ref().into());
        self
    }

    /// The cargo that builds; by default `$CARGO`, and `cargo` on `PATH`.
    pub fn cargo(mut self, program: impl AsRef<Path>) -> Self {
        self.watch.build.cargo = Some(program.as_ref().into());
        self
    }

    /// Builds with this instead of cargo or rustc: a build system of one's own, or a test's compiler.
    ///
    /// It runs on a thread of its own, one build at a time; a panic in it is a failed build. The library must be a
    /// module built by this host's compiler, as always.
    pub fn backend(mut self, backend: impl BuildBackend + 'static) -> Self {
        self.watch.backend = Some(Box::new(backend));
        self
    }
}
