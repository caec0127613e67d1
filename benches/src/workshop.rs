//! Where benches keep what they generate and build: one process at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Outcome;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches lie below the root").into()
}

/// `target/benches`: what was compiled stays there for the next run, what was generated does not.
#[derive(Debug)]
pub struct Workshop {
    directory: PathBuf,
    run: u128,
    marks: AtomicU64,
    _lock: File,
}

impl Workshop {
    /// Waits until no other process is in it.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    pub fn open() -> Outcome<Self> {
        let directory = root().join("target/benches");
        fs::create_dir_all(&directory)?;
        let lock = File::create(directory.join("lock"))?;
        lock.lock()?;
        let generated = directory.join("generated");
        if generated.try_exists()? {
            fs::remove_dir_all(&generated)?;
        }
        fs::create_dir_all(&generated)?;
        let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        Ok(Self { directory, run, marks: AtomicU64::new(0), _lock: lock })
    }

    /// An empty directory for what is generated.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.directory.join("generated").join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A text that no source had before, in this run or another: what was built before needs no compiler.
    #[must_use]
    pub fn mark(&self) -> String {
        // Relaxed: only uniqueness matters.
        format!("{}-{}", self.run, self.marks.fetch_add(1, Ordering::Relaxed))
    }

    /// A target directory, which outlives the run.
    #[must_use]
    pub fn target(&self, name: &str) -> PathBuf {
        self.directory.join("target").join(name)
    }
}
