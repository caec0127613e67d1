//! What cargo knows of a package: its workspace and its path dependencies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{BuildErrorKind, Diagnostics};
use hotswap_system::process::Command;
use serde_json::Value;

use crate::build::environment;
use crate::build::process::{self, Ended, Limits, RunError};
use crate::build::sandbox::{Room, advice};
use crate::{BuildSettings, StopSignal};

/// The platform whose dependencies count. Without it cargo wants the packages of
/// every platform, which fails offline for those that were never downloaded.
const PLATFORM: Option<&str> = if cfg!(all(target_os = "linux", target_env = "gnu")) {
    if cfg!(target_arch = "x86_64") {
        Some("x86_64-unknown-linux-gnu")
    } else if cfg!(target_arch = "aarch64") {
        Some("aarch64-unknown-linux-gnu")
    } else {
        None
    }
} else {
    None
};

/// The longest answer of cargo that is taken.
///
/// 128 MiB, twice the longest line.
const METADATA_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A package as cargo resolved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// Where the lock file lies.
    pub(crate) workspace_root: PathBuf,
    /// The directories of all packages without a registry that go into the
    /// package's build, its own included, with
    /// the packages' names.
    pub(crate) packages: BTreeMap<PathBuf, String>,
    /// The file name of the library without prefix and suffix.
    pub(crate) library_name: Option<String>,
    /// Whether any of these packages has a build script.
    pub(crate) has_build_script: bool,
}

impl Project {
    /// Asks cargo, first without the network. Blocks for as long as cargo runs, at
    /// most for the build's deadline each time. Cargo writes a missing lock file
    /// and completes an old one meanwhile.
    pub(crate) fn resolve(
        package: &Path,
        settings: &BuildSettings,
        stop: &StopSignal,
    ) -> Result<Self, BuildErrorKind> {
        let room = settings.room(None, package)?;
        let place = match &room {
            // The package around a single file gets a lock file, which can be written nowhere else.
            Some(room) if !settings.locked => room.take_in(package)?,
            _ => package.to_owned(),
        };
        let ask = |offline| metadata(&place, settings, room.as_ref(), stop, offline);
        match ask(true) {
            // Cargo says so itself when the network might help.
            Err(BuildErrorKind::Manifest { message })
                if !settings.offline && message.contains("offline") =>
            {
                ask(false)
            }
            result => result,
        }
        .and_then(|metadata| {
            Self::read(package, &metadata).ok_or_else(|| BuildErrorKind::Manifest {
                message: "cargo metadata answered something unknown".to_owned(),
            })
        })
        .map(|mut project| {
            if let Some(room) = &room {
                // Whoever wrote the code may have had a hand in the answer.
                project.packages.retain(|directory, _| room.has_code(directory));
                if !package.starts_with(&project.workspace_root) {
                    project.workspace_root = package.to_owned();
                }
            }
            project
        })
    }

    fn read(package: &Path, metadata: &Value) -> Option<Self> {
        let packages: HashMap<&str, &Value> = metadata["packages"]
            .as_array()?
            .iter()
            .filter_map(|package| Some((package["id"].as_str()?, package)))
            .collect();
        let workspace_root = PathBuf::from(metadata["workspace_root"].as_str()?);
        let mut project = Self {
            workspace_root,
            packages: BTreeMap::new(),
            library_name: None,
            has_build_script: false,
        };
        // A virtual workspace has no root package; the build will say so.
        let Some(root) = metadata["resolve"]["root"].as_str() else {
            return Some(project);
        };
        project.library_name = packages.get(root).and_then(|root| library_name(root));
        for id in reachable(root, &metadata["resolve"]["nodes"]) {
            let Some(dependency) = packages.get(id) else { continue };
            if !dependency["source"].is_null() {
                continue;
            }
            project.has_build_script |= targets(dependency, "custom-build").next().is_some();
            let name = dependency["name"].as_str()?.to_owned();
            let manifest = Path::new(dependency["manifest_path"].as_str()?);
            // Our own by the path that we know it by, which may lead through a link.
            let directory = if id == root { package } else { manifest.parent()? };
            project.packages.insert(directory.to_owned(), name);
        }
        Some(project)
    }
}

