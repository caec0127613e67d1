//! What a release is: the statement that is signed.

mod path;
mod text;

use std::fmt;

use hotswap_artifact::ContentHash;

use crate::signed::Verified;
use crate::timestamp::Timestamp;

pub use self::path::{
    FILE_DEPTH_MAX, FILE_NAME_BYTES_MAX, FILE_PATH_BYTES_MAX, FilePath, FilePathError,
};
pub(crate) use self::text::PREVIOUS_RULE;
pub use self::text::{
    FILES_MAX, MANIFEST_BYTES_MAX, ManifestError, ManifestErrorKind, RELEASE_BYTES_MAX,
    WORD_BYTES_MAX,
};

/// The name under which a manifest lies beside the files that it lists. No file of a release may have it.
pub const MANIFEST_NAME: &str = "hotswap.manifest";

/// The channel of who names none.
pub const DEFAULT_CHANNEL: &str = "stable";

/// One release of one module: what it is, what belongs to it, and what came before it.
///
/// A value of this type says nothing about who wrote it: anybody may make one, to sign it. What is to be believed comes out of a
/// [`Verified`](crate::Verified).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The module: ASCII letters, digits, `-` and `_`, a letter first.
    pub module: String,
    /// The line of releases, such as `stable`: written as modules are. Each is counted for itself.
    pub channel: String,
    /// What the files are.
    pub kind: CodeKind,
    /// The number of the release, at least 1, higher with each release of the channel.
    pub counter: u64,
    /// The lowest release that may still run, at most `counter`. Raised when a release must not be gone back to.
    pub floor: u64,
    /// The target triple it is for; `None` for any, which only source can be.
    pub target: Option<String>,
    /// What the boundary between engine and module looks like, in the engine's words; `None` for any.
    pub abi: Option<String>,
    /// The compiler it was built by, or is to be built by, as `rustc --version` says it; `None` for any.
    pub toolchain: Option<String>,
    /// The last second in which a client may take this release for the newest there is.
    pub expires: Timestamp,
    /// The release before this one; `None` for the first.
    pub previous: Option<Previous>,
    /// All files, by path in order of bytes. There is at least one.
    pub files: Vec<FileEntry>,
}

/// The release that another follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Previous {
    /// Its number.
    pub counter: u64,
    /// SHA-256 of its manifest, without signatures.
    pub hash: ContentHash,
}

impl Previous {
    /// A release by its number and the hash of its manifest.
    #[must_use]
    pub fn new(counter: u64, hash: ContentHash) -> Self {
        Self { counter, hash }
    }
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// Where it lies, below the directory of the release.
    pub path: FilePath,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of it.
    pub hash: ContentHash,
}

impl FileEntry {
    /// A file by its path, length and SHA-256.
    #[must_use]
    pub fn new(path: FilePath, bytes: u64, hash: ContentHash) -> Self {
        Self { path, bytes, hash }
    }
}

/// What the files of a release are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeKind {
    /// A crate: `Cargo.toml` at the top.
    Crate,
    /// One source file.
    File,
    /// A library that is loaded as it is.
    Prebuilt,
}

impl CodeKind {
    const ALL: [Self; 3] = [Self::Crate, Self::File, Self::Prebuilt];

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Crate => "crate",
            Self::File => "file",
            Self::Prebuilt => "prebuilt",
        }
    }
}

impl fmt::Display for CodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Manifest {
    /// The first release of a module on the channel `stable`: for any target, boundary and compiler, and without files.
    #[must_use]
    pub fn new(module: impl Into<String>, kind: CodeKind, expires: Timestamp) -> Self {
        Self {
            module: module.into(),
            channel: DEFAULT_CHANNEL.to_owned(),
            kind,
            counter: 1,
            floor: 0,
            target: None,
            abi: None,
            toolchain: None,
            expires,
            previous: None,
            files: Vec::new(),
        }
    }

    /// Makes this the release that follows another, which whoever publishes has verified: the next number, and a floor that is not
    /// lower.
    ///
    /// A release should not expire before the one that it follows: a client whose clock was ahead for a while remembers a time up
    /// to the expiry of the earlier one, and takes no release that ends before it.
    pub fn follow(&mut self, previous: &Verified) {
        self.counter = previous.counter.saturating_add(1);
        self.floor = self.floor.max(previous.floor);
        self.previous = Some(Previous { counter: previous.counter, hash: previous.hash() });
    }

    /// The file at this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        let found = self.files.binary_search_by(|file| file.path.as_str().cmp(path));
        found.ok().map(|index| &self.files[index])
    }

    /// What is signed. Equal manifests have equal bytes, and each has one form only.
    ///
    /// # Errors
    ///
    /// When no reader would take it: a bad name, a path that leads elsewhere, files out of order, a floor above the number of the
    /// release, a library without a target.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        let bytes = text::write(self);
        if text::read(&bytes)? == *self {
            return Ok(bytes);
        }
        // A field whose text is that of several lines, or stands for none.
        let reason = "a field would be read as something else";
        Err(ManifestErrorKind::Inconsistent { reason }.into())
    }

    /// Reads what was signed. Only for bytes whose signature was verified, which is why nobody outside can call it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        text::read(bytes)
    }
}
