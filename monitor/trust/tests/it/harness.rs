//! One module, a key for it, and clients that ask for it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hotswap_artifact::ContentHash;
use hotswap_trust::{
    Accepted, CodeKind, FileEntry, FilePath, KeyPair, Manifest, Signed, Timestamp, TrustError,
    TrustErrorKind, TrustState, Verified, Wanted,
};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Noon of the first day.
pub(crate) fn noon() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate(None).unwrap()
}

pub(crate) fn entry(path: &str, content: &[u8]) -> FileEntry {
    let bytes = content.len() as u64;
    FileEntry::new(FilePath::new(path).unwrap(), bytes, ContentHash::of(content))
}

/// A library for this host, as release 1, good for 90 days.
pub(crate) fn prebuilt(content: &[u8]) -> Manifest {
    let mut manifest = Manifest::new("greet", CodeKind::Prebuilt, noon().after(90 * DAY));
    manifest.target = Some("x86_64-unknown-linux-gnu".to_owned());
    manifest.abi = Some("4".to_owned());
    manifest.toolchain = Some("rustc 1.95.0".to_owned());
    manifest.files = vec![entry("libgreet.so", content)];
    manifest
}

pub(crate) fn wanted() -> Wanted {
    Wanted::new("greet", "x86_64-unknown-linux-gnu", "4", "rustc 1.95.0")
}

/// The release after another, of the same files, good for as long again.
pub(crate) fn after(previous: &Verified) -> Manifest {
    let mut next = Manifest::clone(previous);
    next.follow(previous);
    next.expires = previous.expires.after(30 * DAY);
    next
}

pub(crate) fn sent(key: &KeyPair, manifest: &Manifest) -> Vec<u8> {
    key.sign(manifest).unwrap().to_bytes()
}

pub(crate) fn verified(key: &KeyPair, manifest: &Manifest) -> Verified {
    let bytes = sent(key, manifest);
    Signed::read("greet.manifest", &bytes).unwrap().verify(&key.public_keys()).unwrap()
}

/// As a manifest that came from `name`.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Signed {
    Signed::read(name, bytes).unwrap()
}

/// Releases 1 to `count` of one key, each after the one before it.
pub(crate) fn releases(key: &KeyPair, count: usize) -> Vec<Verified> {
    let mut all = vec![verified(key, &prebuilt(b"library"))];
    while all.len() < count {
        let next = after(all.last().unwrap());
        all.push(verified(key, &next));
    }
    all
}

/// A client without a disk.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) state: TrustState,
}

impl Client {
    pub(crate) fn offer(
        &mut self,
        release: &Verified,
        now: Timestamp,
    ) -> Result<Accepted, TrustErrorKind> {
        let accepted = self.state.check(release, now, &wanted());
        let accepted = accepted.map_err(|TrustError { kind, .. }| kind)?;
        self.state = accepted.state();
        Ok(accepted)
    }

    /// That a release is refused, and nothing is remembered of it.
    #[track_caller]
    pub(crate) fn refuses(&mut self, release: &Verified, now: Timestamp) -> TrustErrorKind {
        let before = self.state;
        let kind = self.offer(release, now).expect_err("it is not good");
        assert_eq!(self.state, before);
        kind
    }
}

/// Files below a directory.
pub(crate) fn write(directory: &Path, path: &str, content: &[u8]) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
