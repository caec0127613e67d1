//! A directory of prebuilt modules, and a registry of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_engine::{Modules, ModulesBuilder};
use tempfile::TempDir;

use crate::log_lines::{LogLine, log_lines};
use crate::prebuilt;

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// A directory of modules, with a log.
#[derive(Debug)]
pub struct Plugins(TempDir);

impl Plugins {
    /// A directory with these modules: each is `sociable.rs` as version 1.
    ///
    /// # Panics
    ///
    /// When nothing can be written.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        let plugins = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(plugins.directory()).expect("ours");
        names.iter().for_each(|name| plugins.put(name, 1));
        plugins
    }

    /// A path beside the modules.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where the modules are.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.beside("plugins")
    }

    /// The library of a module.
    #[must_use]
    pub fn library(&self, name: &str) -> PathBuf {
        let path = self.directory().join(name);
        let file = path.file_name().expect("a name").to_string_lossy();
        path.with_file_name(format!("lib{file}.so"))
    }

    /// Puts a module there whose `version` gives this number, as a compiler does: in another file.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put(&self, name: &str, number: u64) {
        self.put_library(name, &prebuilt::sociable(number));
    }

    /// As [`put`](Self::put), of any library.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put_library(&self, name: &str, library: &Path) {
        let place = self.library(name);
        fs::create_dir_all(place.parent().expect("it is in a directory")).expect("ours");
        let new = place.with_extension("new");
        fs::copy(library, &new).expect("ours");
        fs::rename(new, place).expect("ours");
    }

    /// A registry of it. Only what the test asks for looks at the modules, and a replaced version is kept by nobody.
    pub fn builder(&self) -> ModulesBuilder {
        rarely(Modules::builder(self.directory())).log_file(self.log())
    }

    /// The same, open.
    ///
    /// # Panics
    ///
    /// Never: it has no socket.
    #[must_use]
    pub fn modules(&self) -> Modules {
        self.builder().open().expect("without a socket nothing is opened")
    }

    /// The log of the registry.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.beside("hotswap.log")
    }

    /// The lines of an event.
    #[must_use]
    pub fn lines(&self, event: &str) -> Vec<LogLine> {
        log_lines(&self.log()).into_iter().filter(|line| line.event == event).collect()
    }
}

/// A registry in which only what a test asks for looks at modules, and a replaced version is kept by nobody.
pub fn rarely(builder: ModulesBuilder) -> ModulesBuilder {
    builder.poll_every(RARELY).each(|_, engine| engine.keep_versions(0))
}
