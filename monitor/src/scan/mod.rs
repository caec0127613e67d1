//! One look at a source: what lies in it now?

mod answers;
mod dep_info;
mod file_hashes;
mod found;
mod inputs;
mod listings;
mod stat;
pub(crate) mod walk;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use hotswap_artifact::{BuildErrorKind, Cause, Diagnostics, Fingerprint, ScanError, Source};
use hotswap_system::fs;

use crate::build::ledger::{JobFile, JobInputs};
use crate::build::messages;
use crate::events::{Interest, Told};
use crate::{BuildSettings, StopSignal};
use answers::Answers;
use found::{Found, FoundFile};
use inputs::Inputs;

pub(crate) use dep_info::{parse as parse_dep_info, read as read_dep_info};
pub(crate) use inputs::absolute;
pub(crate) use stat::Identity;
pub use stat::RACY_WINDOW;

/// How often a scan starts over because a file vanished between being listed and
/// being read.
///
/// Ten: an editor's rename takes one; a tree in which files come and go without
/// end is reported with the file's name.
const RESCANS_MAX: usize = 10;

/// What one scan found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scan {
    /// SHA-1 over names and bytes of everything that goes into the build.
    pub fingerprint: Fingerprint,
    /// What differs from the scan before: changed, new or gone, in order. Empty
    /// for the first scan. Relative to the source where it lies inside.
    pub changed: Vec<PathBuf>,
    /// Files that were written, or replaced, since the scan before and hold the
    /// same bytes.
    pub touched: Vec<PathBuf>,
    /// How many files go into the build.
    pub files: usize,
    /// Why there can be no build of this, where that is known already: cargo
    /// cannot read the manifest.
    pub problem: Option<BuildErrorKind>,
    /// Where the lock file lies, when the source is a crate and cargo knows it.
    pub workspace_root: Option<PathBuf>,
    /// Whether a build script runs as part of the build.
    pub has_build_script: bool,
}

impl Scan {
    /// What changed, for a message.
    #[must_use]
    pub fn cause(&self) -> Cause {
        cause_of(&self.changed)
    }
}

pub(crate) fn cause_of(paths: &[PathBuf]) -> Cause {
    Cause { first: paths.first().cloned(), count: paths.len() }
}

/// How much of a source is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent<'a> {
    Everything,
    /// Everything but the files that events speak for, and did not.
    Told(&'a Told),
}

/// Looks at one source, again and again, and remembers what it need not read.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::fs;
///
/// use hotswap_monitor::{Scanner, Source};
///
/// # let directory = tempfile::tempdir()?;
/// let file = directory.path().join("rules.rs");
/// std::fs::write(&file, "// one")?;
/// let mut scanner = Scanner::new(&Source::from(&file));
/// let before = scanner.scan()?.fingerprint;
/// std::fs::write(&file, "// two")?;
/// assert_ne!(scanner.scan()?.fingerprint, before);
/// # Ok(())
/// # }
/// ```
pub struct Scanner {
    source_name: String,
    inputs: Inputs,
    answers: Answers,
    /// What lies there, by the answers.
    found: Option<Arc<Found>>,
    /// What the next scan is compared with.
    previous: Option<Arc<Found>>,
    /// Whether there is something to ask that was not asked for: the answers may be the
    /// same, and what follows from them is not.
    is_stale: bool,
    /// How often everything was asked for.
    looks: u64,
    scans: u64,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner")
            .field("source", &self.source_name)
            .field("scans", &self.scans)
            .finish_non_exhaustive()
    }
}

