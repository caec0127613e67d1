//! The one thread that publishes and unloads.
//!
//! Everything that could change what is current arrives here, one after the other: what
//! the monitor found, what somebody offers, what nobody uses any more.

mod abort;
mod admission;
mod bonded;
mod crew;
mod crowd;
mod handover;
mod hooks;
mod lineage;
mod newcomer;
mod notified;
mod publish;
mod refusals;
mod retire;
mod rollback;
mod standing;
mod supervise;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, never};
use hotswap_artifact::{
    Artifact, Cause, Fingerprint, Notification, Origin, Stage, Ticket, Trigger,
};
use hotswap_system::clock::{self, Timer};

use self::admission::{Admitted, Refusal};
pub(crate) use self::admission::{provides, provides_named};
use self::bonded::Bonded;
pub(crate) use self::crew::Crew;
pub(crate) use self::handover::Handover;
use self::hooks::HookRuns;
use self::lineage::Lineage;
use self::newcomer::Newcomer;
use self::refusals::Refusals;
use self::retire::{Closing, Ending};
use self::rollback::Left;
pub(crate) use self::standing::Fallback;
use crate::audit::Line;
use crate::cap::Cap;
use crate::core::Core;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::{Event, SwapReason};
use crate::hook::HOOK_DEADLINE;
use crate::journal::Tx;
use crate::load_error::LoadError;
use crate::pin::Holds;
use crate::request::{Answer, Reply, Request};
use crate::siblings::Companion;
use crate::slot::draining::Draining;
use crate::stage;
use crate::verdict::Verdict;
use crate::verify::file_error;
use crate::version::{Retired, Version};
use crate::version_id::{NO_VERSION, VersionId};
use crate::watch::{Floor, Records, Watch};

/// The swapper's own state; nobody else touches it.
pub(crate) struct Swapper {
    pub(crate) core: Arc<Core>,
    pub(crate) watch: Option<Watch>,
    pub(crate) notifications: Receiver<Notification>,
    pub(crate) requests: Receiver<Request>,
    pub(crate) retired: Receiver<Retired>,
    pub(crate) retire: Sender<Retired>,
    rung: Receiver<()>,
    /// Replaced versions that calls are still in.
    draining: Draining<Version, Companion>,
    /// Hooks that run now.
    hooks: HookRuns,
    /// What is left of versions: their images, which nobody can enter, and which threads have something of.
    closing: Vec<Closing>,
    /// Has a message when those threads are to be asked again.
    ask_again: Timer,
    /// How often they were.
    asked: u32,
    /// Who waits for the first version, and whether a refusal answers it.
    pub(crate) first: Option<FirstAnswer>,
    waiters: VecDeque<(Ticket, Answer)>,
    refusals: Refusals,
    /// What ran, and what is kept to run again.
    lineage: Lineage,
    /// Which releases of the source may run.
    pub(crate) floor: Floor,
    /// What earlier processes noted, and this one does for those that come.
    pub(crate) records: Option<Records>,
    /// The highest number that was given.
    last: VersionId,
    /// What the monitor handed over last.
    delivered: Option<Fingerprint>,
    /// Who waits for an image to be gone; told by being dropped.
    unloads: Vec<(Arc<Holds>, Sender<()>)>,
    /// What arrived while swaps were paused, or was turned away for a reason that may pass; only the
    /// newest is kept.
    held_back: Option<Newcomer>,
    /// Has a message when it is time to try that again without being asked.
    retry: Timer,
    /// How long a replaced version may be in use before it is told.
    drain_deadline: Duration,
    /// Has a message when a version may be in use for too long.
    overdue: Timer,
    /// Has a message when a call may run past its deadline.
    calls_due: Timer,
    /// What it has to do with other engines.
    bonds: Bonded,
    /// How far the end has come, once the last handle is gone.
    ending: Option<Ending>,
    /// Images that are mapped, so that it is known when nothing is left to unmap.
    pub(crate) mapped_count: usize,
    /// How many of them may be there that nobody wants.
    cap: Cap,
    /// The files that images were loaded from, and the directories they are in.
    staged: Vec<PathBuf>,
    homes: Vec<PathBuf>,
}

/// Who waits for `open`.
pub(crate) struct FirstAnswer {
    pub(crate) reply: Reply,
    /// A source that does not build is waited for.
    pub(crate) waits_for_repair: bool,
    pub(crate) fallback: Fallback,
}

/// What becomes of replaced versions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    /// How many are kept mapped, ready for a rollback.
    pub(crate) versions: usize,
    /// How long one may be in use before it is told.
    pub(crate) drain_deadline: Duration,
    /// How long the hooks may take that nothing waits for.
    pub(crate) hook_deadline: Duration,
    /// How many there may be that are neither current nor kept.
    pub(crate) cap: Cap,
}

