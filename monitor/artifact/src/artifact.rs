//! What a build hands over.

use std::path::PathBuf;
use std::time::Duration;

use crate::{ContentHash, Fingerprint};

/// A library on disk that has not been loaded yet.
///
/// The file may be read, linked or copied, never written: it belongs to the
/// store that `home` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The library file.
    pub path: PathBuf,
    /// What the source looked like that this was built from.
    pub fingerprint: Fingerprint,
    /// SHA-256 of the file's bytes when it was stored. Whoever loads the file
    /// hashes what it loads and compares.
    pub content: ContentHash,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Who wrote the file; decides whether a hard link of it may be loaded.
    pub origin: Origin,
    /// How long the build took; zero for a prebuilt library.
    pub build_time: Duration,
    /// Its number among the releases of its source, where it has one.
    pub release: Option<u64>,
    /// A directory for files derived from this one, such as the private copies
    /// that are loaded. It may be missing; create it.
    pub home: PathBuf,
}

/// Who wrote an artifact's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Our own build. The compiler writes a new inode every time and nobody
    /// rewrites it in place, so a hard link is as good as a copy.
    Built,
    /// Somebody else, who may overwrite it at any time: copy before use.
    Foreign,
}
