//! What decides what a build of ours gives, besides the source.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_artifact::{Fingerprint, Source};
use hotswap_system::fs;
use hotswap_system::process::Command;

use super::process::{self, Ended, Limits};
use super::{Recipe, environment, target_dir};
use crate::scan::walk::is_absent;
use crate::{BuildSettings, StopSignal};

/// What a compiler may use to say its version.
///
/// 10 s: it takes some milliseconds; the first time after an update, rustup may be
/// asked to install it. 64 KiB: it says some lines.
const VERSION_LIMITS: Limits<'_> = Limits {
    deadline: Duration::from_secs(10),
    memory_bytes_max: None,
    output_bytes_max: 64 * 1024,
    room: None,
};

/// The recipe of a source that is built with these settings; `None` when nothing is
/// to be remembered.
pub(super) fn recipe(
    source: &Source,
    workspace_root: Option<&Path>,
    settings: &BuildSettings,
) -> Option<Recipe> {
    let target_dir = target_dir(source, workspace_root, settings)?;
    // Named one by one: what only limits or colours a build is not part of it.
    let BuildSettings {
        profile,
        // Whatever links it, it is the same code.
        linker: _,
        features,
        default_features,
        locked: _,
        offline: _,
        deadline: _,
        reuse_builds,
        memory_bytes_max: _,
        output_bytes_max: _,
        sandbox: _,
        sandbox_limits: _,
        sandbox_reads,
        target_dir: _,
        cargo,
        rustc,
        rustc_args,
        file_dependencies,
        color: _,
        confinement,
    } = settings;
    if !reuse_builds {
        return None;
    }
    // Programs that were chosen; which one is found otherwise its version tells, as long as there is one.
    let mut text = format!(
        "{source:?} {profile:?} {features:?} {default_features} {rustc_args:?} \
         {file_dependencies:?} {cargo:?} {rustc:?}",
    )
    .into_bytes();
    // In a sandbox a build script may find another world.
    if let Some(confinement) = confinement {
        text.extend_from_slice(format!("\n{confinement:?} {sandbox_reads:?}").as_bytes());
    }
    // Cargo's configuration beside the sources is part of the fingerprint; what
    // lies above them and in cargo's home is not.
    for path in configuration(source.location()) {
        let content = match fs::read(&path) {
            // The hash: there may be tokens of registries in it.
            Ok(bytes) => Fingerprint::of(&bytes).to_string(),
            Err(error) if is_absent(&error) => continue,
            // Neither what it gives with this file nor what it gives without.
            Err(error) => error.kind().to_string(),
        };
        text.extend_from_slice(format!("\n{path:?} {content}").as_bytes());
    }
    Some(Recipe::new(target_dir, text))
}

/// Where cargo's configuration for this source may lie: beside it, above it, and in cargo's home.
pub(super) fn configuration(source: &Path) -> impl Iterator<Item = PathBuf> {
    let above = source.ancestors().skip(1).map(|directory| directory.join(".cargo"));
    above
        .chain(home("CARGO_HOME", ".cargo"))
        .flat_map(|directory| ["config.toml", "config"].map(|name| directory.join(name)))
}

/// The home of a tool: what the variable says, or below the user's.
pub(super) fn home(variable: &str, below: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below)))
}

/// What a compiler says its version is, asked where it will run: rustup chooses by
/// the directory.
pub(super) fn version(
    program: &Path,
    source: &Source,
    settings: &BuildSettings,
    stop: &StopSignal,
) -> Option<Vec<u8>> {
    let directory = match source {
        Source::Crate(package) => package,
        source => source.location().parent()?,
    };
    let mut command = Command::new(program);
    environment::scrub(&mut command);
    command.arg("-vV").current_dir(directory);
    let lines = Vec::<Vec<u8>>::new();
    // Whoever wrote the code may have said which compiler that is.
    let room = settings.room(None, source.location()).ok()?;
    let limits = Limits { room: room.as_ref(), ..VERSION_LIMITS };
    let finished = process::run(command, &limits, stop, lines).ok()?;
    match finished.ended {
        Ended::Exited(status) if status.success() => Some(finished.output.join(&b'\n')),
        Ended::Exited(_)
        | Ended::TimedOut
        | Ended::TooMuchOutput
        | Ended::TooManyProcesses(_)
        | Ended::Stopped => None,
    }
}
