//! What whoever loads libraries notes beside them for the processes that come after: what served, and what is not to be
//! tried again.
//!
//! One small file for each source that served, and one for each fingerprint that is in quarantine; a file that is torn or
//! not ours says nothing. As everything in a store they outlast a process that is killed, and not always a loss of power.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_artifact::{Artifact, ContentHash, Fingerprint, FingerprintHasher, Origin, Source};
use hotswap_system::fs;

use super::record_text::{parse_quarantined, parse_served, render_quarantined, render_served};
use super::{Found, SOURCES_MAX, find, keep, trim, trim_libraries, whole};
use crate::BuildSettings;
use crate::project::features;
use crate::scan::absolute;
use crate::supply::Supply;

/// How many libraries that served are remembered of one source: as far back as anybody goes after a restart.
const SERVED_MAX: usize = 8;

/// How many fingerprints are in quarantine in one target directory; the oldest are forgotten.
const QUARANTINED_MAX: usize = 256;

/// Changes with the format.
const FORMAT: &str = concat!("hotswap-records 1 ", env!("CARGO_PKG_VERSION"));

/// What is noted about one source, built in one way. It lies in the store of the target directory.
#[derive(Debug)]
pub struct Records {
    pub(super) key: String,
    /// Where the store was said to be; otherwise it is where the libraries come from.
    is_chosen: bool,
    pub(super) store: Option<PathBuf>,
    served: Vec<Served>,
}

/// A library that served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// What the source looked like.
    pub fingerprint: Fingerprint,
    /// The library's bytes.
    pub content: ContentHash,
    /// How long the build took.
    pub build_time: Duration,
    /// Its number among the releases of its source, where it has one.
    pub release: Option<u64>,
}

/// A source that is not to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// What it looks like.
    pub fingerprint: Fingerprint,
    /// A short stable word for the reason.
    pub code: String,
    /// The reason.
    pub message: String,
}

impl Quarantined {
    /// A source and the reason.
    #[must_use]
    pub fn new(
        fingerprint: Fingerprint,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { fingerprint, code: code.into(), message: message.into() }
    }
}

impl Records {
    /// What earlier processes noted about a source that is built with these settings.
    ///
    /// Where no target directory is chosen, the source may be gone, and with it the knowledge where its workspace was: the
    /// nearest `target/hotswap` beside or above it that knows the source counts. For what is fetched it is the one in the
    /// working directory.
    #[must_use]
    pub fn of(source: &Source, settings: &BuildSettings) -> Self {
        let source = absolute(source);
        let key = key(&source, settings);
        let chosen = settings.target_dir.as_ref().map(|path| path.join("store"));
        let is_chosen = chosen.is_some();
        let knows = |store: &PathBuf| read_served(store, &key).is_some();
        let found = || places(&source).into_iter().find(knows);
        // What is fetched has a place of its own.
        let own = || Supply::new(&source, settings).map(|supply| supply.target_dir().join("store"));
        let store = chosen.or_else(found).or_else(own);
        let served = store.as_deref().and_then(|store| read_served(store, &key));
        Self { key, is_chosen, store, served: served.unwrap_or_default() }
    }

    /// What served, the latest first.
    #[must_use]
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// A library that served, if it is still there and what it was. Reads all of it.
    #[must_use]
    pub fn library(&self, served: &Served) -> Option<Artifact> {
        let target_dir = self.store.as_deref()?.parent()?;
        match find(target_dir, served.fingerprint, served.content, served.build_time) {
            Found::Whole(artifact) => Some(Artifact { release: served.release, ..artifact }),
            Found::Damaged | Found::Absent => None,
        }
    }