impl Default for Keeping {
    /// One: the version that worked. 30 s: longer than a call is meant to take.
    fn default() -> Self {
        Self {
            versions: 1,
            drain_deadline: Duration::from_secs(30),
            hook_deadline: HOOK_DEADLINE,
            cap: Cap::default(),
        }
    }
}

/// What a swapper starts with.
pub(crate) struct Channels {
    pub(crate) requests: Receiver<Request>,
    pub(crate) retired: Receiver<Retired>,
    pub(crate) retire: Sender<Retired>,
    /// Has a message when a call of a replaced version has ended.
    pub(crate) rung: Receiver<()>,
}

impl Swapper {
    pub(crate) fn new(core: Arc<Core>, channels: Channels, keeping: Keeping) -> Self {
        Self {
            core,
            watch: None,
            notifications: never(),
            requests: channels.requests,
            retired: channels.retired,
            retire: channels.retire,
            rung: channels.rung,
            draining: Draining::new(),
            hooks: HookRuns::new(keeping.hook_deadline),
            closing: Vec::new(),
            ask_again: clock::never(),
            asked: 0,
            first: None,
            waiters: VecDeque::new(),
            refusals: Refusals::default(),
            lineage: Lineage::new(keeping.versions),
            floor: Floor::default(),
            records: None,
            last: NO_VERSION,
            delivered: None,
            unloads: Vec::new(),
            held_back: None,
            retry: clock::never(),
            drain_deadline: keeping.drain_deadline,
            overdue: clock::never(),
            calls_due: clock::never(),
            bonds: Bonded::default(),
            ending: None,
            mapped_count: 0,
            cap: keeping.cap,
            staged: Vec::new(),
            homes: Vec::new(),
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Look { trigger, answer } => self.look(trigger, answer),
            Request::Offer { path, reply } => {
                let verdict = self.offer_or_refuse(&path);
                self.core.journal.flush();
                // Who asked may be gone.
                let _ = reply.send(verdict);
            }
            Request::Hold(reply) => {
                // Who asked may be gone; the hold with it.
                let _ = reply.send(self.watch.as_ref().map(Watch::hold));
            }
            Request::Pause(done) => {
                self.core.history.lock().is_paused = true;
                self.core.journal.write(None, Line::info("manual.pause"));
                self.core.tell(&Event::Paused);
                let _ = done.send(());
            }
            Request::Resume(done) => {
                self.core.history.lock().is_paused = false;
                self.core.journal.write(None, Line::info("manual.resume"));
                self.core.tell(&Event::Resumed);
                self.swap_held();
                self.bonds.answer_when_tried(done);
            }
            Request::RollBack { target, by, reply } => {
                let verdict = self.roll_back(target, by, Left::Quarantined);
                self.core.journal.flush();
                let _ = reply.send(verdict);
            }
            Request::StayOn { target, by, reply } => {
                let verdict = self.stay_on(target, by);
                self.core.journal.flush();
                let _ = reply.send(verdict);
            }
            Request::Unload { version, reply } => {
                let _ = reply.send(self.unload_when_free(version));
            }
            Request::Freeze(done) => {
                self.freeze();
                let _ = done.send(());
            }
            Request::WatchCalls => self.watch_calls(),
            Request::DropAborted => self.drop_aborted(),
            Request::ClearQuarantine { by, reply } => {
                let cleared = self.clear_quarantine(by);
                self.core.journal.flush();
                let _ = reply.send(cleared);
            }
            Request::Close(done) => self.close(done),
        }
    }

    fn look(&mut self, trigger: Trigger, answer: Option<Answer>) {
        match (&self.watch, answer) {
            (Some(watch), answer) => {
                let ticket = watch.scan(trigger);
                self.waiters.extend(answer.map(|answer| (ticket, answer)));
            }
            (None, Some(answer)) => {
                let error = self.error(ReloadErrorKind::NoSource);
                let _ = answer.reply.send(Err(error));
            }
            (None, None) => {}
        }
    }

    /// Loads a library that somebody names, whatever is current.
    pub(crate) fn offer(&mut self, path: &std::path::Path) -> Result<Verdict, ReloadError> {
        let tx = self.core.journal.offer();
        let line = Line::info("offer.intent").field("path", path.display());
        self.core.journal.intent(Some(&tx), line);
        let under_way = self.begin(None);
        let (origin, home) = (Origin::Foreign, stage::own_home());
        let taken = std::path::absolute(path)
            .map_err(|error| (file_error("read", path, error), "verify.refused"))
            .and_then(|path| Ok((self.take_in(&path, origin, &home)?, path)));
        let (taken, path) = match taken {
            Ok(taken) => taken,
            Err((kind, event)) => {
                let error = LoadError { version: self.next_id(), path: path.to_owned(), kind };
                return Err(self.turn_away(&tx, error, event));
            }
        };
        let content = taken.contents.content;
        let artifact = Artifact {
            fingerprint: Fingerprint::of(content.as_bytes()),
            content,
            bytes: taken.contents.bytes.len() as u64,
            origin,
            build_time: Duration::ZERO,
            release: None,
            home,
            path,
        };
        under_way.is_of(artifact.fingerprint);
        let cause = Cause { first: Some(artifact.path.clone()), count: 1 };
        let reason = match self.core.current() {
            NO_VERSION => SwapReason::First,
            _ => SwapReason::Offered,
        };
        let newcomer = Newcomer::new(artifact, tx, reason, under_way);
        self.swap(Newcomer { taken: Some(taken), cause, ..newcomer })
    }

