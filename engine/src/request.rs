//! What handles ask of the swapper.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;

use crossbeam_channel::Sender;
use hotswap_artifact::Trigger;
use hotswap_system::socket::Peer;

use crate::error::ReloadError;
use crate::unload::{UnloadErrorKind, Unloading};
use crate::verdict::Verdict;
use crate::version_id::VersionId;
use crate::watch::WatchHold;

/// What handles ask of the swapper.
#[derive(Debug)]
pub(crate) enum Request {
    /// Look at the source now.
    Look {
        trigger: Trigger,
        answer: Option<Answer>,
    },
    /// Load this library.
    Offer {
        path: PathBuf,
        reply: Reply,
    },
    /// Build nothing until the result is dropped; `None` when nothing is watched.
    Hold(Sender<Option<WatchHold>>),
    /// Make this version current again, or the one before.
    RollBack {
        target: Option<VersionId>,
        by: Asker,
        reply: Reply,
    },
    /// Run this version until `Resume`.
    StayOn {
        target: VersionId,
        by: Asker,
        reply: Reply,
    },
    /// Keep this version no longer.
    Unload {
        version: VersionId,
        reply: Sender<Result<Unloading, UnloadErrorKind>>,
    },
    /// Never change what runs any more.
    Freeze(Sender<()>),
    /// A call has a deadline earlier than what is looked at next.
    WatchCalls,
    /// Drop what waits, if it was aborted.
    DropAborted,
    /// Judge again what was refused; answered by how many there were.
    ClearQuarantine {
        by: Asker,
        reply: Sender<usize>,
    },
    /// Stop or restart automatic swaps.
    Pause(Sender<()>),
    Resume(Sender<()>),
    /// The last handle is gone: end.
    Close(Sender<()>),
}

/// Who asks for something, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The program itself.
    Program,
    /// Somebody at the control socket.
    #[cfg_attr(
        not(feature = "control"),
        expect(dead_code, reason = "without the feature nobody is there")
    )]
    Control(Peer),
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("api"),
            Self::Control(Peer { user, process }) => {
                write!(f, "control uid={user} pid={process}")
            }
        }
    }
}

pub(crate) type Reply = Sender<Result<Verdict, ReloadError>>;

/// Who waits for a verdict.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    /// Whether it goes over a pause.
    pub(crate) forces: bool,
}

thread_local! {
    static IS_SWAPPER: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as a swapper's.
pub(crate) fn enter_swapper_thread() {
    IS_SWAPPER.with(|flag| flag.set(true));
}

/// Whether this is a swapper's thread, on which waiting for a swap would wait for itself.
pub(crate) fn is_swapper_thread() -> bool {
    IS_SWAPPER.try_with(Cell::get).unwrap_or(false)
}
