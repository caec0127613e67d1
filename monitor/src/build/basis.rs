//! What a recorded run of the compiler depends on, besides the module's own sources.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use hotswap_artifact::{Fingerprint, FingerprintHasher};
use hotswap_system::fs;

use super::ledger::JobInputs;
use super::messages::Compiled;
use super::recipe::{configuration, home};
use super::recording::Invocation;
use crate::scan::read_dep_info;
use crate::scan::walk::is_absent;

/// What decides how cargo compiles a package, in any directory above it; the scan covers these up to the workspace
/// only.
const STEERING_FILES: [&str; 4] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain"];

/// What a build by cargo is known to have used.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files that it read.
    pub(super) inputs: Vec<PathBuf>,
    /// What it compiled, or had compiled, of packages that have a path.
    pub(super) compiled: Vec<Compiled>,
}

/// Which files only the compiler reads, so that a change of theirs does not concern cargo.
#[derive(Debug)]
pub(super) struct OwnSources {
    /// The directory of the package.
    package: PathBuf,
    /// A source that lies elsewhere: the package is generated around it.
    file: Option<PathBuf>,
    /// The packages inside the package's directory.
    inner: Vec<PathBuf>,
    /// Files and directories that a build script, or another crate, reads as well.
    read_by_others: Vec<PathBuf>,
    /// All that the build by cargo read.
    known: BTreeSet<PathBuf>,
}

impl OwnSources {
    /// `None` when any file may be read by somebody else, or when nobody can know.
    pub(super) fn find(
        package: &Path,
        file: Option<&Path>,
        inputs: &JobInputs,
        invocation: &Invocation,
        found: &Found,
    ) -> Option<Self> {
        // Others name files without links.
        if fs::canonicalize(package).ok()? != package {
            return None;
        }
        let packages = || inputs.packages.keys().filter(|other| *other != package);
        let inner = packages().filter(|other| other.starts_with(package)).cloned().collect();
        let mut own = Self {
            package: package.to_owned(),
            file: file.map(Path::to_owned),
            inner,
            read_by_others: Vec::new(),
            known: found.inputs.iter().map(|path| without_dots(path)).collect(),
        };
        let output = Path::new(invocation.option("--out-dir")?);
        let own_dep_info = dep_info(invocation)?;
        let read_by_own = own.of_ours(&own_dep_info, &invocation.directory)?;
        // Cargo names what all packages with a path read, and what their build scripts say that they read.
        let by_others = |path: &PathBuf| own.concerns(path) && !read_by_own.contains(path);
        let mut read_by_others: Vec<PathBuf> =
            own.known.iter().filter(|path| by_others(path)).cloned().collect();
        // A file that is ours as well stands there once.
        for other in &found.compiled {
            for dep_info in dep_infos(&other.path)?.iter().filter(|path| **path != own_dep_info) {
                let base = match other.manifest.starts_with(&invocation.directory) {
                    true => &invocation.directory,
                    false => other.manifest.parent()?,
                };
                read_by_others.extend(own.of_ours(dep_info, base)?);
            }
        }
        for script in fs::read_dir(output.parent()?.join("build")).ok()? {
            let script = script.ok()?.path().join("output");
            read_by_others.extend(read_by_script(&script, inputs)?);
        }
        own.read_by_others = read_by_others;
        (!own.is_read_by_others(package)).then_some(own)
    }

    /// What of ours a crate read, by its `.d` file. `None` when nobody can know.
    fn of_ours(&self, dep_info: &Path, directory: &Path) -> Option<Vec<PathBuf>> {
        let read = match read_dep_info(dep_info, directory) {
            Ok(read) => read,
            Err(error) if is_absent(&error) => return Some(Vec::new()),
            Err(_) => return None,
        };
        let read = read.iter().map(|path| without_dots(path));
        Some(read.filter(|path| self.concerns(path)).collect())
    }

    /// Whether a path is one of ours, or has ours below it.
    fn concerns(&self, path: &Path) -> bool {
        let file = self.file.as_deref();
        path.starts_with(&self.package)
            || self.package.starts_with(path)
            || file.is_some_and(|file| file.starts_with(path))
    }

    /// Whether nobody but the compiler of the module reads this file.
    pub(super) fn has(&self, path: &Path) -> bool {
        let path = &*without_dots(path);
        let is_inside = path.starts_with(&self.package)
            && !self.inner.iter().any(|inner| path.starts_with(inner));
        // A build script that appears, or a configuration.
        let steers = STEERING_FILES.iter().any(|name| path.ends_with(name))
            || path.ends_with("build.rs")
            || path.components().any(|part| part.as_os_str() == ".cargo");
        (is_inside || self.file.as_deref() == Some(path))
            && !steers
            && !self.is_read_by_others(path)
    }

    /// Whether the build by cargo read this file.
    pub(super) fn knows(&self, path: &Path) -> bool {
        self.known.contains(&without_dots(path))
    }

    fn is_read_by_others(&self, path: &Path) -> bool {
        self.read_by_others.iter().any(|other| path.starts_with(other))
    }
}

/// The `.d` files of something that was compiled: beside it under its own name; for a build script, which has a
/// directory of its own, whichever lie there. None for the module itself, of which a copy lies elsewhere. `None` when
/// nobody can know.
fn dep_infos(compiled: &Path) -> Option<Vec<PathBuf>> {
    let directory = compiled.parent()?;
    if directory.ends_with("deps") {
        let stem = compiled.file_stem()?.to_str()?;
        let name = stem.strip_prefix(std::env::consts::DLL_PREFIX)?;
        return Some(vec![directory.join(format!("{name}.d"))]);
    }
    if !directory.parent()?.ends_with("build") {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).ok()? {
        let path = entry.ok()?.path();
        if path.extension() == Some(OsStr::new("d")) {
            found.push(path);
        }
    }
    Some(found)
}

