//! A compiler that copies the source, and does what a test wants meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_monitor::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Diagnostics, Monitor, MonitorBuilder, Recipe,
    StopSignal,
};
use tempfile::TempDir;

type During = Box<dyn FnMut(&Path, u64, &StopSignal) + Send>;

pub(crate) struct Fake {
    file: PathBuf,
    target_dir: PathBuf,
    builds: u64,
    during: During,
    /// The recipe and the toolchain; without, nothing is remembered.
    recipe: Option<(String, Option<String>)>,
}

impl BuildBackend for Fake {
    /// Calls the test, then "compiles"; a source that says `broken` fails.
    fn build(&mut self, _: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        self.builds += 1;
        let text = || fs::read_to_string(&self.file).unwrap_or_default();
        (self.during)(&self.file, self.builds, stop);
        if stop.is_stopped() {
            return Err(BuildErrorKind::Stopped);
        }
        let text = text();
        if text.contains("no compiler") {
            return Err(BuildErrorKind::Spawn {
                program: PathBuf::from("cargo"),
                error: Arc::new(std::io::Error::other("no compiler")),
            });
        }
        if text.contains("broken") {
            let mut diagnostics = Diagnostics::default();
            diagnostics.rendered = "error: broken".to_owned();
            diagnostics.first_error = text.contains("place").then(|| "a.rs:1:1: no".to_owned());
            return Err(BuildErrorKind::Failed { diagnostics });
        }
        let library = self.target_dir.join("libfake.so");
        fs::create_dir_all(&self.target_dir).unwrap();
        // Whole or not at all: others may build into the same directory.
        let unfinished = tempfile::NamedTempFile::new_in(&self.target_dir).unwrap();
        fs::write(unfinished.path(), text).unwrap();
        unfinished.persist(&library).unwrap();
        // After the read, for a test that edits at the very end.
        (self.during)(&self.file, 0, stop);
        Ok(Built::new(library, &self.target_dir))
    }

    fn recipe(&self, _: &BuildJob) -> Option<Recipe> {
        Some(Recipe::new(&self.target_dir, self.recipe.as_ref()?.0.clone()))
    }

    fn toolchain(&self, _: &StopSignal) -> Option<Vec<u8>> {
        self.recipe.as_ref()?.1.clone().map(String::into_bytes)
    }
}

/// A directory with one source file and a builder that compiles it with a fake.
pub(crate) fn source(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.rs");
    fs::write(&file, text).unwrap();
    (directory, file)
}

/// The closure is called before each build reads the source, with the number of
/// the build, and after it, with 0.
pub(crate) fn builder(
    file: &Path,
    during: impl FnMut(&Path, u64, &StopSignal) + Send + 'static,
) -> MonitorBuilder {
    Monitor::builder(file).backend(fake(file, file.parent().unwrap(), during))
}

/// The same for a crate: its `src/lib.rs` is what is compiled.
pub(crate) fn crate_builder(
    root: &Path,
    during: impl FnMut(&Path, u64, &StopSignal) + Send + 'static,
) -> MonitorBuilder {
    let fake = fake(&root.join("src/lib.rs"), root, during);
    Monitor::builder(root).build(crate::harness::offline()).backend(fake)
}

/// One that remembers what it built, with this recipe and this compiler.
pub(crate) fn remembering(file: &Path, recipe: &str, toolchain: Option<&str>) -> MonitorBuilder {
    let mut fake = fake(file, file.parent().unwrap(), |_, _, _| {});
    fake.recipe = Some((recipe.to_owned(), toolchain.map(str::to_owned)));
    Monitor::builder(file).backend(fake)
}

fn fake(
    file: &Path,
    root: &Path,
    during: impl FnMut(&Path, u64, &StopSignal) + Send + 'static,
) -> Box<Fake> {
    let target_dir = root.join("target");
    fs::create_dir_all(&target_dir).unwrap();
    Box::new(Fake {
        file: file.to_owned(),
        target_dir,
        builds: 0,
        during: Box::new(during),
        recipe: None,
    })
}
