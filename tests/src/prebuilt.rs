//! Module libraries that are built once and then only offered.
//!
//! The sources lie in `tests/modules`. Each becomes a crate below the target directory; cargo decides
//! whether it is still fresh, and all of them share their dependencies.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use hotswap_engine::{Engine, EngineBuilder};

use crate::fixture::{manifest, seed_lock, write_if_changed};
use crate::workspace::{build_directory, workspace_root};

/// How the libraries are built, besides what every module gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As an engine builds a module.
    Module,
    /// As an engine builds it, aborting on panic.
    PanicAbort,
    /// As a plain cdylib, of which no engine knows.
    Plain,
}

/// How a library is built where that is the point of a test; otherwise [`library`] will do.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What kind of library it is.
    pub kind: Kind,
    /// More lines below `[dependencies]`. The workspace's own lock file must have them.
    pub dependencies: String,
    /// The lines below `[profile.release]`; built in development without.
    pub release: Option<String>,
    /// What the linker gets besides.
    pub link_args: Vec<String>,
}

impl Recipe {
    /// As every module of the tests is built.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self { kind, dependencies: String::new(), release: None, link_args: Vec::new() }
    }

    /// The library that `source` builds into by this recipe. `name` is theirs alone.
    ///
    /// # Panics
    ///
    /// When it does not build; then with what cargo said.
    #[must_use]
    pub fn library(&self, name: &str, source: &str) -> PathBuf {
        static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
        let mut built = BUILT.lock().expect("no build panicked");
        let known = built.get_or_insert_default();
        if let Some(path) = known.get(name) {
            return path.clone();
        }
        let path = build(name, source, self);
        known.insert(name.to_owned(), path.clone());
        path
    }
}

/// Compiles a C source with the system's compiler, which every linker of Rust comes with, into a file of this name below
/// the target directory.
///
/// # Panics
///
/// When it does not compile; then with what the compiler said.
#[must_use]
pub fn compiled(name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let directory = build_directory().join("compiled");
    fs::create_dir_all(&directory).expect("the target directory is writable");
    let lock = File::create(directory.join(format!("{name}.lock")));
    let lock = lock.expect("the target directory is writable");
    lock.lock().expect("files below the target directory can be locked");
    let (input, output) = (directory.join(format!("{name}.c")), directory.join(name));
    write_if_changed(&input, source);
    let mut compiler = Command::new("cc");
    let compiled = compiler.args(arguments).arg("-o").arg(&output).arg(&input).output();
    let compiled = compiled.expect("a C compiler is there, as a linker");
    assert!(compiled.status.success(), "{name}:\n{}", String::from_utf8_lossy(&compiled.stderr));
    output
}

/// The module of `tests/modules/numbered.rs` whose `version()` is `number`.
#[must_use]
pub fn numbered(number: u64) -> PathBuf {
    let source = source("numbered.rs")
        .replace("const VERSION: u64 = 1;", &format!("const VERSION: u64 = {number};"));
    library(&format!("numbered_{number}"), &source, Kind::Module)
}

/// The module of `tests/modules/sociable.rs` whose `version()` is `number`.
#[must_use]
pub fn sociable(number: u64) -> PathBuf {
    let source = source("sociable.rs")
        .replace("const VERSION: u64 = 1;", &format!("const VERSION: u64 = {number};"));
    library(&format!("sociable_{number}"), &source, Kind::Module)
}

/// As [`numbered`], with a load hook that lets it in.
#[must_use]
pub fn numbered_with_hook(number: u64) -> PathBuf {
    let hook =
        "\n#[hotswap_module::on_load]\nfn lets_in() -> Result<(), String> {\n    Ok(())\n}\n";
    let source = source("numbered.rs")
        .replace("const VERSION: u64 = 1;", &format!("const VERSION: u64 = {number};"));
    library(&format!("hooked_{number}"), &(source + hook), Kind::Module)
}