/// What a build script said that it reads: its whole package when it said nothing. `None` when nobody can know.
fn read_by_script(output: &Path, inputs: &JobInputs) -> Option<Vec<PathBuf>> {
    let text = match fs::read(output) {
        Ok(text) => text,
        Err(error) if is_absent(&error) => return Some(Vec::new()),
        Err(_) => return None,
    };
    let text = String::from_utf8_lossy(&text);
    let said = text
        .lines()
        .filter_map(|line| line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:")));
    let files: Vec<&str> =
        said.clone().filter_map(|line| line.strip_prefix("rerun-if-changed=")).collect();
    // With only variables named, no file makes it run again.
    let says_nothing = !said.clone().any(|line| line.starts_with("rerun-if-"));
    let directory = output.parent()?.file_name()?.to_str()?;
    let (name, _hash) = directory.rsplit_once('-')?;
    let packages = inputs.packages.iter().filter(|(_, known)| *known == name);
    let read = packages.flat_map(|(package, _)| {
        let whole = says_nothing.then(|| package.clone());
        whole.into_iter().chain(files.iter().map(|file| without_dots(&package.join(file))))
    });
    Some(read.collect())
}

/// All that a run of the compiler depends on, but the module's own sources: as long as this stays the same, cargo
/// would run it as before.
pub(super) fn basis(own: &OwnSources, inputs: &JobInputs, invocation: &Invocation) -> Fingerprint {
    let mut hasher = FingerprintHasher::new();
    for file in inputs.files.iter().filter(|file| !own.has(&file.path)) {
        hasher.piece(file.path.as_os_str().as_encoded_bytes());
        hasher.piece(file.digest.as_bytes());
    }
    let packages = inputs.packages.keys().chain([&own.package]);
    hasher.piece(circumstances(packages, invocation).as_bytes());
    hasher.finish()
}

/// The part of it that is no input of these packages: what steers cargo, the tools, the environment.
pub(super) fn circumstances<'a>(
    packages: impl Iterator<Item = &'a PathBuf>,
    invocation: &Invocation,
) -> Fingerprint {
    let mut hasher = FingerprintHasher::new();
    for path in steering(packages) {
        // What is there and cannot be read is unlike anything that was read.
        let content = match fs::read(&path) {
            Ok(bytes) => Fingerprint::of(&bytes).to_string(),
            Err(error) => error.kind().to_string(),
        };
        hasher.piece(path.as_os_str().as_encoded_bytes());
        hasher.piece(content.as_bytes());
    }
    for path in tools(invocation) {
        hasher.piece(path.as_os_str().as_encoded_bytes());
        hasher.piece(identity(&path).as_bytes());
    }
    let mut environment: Vec<_> = std::env::vars_os().collect();
    environment.sort();
    for (name, value) in environment {
        hasher.piece(name.as_encoded_bytes());
        hasher.piece(value.as_encoded_bytes());
    }
    hasher.finish()
}

/// Manifests, lock files, configurations and choices of a toolchain, at and above these packages.
fn steering<'a>(packages: impl Iterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = packages
        .flat_map(|package| {
            let above = package.ancestors();
            let beside = above.flat_map(|above| STEERING_FILES.map(|name| above.join(name)));
            beside.chain(configuration(&package.join("Cargo.toml"))).collect::<Vec<_>>()
        })
        .collect();
    files.extend(home("RUSTUP_HOME", ".rustup").map(|home| home.join("settings.toml")));
    files.sort();
    files.dedup();
    files
}

/// What the run uses: the compiler, the cargo that belongs to it, the crates that were compiled before, what a build
/// script said.
fn tools(invocation: &Invocation) -> Vec<PathBuf> {
    let mut tools = Vec::new();
    if invocation.program.components().count() > 1 {
        tools.push(invocation.directory.join(&invocation.program));
    } else {
        // By name: whatever is found first, or would be.
        let path = invocation.variable("PATH").unwrap_or_default();
        tools.extend(std::env::split_paths(path).map(|path| path.join(&invocation.program)));
    }
    for crate_path in invocation.options("--extern").map(OsStr::as_encoded_bytes) {
        let Some(equals) = crate_path.iter().position(|&byte| byte == b'=') else { continue };
        tools.push(PathBuf::from(OsStr::from_bytes(&crate_path[equals + 1..])));
    }
    tools.extend(invocation.variable("CARGO").map(PathBuf::from));
    if let Some(output) = invocation.variable("OUT_DIR") {
        tools.push(Path::new(output).with_file_name("output"));
    }
    tools
}

/// What a file that is replaced or written does not keep.
fn identity(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(found) => format!(
            "{} {} {} {}.{} {}.{}",
            found.dev(),
            found.ino(),
            found.size(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ),
        Err(error) => error.kind().to_string(),
    }
}

/// The `.d` file that the compiler writes.
pub(super) fn dep_info(invocation: &Invocation) -> Option<PathBuf> {
    output(invocation, "", ".d")
}

/// The library that the compiler writes.
pub(super) fn library(invocation: &Invocation) -> Option<PathBuf> {
    output(invocation, std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn output(invocation: &Invocation, prefix: &str, suffix: &str) -> Option<PathBuf> {
    let directory = Path::new(invocation.option("--out-dir")?);
    let name = invocation.option("--crate-name")?.to_str()?;
    let mut extra = invocation.options("-C").filter_map(OsStr::to_str);
    let extra = extra.find_map(|option| option.strip_prefix("extra-filename=")).unwrap_or_default();
    Some(directory.join(format!("{prefix}{name}{extra}{suffix}")))
}

/// The path without `.` and `..`, by its text.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
