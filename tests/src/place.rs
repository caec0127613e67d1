//! A source, its log, and a compiler that copies: a swap takes no compiler's time, and a build what the test wants.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hotswap_engine::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Engine, EngineBuilder, StopSignal,
};
use tempfile::TempDir;

use crate::fake_compiler::{FakeCompiler, text_of};
use crate::log_lines::{LogLine, log_lines};

/// A source, its log, and a compiler that copies.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    source: PathBuf,
}

impl Place {
    /// A source that compiles to version 1.
    ///
    /// # Panics
    ///
    /// When nothing can be written.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let source = directory.path().join("rules.rs");
        let place = Self { directory, source };
        place.edit(1);
        place
    }

    /// Has it compile to this version.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn edit(&self, number: u64) {
        fs::write(&self.source, text_of(number)).expect("writable");
    }

    /// Has it compile to nothing.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn break_source(&self) {
        fs::write(&self.source, "broken\n").expect("writable");
    }

    /// Its compiler.
    #[must_use]
    pub fn compiler(&self) -> FakeCompiler {
        FakeCompiler::new(&self.source, &self.directory.path().join("target"))
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("hotswap.log")
    }

    /// An engine on it. Only what the test asks for looks at the source.
    pub fn engine(&self) -> EngineBuilder {
        Engine::builder(&self.source)
            .log_file(self.log())
            .poll_every(Duration::from_secs(3_600))
            .backend(self.compiler())
    }

    /// The lines of an event.
    #[must_use]
    pub fn lines(&self, event: &str) -> Vec<LogLine> {
        log_lines(&self.log()).into_iter().filter(|line| line.event == event).collect()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// A backend that does something else first.
#[derive(Debug)]
pub struct Before<F> {
    /// Called before each build.
    pub before: F,
    /// What builds then.
    pub compiler: FakeCompiler,
}

impl<F: FnMut(&StopSignal) + Send> BuildBackend for Before<F> {
    fn build(&mut self, job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        (self.before)(stop);
        self.compiler.build(job, stop)
    }
}