    /// Notes that this serves from now on. Where it is nobody's own build, `copy`, a file of the same bytes that nobody
    /// writes, is put into the store first; then the result is where it lies.
    ///
    /// Nothing is noted of what has no store: a prebuilt library that is not fetched, unless a target directory was chosen.
    ///
    /// # Errors
    ///
    /// When it cannot be written; it is not noted then.
    pub fn note_served(
        &mut self,
        artifact: &Artifact,
        copy: &Path,
    ) -> io::Result<Option<Artifact>> {
        self.follow(artifact);
        let Some(store) = self.store.clone() else { return Ok(None) };
        let kept = match artifact.origin {
            Origin::Built => None,
            Origin::Foreign => Some(put(artifact, copy, &store)?),
        };
        let Artifact { fingerprint, content, build_time, release, .. } = *artifact;
        let latest = Served { fingerprint, content, build_time, release };
        if self.served.first() == Some(&latest) {
            return Ok(kept);
        }
        let earlier = self.served.iter().filter(|served| served.content != content);
        let served = std::iter::once(&latest).chain(earlier).take(SERVED_MAX).copied().collect();
        self.replace_served(&store, served)?;
        Ok(kept)
    }

    /// Notes that what served was released once more, under this number.
    ///
    /// # Errors
    ///
    /// When it cannot be written; it is not noted then.
    pub fn note_released(&mut self, content: ContentHash, release: u64) -> io::Result<()> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let is_news = |served: &Served| served.content == content && served.release < Some(release);
        if !self.served.iter().any(is_news) {
            return Ok(());
        }
        let mut served = self.served.clone();
        served.iter_mut().filter(|served| is_news(served)).for_each(|served| {
            served.release = Some(release);
        });
        self.replace_served(&store, served)
    }

    /// Why a source is not to be tried again, if it is not. `artifact` is what it gave.
    pub fn quarantined(&mut self, artifact: &Artifact) -> Option<Quarantined> {
        self.follow(artifact);
        self.reason(artifact.fingerprint)
    }

    /// Why what has this fingerprint is not to be tried again, if it is not.
    #[must_use]
    pub fn reason(&self, fingerprint: Fingerprint) -> Option<Quarantined> {
        let store = self.store.as_deref()?;
        let found = parse_quarantined(&fs::read(self.quarantine_file(store, fingerprint)).ok()?)?;
        (found.fingerprint == fingerprint).then_some(found)
    }

    /// Notes that what gave this artifact is not to be tried again. It counts as never having served. Whether there is a
    /// store to note it in.
    ///
    /// # Errors
    ///
    /// When it cannot be written; it is not noted then.
    pub fn quarantine(&mut self, artifact: &Artifact, why: &Quarantined) -> io::Result<bool> {
        self.follow(artifact);
        self.quarantine_found(why)
    }

    /// As `quarantine`, of what nobody has at hand.
    pub(super) fn quarantine_found(&mut self, why: &Quarantined) -> io::Result<bool> {
        let Some(store) = self.store.clone() else { return Ok(false) };
        let directory = store.join(QUARANTINE);
        let path = self.quarantine_file(&store, why.fingerprint);
        fs::create_dir_all(&directory)?;
        whole::write(&path, render_quarantined(why).as_bytes())?;
        whole::sweep(&directory);
        trim(&directory, &[path].into(), QUARANTINED_MAX);
        if self.served.iter().any(|served| served.fingerprint == why.fingerprint) {
            let good = self.served.iter().filter(|served| served.fingerprint != why.fingerprint);
            let good = good.copied().collect();
            self.replace_served(&store, good)?;
        }
        Ok(true)
    }

    /// Lets a source be tried again.
    pub fn forget(&self, fingerprint: Fingerprint) {
        if let Some(store) = &self.store {
            // Mostly it is not there.
            let _ = fs::remove_file(self.quarantine_file(store, fingerprint));
        }
    }

    /// Lets everything be tried again, and gives what that is.
    pub fn clear(&self) -> Vec<Fingerprint> {
        let Some(store) = &self.store else { return Vec::new() };
        let mut cleared = Vec::new();
        for entry in fs::read_dir(store.join(QUARANTINE)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let own =
                name.to_str().and_then(|name| name.strip_prefix(&self.key)?.strip_prefix('-'));
            let Some(digits) = own.and_then(|name| name.strip_suffix(".json")) else { continue };
            if let Ok(fingerprint) = digits.parse()
                && fs::remove_file(entry.path()).is_ok()
            {
                cleared.push(fingerprint);
            }
        }
        cleared
    }

    /// The store is where the libraries come from, unless somebody chose.
    fn follow(&mut self, artifact: &Artifact) {
        if !self.is_chosen && artifact.origin == Origin::Built {
            self.store = artifact.path.parent().map(Path::to_owned);
        }
    }

    fn replace_served(&mut self, store: &Path, served: Vec<Served>) -> io::Result<()> {
        let directory = store.join(SERVED);
        let path = served_file(store, &self.key);
        fs::create_dir_all(&directory)?;
        whole::write(&path, render_served(&served).as_bytes())?;
        whole::sweep(&directory);
        trim(&directory, &[path].into(), SOURCES_MAX);
        self.served = served;
        Ok(())
    }

    fn quarantine_file(&self, store: &Path, fingerprint: Fingerprint) -> PathBuf {
        store.join(QUARANTINE).join(format!("{}-{fingerprint}.json", self.key))
    }
}