    /// The number that the next version gets. What ran keeps its own, also when it runs again.
    fn next_id(&self) -> VersionId {
        self.last.max(self.core.current()).next()
    }

    fn error(&self, kind: ReloadErrorKind) -> ReloadError {
        ReloadError::new(self.core.current(), kind)
    }

    /// The whole path from a library on disk to the current version. Until the pointer is
    /// written, every failure leaves what is current as it was.
    fn swap(&mut self, mut newcomer: Newcomer) -> Result<Verdict, ReloadError> {
        if self.is_frozen() {
            return Err(self.hold_frozen(newcomer));
        }
        let id = self.next_id();
        match self.admit_or_refuse(&mut newcomer, id) {
            Ok(Admitted::Ready(version, handover)) => {
                Ok(self.publish(version, &newcomer, handover))
            }
            Ok(Admitted::Crowded(crowd)) => Err(self.hold_up(newcomer, crowd)),
            Ok(Admitted::Same(current)) => Ok(self.stay_the_same(current, newcomer)),
            Err(refusal) => Err(self.refuse(newcomer, id, refusal)),
        }
    }

    /// Whether nothing may become current. From here on nothing waits for room.
    fn is_frozen(&mut self) -> bool {
        let mut history = self.core.history.lock();
        history.queued = None;
        history.is_frozen
    }

    fn hold_frozen(&mut self, newcomer: Newcomer) -> ReloadError {
        let line = Line::warn("swap.refused").field("fp", Sha1(newcomer.artifact.fingerprint));
        let error = self.error(ReloadErrorKind::Frozen);
        self.core.journal.write(Some(&newcomer.tx), line.failure(&error.code(), &error));
        // Whoever asks again is told again.
        if newcomer.reason != SwapReason::Offered {
            self.held_back = Some(newcomer);
        }
        error
    }

    /// What a newcomer is runs already.
    fn stay_the_same(&mut self, current: VersionId, newcomer: Newcomer) -> Verdict {
        self.core.history.lock().fallback = None;
        self.note_released(&newcomer.tx, current, newcomer.artifact.release);
        self.lineage.is_same(current, newcomer.artifact);
        Verdict::Unchanged { current }
    }

    /// Says why a newcomer was refused, and what becomes of it: quarantine, or another attempt.
    fn refuse(&mut self, mut newcomer: Newcomer, id: VersionId, refusal: Refusal) -> ReloadError {
        let (kind, event) = refusal;
        // What was loaded and refused is gone before anybody is told.
        self.unload_retired();
        newcomer.trial = None;
        let is_passing = kind.is_passing();
        let is_of_the_machine = kind.is_of_the_machine();
        let path = newcomer.artifact.path.clone();
        let error = self.turn_away(&newcomer.tx, LoadError { version: id, path, kind }, event);
        match newcomer.reason {
            SwapReason::Offered => {}
            // No fault of the source: asked again, it is judged again, without a build.
            _ if is_passing => {
                newcomer.failures += 1;
                newcomer.under_way.enter(Stage::Waiting);
                if is_of_the_machine {
                    self.retry_after(newcomer.failures);
                }
                self.held_back = Some(newcomer);
            }
            _ => self.quarantine(&newcomer, &error),
        }
        error
    }

    fn turn_away(&mut self, tx: &Tx, error: LoadError, event: &'static str) -> ReloadError {
        let error = Arc::new(self.error(abort::told(error)));
        let line = Line::error(event).field("outcome", "rejected").failure(&error.code(), &*error);
        self.core.journal.write(Some(tx), line);
        self.core.refused(&error);
        ReloadError::clone(&error)
    }

    /// The same source is not tried again.
    fn quarantine(&mut self, newcomer: &Newcomer, error: &ReloadError) {
        self.refusals.remember(newcomer.artifact.clone(), error);
        self.note_quarantined(&newcomer.tx, &newcomer.artifact, error);
    }
}

/// A cause as the log has it: `file:src/lib.rs`, and how many more.
pub(crate) struct CausePath<'a>(pub(crate) &'a Cause);

impl std::fmt::Display for CausePath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.first {
            None => f.write_str("start"),
            Some(_) => write!(f, "file:{}", self.0),
        }
    }
}

/// A fingerprint as the log has it, with its kind.
pub(crate) struct Sha1(pub(crate) Fingerprint);

impl std::fmt::Display for Sha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha1:{}", self.0)
    }
}