/// The module of `tests/modules/neighbourly.rs`, which links the library of `neighbour.c`, with more arguments for the
/// linker. `name` is theirs alone.
///
/// # Panics
///
/// When it does not build.
#[must_use]
pub fn neighbourly(name: &str, link_args: &[&str]) -> PathBuf {
    let distant = compiled("libdistant.so", &source("distant.c"), &["-shared", "-fPIC"]);
    let directory = distant.parent().expect("it lies in one").display();
    let places = ["-L", "-Wl,-rpath,"].map(|prefix| format!("{prefix}{directory}"));
    let [at, finds] = &places;
    let arguments = ["-shared", "-fPIC", at, finds, "-Wl,--no-as-needed", "-ldistant"];
    let _ = compiled("libneighbour.so", &source("neighbour.c"), &arguments);
    let mut recipe = Recipe::of(Kind::Module);
    recipe.link_args = places.to_vec();
    recipe.link_args.push("-lneighbour".to_owned());
    recipe.link_args.extend(link_args.iter().map(|&argument| argument.to_owned()));
    recipe.library(name, &source("neighbourly.rs"))
}

/// The module of `tests/modules/<file>`.
#[must_use]
pub fn named(file: &str) -> PathBuf {
    library(file.trim_end_matches(".rs"), &source(file), Kind::Module)
}

/// An engine on a library, with no log. Only what the test asks for looks at the file, and a replaced version is kept by
/// nobody.
pub fn engine(library: &Path) -> EngineBuilder {
    let builder = Engine::builder(library).without_log().poll_every(Duration::from_secs(3600));
    builder.keep_versions(0)
}

/// The text of `tests/modules/<file>`.
///
/// # Panics
///
/// When there is no such file.
#[must_use]
pub fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The library that `source` builds into. `name` is one source's alone.
///
/// # Panics
///
/// When it does not build; then with what cargo said.
#[must_use]
pub fn library(name: &str, source: &str, kind: Kind) -> PathBuf {
    Recipe::of(kind).library(name, source)
}

/// Where they are built. Not where engines build: an engine makes cargo look again by removing what it remembers, at the
/// same time as cargo may write there.
const TARGET: &str = "prebuilt-target";

fn build(name: &str, source: &str, recipe: &Recipe) -> PathBuf {
    let base = build_directory();
    // Each test may be a process of its own: one of them builds, the others find it fresh.
    let lock = File::create(base.join("prebuilt.lock")).expect("the target directory is writable");
    lock.lock().expect("files below the target directory can be locked");
    let directory = base.join("prebuilt").join(name);
    let abort = match recipe.kind {
        Kind::PanicAbort => "[profile.dev]\npanic = \"abort\"",
        Kind::Module | Kind::Plain => "[profile.dev]",
    };
    let mut manifest = manifest(name).replace("[profile.dev]", abort);
    let dependencies = format!("[dependencies]\n{}", recipe.dependencies);
    manifest = manifest.replace("[dependencies]\n", &dependencies);
    if let Some(lines) = &recipe.release {
        manifest.push_str(&format!("\n[profile.release]\n{lines}"));
    }
    write_if_changed(&directory.join("Cargo.toml"), &manifest);
    write_if_changed(&directory.join("src/lib.rs"), source);
    seed_lock(&directory);
    let mut cargo = cargo();
    cargo
        .args(["rustc", "--quiet", "--lib", "--crate-type", "cdylib", "--offline"])
        .arg("--manifest-path")
        .arg(directory.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(base.join(TARGET));
    if recipe.release.is_some() {
        cargo.arg("--release");
    }
    cargo.arg("--");
    if recipe.kind != Kind::Plain {
        cargo.args(["--cfg", "hotswap"]);
    }
    cargo.args(["-C", "link-arg=-Wl,--build-id=sha1"]);
    cargo.args(recipe.link_args.iter().map(|argument| format!("-Clink-arg={argument}")));
    let output = cargo.output().expect("cargo runs, as it runs this test");
    assert!(output.status.success(), "{name}:\n{}", String::from_utf8_lossy(&output.stderr));
    let profile = if recipe.release.is_some() { "release" } else { "debug" };
    base.join(TARGET).join(profile).join(format!("lib{name}.so"))
}

/// Cargo, with nothing of what the cargo that runs this test has set.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_ours = text.starts_with("CARGO") && text != "CARGO_HOME";
        if is_ours || text.starts_with("RUSTFLAGS") || text.starts_with("RUSTC") {
            command.env_remove(&name);
        }
    }
    command.current_dir(workspace_root());
    command
}