const SERVED: &str = "served";
const QUARANTINE: &str = "quarantine";

/// Of how many sources of a store it is known what served.
pub(super) fn sources(store: &Path) -> usize {
    fs::read_dir(store.join(SERVED)).map_or(0, Iterator::count)
}

/// What each source of a store served last.
pub(super) fn latest_of_all(store: &Path) -> Vec<ContentHash> {
    let entries = fs::read_dir(store.join(SERVED)).into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| parse_served(&fs::read(entry.path()).ok()?));
    read.filter_map(|served| Some(served.first()?.content)).collect()
}

/// Names a source and the way in which it is built.
fn key(source: &Source, settings: &BuildSettings) -> String {
    let mut key = FingerprintHasher::new();
    key.piece(FORMAT.as_bytes());
    key.piece(format!("{} {:?}", lasting_name(source), settings.profile).as_bytes());
    for argument in features(settings) {
        key.piece(argument.as_bytes());
    }
    key.finish().to_string()
}

/// Names a source as the next process names it, whatever lies there.
fn lasting_name(source: &Source) -> String {
    match source {
        Source::Fetched(fetched) => {
            format!("{} {:?}", fetched.fetch().kind(), fetched.fetch().lasting_name())
        }
        Source::Chain(chain) => {
            chain.links().iter().map(|link| lasting_name(&absolute(&link.source)) + "\n").collect()
        }
        local => format!("{local:?}"),
    }
}

/// Where the store of a source may be, when nobody chose a place.
fn places(source: &Source) -> Vec<PathBuf> {
    match source {
        Source::Chain(chain) => {
            chain.links().iter().flat_map(|link| places(&absolute(&link.source))).collect()
        }
        Source::Crate(path) | Source::File(path) => {
            path.ancestors().map(|path| path.join("target/hotswap/store")).collect()
        }
        // Nothing is built for a prebuilt library; what is fetched lies elsewhere.
        _ => Vec::new(),
    }
}

/// Puts a library that somebody else wrote into a store.
fn put(artifact: &Artifact, copy: &Path, store: &Path) -> io::Result<Artifact> {
    let target_dir = store.parent().unwrap_or(store);
    let Artifact { fingerprint, content, build_time, .. } = *artifact;
    if let Found::Whole(kept) = find(target_dir, fingerprint, content, build_time) {
        return Ok(Artifact { release: artifact.release, ..kept });
    }
    let (path, kept) = keep(copy, store).map_err(io::Error::other)?;
    if kept != content {
        return Err(io::Error::other("the copy is not what was loaded"));
    }
    whole::sweep(store);
    trim_libraries(store, &path);
    let (origin, home) = (Origin::Built, target_dir.join("stage"));
    Ok(Artifact { path, origin, home, ..artifact.clone() })
}

fn served_file(store: &Path, key: &str) -> PathBuf {
    store.join(SERVED).join(key).with_extension("json")
}

