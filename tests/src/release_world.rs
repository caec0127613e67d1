//! Signed releases of a module, on a web server, in a directory or in a database, with everything around them: the key, the server, and
//! what a host remembers and keeps.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotswap_engine::delivery::Releases;
use hotswap_engine::http::HttpSource;
use hotswap_engine::sqlite::{ModuleDatabase, SqliteSource};
use hotswap_engine::{ContentHash, Engine, EngineBuilder, Source};
use hotswap_trust::{CodeKind, FileEntry, FilePath, KeyPair, Manifest, Timestamp, Trust, Verified};
use minisign::SecretKeyBox;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::hostile::HostileServer;
use crate::log_lines::{LogLine, log_lines};
use crate::prebuilt;
use crate::workspace::build_directory;

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// Where the manifest of the module lies, below the base.
pub const MANIFEST: &str = "greet/stable/hotswap.manifest";

/// The base on the web server.
const BASE: &str = "/modules";

/// What releases lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A web server, without TLS: nobody has to believe it.
    Http,
    /// A directory.
    Directory,
    /// A database, written to past every check.
    Database,
}

impl Carrier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http, Self::Directory, Self::Database];
}

/// Signed releases of the module `greet`, and an engine on them.
#[derive(Debug)]
pub struct ReleaseWorld {
    place: TempDir,
    carrier: Carrier,
    /// The web server; there also where releases lie in a directory.
    pub server: HostileServer,
    /// Who publishes.
    pub key: KeyPair,
    last: Option<Verified>,
    /// What is to be written in one go; `None` stands for what is taken away.
    held: RefCell<Option<BTreeMap<String, Option<Vec<u8>>>>>,
}

/// A signed release, and its files.
#[derive(Debug, Clone)]
pub struct Release {
    /// What is sent.
    pub signed: Vec<u8>,
    /// What was signed.
    pub verified: Verified,
    /// By their path in the release.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Release {
    /// Where a file lies, below the base.
    #[must_use]
    pub fn place_of(bytes: &[u8]) -> String {
        format!("greet/files/{}", ContentHash::of(bytes))
    }

    /// Where its first file lies, below the base.
    #[must_use]
    pub fn first_place(&self) -> String {
        Self::place_of(&self.files[0].1)
    }
}

