//! Builds a crate with cargo.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hotswap_artifact::{BuildErrorKind, Fingerprint, Source};
use hotswap_system::fs;
use hotswap_system::process::Command;
use parking_lot::Mutex;

use super::basis::Found;
use super::direct::Direct;
use super::ledger::Ledger;
use super::messages::{self, Compiled, Library, Messages};
use super::process::{self, Ended, Finished, Limits};
use super::recording::Recorder;
use super::sandbox::{Room, advice};
use super::{
    BuildBackend, BuildJob, Built, Recipe, Tool, environment, linker, must_have_manifest,
    read_inputs, recipe, target_dir,
};
use crate::project::{self, Project};
use crate::{BuildSettings, Linker, Profile, StopSignal, file_package};

/// Builds a crate, or a single file with dependencies, by `cargo rustc`.
///
/// The environment is scrubbed of what the host inherited (`CARGO_*`, `RUSTC*`,
/// `RUSTFLAGS`), the processes run in a group of their own, and the whole group
/// is killed at the deadline.
#[derive(Debug)]
pub struct CargoBackend {
    source: Source,
    settings: BuildSettings,
    /// Open from the beginning of a build until it is known what moved.
    ledger: Option<Ledger>,
    /// How cargo compiled the crate last, while that can be done without it.
    direct: Option<Direct>,
    /// The same, until it is known that nothing moved meanwhile.
    recorded: Option<Direct>,
    /// Where the last build took place, if it was confined, until its library is in the store.
    room: Option<Room>,
    /// The toolchain, and under which circumstances it was asked for its version.
    versions: Mutex<Option<(Fingerprint, Vec<u8>)>>,
}

/// What a run of cargo needs.
struct Run {
    package: PathBuf,
    /// What cargo writes to.
    target_dir: PathBuf,
    /// Below which the store lies.
    store_dir: PathBuf,
    room: Option<Room>,
    recorder: Option<Recorder>,
    linker_args: Vec<OsString>,
}

/// What it gave.
struct Compilation {
    built: Built,
    compiled: Vec<Compiled>,
}

impl CargoBackend {
    /// Builds the crate in a directory, which must be an absolute path.
    #[must_use]
    pub fn new(package: impl Into<PathBuf>, settings: BuildSettings) -> Self {
        Self::of(Source::Crate(package.into()), settings)
    }

    /// Builds a single file, an absolute path, as a package that is generated in
    /// the target directory.
    #[must_use]
    pub fn for_file(file: impl Into<PathBuf>, settings: BuildSettings) -> Self {
        Self::of(Source::File(file.into()), settings)
    }

    fn of(source: Source, settings: BuildSettings) -> Self {
        Self {
            settings: settings.of_source(&source, false),
            source,
            room: None,
            ledger: None,
            direct: None,
            recorded: None,
            versions: Mutex::new(None),
        }
    }

    /// Where the manifest is and where the build goes.
    fn places(&self, job: &BuildJob, stop: &StopSignal) -> Result<Run, BuildErrorKind> {
        let source = self.source.location();
        let is_file = matches!(self.source, Source::File(_));
        if !is_file {
            must_have_manifest(source)?;
        }
        let root = match &job.workspace_root {
            None if !is_file && self.settings.target_dir.is_none() => {
                Some(Project::resolve(source, &self.settings, stop)?.workspace_root)
            }
            None => Some(source.to_owned()),
            known => known.clone(),
        };
        let store_dir = target_dir(&self.source, root.as_deref(), &self.settings)
            .expect("the workspace of a crate was just determined, a file has a directory");
        let room = self.settings.room(Some(&store_dir), source)?;
        let (packages_dir, target_dir) = match &room {
            Some(room) => (room.directory(), room.directory().join("target")),
            None => (store_dir.as_path(), store_dir.clone()),
        };
        let package = if is_file {
            file_package::write(packages_dir, source, &self.settings.file_dependencies)?
        } else {
            source.to_owned()
        };
        let (recorder, linker_args) = (None, Vec::new());
        Ok(Run { package, target_dir, store_dir, room, recorder, linker_args })
    }

