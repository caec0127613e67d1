//! A source that gives libraries which others released, with numbers, and a floor that only rises. What it says is up to the test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotswap_engine::{Assurance, ContentHash, Fetch, FetchError, Fetched, Fingerprint, Source};

/// Libraries that others released. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Released(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    latest: Option<(Option<u64>, PathBuf)>,
    floor: u64,
    says: Option<FetchError>,
    instead: Option<PathBuf>,
}

impl Released {
    /// One that has this library, as this release.
    #[must_use]
    pub fn new(release: u64, library: impl Into<PathBuf>) -> Self {
        let released = Self::default();
        released.release(release, library);
        released
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases a library.
    pub fn release(&self, release: u64, library: impl Into<PathBuf>) {
        self.put(Some(release), library.into());
    }

    /// Gives a library without a number.
    pub fn give(&self, library: impl Into<PathBuf>) {
        self.put(None, library.into());
    }

    fn put(&self, release: Option<u64>, library: PathBuf) {
        self.shelf().latest = Some((release, library));
    }

    /// No release below this one may run any more.
    pub fn raise_floor(&self, floor: u64) {
        self.shelf().floor = floor;
    }

    /// This lies there instead of what was signed, as if somebody had put it there after it was checked; `None`: the right one.
    pub fn put_instead(&self, library: impl Into<Option<PathBuf>>) {
        self.shelf().instead = library.into();
    }

    /// Says this whenever it is asked what there is; `None`: it says what there is.
    pub fn say(&self, what: impl Into<Option<FetchError>>) {
        self.shelf().says = what.into();
    }
}

impl Fetch for Released {
    fn kind(&self) -> &'static str {
        "released"
    }

    fn name(&self) -> &str {
        "somewhere#numbered"
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        let shelf = self.shelf();
        match &shelf.says {
            Some(error) => Err(error.clone()),
            None => Ok(shelf.latest.as_ref().map(fingerprint)),
        }
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let (latest, instead) = {
            let shelf = self.shelf();
            (shelf.latest.clone(), shelf.instead.clone())
        };
        let latest = latest.ok_or_else(|| FetchError::unavailable("gone"))?;
        let file = directory.join("released.so");
        let content = ContentHash::of_file(&latest.1);
        std::fs::copy(instead.as_ref().unwrap_or(&latest.1), &file)
            .map_err(|error| FetchError::unavailable("cannot copy").caused_by(error))?;
        let mut fetched = Fetched::new(fingerprint(&latest), file);
        fetched.release = latest.0;
        fetched.content = content.ok();
        Ok(fetched)
    }

    fn floor(&self) -> u64 {
        self.shelf().floor
    }

    fn assurance(&self) -> Option<Assurance> {
        Some(Assurance::new("L2", "signed by key 7F3A0C95D2E1B846"))
    }
}

fn fingerprint(latest: &(Option<u64>, PathBuf)) -> Fingerprint {
    Fingerprint::of(format!("{latest:?}").as_bytes())
}

impl From<&Released> for Source {
    fn from(released: &Released) -> Self {
        Self::fetched(released.clone())
    }
}
