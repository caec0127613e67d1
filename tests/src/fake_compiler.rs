//! A compiler that copies a library that was built before: a swap without a compiler's time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotswap_engine::{BuildBackend, BuildErrorKind, BuildJob, Built, Diagnostics, StopSignal};

use crate::prebuilt::numbered;

/// Compiles a source whose text is `version <number>`, followed by anything, to the module of
/// `tests/modules/numbered.rs` with that number. Any other text does not compile.
///
/// It reads and writes past the seam: a fault is never its own.
#[derive(Debug)]
pub struct FakeCompiler {
    source: PathBuf,
    target_dir: PathBuf,
    builds: Arc<AtomicU64>,
    library: fn(u64) -> PathBuf,
}

impl FakeCompiler {
    /// A compiler of this file, or of the only Rust file below this directory, which writes below `target_dir`.
    #[must_use]
    pub fn new(source: &Path, target_dir: &Path) -> Self {
        let builds = Arc::default();
        let (source, target_dir) = (source.to_owned(), target_dir.to_owned());
        Self { source, target_dir, builds, library: numbered }
    }

    /// Copies these libraries instead.
    #[must_use]
    pub fn giving(mut self, library: fn(u64) -> PathBuf) -> Self {
        self.library = library;
        self
    }

    /// How many builds were begun.
    #[must_use]
    pub fn builds(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.builds)
    }
}

/// The file, or the first Rust file below the directory.
fn source_file(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return Some(path.to_owned());
    }
    let is_rust = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "rs");
    let below = fs::read_dir(path).ok()?.flatten();
    below.filter_map(|entry| source_file(&entry.path())).find(is_rust)
}

/// The text that compiles to this version.
#[must_use]
pub fn text_of(number: u64) -> String {
    format!("version {number}\n")
}

impl BuildBackend for FakeCompiler {
    fn build(&mut self, _job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        // Relaxed: a count, read by tests that waited for the build by other means.
        self.builds.fetch_add(1, Ordering::Relaxed);
        if stop.is_stopped() {
            return Err(BuildErrorKind::Stopped);
        }
        let text = source_file(&self.source).and_then(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        let number = match (words.next(), words.next().map(str::parse)) {
            (Some("version"), Some(Ok(number))) => number,
            _ => {
                let mut diagnostics = Diagnostics::default();
                diagnostics.rendered = format!("error: not a version: {text}");
                diagnostics.error_count = 1;
                diagnostics.first_error = Some("source.rs:1:1: not a version".to_owned());
                return Err(BuildErrorKind::Failed { diagnostics });
            }
        };
        // As cargo does it: every build is a new inode.
        fs::create_dir_all(&self.target_dir).expect("the target directory is writable");
        let library = self.target_dir.join("libnumbered.so");
        let _absent = fs::remove_file(&library);
        fs::copy((self.library)(number), &library).expect("the target directory is writable");
        Ok(Built::new(library, &self.target_dir))
    }
}