fn read_served(store: &Path, key: &str) -> Option<Vec<Served>> {
    parse_served(&fs::read(served_file(store, key)).ok()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::build::Built;
    use crate::store::{STORE_FILES_MAX, store};

    fn settings(target_dir: &Path) -> BuildSettings {
        BuildSettings { target_dir: Some(target_dir.to_owned()), ..BuildSettings::default() }
    }

    fn records(target_dir: &Path) -> Records {
        Records::of(&Source::from("/s/game"), &settings(target_dir))
    }

    #[test]
    fn what_is_fetched_is_known_by_its_name_and_noted_where_it_is_fetched_to() {
        let source = Source::string("// one");
        let of = |source: Source| Records::of(&source, &BuildSettings::default());
        let before = of((&source).into());
        source.set("// two");
        assert_eq!(of((&source).into()).key, before.key, "it is the same source");
        let here = std::env::current_dir().unwrap().join("target/hotswap/store");
        assert_eq!(before.store, Some(here.clone()));
        let other = Source::string("// two");
        assert_ne!(of((&other).into()).key, before.key);
        let chain = |sources: [Source; 2]| of(Source::chain(sources).into());
        let files = || Source::from("/nowhere/at/all.rs");
        let records = chain([(&source).into(), files()]);
        assert_eq!(records.store, Some(here));
        assert_ne!(records.key, chain([files(), (&source).into()]).key);
    }

    fn built(target_dir: &Path, text: &str) -> Artifact {
        let library = target_dir.join("libx.so");
        let _absent = fs::remove_file(&library);
        fs::write(&library, text).unwrap();
        let fingerprint = Fingerprint::of(text.as_bytes());
        store(&Built::new(library, target_dir), fingerprint, Duration::from_millis(7)).unwrap()
    }

    fn contents(records: &Records) -> Vec<ContentHash> {
        records.served().iter().map(|served| served.content).collect()
    }

    #[test]
    fn what_served_is_found_by_the_same_source_built_in_the_same_way_only() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = records(directory.path());
        let libraries: Vec<_> = (0..10).map(|n| built(directory.path(), &n.to_string())).collect();
        for artifact in &libraries {
            assert_eq!(first.note_served(artifact, Path::new("")).unwrap(), None);
        }
        // Again what served before.
        first.note_served(&libraries[8], Path::new("")).unwrap();
        let expected: Vec<_> =
            [8, 9, 7, 6, 5, 4, 3, 2].map(|number| libraries[number].content).into();
        assert_eq!(contents(&first), expected);
        let second = records(directory.path());
        assert_eq!(contents(&second), expected);
        assert_eq!(second.library(&second.served()[0]).as_ref(), Some(&libraries[8]));
        let mut other = settings(directory.path());
        other.profile = crate::Profile::Release;
        assert_eq!(contents(&Records::of(&Source::from("/s/game"), &other)), []);
        let elsewhere = Records::of(&Source::from("/s/other"), &settings(directory.path()));
        assert_eq!(contents(&elsewhere), []);
    }

    #[test]
    fn what_is_in_quarantine_did_not_serve_and_can_be_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = records(directory.path());
        let (good, bad) = (built(directory.path(), "good"), built(directory.path(), "bad"));
        first.note_served(&good, Path::new("")).unwrap();
        first.note_served(&bad, Path::new("")).unwrap();
        let why = Quarantined::new(bad.fingerprint, "rolled_back", "v2 was \"rolled back\"\n");
        assert!(first.quarantine(&bad, &why).unwrap());
        let mut second = records(directory.path());
        assert_eq!(contents(&second), [good.content]);
        assert_eq!(second.quarantined(&bad), Some(why.clone()));
        assert_eq!(second.quarantined(&good), None);
        let elsewhere = Records::of(&Source::from("/s/other"), &settings(directory.path()));
        assert_eq!(elsewhere.reason(bad.fingerprint), None);
        assert_eq!(elsewhere.clear(), []);
        second.forget(good.fingerprint);
        assert_eq!(second.clear(), [bad.fingerprint]);
        assert_eq!(second.quarantined(&bad), None);
    }

    #[test]
    fn a_library_from_elsewhere_is_kept_where_there_is_a_store() {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy");
        fs::write(&copy, "foreign").unwrap();
        let target_dir = directory.path().join("target");
        let content = ContentHash::of(b"foreign");
        let artifact = Artifact {
            path: directory.path().join("original.so"),
            fingerprint: Fingerprint::of(b"foreign"),
            content,
            bytes: 7,
            origin: Origin::Foreign,
            build_time: Duration::ZERO,
            release: Some(3),
            home: directory.path().to_owned(),
        };
        let mut records = records(&target_dir);
        let kept = records.note_served(&artifact, &copy).unwrap().expect("there is a store");
        assert_eq!(fs::read(&kept.path).unwrap(), b"foreign");
        assert_eq!(records.library(&records.served()[0]), Some(kept.clone()));
        // The second time it lies there.
        assert_eq!(records.note_served(&artifact, Path::new("")).unwrap(), Some(kept));
        let prebuilt = Source::from(artifact.path.as_path());
        let mut without = Records::of(&prebuilt, &BuildSettings::default());
        assert_eq!(without.note_served(&artifact, &copy).unwrap(), None);
        let why = Quarantined::new(artifact.fingerprint, "x", "y");
        assert!(!without.quarantine(&artifact, &why).unwrap());
    }

    /// Beside the source or above it: which workspace it belonged to nobody can ask when it is gone.
    #[test]
    fn a_store_that_nobody_chose_is_found_beside_or_above_the_source() {
        let directory = tempfile::tempdir().unwrap();
        let source = Source::from(directory.path().join("workspace/crates/game"));
        let target_dir = directory.path().join("workspace/target/hotswap");
        fs::create_dir_all(&target_dir).unwrap();
        let settings = BuildSettings::default();
        let artifact = built(&target_dir, "x");
        let mut first = Records::of(&source, &settings);
        first.note_served(&artifact, Path::new("")).unwrap();
        let second = Records::of(&source, &settings);
        assert_eq!(second.library(&second.served()[0]), Some(artifact));
    }

    #[test]
    fn what_would_be_started_with_is_not_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let mut records = records(directory.path());
        let first = built(directory.path(), "served");
        records.note_served(&first, Path::new("")).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        fs::File::open(&first.path).unwrap().set_modified(long_ago).unwrap();
        for number in 0..=STORE_FILES_MAX {
            built(directory.path(), &number.to_string());
        }
        assert!(records.library(&records.served()[0]).is_some());
    }

    #[test]
    fn of_a_hundred_sources_each_keeps_what_it_served_last() {
        let directory = tempfile::tempdir().unwrap();
        let of = |number: u64| {
            Records::of(&Source::from(format!("/s/game{number}")), &settings(directory.path()))
        };
        for round in 0..2 {
            for number in 0..100 {
                let artifact = built(directory.path(), &format!("{round} {number}"));
                of(number).note_served(&artifact, Path::new("")).unwrap();
            }
        }
        for number in 0..100 {
            let served = of(number).served()[0];
            assert_eq!(served.fingerprint, Fingerprint::of(format!("1 {number}").as_bytes()));
            assert!(of(number).library(&served).is_some(), "{number}");
        }
        // And of all that they served before, some.
        let libraries = fs::read_dir(directory.path().join("store")).unwrap().count();
        assert!((100..100 + 2 * STORE_FILES_MAX).contains(&libraries), "{libraries}");
    }

    #[test]
    fn what_served_keeps_its_release_and_the_highest_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = records(directory.path());
        let (old, new) = (built(directory.path(), "old"), built(directory.path(), "new"));
        let releases = |records: &Records| {
            records.served().iter().map(|served| served.release).collect::<Vec<_>>()
        };
        first.note_served(&old, Path::new("")).unwrap();
        first.note_served(&Artifact { release: Some(5), ..new.clone() }, Path::new("")).unwrap();
        first.note_released(new.content, 7).unwrap();
        first.note_released(new.content, 6).unwrap();
        first.note_released(ContentHash::of(b"another"), 9).unwrap();
        let second = records(directory.path());
        assert_eq!(releases(&second), [Some(7), None]);
        assert_eq!(second.library(&second.served()[0]).unwrap().release, Some(7));
    }
}