impl Scanner {
    /// A scanner for a source that is built with the default settings. Reads
    /// nothing yet; a relative path is taken from the working directory of now.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self::with_settings(source, &BuildSettings::default())
    }

    /// A scanner for a source that is built with these settings: they say which
    /// cargo to ask, which features count and where the outputs lie.
    #[must_use]
    pub fn with_settings(source: &Source, settings: &BuildSettings) -> Self {
        Self::with_stop(source, settings, StopSignal::never())
    }

    /// A scanner that gives up waiting for cargo when the signal is given; its
    /// scan then carries [`BuildErrorKind::Stopped`] as the problem.
    #[must_use]
    pub fn with_stop(source: &Source, settings: &BuildSettings, stop: StopSignal) -> Self {
        Self {
            source_name: source.to_string(),
            inputs: Inputs::new(&absolute(source), settings.clone(), stop),
            answers: Answers::new(),
            found: None,
            previous: None,
            is_stale: true,
            looks: 0,
            scans: 0,
        }
    }

    /// Looks at the source.
    ///
    /// Blocks while it reads. For a crate it runs `cargo metadata` first, when a
    /// manifest or lock file differs from the last time, which may write the
    /// lock file. A tree that has not been touched for [`RACY_WINDOW`] is only
    /// looked at, not read.
    ///
    /// # Errors
    ///
    /// When the source does not exist, or something in it cannot be read; the
    /// next scan is compared with the last one that succeeded. A manifest that
    /// cargo cannot read is no error here but a [`Scan::problem`].
    pub fn scan(&mut self) -> Result<Scan, ScanError> {
        self.scan_extent(Extent::Everything)
    }

    /// Looks at so much of the source as is asked for.
    pub(crate) fn scan_extent(&mut self, extent: Extent<'_>) -> Result<Scan, ScanError> {
        self.scans += 1;
        let found = match self.review(extent) {
            Some(found) => found,
            None => self.look()?,
        };
        Ok(self.compare(found))
    }

    /// What the last look found, if another would find the same and that can be told without one. Else the
    /// next look finds what differs.
    pub(crate) fn unchanged(&mut self, extent: Extent<'_>) -> Option<Fingerprint> {
        let Some(found) = self.review(extent) else {
            // Some of what differs may be known by now, and would be no news to the next review.
            self.is_stale = true;
            return None;
        };
        let is_same = self.previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, &found));
        let fingerprint = found.fingerprint();
        self.found = Some(found);
        is_same.then_some(fingerprint)
    }

    /// Adds what a successful build was seen to read, in place of what an earlier
    /// one read. Gives the names that no scan has looked at before.
    ///
    /// The next scan has another fingerprint if there are any, though nothing
    /// was written: it covers more.
    pub fn learn(&mut self, inputs: Vec<PathBuf>) -> BTreeSet<PathBuf> {
        let learned_before: BTreeSet<PathBuf> = self.inputs.learned_names().collect();
        self.is_stale |= self.inputs.learn(inputs);
        let is_new = |name: &PathBuf| !learned_before.contains(name) && !self.has_seen(name);
        self.inputs.learned_names().filter(is_new).collect()
    }

    /// Watches for the files that a failed build missed, as its messages name them.
    pub fn learn_missing(&mut self, diagnostics: &Diagnostics) {
        self.is_stale |= self.inputs.expect(messages::missing_files(diagnostics));
    }

    /// Asks cargo again at the next scan, though no manifest changed: after a
    /// failure that lay outside the source.
    pub fn retry(&mut self) {
        self.inputs.forget_resolution();
        self.is_stale = true;
    }

    /// What of the file system the events of are of interest, by the last scan.
    pub(crate) fn interest(&self) -> Interest {
        self.inputs.interest(self.found.as_deref(), &self.answers)
    }

    /// How often it was found out anew which files and directories there are.
    pub(crate) fn looks(&self) -> u64 {
        self.looks
    }

    /// Relies on events for the files in these directories, until the next time that it is found
    /// out which there are.
    pub(crate) fn vouch(&mut self, told: &HashMap<&Path, Identity>) {
        self.answers.vouch(told);
    }

    /// When the file system last noted a write to any of the files that the last scan found.
    pub(crate) fn newest_change(&self) -> Option<SystemTime> {
        let files = self.found.iter().flat_map(|found| found.files());
        files.map(|file| file.hashed.stat.changed()).max()
    }

    /// Where the file of this name lies.
    pub(crate) fn path(&self, name: &Path) -> PathBuf {
        self.inputs.path(name)
    }

    /// The same for whoever reaches the file by another name.
    pub(crate) fn common_path(&self, name: &Path) -> PathBuf {
        common_path(&self.path(name))
    }

    /// What the last scan found, for others to ask.
    pub(crate) fn witness(&self) -> Option<Witness> {
        let found = self.previous.clone()?;
        let root = self.path(Path::new(""));
        let real_root = fs::canonicalize(&root).unwrap_or_else(|_| root.clone());
        Some(Witness { root, real_root, found, outside: OnceLock::new() })
    }

    /// Whether the package in this directory goes into the build of another one.
    pub(crate) fn depends_on(&self, package: &Path) -> bool {
        let is_own = self.inputs.library().is_some_and(|(own, _)| own == package);
        !is_own && self.inputs.packages().contains_key(package)
    }

    /// What the last scan found, to compare with later.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.previous.clone())
    }

    /// Compares the next scan with this one, whatever was found since.
    pub(crate) fn rewind(&mut self, snapshot: Snapshot) {
        self.previous = snapshot.0;
    }

    /// How many times the content of a file was read since the scanner was made.
    #[must_use]
    pub fn files_read(&self) -> u64 {
        self.answers.reads()
    }

    /// Whether a file, by the name that the last scan gave it, may have been
    /// written since `moment`. Yes when it is not there.
    pub(crate) fn may_be_written_since(&self, name: &Path, moment: SystemTime) -> bool {
        let found = self.previous.as_ref().and_then(|found| found.get(name));
        found.is_none_or(|file| file.hashed.stat.may_be_written_since(moment))
    }

    /// Whether a name that differs was written: not when it lies there still and
    /// is merely no part of the build any more.
    pub(crate) fn is_still_input(&self, name: &Path) -> bool {
        self.has_seen(name) || !fs::exists(self.inputs.path(name)).unwrap_or(false)
    }

    /// What the last scan found, for the build.
    pub(crate) fn job_inputs(&self) -> JobInputs {
        let packages = self.inputs.packages();
        let is_in_package = |path: &Path| packages.keys().any(|package| path.starts_with(package));
        let found = self.previous.iter().flat_map(|found| found.files());
        let files = found.map(|FoundFile { name, hashed }| JobFile {
            name: name.to_path_buf(),
            path: self.inputs.path(name),
            digest: hashed.digest,
            modified: hashed.stat.modified(),
        });
        let is_input =
            |file: &JobFile| is_in_package(&file.path) || !Inputs::is_control_file(&file.path);
        let files = files.filter(is_input).collect();
        JobInputs { files, packages, library: self.inputs.library() }
    }

    /// Whether the last scan found this file, or a file below this directory.
    fn has_seen(&self, name: &Path) -> bool {
        self.previous.as_ref().is_some_and(|found| found.has_at_or_below(name))
    }

    /// What lies there, when nothing but the bytes of known files can differ from the last look.
    fn review(&mut self, extent: Extent<'_>) -> Option<Arc<Found>> {
        let found = self.found.as_ref().filter(|_| !self.is_stale)?;
        let mut updates = Vec::new();
        for path in self.answers.review(extent)? {
            let index = found.position(self.inputs.name(&path))?;
            let (before, hashed) = (found.files()[index].hashed, self.answers.hash(&path).ok()?);
            // What steers cargo decides which files there are.
            if before.digest != hashed.digest && Inputs::is_control_file(&path) {
                return None;
            }
            if before != hashed {
                updates.push((index, hashed));
            }
        }
        if updates.is_empty() {
            return Some(Arc::clone(found));
        }
        Some(Arc::new(found.with(updates)))
    }

    /// Asks for everything, and begins anew while files vanish.
    fn look(&mut self) -> Result<Arc<Found>, ScanError> {
        self.is_stale = true;
        let mut rescans = 0;
        loop {
            match self.look_once() {
                Ok(found) => {
                    self.is_stale = !self.inputs.is_resolved();
                    self.looks += 1;
                    return Ok(Arc::new(found));
                }
                Err(failure) if failure.vanished && rescans < RESCANS_MAX => rescans += 1,
                Err(failure) => {
                    let name = self.source_name.as_str();
                    return Err(ScanError::new(name, failure.path, failure.error));
                }
            }
        }
    }

    fn look_once(&mut self) -> Result<Found, Failure> {
        self.answers.begin();
        self.inputs.resolve(&mut self.answers)?;
        let mut files = Vec::new();
        for path in self.inputs.list(&mut self.answers)? {
            match self.answers.hash(&path) {
                Ok(hashed) => {
                    files.push(FoundFile { name: Arc::from(self.inputs.name(&path)), hashed });
                }
                Err(error) => {
                    return Err(Failure { vanished: walk::is_absent(&error), path, error });
                }
            }
        }
        self.answers.end();
        Ok(Found::new(files))
    }

    fn compare(&mut self, found: Arc<Found>) -> Scan {
        let (changed, touched) = match &self.previous {
            Some(previous) if !Arc::ptr_eq(previous, &found) => found.differences(previous),
            _ => Default::default(),
        };
        let scan = Scan {
            fingerprint: found.fingerprint(),
            changed,
            touched,
            files: found.files().len(),
            problem: self.inputs.problem(),
            workspace_root: self.inputs.workspace_root().map(Path::to_owned),
            has_build_script: self.inputs.has_build_script(),
        };
        self.previous = Some(Arc::clone(&found));
        self.found = Some(found);
        scan
    }
}

