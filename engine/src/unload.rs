//! A version that is asked to go, and who keeps it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, select};
use hotswap_system::clock;

use crate::core::Core;
use crate::pin::{Holds, Pin};
use crate::status::VersionState;
use crate::version_id::VersionId;

/// A version that was asked to go; made by [`Engine::unload`](crate::Engine::unload).
///
/// It goes as soon as nobody holds it, whether anybody waits here or not. What is gone back to meanwhile is loaded afresh
/// where need be; the ticket is about what was mapped when it was made.
#[derive(Debug, Clone)]
#[must_use = "wait() says whether it is gone, or who holds it"]
pub struct UnloadTicket {
    pub(crate) version: VersionId,
    pub(crate) unloading: Unloading,
    pub(crate) core: Arc<Core>,
}

/// One image of a version on its way out; the version may be loaded again meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Unloading {
    /// By which the image is known.
    pub(crate) holds: Arc<Holds>,
    /// Disconnected when the swapper is done with it.
    pub(crate) done: Receiver<()>,
}

impl UnloadTicket {
    /// The version.
    #[must_use]
    pub const fn version(&self) -> VersionId {
        self.version
    }

    /// Blocks until the version is gone, for this long at most, and says what became of it.
    ///
    /// A call of that very version may ask, and is named as a holder. Calls past their deadlines are not waited for: when
    /// nobody else holds the version, they are named at once.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> UnloadOutcome {
        select! {
            recv(self.unloading.done) -> _ => {},
            recv(clock::after(timeout)) -> _ => {},
        }
        let history = self.core.history.lock();
        match history.find(&self.unloading.holds) {
            Some(info) if info.state != VersionState::Unloaded => UnloadOutcome::HeldBy(info.pins),
            // Forgotten after many others that are gone.
            _ => UnloadOutcome::Unloaded,
        }
    }
}

/// What became of a version that was asked to go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnloadOutcome {
    /// It is gone: no executable mapping of it is left.
    Unloaded,
    /// These hold it. It goes by itself with the last of them, but for those that hold it for good
    /// (see [`PinKind`](crate::PinKind)). Empty when the last one let go just now.
    HeldBy(Vec<Pin>),
}

/// A version cannot be asked to go; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct UnloadError {
    /// The version.
    pub version: VersionId,
    /// Why.
    pub kind: UnloadErrorKind,
}

impl fmt::Display for UnloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be unloaded: {}", self.version, self.kind)
    }
}

/// Why a version cannot be asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnloadErrorKind {
    /// It is what calls run in.
    #[error("it is current; swap or roll back first")]
    Current,
    /// The engine never had it.
    #[error("this engine has no such version")]
    Unknown,
    /// Asked from the swapper's own thread, or in a forked child of the process that opened the engine.
    #[error("only a thread of the process that opened the engine can ask, and no hook")]
    NotHere,
    /// The engine was dropped.
    #[error("the engine no longer exists")]
    Closed,
}
