//! Where what is fetched lies: a directory of one monitor, at a path that stays the same.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_artifact::{Fetch, FetchError, Fetched, Fingerprint, FingerprintHasher, Source};
use hotswap_system::directory::{NotPrivate, make_private};
use hotswap_system::fs;

use super::tree::tree;
use crate::claimed::{ClaimError, Claimed};
use crate::scan::walk::is_absent;

/// How many hexadecimal digits of the hash of a source's name are part of its directory's.
///
/// Twelve: 48 bits, no two sources of one target directory meet.
const NAME_DIGITS: usize = 12;

/// The directory of one monitor, locked as long as this lives. The next process takes it over, and finds what was built of the
/// same text at the same path.
pub(super) struct Slot {
    place: Claimed,
}

impl Slot {
    /// Takes the first directory that nobody has.
    pub(super) fn claim(target_dir: &Path, kind: &str, name: &str) -> Result<Self, FetchError> {
        let mut hasher = FingerprintHasher::new();
        hasher.piece(kind.as_bytes());
        hasher.piece(name.as_bytes());
        let hash: Fingerprint = hasher.finish();
        let own = format!("{kind}-{}", &hash.to_string()[..NAME_DIGITS]);
        let all = target_dir.join("sources").join(own);
        let place = Claimed::first(&all)
            .map_err(|ClaimError { path, error }| failed("create", &path, error))?;
        Ok(Self { place })
    }

    /// Has the code fetched, and puts it in the place of what was there. What is believed by what somebody else says of it lies where
    /// no other user may write: it was checked before it lay there.
    pub(super) fn fetch(&self, fetch: &dyn Fetch) -> Result<Fetched, FetchError> {
        if fetch.assurance().is_some() {
            make_private(&self.place.directory)
                .map_err(|error| open_to_others(&self.place.directory, error))?;
        }
        let incoming = self.place.directory.join("incoming");
        remove(&incoming)?;
        fs::create_dir_all(&incoming).map_err(|error| failed("create", &incoming, error))?;
        let mut fetched = fetch.fetch(&incoming)?;
        fetched.code = self.install(&incoming, &fetched.code)?;
        Ok(fetched)
    }

    /// What lies there, to find later that somebody edited it.
    pub(super) fn content(&self) -> Result<Fingerprint, FetchError> {
        let place = self.code();
        tree(&place).map_err(|error| failed("read", &place, error))
    }

    fn code(&self) -> PathBuf {
        self.place.directory.join("code")
    }

    /// Moves what was fetched to where it is scanned. A file takes the place of the one before it in one step; the directory
    /// of a crate is away in between, which no scan sees: the caller scans.
    fn install(&self, incoming: &Path, code: &Source) -> Result<Source, FetchError> {
        let path = code.location();
        let inside = path.strip_prefix(incoming).unwrap_or(Path::new(""));
        // One level: what it is called, and nothing else.
        let mut parts = inside.components();
        let (Some(std::path::Component::Normal(name)), None) = (parts.next(), parts.next()) else {
            return Err(FetchError::refused(format!(
                "{} does not lie in the directory that it was to be fetched into",
                path.display()
            )));
        };
        let place = self.code();
        fs::create_dir_all(&place).map_err(|error| failed("create", &place, error))?;
        let installed = place.join(name);
        let source = match code {
            Source::Crate(_) => {
                remove(&installed)?;
                make_a_workspace(path)?;
                Source::Crate(installed.clone())
            }
            Source::File(_) => Source::File(installed.clone()),
            Source::Prebuilt(_) => Source::Prebuilt(installed.clone()),
            _ => return Err(FetchError::refused("what was fetched is itself to be fetched")),
        };
        fs::rename(path, &installed).map_err(|error| failed("write", &installed, error))?;
        Ok(source)
    }
}

/// Makes a crate the root of its own workspace, unless it is one: what lies above the target directory is none of its.
fn make_a_workspace(package: &Path) -> Result<(), FetchError> {
    let path = package.join("Cargo.toml");
    let manifest = match fs::read_to_string(&path) {
        Ok(manifest) => manifest,
        // The build says that a crate needs one.
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(FetchError::refused("its Cargo.toml is not UTF-8"));
        }
        Err(error) => return Err(failed("read", &path, error)),
    };
    let is_root = |line: &str| line.trim_start().starts_with("[workspace");
    if manifest.lines().any(is_root) {
        return Ok(());
    }
    let manifest = format!("{manifest}\n[workspace]\n");
    fs::write(&path, manifest).map_err(|error| failed("write", &path, error))
}

fn remove(directory: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(directory) {
        Err(error) if !is_absent(&error) => Err(failed("remove", directory, error)),
        _ => Ok(()),
    }
}

fn open_to_others(directory: &Path, error: NotPrivate) -> FetchError {
    match error {
        NotPrivate::Io { doing, error } => failed(doing, directory, error),
        NotPrivate::Open { owner, mode } => FetchError::unavailable(format!(
            "{} is where other users may write (owner {owner}, mode {mode:o}), and no place for code that was checked: remove it, or \
             give it to yourself, with mode 700",
            directory.display()
        )),
    }
}

fn failed(action: &str, path: &Path, error: io::Error) -> FetchError {
    FetchError::unavailable(format!("cannot {action} {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fetches what a test wants.
    #[derive(Debug)]
    struct Fake(fn(&Path) -> Source);

    impl Fetch for Fake {
        fn kind(&self) -> &'static str {
            "fake"
        }
        fn name(&self) -> &str {
            "fake"
        }
        fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
            Ok(None)
        }
        fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
            Ok(Fetched::new(Fingerprint::of(b""), (self.0)(directory)))
        }
    }

    #[test]
    fn two_monitors_of_one_source_have_two_directories_and_the_next_takes_over() {
        let target = tempfile::tempdir().unwrap();
        let claim = || Slot::claim(target.path(), "fake", "x").unwrap();
        let (one, other) = (claim(), claim());
        assert_ne!(one.place.directory, other.place.directory);
        let first = one.place.directory.clone();
        drop(one);
        assert_eq!(claim().place.directory, first);
    }

    #[test]
    fn what_does_not_lie_where_it_was_fetched_to_is_refused() {
        let target = tempfile::tempdir().unwrap();
        let slot = Slot::claim(target.path(), "fake", "x").unwrap();
        for elsewhere in [
            (|_: &Path| Source::from("/etc/passwd.rs")) as fn(&Path) -> Source,
            |directory| Source::from(directory.join("../lock.rs")),
            |directory| Source::from(directory.join("deep/greet.rs")),
            |directory| Source::from(directory),
            |_| Source::string("").into(),
        ] {
            let error = slot.fetch(&Fake(elsewhere)).unwrap_err();
            assert_eq!(error.kind, hotswap_artifact::FetchErrorKind::Refused, "{error}");
        }
    }

    #[test]
    fn a_fetched_crate_is_its_own_workspace() {
        let target = tempfile::tempdir().unwrap();
        let slot = Slot::claim(target.path(), "fake", "x").unwrap();
        let fetched = slot
            .fetch(&Fake(|directory| {
                let package = directory.join("greet");
                fs::create_dir_all(&package).unwrap();
                fs::write(package.join("Cargo.toml"), "[package]\nname = \"greet\"").unwrap();
                Source::Crate(package)
            }))
            .unwrap();
        let manifest = fs::read_to_string(fetched.code.location().join("Cargo.toml")).unwrap();
        assert_eq!(manifest, "[package]\nname = \"greet\"\n[workspace]\n");
    }
}
