//! Which files go into the build of a source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hotswap_artifact::{BuildErrorKind, Fingerprint, Source};
use hotswap_system::fs;

use super::answers::{Answers, Kind};
use super::found::Found;
use super::walk::{WalkFailure, files_below, is_absent};
use super::{Failure, dep_info, must_exist};
use crate::build::must_have_manifest;
use crate::events::Interest;
use crate::project::Project;
use crate::store::projects::{self, Manifests};
use crate::{BuildSettings, StopSignal, build::messages, file_package};

/// How often cargo is asked again because a manifest was written meanwhile.
const RESOLUTIONS_MAX: usize = 3;

/// What steers cargo and lies beside a manifest, or beside one of the
/// directories above it. Any of these may be absent and appear later.
const CONTROL_FILES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// The files of one source.
pub(super) struct Inputs {
    source: Source,
    pub(super) settings: BuildSettings,
    stop: StopSignal,
    resolution: Option<Resolution>,
    /// What the last good build read, by its `.d` file.
    learned: BTreeSet<PathBuf>,
    /// What failed builds and resolutions missed; it may appear.
    expected: BTreeSet<PathBuf>,
    /// Whether the `.d` file of an earlier process was looked for.
    is_dep_info_loaded: bool,
    /// Whether what cargo said is of the manifests that lie there.
    is_resolved: bool,
}

/// What cargo answered, and what the manifests were when it was asked.
struct Resolution {
    manifests: Manifests,
    answer: Result<Project, BuildErrorKind>,
}

impl Inputs {
    pub(super) fn new(source: &Source, settings: BuildSettings, stop: StopSignal) -> Self {
        Self {
            source: source.clone(),
            settings,
            stop,
            resolution: None,
            learned: BTreeSet::new(),
            expected: BTreeSet::new(),
            is_dep_info_loaded: false,
            is_resolved: false,
        }
    }

    /// Asks cargo about the package, when a manifest differs from the last time.
    pub(super) fn resolve(&mut self, answers: &mut Answers) -> Result<(), Failure> {
        must_exist(self.source.location())?;
        self.is_resolved = match self.package() {
            Some(package) => self.resolve_package(&package, answers)?,
            None => true,
        };
        self.load_dep_info();
        Ok(())
    }

