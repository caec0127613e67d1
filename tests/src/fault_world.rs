//! A source with everything around it, in one directory, for tests that make steps fail: what may be left of a failure
//! is found there, and nowhere else.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotswap_engine::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Engine, EngineBuilder, Recipe, StopSignal,
};
use tempfile::TempDir;

use crate::deadline::until;
use crate::fake_compiler::{FakeCompiler, text_of};
use crate::maps::{executable_mappings, thread_names};
use crate::prebuilt::numbered_with_hook;
use crate::workspace::build_directory;

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// A single file that depends on some packages, and a compiler that takes no time.
///
/// Its cargo is a script that answers `metadata` and nothing else: all steps up to the compiler are the real ones, and
/// few, so that each can be made to fail.
#[derive(Debug)]
pub struct FaultWorld {
    root: TempDir,
}

impl FaultWorld {
    /// A source that compiles to version 1.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn new() -> Self {
        // Beside the libraries that the compiler copies: hard links are possible, as they are for cargo's.
        let root =
            tempfile::tempdir_in(build_directory()).expect("the target directory is writable");
        let world = Self { root };
        world.write("dependency/Cargo.toml", "[package]\nname = \"dependency\"\n");
        world.write("dependency/src/lib.rs", "// nothing\n");
        world.write("dependency/src/below/mod.rs", "// nothing\n");
        // What goes into a build depends on looking: whether there is a script, and what is a cache.
        world.write("dependency/README.md", "nothing\n");
        world.write("scripted/Cargo.toml", "[package]\nname = \"scripted\"\n");
        world.write("scripted/build.rs", "fn main() {}\n");
        world.write("scripted/README.md", "nothing\n");
        world.write("scripted/cache/CACHEDIR.TAG", "nothing\n");
        world
            .write("configured/Cargo.toml", "[package]\nname = \"configured\"\nbuild = \"b.rs\"\n");
        world.write("configured/b.rs", "fn main() {}\n");
        world.write("configured/README.md", "nothing\n");
        world.write("metadata.json", &world.metadata());
        world.write("cargo", &format!("#!/bin/sh\nexec cat {:?}\n", world.path("metadata.json")));
        let is_program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.path("cargo"), is_program).expect("ours");
        world.edit(1);
        world
    }

    /// What cargo would say of the generated package.
    fn metadata(&self) -> String {
        let names = ["dependency", "scripted", "configured"];
        let package = |name: &&str| {
            let manifest = self.path(name).join("Cargo.toml");
            format!(
                r#"{{"id": {name:?}, "name": {name:?}, "source": null, "manifest_path": {manifest:?}, "targets": []}}"#
            )
        };
        let node = |name: &&str| format!(r#"{{"pkg": {name:?}, "dep_kinds": []}}"#);
        let list = |texts: Vec<String>| texts.join(", ");
        format!(
            r#"{{"workspace_root": {root:?}, "packages": [{packages}, {{"id": "file", "name": "source", "source": null, "manifest_path": "/", "targets": [{{"kind": ["cdylib"], "name": "source"}}]}}], "resolve": {{"root": "file", "nodes": [{{"id": "file", "deps": [{nodes}]}}]}}}}"#,
            root = self.root.path(),
            packages = list(names.iter().map(package).collect()),
            nodes = list(names.iter().map(node).collect()),
        )
    }

    /// A path inside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The log of all engines here.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path("hotswap.log")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is inside")).expect("ours");
        fs::write(path, text).expect("ours");
    }

    /// Replaces the source by a text that was never there before and compiles to this version; gives the text.
    pub fn edit(&self, number: u64) -> String {
        static EDITS: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let edit = EDITS.fetch_add(1, Ordering::Relaxed);
        let text = format!("{}// edit {edit}\n", text_of(number));
        self.edit_text(&text);
        text
    }

    /// Replaces the source.
    pub fn edit_text(&self, text: &str) {
        self.write("source.rs", text);
    }

    /// An engine on the source, with a log, that remembers what was built.
    pub fn engine(&self) -> EngineBuilder {
        let (source, target_dir) = (self.path("source.rs"), self.path("target"));
        let compiler = RememberedCompiler {
            compiler: FakeCompiler::new(&source, &target_dir).giving(numbered_with_hook),
            inputs: vec![source.clone(), self.path("dependency/src/lib.rs")],
            target_dir: target_dir.clone(),
        };
        Engine::builder(&source)
            .backend(compiler)
            .cargo(self.path("cargo"))
            .target_dir(target_dir)
            .log_file(self.log())
            .poll_every(RARELY)
            .settle(Duration::ZERO)
            .keep_versions(0)
    }

    /// The libraries from here that this process has mapped executable.
    #[must_use]
    pub fn mapped(&self) -> BTreeSet<String> {
        let name = self.root.path().to_str().expect("made of ASCII");
        let path = |line: &String| line[line.find(name).expect("chosen by it")..].to_owned();
        executable_mappings(name).iter().map(path).collect()
    }

    /// The libraries that lie staged, and whatever else lies there but the lock.
    #[must_use]
    pub fn staged(&self) -> Vec<PathBuf> {
        let rooms = entries(&self.path("target/stage"));
        let files = rooms.iter().flat_map(|room| entries(room));
        files.filter(|path| !path.ends_with("lock")).collect()
    }

    /// The directories in which libraries are staged.
    #[must_use]
    pub fn rooms(&self) -> Vec<PathBuf> {
        entries(&self.path("target/stage"))
    }

    /// What lies in the store under a name that nobody looks for: begun, and never finished.
    #[must_use]
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let places = [
            "target/store",
            "target/store/index",
            "target/store/projects",
            "target/store/served",
            "target/store/quarantine",
            "target/store/builds",
            "target/ledger",
            "target",
        ];
        let all = places.iter().flat_map(|place| entries(&self.path(place)));
        let is_hidden = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        all.filter(is_hidden).collect()
    }
}

