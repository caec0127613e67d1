//! What cargo has compiled, by content: cargo itself goes by time stamps.
//!
//! Cargo takes a package for fresh when no source is *newer* than its last build,
//! wherever the source lies. So it misses an edit whose mtime was set back (`mv` of
//! a backup, `cp -p`, an unpacked archive), and it takes a package of the same
//! name in another workspace for this one. *Measured* with cargo 1.95: two crates
//! `same` in two directories with one target directory, the second build gave the
//! first one's library.
//!
//! The ledger keeps, for each path package in a target directory, which bytes were
//! compiled and when. Before a build, a package whose files differ without being
//! newer loses its cargo fingerprint; cargo then compiles it, incrementally.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crossbeam_channel::{bounded, select};
use hotswap_artifact::{BuildErrorKind, Diagnostics, Fingerprint};
use hotswap_system::clock;
use hotswap_system::fs::{self, File};
use hotswap_system::thread;

use crate::StopSignal;

/// Everything that goes into a build, as a scan found it.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobInputs {
    /// The path packages: directory and name.
    pub(crate) packages: BTreeMap<PathBuf, String>,
    /// All files but those that cargo itself goes by content for: manifests and
    /// configuration above the packages.
    pub(crate) files: Vec<JobFile>,
    /// The directory of the package that is built, and the name of its library.
    pub(crate) library: Option<(PathBuf, String)>,
}

/// One file of a build.
#[derive(Debug, Clone)]
pub(crate) struct JobFile {
    /// As the scan names it.
    pub(crate) name: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) digest: Fingerprint,
    /// Seconds and nanoseconds since the epoch.
    pub(crate) modified: (i64, i64),
}

impl JobInputs {
    /// The files that a package may read: its own, and those outside of all.
    fn files_of<'a>(&'a self, package: &'a Path) -> impl Iterator<Item = &'a JobFile> {
        let is_outside = |file: &JobFile| {
            let mut packages = self.packages.keys();
            !packages.any(|package| file.path.starts_with(package))
        };
        let mut files = self.files.iter();
        std::iter::from_fn(move || {
            files.find(|file| file.path.starts_with(package) || is_outside(file))
        })
    }
}

/// The page of one build; the target directory is locked while it is open.
#[derive(Debug)]
pub(crate) struct Ledger {
    directory: PathBuf,
    inputs: JobInputs,
    forced: bool,
    /// The same, for anything but the sources of the package that is built.
    forced_beside: bool,
    /// Whether cargo's fingerprints of the package that is built were there, and are removed.
    forgotten: bool,
    _lock: File,
}

impl Ledger {
    /// Waits for the target directory, and makes cargo compile what it would miss.
    /// From here until [`close`](Self::close) the packages are in doubt: nobody
    /// knows what was compiled.
    pub(crate) fn open(
        target_dir: &Path,
        profile: &str,
        inputs: JobInputs,
        deadline: Duration,
        stop: &StopSignal,
    ) -> Result<Self, BuildErrorKind> {
        let directory = target_dir.join("ledger").join(profile);
        fs::create_dir_all(&directory).map_err(|error| failed("create", &directory, error))?;
        let lock = lock(&directory.join(".lock"), deadline, stop)?;
        let mut ledger = Self {
            directory,
            inputs,
            forced: false,
            forced_beside: false,
            forgotten: false,
            _lock: lock,
        };
        ledger.forced = ledger.take_library(target_dir, profile)?;
        ledger.forced_beside = ledger.forced;
        for (package, name) in &ledger.inputs.packages {
            let page = ledger.directory.join(name);
            if is_missed_by_cargo(&page, package, &ledger.inputs) {
                ledger.forced = true;
                let is_built = ledger.package() == Some(package.as_path());
                ledger.forced_beside |= !is_built;
                let forgotten = forget(target_dir, profile, name)?;
                ledger.forgotten |= is_built && forgotten;
            }
            match fs::remove_file(&page) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &page, error));
                }
                _ => {}
            }
        }
        Ok(ledger)
    }

    /// Makes the library's file name ours. Cargo gives it to every package that asks
    /// for it, and takes what lies there for what it put there itself.
    fn take_library(&self, target_dir: &Path, profile: &str) -> Result<bool, BuildErrorKind> {
        let Some((package, library)) = &self.inputs.library else { return Ok(false) };
        let page = self.directory.join(format!("lib.{library}"));
        let owner = format!("{package:?}\n");
        if fs::read_to_string(&page).is_ok_and(|present| present == owner) {
            return Ok(false);
        }
        if let Some(name) = self.inputs.packages.get(package) {
            forget(target_dir, profile, name)?;
        }
        fs::write(&page, owner).map_err(|error| failed("write", &page, error))?;
        Ok(true)
    }

    /// Whether cargo had to be made to compile something, or would have had to if
    /// it had been there: its answer must not be that all is fresh.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced
    }

    /// The same, for anything but the sources of the package that is built.
    pub(crate) fn is_forced_beside(&self) -> bool {
        self.forced_beside
    }

    /// Has cargo compile the package that is built when it runs next, whatever it finds. Whether it had anything to
    /// forget.
    pub(crate) fn forget_package(
        &self,
        target_dir: &Path,
        profile: &str,
    ) -> Result<bool, BuildErrorKind> {
        let name = self.package().and_then(|package| self.inputs.packages.get(package));
        let forgotten = name.map(|name| forget(target_dir, profile, name)).transpose()?;
        Ok(self.forgotten || forgotten == Some(true))
    }

    /// Where the pages lie, and what else only the owner of the lock may touch.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn package(&self) -> Option<&Path> {
        self.inputs.library.as_ref().map(|(package, _)| package.as_path())
    }

    /// The names of the packages.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.inputs.packages.values().map(String::as_str)
    }

    /// Writes down what was compiled. What moved meanwhile is left out: which of
    /// its states was compiled nobody knows. A page that cannot be written costs
    /// the next build time and nothing else.
    pub(crate) fn close(self, moved: &[PathBuf]) {
        let now = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let moved: HashSet<&PathBuf> = moved.iter().collect();
        for (package, name) in &self.inputs.packages {
            let mut page = format!("{}.{:09}\n{package:?}\n", now.as_secs(), now.subsec_nanos());
            let files = self.inputs.files_of(package);
            for file in files.filter(|file| !moved.contains(&file.name)) {
                page.push_str(&format!("{} {}\n", key(&file.path), file.digest));
            }
            if let Err(error) = fs::write(self.directory.join(name), page) {
                log::warn!("cannot write the ledger page of {name}: {error}");
            }
        }
    }
}