    /// Whether the manifests stood still for long enough.
    fn resolve_package(&mut self, package: &Path, answers: &mut Answers) -> Result<bool, Failure> {
        for _ in 0..RESOLUTIONS_MAX {
            let before = self.manifests(answers)?;
            if self.resolution.as_ref().is_some_and(|known| known.manifests == before) {
                return Ok(true);
            }
            let answer = self.ask(package);
            if let Err(BuildErrorKind::Spawn { .. }) = &answer
                && self.recall(package, answers)?
            {
                return Ok(true);
            }
            self.expect_manifests_of(&answer);
            self.resolution = Some(Resolution { manifests: BTreeMap::new(), answer });
            // Cargo writes the lock file while it answers, and the answer
            // names more manifests: both belong to it. A manifest of before
            // that differs does not: somebody wrote it meanwhile.
            let after = self.manifests(answers)?;
            let is_same = |path: &PathBuf, digest: &Fingerprint| {
                path.ends_with("Cargo.lock") || after.get(path) == Some(digest)
            };
            if before.iter().all(|(path, digest)| is_same(path, digest))
                && let Some(resolution) = &mut self.resolution
            {
                resolution.manifests = after;
                self.remember(package);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps what cargo answered for a process that finds no cargo.
    fn remember(&self, package: &Path) {
        if let Some(Resolution { manifests, answer: Ok(project) }) = &self.resolution
            && let Some(target_dir) = self.target_dir()
        {
            projects::remember(&target_dir, package, &self.settings, project, manifests);
        }
    }

    /// Takes what cargo answered in an earlier process, if all that it depends on is as it was.
    fn recall(&mut self, package: &Path, answers: &mut Answers) -> Result<bool, Failure> {
        let near = |directory: &Path| directory.join("target/hotswap");
        // Where the workspace begins only cargo can tell.
        let target_dirs: Vec<PathBuf> = match self.target_dir() {
            Some(target_dir) => vec![target_dir],
            None => package.ancestors().map(near).collect(),
        };
        let recall = |target_dir: &PathBuf| projects::recall(target_dir, package, &self.settings);
        let Some((project, manifests)) = target_dirs.iter().find_map(recall) else {
            return Ok(false);
        };
        // With the answer it is known which manifests count.
        let before = self.resolution.replace(Resolution { manifests, answer: Ok(project) });
        let now = self.manifests(answers)?;
        let is_same = self.resolution.as_ref().is_some_and(|recalled| recalled.manifests == now);
        if !is_same {
            self.resolution = before;
        }
        Ok(is_same)
    }

    /// Whether cargo was asked about what lies there, or need not be.
    pub(super) fn is_resolved(&self) -> bool {
        self.is_resolved
    }

    /// All files that there are; some more than once.
    pub(super) fn list(&self, answers: &mut Answers) -> Result<Vec<PathBuf>, WalkFailure> {
        let mut files = match &self.source {
            Source::Crate(package) => self.files_below(package, answers)?,
            source => vec![source.location().to_owned()],
        };
        for package in self.path_dependencies() {
            files.extend(self.files_below(package, answers)?);
        }
        let beside = self.control_files().into_iter();
        let outside = beside.chain(self.learned.iter().chain(&self.expected).cloned());
        for path in outside {
            match answers.kind(&path) {
                Ok(Some(Kind::File)) => files.push(path),
                // A build script may say that it reads a directory.
                Ok(Some(Kind::Directory)) => files.extend(self.files_below(&path, answers)?),
                Ok(Some(Kind::Other) | None) => {}
                Err(error) => return Err(WalkFailure { path, error }),
            }
        }
        Ok(files)
    }

    /// Replaces what the last good build read; whether that is something else. Its own
    /// outputs are no inputs: a build script's generated code is named in the `.d` file too.
    pub(super) fn learn(&mut self, inputs: Vec<PathBuf>) -> bool {
        let target_dir = self.target_dir();
        let is_output =
            |path: &PathBuf| target_dir.as_ref().is_some_and(|dir| path.starts_with(dir));
        let inputs = inputs.into_iter().filter(|path| !is_output(path));
        let learned = inputs.collect();
        let is_new = self.learned != learned || !self.expected.is_empty();
        self.learned = learned;
        self.expected.clear();
        self.is_dep_info_loaded = true;
        is_new
    }

    pub(super) fn learned_names(&self) -> impl Iterator<Item = PathBuf> {
        self.learned.iter().map(|path| self.name(path).to_owned())
    }

    /// Watches for files that were missed; whether any is new. A compiler names them
    /// relative to where it ran: the package or its workspace.
    pub(super) fn expect(&mut self, missing: Vec<PathBuf>) -> bool {
        let package = self.package().unwrap_or_else(|| self.root().to_owned());
        let bases = [Some(package.as_path()), self.workspace_root(), Some(self.root())];
        let expected =
            missing.iter().flat_map(|path| bases.iter().flatten().map(move |base| base.join(path)));
        let expected: Vec<PathBuf> = expected.collect();
        let known = self.expected.len();
        self.expected.extend(expected);
        self.expected.len() > known
    }

    pub(super) fn forget_resolution(&mut self) {
        self.resolution = None;
        self.is_resolved = false;
    }

    pub(super) fn problem(&self) -> Option<BuildErrorKind> {
        self.resolution.as_ref()?.answer.as_ref().err().cloned()
    }

    pub(super) fn workspace_root(&self) -> Option<&Path> {
        match self.source {
            Source::Crate(_) => Some(&self.project()?.workspace_root),
            _ => None,
        }
    }

    pub(super) fn has_build_script(&self) -> bool {
        self.project().is_some_and(|project| project.has_build_script)
    }

    /// The path packages of the build: directory and name.
    pub(super) fn packages(&self) -> BTreeMap<PathBuf, String> {
        self.project().map(|project| project.packages.clone()).unwrap_or_default()
    }

    /// The directory of the package that is built, and the name of its library.
    pub(super) fn library(&self) -> Option<(PathBuf, String)> {
        Some((self.package()?, self.project()?.library_name.clone()?))
    }

    /// Whether this is a file that cargo itself goes by content for, and that may decide
    /// which others count.
    pub(super) fn is_control_file(path: &Path) -> bool {
        CONTROL_FILES.iter().any(|name| path.ends_with(name))
    }

    fn project(&self) -> Option<&Project> {
        self.resolution.as_ref()?.answer.as_ref().ok()
    }

    /// The directory whose manifest cargo builds.
    fn package(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Crate(package) => Some(package.clone()),
            Source::File(file) if !self.settings.file_dependencies.is_empty() => {
                Some(file_package::directory(&self.target_dir()?, file))
            }
            _ => None,
        }
    }

    fn ask(&self, package: &Path) -> Result<Project, BuildErrorKind> {
        match &self.source {
            Source::File(file) => {
                let target_dir = self.target_dir().unwrap_or_default();
                file_package::write(&target_dir, file, &self.settings.file_dependencies)?;
            }
            _ => must_have_manifest(package)?,
        }
        Project::resolve(package, &self.settings, &self.stop)
    }

    /// A path dependency that is not there: when it appears, nothing else tells.
    fn expect_manifests_of(&mut self, answer: &Result<Project, BuildErrorKind>) {
        if let Err(BuildErrorKind::Manifest { message }) = answer {
            let mut diagnostics = hotswap_artifact::Diagnostics::default();
            diagnostics.rendered.clone_from(message);
            self.expect(messages::missing_files(&diagnostics));
        }
    }

    /// The hashes of everything that cargo's answer depends on.
    fn manifests(&self, answers: &mut Answers) -> Result<Manifests, Failure> {
        let in_packages = self.path_dependencies().map(|package| package.join("Cargo.toml"));
        let is_manifest = |path: &&PathBuf| path.ends_with("Cargo.toml");
        let expected = self.expected.iter().filter(is_manifest).cloned();
        let mut manifests = BTreeMap::new();
        for path in self.control_files().into_iter().chain(in_packages).chain(expected) {
            match answers.hash(&path) {
                Ok(hashed) => drop(manifests.insert(path, hashed.digest)),
                Err(error) if is_absent(&error) => {}
                Err(error) => {
                    return Err(Failure { path, error, vanished: false });
                }
            }
        }
        Ok(manifests)
    }

    /// What steers cargo, whether it is there or not: beside the package and
    /// above it, up to the workspace (up to the root while that is unknown); and
    /// the manifests above path dependencies outside, which may inherit.
    fn control_files(&self) -> Vec<PathBuf> {
        let Source::Crate(package) = &self.source else {
            return Vec::new();
        };
        let top = self.workspace_root();
        let mut files = Vec::new();
        for directory in package.ancestors() {
            files.extend(CONTROL_FILES.iter().map(|name| directory.join(name)));
            if Some(directory) == top {
                break;
            }
        }
        let is_outside = |path: &&PathBuf| top.is_none_or(|top| !path.starts_with(top));
        for dependency in self.path_dependencies().filter(is_outside) {
            let above = dependency.ancestors().skip(1);
            files.extend(above.map(|directory| directory.join("Cargo.toml")));
        }
        files
    }

    fn path_dependencies(&self) -> impl Iterator<Item = &PathBuf> {
        let own = self.package();
        let packages = self.project().map(|project| project.packages.keys());
        packages.into_iter().flatten().filter(move |package| own.as_ref() != Some(*package))
    }

    fn files_below(
        &self,
        directory: &Path,
        answers: &mut Answers,
    ) -> Result<Vec<PathBuf>, WalkFailure> {
        let outputs: Vec<PathBuf> = self.target_dir().into_iter().collect();
        files_below(directory, &outputs, answers)
    }

    fn target_dir(&self) -> Option<PathBuf> {
        crate::build::target_dir(&self.source, self.workspace_root(), &self.settings)
    }

    /// What is worth an event: everything in the packages, the files outside, and what may
    /// appear. A source that is moved away and back is told by its own directory.
    pub(super) fn interest(&self, found: Option<&Found>, answers: &Answers) -> Interest {
        let mut interest = Interest::default();
        if let Source::Crate(package) = &self.source {
            interest.packages.insert(package.clone());
        }
        interest.packages.extend(self.path_dependencies().cloned());
        interest.directories.extend(answers.directories().map(Path::to_owned));
        let is_inside = |path: &Path| {
            interest.packages.iter().any(|package| path.starts_with(package))
                && answers.is_walked(path)
        };
        let files = found.into_iter().flat_map(Found::files).map(|file| self.path(&file.name));
        let outside: Vec<PathBuf> = files.filter(|path| !is_inside(path)).collect();
        for file in outside.iter().chain(answers.links()) {
            // A link is one file, what it leads to another.
            if let Some(target) = fs::canonicalize(file).ok().filter(|target| target != file) {
                interest.files.insert(target);
            }
        }
        interest.files.extend(outside);
        interest.files.extend(self.expected.iter().cloned());
        interest.files.insert(self.source.location().to_owned());
        let parents = interest.files.iter().filter_map(|file| file.parent());
        interest.directories.extend(parents.map(Path::to_owned));
        interest
    }

    /// The directory that names are relative to.
    fn root(&self) -> &Path {
        match &self.source {
            Source::Crate(package) => package,
            source => source.location().parent().unwrap_or(Path::new("/")),
        }
    }

    /// Where the file of this name lies.
    pub(super) fn path(&self, name: &Path) -> PathBuf {
        self.root().join(name)
    }

    pub(super) fn name<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(self.root()).unwrap_or(path)
    }

    /// Takes over what a build of an earlier process read. Best effort: without
    /// it, the first build finds out.
    fn load_dep_info(&mut self) {
        if self.is_dep_info_loaded {
            return;
        }
        let profile = self.settings.profile.directory();
        let (path, base) = match (&self.source, self.project(), self.target_dir()) {
            (_, Some(project), Some(target_dir)) => {
                let Some(name) = &project.library_name else { return };
                let path = target_dir.join(profile).join(format!("lib{name}.d"));
                (path, self.package().unwrap_or_default())
            }
            (Source::File(file), None, Some(target_dir)) => {
                let directory = file_package::directory(&target_dir, file).join(profile);
                let name = format!("{}.d", file_package::crate_name(file));
                (directory.join(name), self.root().to_owned())
            }
            _ => return,
        };
        if let Ok(inputs) = dep_info::read(&path, &base) {
            self.learn(inputs);
        }
        self.is_dep_info_loaded = true;
    }
}

/// The source with an absolute path. Where the working directory is gone, the
/// path stays as it is and the scan will say what is wrong.
pub(crate) fn absolute(source: &Source) -> Source {
    let path = source.location();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match source {
        Source::Crate(_) => Source::Crate(path),
        Source::File(_) => Source::File(path),
        Source::Prebuilt(_) => Source::Prebuilt(path),
        // A source without a path has nothing to make absolute.
        other => other.clone(),
    }
}
