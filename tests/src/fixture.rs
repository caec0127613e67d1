//! A module crate, or a single file, that a test edits.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use hotswap_engine::{Engine, EngineBuilder};

use crate::workspace::{build_directory, workspace_root};

/// The source of a module whose one function `version` gives `number`. All have the same length for numbers of one digit.
#[must_use]
pub fn versioned(number: u64) -> String {
    format!(
        "use hotswap_module::export;\nhotswap_module::module!();\n\n#[export]\npub fn version() -> u64 {{\n    {number}\n}}\n"
    )
}

/// A module crate below the target directory; one test's alone, for as long as it lives.
#[derive(Debug)]
pub struct CrateFixture {
    directory: PathBuf,
    _lock: File,
}

impl CrateFixture {
    /// A crate of this name with this `src/lib.rs`. What an earlier run left is gone.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn new(name: &str, source: &str) -> Self {
        let (directory, lock) = claim(name);
        let fixture = Self { directory, _lock: lock };
        fixture.write("Cargo.toml", &manifest(name));
        fixture.write("src/lib.rs", source);
        seed_lock(&fixture.directory);
        fixture
    }

    /// The crate's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Replaces `src/lib.rs`.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn edit(&self, source: &str) {
        self.write("src/lib.rs", source);
    }

    /// Replaces a file of the crate.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, file: &str, text: &str) {
        write(&self.directory.join(file), text);
    }

    /// An engine on this crate with the tests' build cache and no log. Only what the test asks for looks at it.
    pub fn engine(&self) -> EngineBuilder {
        on(&self.directory)
    }
}

/// A single `.rs` file that a test edits.
#[derive(Debug)]
pub struct FileFixture {
    file: PathBuf,
    _lock: File,
}

impl FileFixture {
    /// A file `<name>.rs` with this text.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn new(name: &str, source: &str) -> Self {
        let (directory, lock) = claim(name);
        let fixture = Self { file: directory.join(format!("{name}.rs")), _lock: lock };
        fixture.edit(source);
        fixture
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Replaces the file's text.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn edit(&self, source: &str) {
        write(&self.file, &format!("{source}\n// {}\n", *RUN));
    }

    /// An engine on this file with the tests' build cache and no log. Only what the test asks for looks at it.
    pub fn engine(&self) -> EngineBuilder {
        on(&self.file)
    }
}

/// Longer than any test runs.
const RARELY: Duration = Duration::from_secs(3_600);

fn on(source: &Path) -> EngineBuilder {
    Engine::builder(source)
        .target_dir(build_directory().join("target"))
        .offline()
        .without_log()
        .poll_every(RARELY)
}

/// Makes the sources of this run its own. What an earlier run built of the same texts, or could not build, is
/// remembered below the target directory.
static RUN: LazyLock<String> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{} {now:?}", std::process::id())
});

/// An empty directory of this name that no other test uses.
fn claim(name: &str) -> (PathBuf, File) {
    let crates = build_directory().join("crates");
    fs::create_dir_all(&crates).expect("the target directory is writable");
    let lock = File::create(crates.join(format!("{name}.lock")))
        .expect("the target directory is writable");
    lock.lock().expect("files below the target directory can be locked");
    let directory = crates.join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("an earlier run's directory is ours to remove");
    }
    fs::create_dir_all(&directory).expect("the target directory is writable");
    write(&directory.join("run"), &RUN);
    (directory, lock)
}

/// The manifest of a module crate of its own workspace.
pub(crate) fn manifest(name: &str) -> String {
    let root = workspace_root();
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[dependencies]
hotswap-module = {{ path = {module:?} }}
sample-interface = {{ path = {interface:?} }}
log = "0.4"

# Small libraries: what is offered a thousand times is copied a thousand times.
[profile.dev]
debug = false
strip = "debuginfo"

[workspace]
"#,
        module = root.join("engine/module"),
        interface = root.join("sample-engine/interface"),
    )
}

/// Starts a crate with the workspace's own lock file, so that it takes the same releases and needs no network.
pub(crate) fn seed_lock(directory: &Path) {
    let lock = directory.join("Cargo.lock");
    let ours = workspace_root().join("Cargo.lock");
    if !lock.exists() && ours.exists() {
        fs::copy(ours, lock).expect("the target directory is writable");
    }
}

/// Leaves a file that says so already alone, so that cargo finds it fresh.
pub(crate) fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return;
    }
    write(path, text);
}

fn write(path: &Path, text: &str) {
    let parent = path.parent().expect("a file has a directory");
    fs::create_dir_all(parent).expect("the target directory is writable");
    fs::write(path, text).expect("the target directory is writable");
}
