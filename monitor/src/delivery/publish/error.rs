//! Why nothing was published.

use std::io;
use std::path::PathBuf;

use hotswap_trust::{
    FilePathError, KeysError, ListError, ManifestError, SignError, SignatureError, StateError,
    Timestamp, TrustError,
};

/// Nothing was published: what lay there before is the newest release still.
#[derive(Debug, thiserror::Error)]
#[error("{module} was not published: {kind}")]
#[non_exhaustive]
pub struct PublishError {
    /// The module, or the path of its code.
    pub module: String,
    /// What is wrong.
    pub kind: PublishErrorKind,
}

impl PublishError {
    pub(super) fn new(module: &str, kind: impl Into<PublishErrorKind>) -> Self {
        // A name that is none may be anything.
        Self { module: module.escape_debug().to_string(), kind: kind.into() }
    }
}

/// What can be wrong with a release, or where it is to go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishErrorKind {
    /// A file or directory cannot be read or written.
    #[error("cannot {doing} {} ({error})", path.display())]
    Io {
        /// What was not done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// Something in a crate can be part of no release.
    #[error("{0}")]
    List(#[from] ListError),
    /// No module or channel can have this name.
    #[error(
        "{name:?} is no name: ASCII letters, digits, - and _, a letter first, at most 100 bytes"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A file may not be called what it is.
    #[error("{0}")]
    Path(#[from] FilePathError),
    /// The directory is no crate.
    #[error("{} is no crate: there is no Cargo.toml at its top", path.display())]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
    /// Cargo cannot say what belongs to the crate.
    #[error("{message}")]
    Cargo {
        /// What cargo says.
        message: String,
    },
    /// The crate needs another one that lies outside of it.
    #[error(
        "it depends on {name} in {}, which is outside of the crate and would not be part of the release: \
         copy it into the crate, or publish the library (prebuilt)", path.display()
    )]
    Outside {
        /// The crate that it depends on.
        name: String,
        /// Where that lies.
        path: PathBuf,
    },
    /// A file is not what it was when its hash was taken.
    #[error("{} changed while it was published", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// No reader would take the manifest.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// A key does not sign.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// The keys that sign cannot be told from each other.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// What lies there is by nobody who signs this release, so that it cannot be followed.
    #[error(
        "what lies there was not made by who publishes now ({0}); publish to another place or channel, or remove that manifest to begin anew"
    )]
    Previous(Box<SignatureError>),
    /// What lies there is of another module or channel: somebody put it there.
    #[error(
        "what lies there, {name}, is a release of {found}, not of {wanted}: put back what was published, or remove that manifest to begin anew"
    )]
    Foreign {
        /// What lies there.
        name: String,
        /// Of what it is: a module and a channel.
        found: String,
        /// Of what this release is.
        wanted: String,
    },
    /// What lies there is not what was published from this machine last, nor newer: somebody put an older release there, or removed it.
    #[error(
        "release {published} was published last from here, and what lies there is {found}: put back what was published; \
         or, to go on from what lies there, which hosts that have a later one refuse, remove {}", memory.display()
    )]
    Behind {
        /// The number that was published last.
        published: u64,
        /// What lies there.
        found: String,
        /// The file that remembers it.
        memory: PathBuf,
    },
    /// The number of what lies there is too far above that of what was published from this machine last.
    #[error("{0}")]
    Far(Box<TrustError>),
    /// What was published from this machine last cannot be read.
    #[error("{0}")]
    Memory(#[from] StateError),
    /// It is not known where to remember what is published.
    #[error(
        "this user has no home directory to remember in what was published: name a directory with `remember_in`, or set HOME"
    )]
    NoHome,
    /// What is to be renewed expired: it may be any release of earlier times.
    #[error(
        "release {release}, which lies there, expired at {expires}, and only what is good still is renewed: publish the files again"
    )]
    Expired {
        /// Its number.
        release: u64,
        /// When it expired.
        expires: Timestamp,
    },
    /// What lies there is signed, and this would not be.
    #[error(
        "the release that lies there, {name}, is signed ({keys}); one without a signature would be refused by who goes by it"
    )]
    Unsigned {
        /// What lies there.
        name: String,
        /// By whom.
        keys: String,
    },
    /// Somebody else published meanwhile.
    #[error("it is at release {found}, not {expected}: somebody else was quicker")]
    Conflict {
        /// The release that was expected.
        expected: u64,
        /// The one that lies there.
        found: u64,
    },
    /// Somebody else publishes now.
    #[error("somebody else publishes it to {place} at this moment")]
    Busy {
        /// Where.
        place: String,
    },
    /// There is nothing to renew.
    #[error("there is no release of it in {place} that could be renewed")]
    Nothing {
        /// Where.
        place: String,
    },
    /// A file of the release that is to be renewed is not there any more.
    #[error("a file of the release, {path}, is not in {place}")]
    Missing {
        /// The file, by its path in the release.
        path: String,
        /// Where.
        place: String,
    },
    /// What the shelf says.
    #[error("{0}")]
    Shelf(Box<dyn std::error::Error + Send + Sync>),
}
