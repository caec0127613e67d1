//! What modules on web servers cost: an idle look, the way from a release to its first call, and the checks of a large one.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hotswap_engine::delivery::{Contents, DirectoryShelf, Release, Releases};
use hotswap_engine::http::HttpSource;
use hotswap_engine::{Attachment, Bell, ContentHash, Engine, Fetch as _, Host, RUSTC, TARGET};
use hotswap_module::ABI_NUMBER;
use hotswap_trust::{CodeKind, FileEntry, KeyPair, Manifest, Signed, Timestamp, Trust, Verified};

use crate::file_server::{FileServer, Question};
use crate::load::Libraries;
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// Only what is asked for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// Longer than any bench runs.
const EXPIRY: Duration = Duration::from_secs(24 * 3_600);

/// The module's name.
const MODULE: &str = "loaded";

/// Releases of a library on a web server on this machine.
#[derive(Debug)]
pub struct Released {
    directory: PathBuf,
    server: FileServer,
    key: PathBuf,
    public: String,
    libraries: [PathBuf; 2],
    number: u64,
}

impl Released {
    /// Makes a server with one release.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or there is no port.
    pub fn new(workshop: &Workshop, name: &str, libraries: &Libraries) -> Outcome<Self> {
        let directory = workshop.directory(name)?;
        let key = KeyPair::generate(None)?;
        key.write(&directory.join("key"), &directory.join("key.pub"))?;
        let mut released = Self {
            server: FileServer::start(&directory.join("site"))?,
            key: directory.join("key"),
            public: key.public(),
            directory,
            libraries: libraries.modules.clone(),
            number: 0,
        };
        released.release()?;
        Ok(released)
    }

    /// Releases the other library; gives the number that its `version` gives.
    fn release(&mut self) -> Outcome<u64> {
        let version = self.number % 2;
        let library = &self.libraries[usize::try_from(version)?];
        let key = KeyPair::read(&self.key, None)?;
        let release = Release::new(MODULE, Contents::prebuilt(library, host())?).signed_by(key);
        let release = release.remember_in(self.directory.join("published"));
        release.publish(&mut DirectoryShelf::new(self.directory.join("site")))?;
        self.number += 1;
        Ok(version)
    }

    fn source(&self, client: &str) -> Outcome<HttpSource> {
        let home = self.directory.join(client);
        let trust = Trust::key(&self.public)?;
        let trust = trust.remember_in(home.join("trust")).cache_in(home.join("cache"));
        Ok(HttpSource::new(&format!("{}#{MODULE}", self.server.address()), trust)?)
    }

    /// The floor: one conditional request for the manifest, on a connection that is kept, without a client.
    ///
    /// # Errors
    ///
    /// When the server is not there.
    pub fn conditional_get(&self) -> Outcome<Timed<'_>> {
        let path = format!("/{MODULE}/stable/hotswap.manifest");
        let mut question = Question::of(&self.server, &path)?;
        Ok(Timed::new("conditional GET alone", move |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                question.ask()?;
            }
            Ok(start.elapsed())
        }))
    }

    /// A look at what is the same. It is an error when that takes more than a request, or a byte of a body.
    ///
    /// # Errors
    ///
    /// When the release is refused.
    pub fn idle(&self) -> Outcome<Timed<'_>> {
        let releases = Releases::from(self.source("idle")?);
        releases.attach(&Attachment::new(Bell::new(|| true), Some(host()), || false));
        releases.fingerprint()?;
        Ok(Timed::new("http, an idle look", move |rounds| {
            let before = self.server.served();
            let start = Instant::now();
            for _ in 0..rounds {
                releases.fingerprint()?;
            }
            let elapsed = start.elapsed();
            let served = self.server.served();
            let (requests, bytes) =
                (served.requests - before.requests, served.bytes - before.bytes);
            if (requests, bytes) != (rounds, 0) {
                return Err(format!("{rounds} looks: {requests} requests, {bytes} bytes").into());
            }
            Ok(elapsed)
        }))
    }

    /// From when a release lies on the server to after the first call: it is fetched, checked, kept, staged, loaded.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn to_live(&mut self) -> Outcome<Timed<'_>> {
        let engine = Engine::builder(self.source("live")?)
            .target_dir(self.directory.join("target"))
            .without_log()
            .poll_every(RARELY)
            .open()?;
        Ok(Timed::new("released, until it is called", move |rounds| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..rounds {
                let expected = self.release()?;
                let start = Instant::now();
                engine.sync()?;
                let found: u64 = engine.call_with("version", ())?;
                elapsed += start.elapsed();
                if found != expected {
                    return Err(format!("version {found}, not {expected}").into());
                }
            }
            Ok(elapsed)
        }))
    }
}

/// What the libraries are built for: this program.
fn host() -> Host {
    Host::new(TARGET, ABI_NUMBER.to_string(), RUSTC)
}

/// A large file that was signed.
#[derive(Debug)]
pub struct LargeRelease {
    directory: PathBuf,
    release: Verified,
}

impl LargeRelease {
    /// Writes so many bytes, and signs what they are.
    ///
    /// # Errors
    ///
    /// When there is no room.
    pub fn new(workshop: &Workshop, bytes: usize) -> Outcome<Self> {
        let directory = workshop.directory("large_release")?;
        fs::write(directory.join("large.so"), vec![7; bytes])?;
        let key = KeyPair::generate(None)?;
        let mut manifest =
            Manifest::new("large", CodeKind::Prebuilt, Timestamp::now().after(EXPIRY));
        let Host { target, abi, toolchain, .. } = host();
        (manifest.target, manifest.abi, manifest.toolchain) =
            (Some(target), Some(abi), Some(toolchain));
        manifest.files = FileEntry::list_directory(&directory)?;
        let signed = Signed::read("large", &key.sign(&manifest)?.to_bytes())?;
        Ok(Self { directory, release: Trust::key(&key.public())?.verify(signed)? })
    }

    fn file(&self) -> PathBuf {
        self.directory.join("large.so")
    }

    /// The floor: its SHA-256, of bytes in memory.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn hash_alone(&self) -> Outcome<Timed<'static>> {
        let bytes = fs::read(self.file())?;
        Ok(Timed::new("SHA-256 alone", move |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(ContentHash::of(&bytes));
            }
            Ok(start.elapsed())
        }))
    }

    /// Reads it and holds it against what was signed.
    #[must_use]
    pub fn verify(&self) -> Timed<'_> {
        Timed::new("verified where it lies", |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                self.release.verify_directory(&self.directory)?;
            }
            Ok(start.elapsed())
        })
    }
}
