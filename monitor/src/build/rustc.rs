//! Builds a single file with rustc alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{BuildErrorKind, Diagnostics, Source};
use hotswap_system::fs;
use hotswap_system::process::Command;

use super::messages::{self, Messages};
use super::output::LineSink;
use super::process::{self, Ended, Limits};
use super::sandbox::Room;
use super::{
    BuildBackend, BuildJob, Built, Recipe, Tool, environment, read_inputs, recipe, target_dir,
};
use crate::{BuildSettings, Profile, StopSignal, file_package, project};

/// Builds one file without dependencies by `rustc --crate-type cdylib`.
#[derive(Debug)]
pub struct RustcBackend {
    file: PathBuf,
    settings: BuildSettings,
    /// Where the last build took place, until its library is in the store.
    room: Option<Room>,
}

impl RustcBackend {
    /// Builds a file, which must be an absolute path.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, settings: BuildSettings) -> Self {
        let file = file.into();
        let settings = settings.of_source(&Source::File(file.clone()), false);
        Self { file, settings, room: None }
    }

    fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    fn command(&self, output: &Path) -> Command {
        let settings = &self.settings;
        let mut command = Command::new(settings.rustc_program());
        environment::scrub(&mut command);
        command
            .current_dir(self.directory())
            .args(["--crate-type=cdylib", "--edition=2024", "--emit=link,dep-info"])
            .args(["--error-format=json", "--crate-name"])
            .arg(file_package::crate_name(&self.file))
            .arg("--out-dir")
            .arg(output);
        if settings.color {
            command.arg("--json=diagnostic-rendered-ansi");
        }
        if settings.profile.directory() == "release" {
            command.arg("-Copt-level=3");
        } else {
            command.arg("-Cdebuginfo=2").args(settings.profile.rustc_args());
        }
        for feature in &settings.features {
            command.arg("--cfg").arg(format!("feature={feature:?}"));
        }
        command.args(&settings.rustc_args).arg(&self.file);
        command
    }
}

impl BuildBackend for RustcBackend {
    fn build(&mut self, _job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        let source = Source::File(self.file.clone());
        let target_dir = target_dir(&source, None, &self.settings)
            .expect("an absolute path of a file has a parent");
        self.room = None;
        let room = self.settings.room(Some(&target_dir), &self.file)?;
        let outputs = room.as_ref().map_or(target_dir.as_path(), Room::directory);
        let directory = file_package::directory(outputs, &self.file);
        let output = directory.join(match &self.settings.profile {
            Profile::Named(_) => Profile::Dev.directory(),
            profile => profile.directory(),
        });
        fs::create_dir_all(&output).map_err(|error| BuildErrorKind::Io {
            action: "create",
            path: output.clone(),
            error: Arc::new(error),
        })?;
        let name = file_package::crate_name(&self.file);
        let suffix = std::env::consts::DLL_SUFFIX;
        let library = output.join(format!("lib{name}{suffix}"));
        // The store may hold a hard link of the last output: a linker that wrote
        // in place would change what may be loaded.
        let _absent = fs::remove_file(&library);

        let diagnostics = run(self.command(&output), &self.settings, room.as_ref(), stop)?;
        let mut built = Built::new(library, target_dir);
        built.by = Tool::Rustc;
        built.diagnostics = diagnostics;
        match room {
            Some(room) => {
                room.must_have(&built)?;
                self.room = Some(room);
            }
            None => {
                built.inputs = read_inputs(&output.join(format!("{name}.d")), self.directory())?;
            }
        }
        Ok(built)
    }

    fn recipe(&self, _job: &BuildJob) -> Option<Recipe> {
        recipe::recipe(&Source::File(self.file.clone()), None, &self.settings)
    }

    fn close(&mut self, _moved: &[PathBuf]) {
        self.room = None;
    }

    fn toolchain(&self, stop: &StopSignal) -> Option<Vec<u8>> {
        let source = Source::File(self.file.clone());
        recipe::version(&self.settings.rustc_program(), &source, &self.settings, stop)
    }
}

/// Runs rustc, which writes its JSON to standard error; what it said when it succeeded.
pub(super) fn run(
    command: Command,
    settings: &BuildSettings,
    room: Option<&Room>,
    stop: &StopSignal,
) -> Result<Diagnostics, BuildErrorKind> {
    let program = PathBuf::from(command.get_program());
    let limits = Limits::of(settings, room);
    let finished = process::run(command, &limits, stop, Messages::default())
        .map_err(|error| project::run_error(error, &program))?;
    let mut messages = finished.output;
    for line in finished.stderr.lines() {
        LineSink::line(&mut messages, line.as_bytes());
    }
    match finished.ended {
        Ended::Stopped => Err(BuildErrorKind::Stopped),
        Ended::TimedOut => Err(BuildErrorKind::TimedOut {
            deadline: limits.deadline,
            diagnostics: messages.into_diagnostics(false, ""),
        }),
        Ended::TooMuchOutput => Err(BuildErrorKind::TooMuchOutput {
            output_bytes_max: limits.output_bytes_max,
            diagnostics: messages.into_diagnostics(false, ""),
        }),
        Ended::TooManyProcesses(processes_max) => Err(BuildErrorKind::TooManyProcesses {
            processes_max,
            diagnostics: messages.into_diagnostics(false, ""),
        }),
        Ended::Exited(status) if !status.success() => {
            let diagnostics = messages.into_diagnostics(true, "");
            Err(messages::failure(diagnostics, "", settings))
        }
        Ended::Exited(_) => Ok(messages.into_diagnostics(false, "")),
    }
}
