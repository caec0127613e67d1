//! Where releases lie.

use std::fmt;

use hotswap_artifact::{Attachment, FetchError, Pause, Woken};
use hotswap_trust::FileEntry;

/// Where the releases of one module on one channel lie: a web server, a directory, a database. It is not believed in
/// anything: it has bytes, which are held against what was signed by who asks.
///
/// In directories and on web servers a module `greet` on the channel `stable` lies at `greet/stable/hotswap.manifest`, and the files of all
/// its releases at `greet/files/<SHA-256>`: a file never changes, and a new manifest takes the place of the one before in one step.
///
/// Methods block, for a bounded time. When nobody waits any more ([`Attachment::is_over`]) they should end at once.
pub trait Place: fmt::Debug + Send + Sync {
    /// The kind in one word, as hotswap.log has it: `http`.
    fn kind(&self) -> &'static str;

    /// The place, without credentials: `https://example.org/modules#greet`.
    fn name(&self) -> &str;

    /// Whether asking it may take a while, since it lies behind a network.
    fn is_remote(&self) -> bool {
        false
    }

    /// The manifest with its signatures, as it lies there now. At most
    /// [`SIGNED_BYTES_MAX`](hotswap_trust::SIGNED_BYTES_MAX) bytes of it are read.
    ///
    /// # Errors
    ///
    /// When the place cannot be asked now, or answers what no place answers.
    fn manifest(&self) -> Result<Answer, FetchError>;

    /// The bytes of a file, piece by piece. Whoever takes them says when there are too many, and that error is given back.
    ///
    /// # Errors
    ///
    /// When it cannot be had now, is not there, or the receiver has enough.
    fn file(
        &self,
        file: &FileEntry,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError>;

    /// Somebody asks: the next answer is to be of what lies there then. Nothing by default.
    fn refresh(&self) {}

    /// What is told of changes rings; nothing by default.
    fn attach(&self, monitor: &Attachment) {
        let _ = monitor;
    }

    /// Waits between two looks, as [`Fetch::wait`](hotswap_artifact::Fetch::wait).
    fn wait(&self, pause: &Pause<'_>) -> Woken {
        pause.sleep(pause.period())
    }
}

/// What a place says of its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// There is no such module.
    Absent,
    /// It is what it was at the last answer with bytes: no body was read.
    Same,
    /// It is this.
    Manifest(Vec<u8>),
}