fn metadata(
    package: &Path,
    settings: &BuildSettings,
    room: Option<&Room>,
    stop: &StopSignal,
    offline: bool,
) -> Result<Value, BuildErrorKind> {
    if package.to_str().is_none() {
        // Its own words name neither the path nor what to do.
        let message = format!("cargo takes no path that is not UTF-8: {}", package.display());
        return Err(BuildErrorKind::Manifest { message });
    }
    let cargo = settings.cargo_program();
    let mut command = Command::new(&cargo);
    environment::scrub(&mut command);
    command
        .current_dir(package)
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .args(features(settings));
    command.args(PLATFORM.map(|platform| format!("--filter-platform={platform}")));
    command.args(offline.then_some("--offline"));
    command.args(settings.locked.then_some("--locked"));
    let limits = Limits { output_bytes_max: METADATA_BYTES_MAX, ..Limits::of(settings, room) };
    let finished = process::run(command, &limits, stop, Vec::<Vec<u8>>::new())
        .map_err(|error| run_error(error, &cargo))?;
    match finished.ended {
        Ended::Stopped => Err(BuildErrorKind::Stopped),
        Ended::TimedOut => Err(BuildErrorKind::TimedOut {
            deadline: settings.deadline,
            diagnostics: Diagnostics::default(),
        }),
        Ended::TooMuchOutput => Err(BuildErrorKind::TooMuchOutput {
            output_bytes_max: METADATA_BYTES_MAX,
            diagnostics: Diagnostics::default(),
        }),
        Ended::TooManyProcesses(processes_max) => Err(BuildErrorKind::TooManyProcesses {
            processes_max,
            diagnostics: Diagnostics::default(),
        }),
        Ended::Exited(status) if status.success() => {
            let answer = finished.output.iter().find(|line| line.starts_with(b"{"));
            serde_json::from_slice(answer.map_or(&[], Vec::as_slice)).map_err(|error| {
                BuildErrorKind::Manifest {
                    message: format!("cargo metadata answered something unknown: {error}"),
                }
            })
        }
        Ended::Exited(_) if is_out_of_memory(settings, &finished.stderr) => {
            let mut diagnostics = Diagnostics::default();
            diagnostics.rendered = finished.stderr;
            let memory_bytes_max = settings.memory_bytes_max.unwrap_or_default();
            Err(BuildErrorKind::OutOfMemory { memory_bytes_max, diagnostics })
        }
        // Cargo is there and its compiler is not: no fault of the manifest.
        Ended::Exited(_) if finished.stderr.contains("could not execute process `rustc") => {
            let error = io::Error::new(io::ErrorKind::NotFound, finished.stderr.trim());
            Err(BuildErrorKind::Spawn { program: "rustc".into(), error: Arc::new(error) })
        }
        Ended::Exited(_) => {
            let mut message = finished.stderr.trim().to_owned();
            if let Some(advice) = room.and_then(|_| advice(&message)) {
                message.push_str("\nhelp: ");
                message.push_str(advice);
            }
            Err(BuildErrorKind::Manifest { message })
        }
    }
}

fn is_out_of_memory(settings: &BuildSettings, text: &str) -> bool {
    settings.memory_bytes_max.is_some() && process::is_out_of_memory(text)
}

/// The arguments that choose features.
pub(crate) fn features(settings: &BuildSettings) -> Vec<String> {
    let mut arguments = Vec::new();
    if !settings.features.is_empty() {
        arguments.push("--features".to_owned());
        arguments.push(settings.features.join(","));
    }
    if !settings.default_features {
        arguments.push("--no-default-features".to_owned());
    }
    arguments
}

/// What it means that a compiler could not be run.
pub(crate) fn run_error(error: RunError, program: &Path) -> BuildErrorKind {
    match error {
        RunError::Spawn(error) => {
            BuildErrorKind::Spawn { program: program.to_owned(), error: Arc::new(error) }
        }
        RunError::Wait(error) => BuildErrorKind::Io {
            action: "wait for",
            path: program.to_owned(),
            error: Arc::new(error),
        },
    }
}

/// The packages that go into `root`'s build: everything but what only its tests
/// need.
fn reachable<'a>(root: &'a str, nodes: &'a Value) -> BTreeSet<&'a str> {
    let nodes: HashMap<&str, &Value> = nodes
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id) else { continue };
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let is_for_tests = kinds.is_some_and(|kinds| {
                !kinds.is_empty() && kinds.iter().all(|kind| kind["kind"] == "dev")
            });
            if let Some(id) = dependency["pkg"].as_str()
                && !is_for_tests
                && found.insert(id)
            {
                open.push(id);
            }
        }
    }
    found
}

fn targets<'a>(package: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    package["targets"].as_array().into_iter().flatten().filter(move |target| {
        let mut kinds = target["kind"].as_array().into_iter().flatten();
        kinds.any(|found| found == kind)
    })
}

fn library_name(package: &Value) -> Option<String> {
    ["cdylib", "dylib", "lib", "rlib"]
        .into_iter()
        .find_map(|kind| targets(package, kind).next())
        .and_then(|target| target["name"].as_str())
        .map(|name| name.replace('-', "_"))
}