    fn command(&self, package: &Path, target_dir: &Path) -> Command {
        let settings = &self.settings;
        let mut command = Command::new(settings.cargo_program());
        environment::scrub(&mut command);
        command
            .current_dir(package)
            .args(["rustc", "--lib", "--crate-type", "cdylib", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(target_dir)
            .arg(if settings.color {
                "--message-format=json-diagnostic-rendered-ansi"
            } else {
                "--message-format=json"
            })
            .args(project::features(settings));
        match &settings.profile {
            Profile::Hot | Profile::Dev => {}
            Profile::Release => drop(command.arg("--release")),
            Profile::Named(name) => drop(command.args(["--profile", name])),
        }
        command.args(settings.locked.then_some("--locked"));
        command.args(settings.offline.then_some("--offline"));
        command.arg("--").args(settings.profile.rustc_args()).args(&settings.rustc_args);
        command
    }

    /// Runs cargo; without the linker that we chose, when that may be why it failed.
    fn compile(&mut self, run: &mut Run, stop: &StopSignal) -> Result<Compilation, BuildErrorKind> {
        let result = self.run(run, stop);
        match &result {
            Err(BuildErrorKind::Failed { diagnostics })
                if !run.linker_args.is_empty() && !diagnostics.names_a_place() => {}
            _ => return result,
        }
        run.linker_args.clear();
        let result = self.run(run, stop);
        if result.is_ok() {
            log::warn!("wild cannot link {}; the toolchain's linker is used", self.source);
            self.settings.linker = Linker::Toolchain;
        }
        result
    }

    fn run(&self, run: &Run, stop: &StopSignal) -> Result<Compilation, BuildErrorKind> {
        let mut command = self.command(&run.package, &run.target_dir);
        command.args(&run.linker_args);
        if let Some(recorder) = &run.recorder {
            recorder.attach(&mut command);
        }
        let limits = Limits::of(&self.settings, run.room.as_ref());
        let mut finished = process::run(command, &limits, stop, Messages::default())
            .map_err(|error| project::run_error(error, &self.settings.cargo_program()))?;
        let compiled = finished.output.take_compiled();
        let built = self.outcome(finished, run)?;
        Ok(Compilation { built, compiled })
    }

    /// Has cargo itself forget what it compiled for these packages.
    fn clean(&self, run: &Run, names: &[String], stop: &StopSignal) -> Result<(), BuildErrorKind> {
        let mut command = Command::new(self.settings.cargo_program());
        environment::scrub(&mut command);
        command
            .current_dir(&run.package)
            .args(["clean", "--offline", "--manifest-path"])
            .arg(run.package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&run.target_dir);
        command.args(names.iter().flat_map(|name| ["--package", name.as_str()]));
        let limits = Limits::of(&self.settings, None);
        process::run(command, &limits, stop, Messages::default())
            .map(drop)
            .map_err(|error| project::run_error(error, &self.settings.cargo_program()))
    }

    fn outcome(&self, finished: Finished<Messages>, run: &Run) -> Result<Built, BuildErrorKind> {
        let Finished { ended, output, stderr } = finished;
        let status = match ended {
            Ended::Stopped => return Err(BuildErrorKind::Stopped),
            Ended::TimedOut => {
                return Err(BuildErrorKind::TimedOut {
                    deadline: self.settings.deadline,
                    diagnostics: output.into_diagnostics(false, &stderr),
                });
            }
            Ended::TooMuchOutput => {
                return Err(BuildErrorKind::TooMuchOutput {
                    output_bytes_max: self.settings.output_bytes_max,
                    diagnostics: output.into_diagnostics(false, &stderr),
                });
            }
            Ended::TooManyProcesses(processes_max) => {
                return Err(BuildErrorKind::TooManyProcesses {
                    processes_max,
                    diagnostics: output.into_diagnostics(false, &stderr),
                });
            }
            Ended::Exited(status) => status,
        };
        let library = of_package(output.libraries(), &run.package.join("Cargo.toml")).cloned();
        let mut diagnostics = output.into_diagnostics(!status.success(), &stderr);
        if run.room.is_some()
            && !status.success()
            && let Some(advice) = advice(&diagnostics.rendered)
        {
            diagnostics.rendered.push_str(&format!("help: {advice}\n"));
        }
        match library {
            Some(library) if status.success() => {
                let mut built = Built::new(&library.path, &run.store_dir);
                built.fresh = library.fresh;
                built.by = Tool::Cargo;
                built.diagnostics = diagnostics;
                match &run.room {
                    // What a build says that it read is not looked for outside.
                    Some(room) => room.must_have(&built)?,
                    None => {
                        let dep_info = library.path.with_extension("d");
                        built.inputs = read_inputs(&dep_info, &run.package)?;
                    }
                }
                Ok(built)
            }
            None if status.success() || stderr.contains("no library targets found") => {
                Err(BuildErrorKind::NoLibrary { diagnostics })
            }
            _ => Err(messages::failure(diagnostics, &stderr, &self.settings)),
        }
    }
}

impl BuildBackend for CargoBackend {
    /// With a job of the monitor's, the target directory is locked until
    /// [`close`](BuildBackend::close) is called, and cargo is made to compile what
    /// it would miss. Without, cargo decides by time stamps.
    fn build(&mut self, job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        (self.ledger, self.recorded, self.room) = (None, None, None);
        // Back again only when it answers.
        let direct = self.direct.take();
        let mut run = self.places(job, stop)?;
        let inputs = match &job.inputs {
            // A room is empty: cargo compiles everything.
            Some(inputs) if run.room.is_none() => inputs,
            _ => {
                let compilation = self.run(&run, stop);
                self.room = run.room;
                return compilation.map(|compilation| compilation.built);
            }
        };
        let profile = self.settings.profile.directory().to_owned();
        let deadline = self.settings.deadline;
        let ledger = Ledger::open(&run.target_dir, &profile, inputs.clone(), deadline, stop)?;
        let names: Vec<String> = ledger.packages().map(str::to_owned).collect();
        if job.is_output_doubted {
            self.clean(&run, &names, stop)?;
        }
        let ledger = self.ledger.insert(ledger);
        if let Some(mut direct) = direct
            && !job.is_output_doubted
            && !ledger.is_forced_beside()
            && direct.holds(inputs)
            && let Some(answer) = direct.build(ledger, &run.target_dir, &self.settings, stop)
        {
            self.direct = Some(direct);
            return answer;
        }
        let is_forced = ledger.is_forced();
        run.recorder = Recorder::new(ledger.directory(), &run.package);
        run.linker_args = linker::arguments(&self.settings, &run.package, ledger.directory());
        let mut compilation = self.compile(&mut run, stop)?;
        if is_forced && compilation.built.fresh {
            // It keeps its fingerprints where we did not find them.
            self.clean(&run, &names, stop)?;
            compilation = self.compile(&mut run, stop)?;
        }
        let Compilation { built, compiled } = compilation;
        if let Some(invocation) = run.recorder.and_then(|recorder| recorder.take())
            && let Some(read) = &built.inputs
        {
            let found = Found { inputs: read.clone(), compiled };
            let directory = run.target_dir.join(&profile);
            let file = matches!(self.source, Source::File(_)).then(|| self.source.location());
            self.recorded = Direct::new(invocation, found, &directory, &run.package, file, inputs);
        }
        Ok(built)
    }

    fn recipe(&self, job: &BuildJob) -> Option<Recipe> {
        recipe::recipe(&self.source, job.workspace_root.as_deref(), &self.settings)
    }

    fn toolchain(&self, stop: &StopSignal) -> Option<Vec<u8>> {
        // Two processes less for each edit, and two of rustup's.
        let circumstances = self.direct.as_ref().map(Direct::circumstances);
        if let (Some(now), Some((then, versions))) = (circumstances, &*self.versions.lock())
            && now == *then
        {
            return Some(versions.clone());
        }
        let of = |program: &Path| recipe::version(program, &self.source, &self.settings, stop);
        let mut versions = of(&self.settings.cargo_program())?;
        versions.push(b'\n');
        // Cargo takes the one on PATH, unless its configuration names another, which
        // the fingerprint or the recipe covers.
        versions.extend(of(Path::new("rustc"))?);
        *self.versions.lock() =
            circumstances.map(|circumstances| (circumstances, versions.clone()));
        Some(versions)
    }

    fn close(&mut self, moved: &[PathBuf]) {
        self.room = None;
        if let Some(ledger) = self.ledger.take() {
            ledger.close(moved);
        }
        if let Some(recorded) = self.recorded.take()
            && moved.is_empty()
        {
            self.direct = Some(recorded);
        }
    }
}

/// The package's own library: a dependency may be a dynamic library as well.
/// Cargo may name the manifest by another path than ours, through a link.
fn of_package<'a>(libraries: &'a [Library], manifest: &Path) -> Option<&'a Library> {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    libraries.iter().rev().find(|library| {
        library.manifest == manifest
            || canonical(&library.manifest).is_some_and(|path| Some(path) == canonical(manifest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_the_settings_say() {
        let settings = BuildSettings {
            profile: Profile::Named("fast".to_owned()),
            features: vec!["a".to_owned(), "b".to_owned()],
            default_features: false,
            locked: true,
            offline: true,
            rustc_args: vec!["--cfg".to_owned(), "hot".to_owned()],
            cargo: Some(PathBuf::from("/opt/cargo")),
            ..BuildSettings::default()
        };
        let backend = CargoBackend::new("/src/game", settings);
        let command = backend.command(Path::new("/src/game"), Path::new("/t"));
        assert_eq!(command.get_program(), "/opt/cargo");
        assert_eq!(command.get_current_dir(), Some(Path::new("/src/game")));
        let arguments: Vec<&str> = command.get_args().map(|a| a.to_str().unwrap()).collect();
        assert_eq!(
            arguments.join(" "),
            "rustc --lib --crate-type cdylib --manifest-path /src/game/Cargo.toml \
             --target-dir /t --message-format=json --features a,b --no-default-features \
             --profile fast --locked --offline -- --cfg hot"
        );
    }

    #[test]
    fn only_the_quick_profile_says_more_about_the_final_crate_than_the_manifest() {
        let arguments_after_cargos = |profile| {
            let settings = BuildSettings { profile, ..BuildSettings::default() };
            let backend = CargoBackend::new("/src/game", settings);
            let command = backend.command(Path::new("/src/game"), Path::new("/t"));
            let arguments = command.get_args().map(|argument| argument.to_str().unwrap());
            arguments.skip_while(|argument| *argument != "--").collect::<Vec<_>>().join(" ")
        };
        let hot = arguments_after_cargos(Profile::default());
        assert!(
            hot.starts_with("-- -Cdebuginfo=none -Cstrip=debuginfo -Ccodegen-units=16"),
            "{hot}"
        );
        assert_eq!(arguments_after_cargos(Profile::Dev), "--");
        assert_eq!(arguments_after_cargos(Profile::Release), "--");
    }

    #[test]
    fn a_directory_without_a_manifest_is_told_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let mut backend = CargoBackend::new(directory.path(), BuildSettings::default());
        let job = BuildJob::new(Fingerprint::of(b""));
        let error = backend.build(&job, &StopSignal::never()).unwrap_err();
        assert!(error.to_string().contains("no Cargo.toml in /"), "{error}");
    }
}