impl ReleaseWorld {
    /// A key, and nothing published.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn new(carrier: Carrier) -> Self {
        Self::on(carrier, HostileServer::start())
    }

    /// The same, on this server.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn on(carrier: Carrier, server: HostileServer) -> Self {
        // Beside the libraries: they can be linked.
        let place = tempfile::tempdir_in(build_directory()).expect("ours");
        let key = KeyPair::generate(None).expect("random bytes");
        let world = Self { place, carrier, server, key, last: None, held: RefCell::default() };
        if carrier == Carrier::Database {
            drop(ModuleDatabase::create(world.database()).expect("ours"));
            world.sql("INSERT INTO module (name, revision) VALUES ('greet', 0)", []);
        }
        world
    }

    /// What releases lie on.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// A path beside the releases.
    #[must_use]
    pub fn inside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The manifest of a release, for this host, that lists these files and follows what was published last.
    ///
    /// # Panics
    ///
    /// When a file may not be called that.
    #[must_use]
    pub fn manifest(&self, kind: CodeKind, files: &[(String, Vec<u8>)]) -> Manifest {
        let expires = Timestamp::now().after(Duration::from_secs(3_600));
        let mut manifest = Manifest::new("greet", kind, expires);
        manifest.target = Some(hotswap_module::TARGET.to_owned());
        manifest.abi = Some(hotswap_module::ABI_NUMBER.to_string());
        manifest.toolchain = Some(hotswap_module::RUSTC.to_owned());
        let entry = |(path, bytes): &(String, Vec<u8>)| {
            let path = FilePath::new(path).expect("a good path");
            FileEntry::new(path, bytes.len() as u64, ContentHash::of(bytes))
        };
        manifest.files = files.iter().map(entry).collect();
        manifest.files.sort_by(|left, right| left.path.cmp(&right.path));
        if let Some(last) = &self.last {
            manifest.follow(last);
        }
        manifest
    }

    /// Signs a release.
    ///
    /// # Panics
    ///
    /// When no reader would take it.
    #[must_use]
    pub fn sign(&self, manifest: &Manifest, files: Vec<(String, Vec<u8>)>) -> Release {
        let signed = self.key.sign(manifest).expect("a good manifest");
        let bytes = signed.to_bytes();
        let verified = signed.verify(&self.key.public_keys()).expect("just signed");
        Release { signed: bytes, verified, files }
    }

    /// The next release: a library whose `version` gives this number. It is not published.
    ///
    /// # Panics
    ///
    /// When the library cannot be built.
    #[must_use]
    pub fn next(&self, number: u64) -> Release {
        self.next_with(number, |_| {})
    }

    /// The same, with something else in its manifest.
    ///
    /// # Panics
    ///
    /// When the library cannot be built, or no reader would take the manifest.
    #[must_use]
    pub fn next_with(&self, number: u64, edit: impl FnOnce(&mut Manifest)) -> Release {
        self.next_of(CodeKind::Prebuilt, library(number), edit)
    }

    /// The next release, of these files.
    ///
    /// # Panics
    ///
    /// When no reader would take the manifest.
    #[must_use]
    pub fn next_of(
        &self,
        kind: CodeKind,
        files: Vec<(String, Vec<u8>)>,
        edit: impl FnOnce(&mut Manifest),
    ) -> Release {
        let mut manifest = self.manifest(kind, &files);
        edit(&mut manifest);
        self.sign(&manifest, files)
    }

    /// Puts a release there, files first, as publishers do; what is published next follows it.
    pub fn publish_release(&mut self, release: &Release) {
        self.put(release);
        self.last = Some(release.verified.clone());
    }

    /// Publishes a library whose `version` gives this number.
    ///
    /// # Panics
    ///
    /// When the library cannot be built.
    pub fn publish(&mut self, number: u64) -> Release {
        let release = self.next(number);
        self.publish_release(&release);
        release
    }

    /// Publishes this text as a module, for whichever host.
    ///
    /// # Panics
    ///
    /// When no reader would take the manifest.
    pub fn publish_text(&mut self, text: &str) {
        let files = vec![("greet.rs".to_owned(), text.as_bytes().to_vec())];
        let release = self.next_of(CodeKind::File, files, |made| {
            (made.target, made.abi, made.toolchain) = (None, None, None);
        });
        self.publish_release(&release);
    }

    /// Publishes these bytes as a library.
    ///
    /// # Panics
    ///
    /// When no reader would take the manifest.
    pub fn publish_library(&mut self, bytes: Vec<u8>) {
        let files = vec![("libgreet.so".to_owned(), bytes)];
        let release = self.next_of(CodeKind::Prebuilt, files, |_| {});
        self.publish_release(&release);
    }

    /// Takes everything away: the server does not answer, and the directory is not there.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn vanish(&self) {
        match self.carrier {
            Carrier::Http => self.server.go_down(),
            Carrier::Directory => fs::remove_dir_all(self.base()).expect("it is there"),
            Carrier::Database => fs::remove_file(self.database()).expect("it is there"),
        }
    }

    /// Puts a release there of which the publisher does not know.
    pub fn put(&self, release: &Release) {
        for (_, bytes) in &release.files {
            self.write(&Release::place_of(bytes), bytes);
        }
        self.write(MANIFEST, &release.signed);
    }

    /// Does something of which nobody sees a part: what is written meanwhile gets there afterwards, the manifest last. A database wakes
    /// who runs its modules.
    pub fn at_once(&mut self, work: impl FnOnce(&mut Self)) {
        self.held.replace(Some(BTreeMap::new()));
        work(self);
        let mut held = self.held.take().unwrap_or_default();
        let manifest = held.remove(MANIFEST).map(|bytes| (MANIFEST.to_owned(), bytes));
        for (path, bytes) in held.into_iter().chain(manifest) {
            match bytes {
                Some(bytes) => self.write(&path, &bytes),
                None => self.remove(&path),
            }
        }
    }

    /// Whether this is written later.
    fn hold(&self, path: &str, bytes: Option<&[u8]>) -> bool {
        let mut held = self.held.borrow_mut();
        let Some(held) = held.as_mut() else { return false };
        held.insert(path.to_owned(), bytes.map(<[u8]>::to_vec));
        true
    }

    /// Puts these bytes at a path below the base.
    ///
    /// # Panics
    ///
    /// When they cannot be written.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        if self.hold(path, Some(bytes)) {
            return;
        }
        match self.carrier {
            Carrier::Http => self.server.put(&at(path), bytes),
            Carrier::Directory => {
                let path = self.base().join(path);
                fs::create_dir_all(path.parent().expect("below the base")).expect("ours");
                let new = path.with_extension("new");
                fs::write(&new, bytes).expect("ours");
                fs::rename(&new, path).expect("ours");
            }
            Carrier::Database if path == MANIFEST => {
                self.sql("UPDATE module SET revision = revision + 1", []);
                self.sql(
                    "INSERT INTO revision (module, revision, kind, sha256, published_ms, published_by, reason, code)
                     SELECT name, revision, 'release', ?1, 0, '', '', ?2 FROM module",
                    params![ContentHash::of(bytes).to_string(), bytes],
                );
            }
            Carrier::Database => self.sql(
                "INSERT OR REPLACE INTO file (module, sha256, content) VALUES ('greet', ?1, ?2)",
                params![hash_of(path), bytes],
            ),
        }
    }

    /// Takes away what lies at a path below the base, if anything does.
    pub fn remove(&self, path: &str) {
        if self.hold(path, None) {
            return;
        }
        match self.carrier {
            Carrier::Http => self.server.remove(&at(path)),
            Carrier::Directory => drop(fs::remove_file(self.base().join(path))),
            Carrier::Database => {
                self.sql("DELETE FROM file WHERE sha256 = ?1", [hash_of(path)]);
            }
        }
    }

    /// Where releases lie that lie in a directory.
    #[must_use]
    pub fn base(&self) -> PathBuf {
        self.inside("releases")
    }

    fn database(&self) -> PathBuf {
        self.inside("modules.db")
    }

    fn sql(&self, statement: &str, row: impl rusqlite::Params) {
        let database = Connection::open(self.database()).expect("it is there");
        database.execute(statement, row).expect("SQL");
    }

    /// A host that believes the key, and remembers and keeps what it has in here.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust_of(Trust::keys(self.key.public_keys()))
    }

    /// The same, of a host that believes something else.
    #[must_use]
    pub fn trust_of(&self, trust: Trust) -> Trust {
        trust.remember_in(self.inside("state")).cache_in(self.inside("cache"))
    }

    /// The URL of the module on the web server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{BASE}#greet", self.server.origin())
    }

    /// Signs any bytes with the publisher's key, as minisign itself would.
    ///
    /// # Panics
    ///
    /// When the key cannot be written.
    #[must_use]
    pub fn sign_as(&self, bytes: &[u8], says: &str) -> Vec<u8> {
        let (secret, public) = (self.inside("key"), self.inside("key.pub"));
        if !secret.is_file() {
            self.key.write(&secret, &public).expect("ours");
        }
        let stored = fs::read_to_string(&secret).expect("just written");
        let key = SecretKeyBox::from(stored).into_unencrypted_secret_key().expect("not encrypted");
        let comment = format!("hotswap key {}", self.key.id());
        let signature = minisign::sign(None, &key, bytes, Some(says), Some(&comment));
        let signature = signature.expect("a good key").to_string();
        [format!("hotswap signatures v1 1\n{}\n", signature.trim_end()).as_bytes(), bytes].concat()
    }

    /// The module, as a host that believes the key has it.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source_of(self.trust())
    }

    /// The same, of a host that believes something else.
    ///
    /// # Panics
    ///
    /// When the URL is none.
    #[must_use]
    pub fn source_of(&self, trust: Trust) -> Source {
        match self.carrier {
            Carrier::Http => self.http(trust).into(),
            Carrier::Database => {
                let source = SqliteSource::new(self.database(), "greet").expect("a good name");
                source.trusting(trust).expect("it has a home").into()
            }
            Carrier::Directory => {
                Releases::in_directory(self.base(), "greet", trust).expect("a good name").into()
            }
        }
    }

    /// The web server as a source, for what only web servers have.
    ///
    /// # Panics
    ///
    /// When the URL is none.
    #[must_use]
    pub fn http(&self, trust: Trust) -> HttpSource {
        HttpSource::new(&self.url(), trust).expect("a good URL")
    }

    /// An engine on the module, with a log. Only what the test asks for has it look.
    pub fn engine(&self) -> EngineBuilder {
        self.engine_of(self.source())
    }

    /// The same, on another source.
    pub fn engine_of(&self, source: impl Into<Source>) -> EngineBuilder {
        let builder = Engine::builder(source.into()).target_dir(self.inside("target"));
        builder.log_file(self.inside("hotswap.log")).poll_every(RARELY).offline()
    }

    /// The lines of the log.
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        log_lines(&self.inside("hotswap.log"))
    }

    /// The lines of an event.
    #[must_use]
    pub fn lines_of(&self, event: &str) -> Vec<LogLine> {
        let mut lines = self.lines();
        lines.retain(|line| line.event == event);
        lines
    }

    /// Removes what a host keeps.
    ///
    /// # Panics
    ///
    /// When there is nothing.
    pub fn forget(&self, name: &str) {
        fs::remove_dir_all(self.inside(name)).expect("it was there");
    }

    /// All files below a directory that a host keeps.
    #[must_use]
    pub fn kept(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.inside(name), &mut found);
        found
    }
}

/// The path on the web server.
#[must_use]
pub fn at(path: &str) -> String {
    format!("{BASE}/{path}")
}

/// The files of a release whose library's `version` gives this number. No two are the same: what a host keeps of one is of no use for
/// another.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn library(number: u64) -> Vec<(String, Vec<u8>)> {
    let mut bytes = fs::read(prebuilt::numbered(number)).expect("built");
    // Behind all that anybody reads of it.
    bytes.extend(edition().to_le_bytes());
    vec![("libgreet.so".to_owned(), bytes)]
}

/// What a file is called by, wherever it lies.
fn hash_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A number that no other call gives: by it the files of one release are others than those of another.
#[must_use]
pub fn edition() -> u64 {
    static EDITIONS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only uniqueness matters.
    EDITIONS.fetch_add(1, Ordering::Relaxed)
}

/// All files below a directory. What goes away meanwhile is left out.
pub fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}