/// What one scan found.
pub(crate) struct Snapshot(Option<Arc<Found>>);

/// What one source reads, while it is looked at elsewhere.
pub(crate) struct Witness {
    root: PathBuf,
    /// The same without links.
    real_root: PathBuf,
    found: Arc<Found>,
    /// What lies elsewhere, by common paths, once somebody asked.
    outside: OnceLock<HashSet<PathBuf>>,
}

impl Witness {
    /// Whether a file is among it, by its [common path](Scanner::common_path).
    pub(crate) fn reads(&self, path: &Path) -> bool {
        let inside = path.strip_prefix(&self.real_root);
        if inside.is_ok_and(|name| self.found.get(name).is_some()) {
            return true;
        }
        self.outside.get_or_init(|| self.outside()).contains(path)
    }

    fn outside(&self) -> HashSet<PathBuf> {
        let is_outside = |name: &Path| {
            name.is_absolute() || name.components().any(|part| part == Component::ParentDir)
        };
        let files = self.found.files().iter().filter(|file| is_outside(&file.name));
        files.map(|file| common_path(&self.root.join(&file.name))).collect()
    }
}

/// The path of a file without links and detours.
fn common_path(path: &Path) -> PathBuf {
    let real = |parent| fs::canonicalize(parent).ok();
    match (path.parent().and_then(real), path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        // It went with its directory.
        _ => path.to_owned(),
    }
}

/// Why a look came to nothing.
struct Failure {
    path: PathBuf,
    error: io::Error,
    /// Whether the file was there a moment ago: worth another look.
    vanished: bool,
}

impl From<walk::WalkFailure> for Failure {
    fn from(failure: walk::WalkFailure) -> Self {
        Self { path: failure.path, error: failure.error, vanished: false }
    }
}

/// Fails unless there is something at the path.
fn must_exist(path: &Path) -> Result<(), Failure> {
    fs::metadata(path).map(drop).map_err(|error| Failure {
        path: path.to_owned(),
        error,
        vanished: false,
    })
}

#[cfg(test)]
mod tests;