/// Whether the package differs from what was compiled last, in a way that cargo
/// does not see. Without a page everything is doubtful.
fn is_missed_by_cargo(page: &Path, package: &Path, inputs: &JobInputs) -> bool {
    let Ok(page) = fs::read_to_string(page) else { return true };
    let mut lines = page.lines();
    let Some(built) = lines.next().and_then(time) else { return true };
    if lines.next() != Some(format!("{package:?}").as_str()) {
        return true;
    }
    let mut compiled: HashMap<&str, &str> = lines.filter_map(|line| line.split_once(' ')).collect();
    let is_old_and_different = inputs.files_of(package).any(|file| {
        let is_same = compiled
            .remove(key(&file.path).as_str())
            .is_some_and(|digest| digest == file.digest.to_string());
        !is_same && file.modified <= built
    });
    // What is left over is gone. Where nothing is missed, all was looked at.
    is_old_and_different || !compiled.is_empty()
}

fn time(line: &str) -> Option<(i64, i64)> {
    let (seconds, nanoseconds) = line.split_once('.')?;
    Some((seconds.parse().ok()?, nanoseconds.parse().ok()?))
}

fn key(path: &Path) -> String {
    Fingerprint::of(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Removes cargo's own fingerprints of a package, also below a target triple. Whether there were any.
fn forget(target_dir: &Path, profile: &str, name: &str) -> Result<bool, BuildErrorKind> {
    let mut has_any = false;
    let below = fs::read_dir(target_dir).into_iter().flatten().flatten();
    let triples = below.map(|entry| entry.path().join(profile));
    for directory in triples.chain([target_dir.join(profile)]) {
        let fingerprints = directory.join(".fingerprint");
        for entry in fs::read_dir(fingerprints).into_iter().flatten().flatten() {
            let entry_name = entry.file_name();
            let is_of_package = entry_name
                .to_str()
                .and_then(|entry_name| entry_name.strip_prefix(name)?.strip_prefix('-'))
                .is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if is_of_package {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| failed("remove", &path, error))?;
                has_any = true;
            }
        }
    }
    Ok(has_any)
}

/// Locks a file; others who want it, in this process or another, wait here.
pub(super) fn lock(
    path: &Path,
    deadline: Duration,
    stop: &StopSignal,
) -> Result<File, BuildErrorKind> {
    let file = File::create(path).map_err(|error| failed("create", path, error))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(failed("lock", path, error)),
    }
    // The system's wait for a lock cannot be ended. The thread outlives it where
    // we give up, takes the lock and lets it go at once.
    let (send, locked) = bounded(1);
    let waiting = move || {
        let result = file.lock().map(|()| file);
        let _given_up = send.send(result);
    };
    thread::spawn("hotswap-lock", waiting).map_err(|error| failed("lock", path, error))?;
    select! {
        recv(locked) -> result => match result {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => Err(failed("lock", path, error)),
            Err(_) => Err(failed("lock", path, io::Error::other("the waiting thread ended"))),
        },
        recv(stop.channel()) -> _ => Err(BuildErrorKind::Stopped),
        recv(clock::after(deadline)) -> _ => Err(BuildErrorKind::TimedOut {
            deadline,
            diagnostics: Diagnostics::default(),
        }),
    }
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> BuildErrorKind {
    BuildErrorKind::Io { action, path: path.to_owned(), error: Arc::new(error) }
}
