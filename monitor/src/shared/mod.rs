//! One thread for many sources.
//!
//! A source at rest is looked at by the shared thread ([`rota`]). Whoever has something to do leaves it for
//! one of a few threads that exist only meanwhile ([`line`]), makes a round there as a monitor on a thread of
//! its own does, and comes back. What has to wait, for its turn to build ([`queue`]) or for the end of a
//! hold, waits without a thread.

pub(crate) mod bells;
pub(crate) mod line;
pub(crate) mod queue;
mod rota;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use hotswap_artifact::{MemberId, Trigger};
use hotswap_system::{clock, thread};
use parking_lot::Mutex;

use crate::builder::{StartError, StartErrorKind, must_be_a_period};
use crate::events::Hub;
use crate::monitor::Post;
use crate::scan::Witness;
use crate::watch::Watch;
use crate::{StopHandle, StopSignal};
use bells::{Bells, Doorbell};
use line::{Arrival, Line};
use queue::{BuildQueue, Place};
use rota::Rota;

/// One thread that looks at many sources, and the queue of their builds.
///
/// [`MonitorBuilder::start_on`](crate::MonitorBuilder::start_on) adds a source. Each has its [`Monitor`](crate::Monitor)
/// and its notifications, as if it had a thread of its own, with these differences:
///
/// - all of them are looked at after one period, the shared one's;
/// - one build goes on at a time; who waits for it takes no thread, and is looked at again when its turn comes;
/// - what lies in a store, or was built by somebody else, waits for no build;
/// - [`Fetch::wait`](crate::Fetch::wait) is not called: a source that can tell earlier rings its
///   [`Bell`](crate::Bell).
///
/// Cheap to clone. The thread ends when the last clone and the last monitor on it are dropped.
#[derive(Clone)]
pub struct SharedMonitor(Arc<Handle>);

struct Handle {
    bells: Arc<Bells>,
    queue: Arc<BuildQueue>,
    line: Arc<Line>,
    hub: Arc<Hub>,
    arrivals: Sender<Arrival>,
    poll_every: Duration,
    last_member: AtomicU64,
    /// Dropped with the last clone: that is what tells the thread to end.
    _stop: StopHandle,
}

/// A watch and what the shared thread knows of it.
pub(crate) struct Seat {
    pub(crate) member: MemberId,
    pub(crate) watch: Watch,
    /// Why its next round is made.
    pub(crate) trigger: Trigger,
    /// When it has to be looked at, if that is before all are.
    pub(crate) due: Option<Instant>,
    /// Who has to be looked at with it, and cannot be yet.
    pub(crate) waits_for: Option<MemberId>,
    pub(crate) reads: Reads,
    /// On which thread something of it runs.
    pub(crate) post: Post,
    /// Disconnected, it tells the handle that all this is gone.
    pub(crate) _alive: Sender<()>,
}

/// What a source reads, by its last look: for others to ask while it is elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Reads(Arc<Mutex<Option<Witness>>>);

impl Reads {
    pub(crate) fn set(&self, witness: Option<Witness>) {
        *self.0.lock() = witness;
    }

    /// Whether any of these files is among it.
    fn any(&self, paths: &BTreeSet<PathBuf>) -> bool {
        let witness = self.0.lock();
        let reads = |witness: &Witness| paths.iter().any(|path| witness.reads(path));
        witness.as_ref().is_some_and(reads)
    }
}

impl SharedMonitor {
    /// Starts the thread, which looks at nothing yet.
    ///
    /// # Errors
    ///
    /// When the period is not between [`POLL_PERIOD_MIN`](crate::POLL_PERIOD_MIN) and
    /// [`POLL_PERIOD_MAX`](crate::POLL_PERIOD_MAX), or the thread cannot be started.
    pub fn start(poll_every: Duration) -> Result<Self, StartError> {
        let fail = |kind| StartError { source_name: "many sources".to_owned(), kind };
        must_be_a_period(poll_every).map_err(fail)?;
        let (bells, woken) = Bells::new();
        let queue = BuildQueue::new(Arc::clone(&bells));
        let (arrivals, arrived) = unbounded();
        let (stop_handle, stop) = StopSignal::new();
        let line = Line::new(arrivals.clone());
        let rota = Rota {
            idle: BTreeMap::new(),
            away: BTreeMap::new(),
            line: Arc::clone(&line),
            queue: Arc::clone(&queue),
            bells: Arc::clone(&bells),
            woken,
            arrivals: arrived,
            stop,
            poll_every,
            swept: clock::now(),
        };
        thread::spawn("hotswap-monitor", move || rota.run())
            .map_err(|error| fail(StartErrorKind::Thread(error)))?;
        Ok(Self(Arc::new(Handle {
            bells,
            queue,
            line,
            hub: Arc::default(),
            arrivals,
            poll_every,
            last_member: AtomicU64::new(0),
            _stop: stop_handle,
        })))
    }

    /// How often the sources are looked at.
    pub(crate) fn period(&self) -> Duration {
        self.0.poll_every
    }

    /// The bell of a member to come.
    pub(crate) fn new_member(&self) -> Doorbell {
        // Relaxed: nothing but the number is read.
        let number = self.0.last_member.fetch_add(1, Ordering::Relaxed) + 1;
        Doorbell { bells: Arc::clone(&self.0.bells), member: MemberId(number) }
    }

    /// Where a member stands among all.
    pub(crate) fn place(&self, member: MemberId, reads: Reads) -> Place {
        Place {
            queue: Arc::clone(&self.0.queue),
            line: Arc::clone(&self.0.line),
            member,
            reads,
            hub: Arc::clone(&self.0.hub),
        }
    }

    /// Takes a watch in, and has its first round made.
    pub(crate) fn admit(&self, seat: Seat) {
        // The thread lives as long as this handle.
        let _sent = self.0.arrivals.send(Arrival::New(Box::new(seat)));
    }
}

impl fmt::Debug for SharedMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMonitor")
            .field("poll_every", &self.0.poll_every)
            .finish_non_exhaustive()
    }
}