impl Default for FaultWorld {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells what a real compiler's backend tells: where results are remembered, and what was read.
#[derive(Debug)]
struct RememberedCompiler {
    compiler: FakeCompiler,
    inputs: Vec<PathBuf>,
    target_dir: PathBuf,
}

impl BuildBackend for RememberedCompiler {
    fn build(&mut self, job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        let mut built = self.compiler.build(job, stop)?;
        built.inputs = Some(self.inputs.clone());
        Ok(built)
    }

    fn recipe(&self, _job: &BuildJob) -> Option<Recipe> {
        Some(Recipe::new(&self.target_dir, "fake"))
    }
}

/// What is in a directory; nothing when it is not there.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The processes that this one started and has not reaped, with their names.
///
/// # Panics
///
/// When the kernel does not tell.
#[must_use]
pub fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("Linux tells its processes").flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .filter(|stat| {
            // The name in parentheses may hold anything; after it come the state and the parent.
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.split_ascii_whitespace().nth(1) == Some(own.as_str())
        })
        .collect()
}

/// The names of the threads of engines and their monitors.
#[must_use]
pub fn engine_threads() -> Vec<String> {
    thread_names().into_iter().filter(|name| name.starts_with("hotswap-")).collect()
}

/// Waits for the end of all engines: their threads are told to end, and nothing says when they have.
///
/// # Panics
///
/// When one does not end.
#[track_caller]
pub fn until_all_threads_ended() {
    until("no thread of an engine is left", || engine_threads().is_empty());
}

/// Somewhere down the chain of causes is what the system answered, or the compiler.
///
/// # Panics
///
/// When nothing of that is.
#[track_caller]
pub fn says_why(error: &(dyn std::error::Error + 'static)) {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause {
        texts.push(inner.to_string());
        cause = inner.source();
    }
    let says = |text: &String| text.contains("(os error") || text.contains("not a version");
    assert!(texts.iter().any(says), "it does not say why: {texts:#?}");
}

/// What a panic said.
#[must_use]
pub fn text_of_panic(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").replace('\n', "\n    ")
}
