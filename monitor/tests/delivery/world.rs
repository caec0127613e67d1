//! A signer, places in memory, and clients with a home of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{
    Attachment, Bell, ContentHash, Fetch as _, FetchError, Fetched, Fingerprint, Host,
};
use hotswap_monitor::delivery::{Answer, Place, Releases, Trust};
use hotswap_system::clock::{MovedCalendar, move_calendar};
use hotswap_trust::{
    CodeKind, FileEntry, FilePath, KeyPair, Manifest, Signed, Timestamp, Verified,
};
use parking_lot::Mutex;
use tempfile::TempDir;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One signer and one client's home. Tests take turns: the calendar is the process's.
pub(crate) struct World {
    pub(crate) key: KeyPair,
    pub(crate) home: TempDir,
    pub(crate) calendar: MovedCalendar,
}

/// A place that does what a test wants.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    name: String,
    pub(crate) content: Arc<Mutex<Content>>,
}

/// What lies in a place, and how it behaves.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) manifest: Option<Vec<u8>>,
    pub(crate) files: BTreeMap<ContentHash, Vec<u8>>,
    pub(crate) mood: Mood,
    /// How often it was asked for its manifest, and for files.
    pub(crate) asked: u64,
    pub(crate) fetched: u64,
    /// How many bytes of files it gave.
    pub(crate) given: u64,
}

/// How a place behaves.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Fair,
    /// It cannot be reached.
    Down,
    /// It says for ever that nothing changed.
    Same,
    /// Its files never end.
    Endless,
    /// Its files break off in the middle.
    Broken,
}

impl Shelf {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: format!("memory/{name}#greet"), content: Arc::default() }
    }

    pub(crate) fn put(&self, release: &Published) {
        let mut content = self.content.lock();
        content.manifest = Some(release.bytes.clone());
        content.files.extend(release.files.clone());
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.content.lock().mood = mood;
    }

    pub(crate) fn place(&self) -> Arc<dyn Place> {
        Arc::new(self.clone())
    }
}

impl Place for Shelf {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> Result<Answer, FetchError> {
        let mut content = self.content.lock();
        content.asked += 1;
        match content.mood {
            Mood::Down => Err(FetchError::unavailable(format!("cannot reach {}", self.name))),
            Mood::Same => Ok(Answer::Same),
            _ => Ok(content.manifest.clone().map_or(Answer::Absent, Answer::Manifest)),
        }
    }

    fn file(
        &self,
        file: &FileEntry,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let mut content = self.content.lock();
        content.fetched += 1;
        let mood = content.mood;
        let gone = || FetchError::unavailable(format!("{} has no {}", self.name, file.hash));
        let bytes = match mood {
            Mood::Down => {
                return Err(FetchError::unavailable(format!("cannot reach {}", self.name)));
            }
            _ => content.files.get(&file.hash).cloned().ok_or_else(gone)?,
        };
        let mut give = |bytes: &[u8]| {
            content.given += bytes.len() as u64;
            receive(bytes)
        };
        match mood {
            Mood::Endless => loop {
                give(&[b'x'; 1000])?;
            },
            Mood::Broken => {
                give(&bytes[..bytes.len() / 2])?;
                Err(FetchError::unavailable(format!("{} broke off", self.name)))
            }
            _ => bytes.chunks(1000).try_for_each(give),
        }
    }
}

/// A release as a signer puts it somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) bytes: Vec<u8>,
    pub(crate) verified: Verified,
    pub(crate) files: BTreeMap<ContentHash, Vec<u8>>,
}

