//! What the monitor does, told while it does it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{
    Abortable, Artifact, Assurance, BuildError, Cause, FetchError, Fingerprint, ScanError, Trigger,
};

use crate::{EventsProblem, SandboxLevel, Tool};

/// One step of one change, told on the monitor's own thread.
///
/// Intent comes before effect: a step that ends in `Started` is told before
/// anything is started.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Observation {
    /// The number of the change, from 1. All steps of one change carry the same.
    pub change: u64,
    /// What made the monitor look.
    pub trigger: Trigger,
    /// The kind of source that it looked at; of a chain, that of the source that was chosen.
    pub source_kind: &'static str,
    /// What it did.
    pub step: Step,
}

/// What the monitor did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Step {
    /// By what a source is believed that gives code of others: told once, at the first look.
    Assured {
        /// The source's kind.
        kind: &'static str,
        /// The source.
        name: String,
        /// By what.
        assurance: Assurance,
    },
    /// Of a chain of sources this one has the module: the first time, and whenever it is another.
    Chosen {
        /// The source's kind.
        kind: &'static str,
        /// The source.
        name: String,
        /// Why one before it was passed over that may have it, and cannot be asked.
        passed: Option<Arc<ScanError>>,
    },
    /// Code is about to be fetched.
    FetchStarted {
        /// The source.
        name: String,
    },
    /// Code was fetched, and is looked at next.
    Fetched {
        /// The source.
        name: String,
        /// What the source calls it.
        fingerprint: Fingerprint,
        /// What the source says about it: `revision 12 by alice`.
        note: String,
        /// Its number among the releases of the source, where it has one.
        release: Option<u64>,
        /// How long that took.
        elapsed: Duration,
    },
    /// Code was not fetched: what lies there is no module, or cannot be had now, and is tried again.
    FetchRefused {
        /// The source.
        name: String,
        /// Why.
        error: Arc<FetchError>,
    },
    /// The scan differs from the last one. The first scan is told too, without
    /// a path: nothing is known to differ.
    Changed {
        /// What the source looks like now; it may still move.
        fingerprint: Fingerprint,
        /// What differs.
        cause: Cause,
        /// By this the change is told to end. Once it is handed over, that is up to the receiver.
        abortable: Abortable,
    },
    /// The source stayed the same for the settle time (or the limit of patience
    /// was reached); this is what will be built.
    Settled {
        /// What the source looks like.
        fingerprint: Fingerprint,
        /// How long that took.
        waited: Duration,
    },
    /// Files were touched and their bytes are the same, or the change was taken
    /// back to what is already handed over. Never told for an idle look.
    Unchanged {
        /// What the source looks like, as before.
        fingerprint: Fingerprint,
        /// What was touched.
        cause: Cause,
    },
    /// This was refused before, by this process or another, or aborted; it is not built again.
    KnownBad {
        /// What the source looks like.
        fingerprint: Fingerprint,
        /// Why it was refused.
        error: Arc<BuildError>,
    },
    /// The build is about to start.
    BuildStarted {
        /// What will be built.
        fingerprint: Fingerprint,
        /// What confines it, when it is to be built in a sandbox.
        sandbox: Option<SandboxLevel>,
    },
    /// The build gave a library, and what was built is what was fingerprinted.
    BuildOk {
        /// What was built: over everything that the build was seen to read.
        fingerprint: Fingerprint,
        /// How long the build took.
        elapsed: Duration,
        /// Whether cargo had it already and compiled nothing.
        fresh: bool,
        /// What was run.
        by: Tool,
        /// The number of warnings.
        warnings: usize,
    },
    /// The build gave no library.
    BuildFailed {
        /// How long it took.
        elapsed: Duration,
        /// Why.
        error: Arc<BuildError>,
    },
    /// The inputs moved while the build ran. Its result, good or bad, belongs to
    /// no fingerprint and is thrown away; a new change follows.
    BuildDiscarded {
        /// What was to be built.
        fingerprint: Fingerprint,
        /// How long the build took.
        elapsed: Duration,
        /// What moved.
        cause: Cause,
    },
    /// Something newer lay in the source and stood still while the build ran; the
    /// build was ended with all its processes, and a new change follows.
    BuildCancelled {
        /// What was being built.
        fingerprint: Fingerprint,
        /// How long the build had run, until its last process was gone.
        elapsed: Duration,
        /// What lies in the source instead.
        superseded_by: Fingerprint,
        /// What differs.
        cause: Cause,
    },
    /// The change was told to end, and has: the build with all its processes, if there was one. It is not built again
    /// until it differs, or [`Monitor::clear_aborted`](crate::Monitor::clear_aborted) is called.
    Aborted {
        /// What the source looked like.
        fingerprint: Fingerprint,
        /// What differed.
        cause: Cause,
        /// How long the build had run; `None` when none had begun.
        elapsed: Option<Duration>,
    },
    /// The library lies in the store.
    Stored {
        /// The library.
        artifact: Artifact,
        /// How long linking or copying and hashing took.
        elapsed: Duration,
    },
    /// This was built before, by this process or another: its library lies in the
    /// store and was hashed again; no compiler runs.
    Cached {
        /// The library.
        artifact: Artifact,
        /// How long finding and hashing took.
        elapsed: Duration,
        /// The number of warnings of the build.
        warnings: usize,
    },
    /// The artifact was handed over: the notification is in the channel.
    Notified {
        /// What was handed over.
        fingerprint: Fingerprint,
    },
    /// Events do not wake the monitor, or not for all of the source, though it was
    /// asked for; it polls. Told once per distinct problem.
    Events {
        /// Why.
        problem: EventsProblem,
    },
    /// The source cannot be read. Told once per distinct reason.
    Unreadable {
        /// Why.
        error: Arc<ScanError>,
    },
    /// What lies in the source is not to be believed, or is no module: it is not even fetched. Told once per distinct reason.
    Refused {
        /// What the source says.
        error: Arc<ScanError>,
    },
    /// What lies in the source cannot be told to be the newest: it expired, or the clock is wrong. Told once while that lasts.
    Stale {
        /// What the source says.
        error: Arc<ScanError>,
    },
    /// The source can be read again, and what lies there is not old.
    Readable {},
    /// The monitor itself panicked, which is a defect of it; nothing that it did counts, and it starts over.
    Panicked {
        /// What the panic says.
        message: String,
        /// When; `None` after too many in a row: when somebody asks for a look.
        restart_after: Option<Duration>,
    },
}

/// What the caller of the builder wants to be told with.
pub(crate) type Observe = Box<dyn Fn(&Observation) + Send>;

/// Calls the observer and survives it.
pub(crate) struct Observer {
    observe: Option<Observe>,
    /// The kind of source that is looked at.
    pub(crate) source_kind: &'static str,
    panics: u64,
}

impl Observer {
    pub(crate) fn new(observe: Option<Observe>, source_kind: &'static str) -> Self {
        Self { observe, source_kind, panics: 0 }
    }

    /// Tells one step. An observer that panics is told the next one all the same:
    /// it is a log, and a log with a gap is better than none.
    pub(crate) fn tell(&mut self, change: u64, trigger: Trigger, step: Step) {
        let Some(observe) = &self.observe else { return };
        let source_kind = self.source_kind;
        let observation = Observation { change, trigger, source_kind, step };
        // Unwind safety: the observer sees its own state broken, not ours.
        if catch_unwind(AssertUnwindSafe(|| observe(&observation))).is_err() {
            self.panics += 1;
            log::error!(
                "the monitor's observer panicked (number {}); the monitor goes on",
                self.panics
            );
        }
    }
}