impl Published {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.verified.hash().to_string().as_bytes())
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let calendar = move_calendar();
        let key = KeyPair::generate(None).unwrap();
        Self { key, home: tempfile::tempdir().unwrap(), calendar }
    }

    pub(crate) fn trust(&self) -> Trust {
        self.at_home(Trust::key(&self.key.public()).unwrap())
    }

    pub(crate) fn at_home(&self, trust: Trust) -> Trust {
        trust.cache_in(self.cache()).remember_in(self.home.path().join("state"))
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.home.path().join("cache")
    }

    /// A client that begins.
    pub(crate) fn client(&self, shelves: &[&Shelf]) -> Client {
        Client::new(self.trust(), shelves)
    }

    /// A manifest of a crate of two files, which a test may change before it is signed; it follows another, or none.
    pub(crate) fn release(
        &self,
        text: &str,
        previous: Option<&Published>,
        change: impl FnOnce(&mut Manifest),
    ) -> Published {
        let files = [("Cargo.toml", "[package]".to_owned()), ("src/lib.rs", text.to_owned())];
        self.release_of(CodeKind::Crate, &files, previous, change)
    }

    pub(crate) fn release_of(
        &self,
        kind: CodeKind,
        files: &[(&str, String)],
        previous: Option<&Published>,
        change: impl FnOnce(&mut Manifest),
    ) -> Published {
        let mut manifest = Manifest::new("greet", kind, Timestamp::now().after(30 * DAY));
        if let Some(previous) = previous {
            manifest.follow(&previous.verified);
        }
        if kind == CodeKind::Prebuilt {
            manifest.target = Some("x86_64-unknown-linux-gnu".to_owned());
            manifest.abi = Some("4".to_owned());
            manifest.toolchain = Some("rustc 1.95.0".to_owned());
        }
        let mut contents = BTreeMap::new();
        for (path, text) in files {
            let hash = ContentHash::of(text.as_bytes());
            let path = FilePath::new(path).unwrap();
            manifest.files.push(FileEntry::new(path, text.len() as u64, hash));
            contents.insert(hash, text.clone().into_bytes());
        }
        change(&mut manifest);
        let bytes = self.key.sign(&manifest).unwrap().to_bytes();
        let signed = Signed::read("signed", &bytes).unwrap();
        let verified = signed.verify(&self.key.public_keys()).unwrap();
        Published { bytes, verified, files: contents }
    }

    /// The directories of releases that are kept.
    pub(crate) fn kept(&self) -> Vec<PathBuf> {
        self.cached(|name| name.len() == 64)
    }

    /// What is left of downloads.
    pub(crate) fn incoming(&self) -> Vec<PathBuf> {
        self.cached(|name| name.starts_with("incoming") && !name.ends_with(".lock"))
    }

    fn cached(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let list = |path: &Path| {
            let entries = fs::read_dir(path).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        let all = list(&self.cache()).into_iter().filter(|path| path.is_dir());
        let all = all.flat_map(|module| list(&module));
        all.filter(|path| is_wanted(path.file_name().unwrap().to_str().unwrap())).collect()
    }
}

/// What a host is that the tests' libraries are for.
pub(crate) fn host() -> Host {
    Host::new("x86_64-unknown-linux-gnu", "4", "rustc 1.95.0")
}

/// A source and its monitor, as far as the source sees one.
pub(crate) struct Client {
    pub(crate) releases: Releases,
    /// Where the next release is handed over.
    place: TempDir,
}

impl Client {
    pub(crate) fn new(trust: Trust, shelves: &[&Shelf]) -> Self {
        let places = shelves.iter().map(|shelf| shelf.place());
        let releases = Releases::new("greet", places, trust).unwrap();
        releases.attach(&Attachment::new(Bell::new(|| true), Some(host()), || false));
        Self { releases, place: tempfile::tempdir().unwrap() }
    }

    /// Looks, and has fetched what is there.
    pub(crate) fn look(&self) -> Result<Fetched, FetchError> {
        self.releases.fingerprint()?.expect("there is such a module");
        self.fetch()
    }

    pub(crate) fn fetch(&self) -> Result<Fetched, FetchError> {
        let directory = self.place.path().join("incoming");
        let _absent = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        self.releases.fetch(&directory)
    }

    /// The text of the crate that is handed over now.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        let fetched = self.look().expect("there is a good release");
        fs::read_to_string(fetched.code.location().join("src/lib.rs")).unwrap()
    }

    /// That a look, or what it leads to, is refused in these words.
    #[track_caller]
    pub(crate) fn refuses(&self, words: &[&str]) -> FetchError {
        let error = self.look().expect_err("it is not good");
        let text = told(&error);
        for word in words {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
        error
    }
}

/// An error and its causes.
pub(crate) fn told(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
