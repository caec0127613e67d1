//! The versions that an engine had, for people to look at. Nothing is decided by it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use hotswap_artifact::{Cause, Fingerprint, ScanError};
use hotswap_system::clock;

use crate::deadline::OverdueCall;
use crate::error::ReloadError;
use crate::event::SwapReason;
use crate::heap::Account;
use crate::pin::{Holds, Pin, PinKind};
use crate::slot::{self, Caller};
use crate::status::{LastFailure, VersionInfo, VersionState};
use crate::version::Version;
use crate::version_id::VersionId;

/// How many changes of what is current are remembered.
const TRANSITIONS_MAX: usize = 256;

/// How many versions that are gone are remembered.
const GONE_MAX: usize = 64;

/// What an engine remembers.
#[derive(Debug, Default)]
pub(crate) struct History {
    known: Vec<Known>,
    transitions: VecDeque<Transition>,
    pub(crate) is_paused: bool,
    pub(crate) is_frozen: bool,
    /// What waits for a version to go.
    pub(crate) queued: Option<Fingerprint>,
    pub(crate) swap_count: u64,
    pub(crate) refused_count: u64,
    pub(crate) last_failure: Option<LastFailure>,
    /// Why the source cannot be looked at now.
    pub(crate) unreadable: Option<Arc<ScanError>>,
    /// Why `open` started with what served last, while that runs.
    pub(crate) fallback: Option<Arc<ReloadError>>,
}

/// A change of what is current.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// When.
    pub at: SystemTime,
    /// The version before; `None` for the first.
    pub from: Option<VersionId>,
    /// The version since then.
    pub to: VersionId,
    /// Why.
    pub reason: SwapReason,
    /// What had changed.
    pub cause: Cause,
}

#[derive(Debug)]
struct Known {
    info: VersionInfo,
    version: Weak<Version>,
    holds: Arc<Holds>,
    /// What a loaded image has of the heap.
    heap: Option<Arc<Account>>,
    /// When another became current.
    replaced_at: Option<Instant>,
    /// Whether it was told that it is in use for too long.
    is_overdue: bool,
}

impl History {
    /// Notes a version that became current in place of the one before.
    pub(crate) fn became_current(&mut self, version: &Arc<Version>) {
        for known in &mut self.known {
            if known.info.state == VersionState::Current {
                known.info.state = VersionState::Draining;
                known.replaced_at = Some(clock::now());
            }
        }
        // One that ran before has its place; an image of it that is mapped still, in which nobody can be any more, keeps
        // its own.
        self.known.retain(|known| {
            let is_it = Arc::ptr_eq(&known.holds, &version.holds);
            !is_it && (known.info.id != version.id || known.info.state != VersionState::Unloaded)
        });
        let provenance = &version.provenance;
        self.known.push(Known {
            info: VersionInfo {
                id: version.id,
                state: VersionState::Current,
                fingerprint: provenance.fingerprint,
                content: provenance.content,
                release: provenance.release,
                bytes: provenance.bytes,
                heap_bytes: 0,
                since: version.since,
                build_time: provenance.build_time,
                report: provenance.report.clone(),
                pins: Vec::new(),
            },
            version: Arc::downgrade(version),
            holds: Arc::clone(&version.holds),
            heap: version.image.as_ref().map(|image| Arc::clone(image.context().heap())),
            replaced_at: None,
            is_overdue: false,
        });
    }

    /// Notes a change of what is current.
    pub(crate) fn changed(&mut self, transition: Transition) {
        self.swap_count += u64::from(transition.from.is_some());
        if self.transitions.len() == TRANSITIONS_MAX {
            self.transitions.pop_front();
        }
        self.transitions.push_back(transition);
    }

    /// The latest changes of what is current, oldest first.
    pub(crate) fn transitions(&self) -> Vec<Transition> {
        self.transitions.iter().cloned().collect()
    }

    /// Notes what became of an image that nobody reaches any more, which is known by its holders. Whether its version
    /// ended with it: one that was loaded again meanwhile did not.
    pub(crate) fn ended(&mut self, holds: &Arc<Holds>, state: VersionState) -> bool {
        // One that never was current has no place, and nothing else its number.
        let Some(at) = self.place(holds) else { return true };
        let id = self.known[at].info.id;
        let is_latest = self.known.iter().rposition(|known| known.info.id == id) == Some(at);
        self.known[at].info.state = state;
        if !is_latest && state == VersionState::Unloaded {
            self.known.remove(at);
        }
        let gone = |known: &Known| known.info.state == VersionState::Unloaded;
        while self.known.iter().filter(|known| gone(known)).count() > GONE_MAX {
            let oldest = self.known.iter().position(gone).expect("one was just counted");
            self.known.remove(oldest);
        }
        is_latest
    }

    /// Notes that a version was released again, under this number.
    pub(crate) fn released(&mut self, id: VersionId, release: Option<u64>) {
        let known = self.known.iter_mut().filter(|known| known.info.id == id);
        known.for_each(|known| known.info.release = known.info.release.max(release));
    }

    /// Where an image stands.
    fn place(&self, holds: &Arc<Holds>) -> Option<usize> {
        self.known.iter().position(|known| Arc::ptr_eq(&known.holds, holds))
    }

    /// Notes whether a replaced version is kept.
    pub(crate) fn became(&mut self, id: VersionId, state: VersionState) {
        if let Some(known) = self.known.iter_mut().rfind(|known| known.info.id == id) {
            known.info.state = state;
        }
    }

    /// All versions, by number, with who holds them now. One that was loaded again comes after its earlier images.
    pub(crate) fn versions(&self) -> Vec<VersionInfo> {
        let mut versions: Vec<_> = self.known.iter().map(Known::info).collect();
        versions.sort_by_key(|version| version.id);
        versions
    }

    /// The state of a version, and the holders by which its latest image is known.
    pub(crate) fn latest(&self, id: VersionId) -> Option<(VersionState, Arc<Holds>)> {
        let known = self.known.iter().rfind(|known| known.info.id == id)?;
        Some((known.info.state, Arc::clone(&known.holds)))
    }

    /// One image, with who holds it now.
    pub(crate) fn find(&self, holds: &Arc<Holds>) -> Option<VersionInfo> {
        self.place(holds).map(|at| self.known[at].info())
    }

    /// The oldest versions that are neither current nor kept, and who holds them.
    pub(crate) fn extra(&self, count_max: usize) -> Vec<(VersionId, Vec<Pin>)> {
        let is_extra = |known: &&Known| {
            matches!(known.info.state, VersionState::Draining | VersionState::Pinned)
        };
        let extra = self.known.iter().filter(is_extra).take(count_max);
        extra.map(|known| (known.info.id, known.pins())).collect()
    }

    /// Versions that are in use for longer than `deadline` after they were replaced: each is given once.
    pub(crate) fn overdue(&mut self, deadline: Duration) -> Vec<VersionInfo> {
        let mut overdue = Vec::new();
        for known in &mut self.known {
            if known.is_awaited() && known.drains_for() >= deadline {
                known.is_overdue = true;
                overdue.push(known.info());
            }
        }
        overdue
    }

    /// The calls that run past their deadlines: each is given once. When the next is due.
    pub(crate) fn overdue_calls(&self) -> (Vec<OverdueCall>, Option<Instant>) {
        let mut overdue = Vec::new();
        let mut next = None;
        for known in &self.known {
            let version = known.info.id;
            let due = known.holds.tell_overdue(|function, thread, deadline, age| {
                let function = Arc::clone(function);
                overdue.push(OverdueCall { version, function, thread, deadline, age });
            });
            next = [next, due].into_iter().flatten().min();
        }
        (overdue, next)
    }

    /// Whether a replaced version is held by nobody but calls that run past their deadlines: those are not waited for.
    pub(crate) fn is_left_to_expired(&self, holds: &Arc<Holds>) -> bool {
        let known = self.place(holds).map(|at| &self.known[at]);
        known.is_some_and(|known| known.is_replaced() && is_left_to_expired(&known.pins()))
    }

    /// How long it is until the next version is in use for longer than `deadline`.
    pub(crate) fn next_overdue(&self, deadline: Duration) -> Option<Duration> {
        let awaited = self.known.iter().filter(|known| known.is_awaited());
        awaited.map(|known| deadline.saturating_sub(known.drains_for())).min()
    }
}

impl Known {
    fn info(&self) -> VersionInfo {
        let heap_bytes = self.heap.as_ref().map_or(0, |heap| heap.bytes());
        VersionInfo { pins: self.pins(), heap_bytes, ..self.info.clone() }
    }

    fn is_replaced(&self) -> bool {
        matches!(self.info.state, VersionState::Draining | VersionState::Warm)
    }

    /// Whether its end is waited for, and nobody was told yet that it takes long. Of calls past their deadlines that was
    /// told already.
    fn is_awaited(&self) -> bool {
        let is_held = |pins: &[Pin]| !pins.is_empty() && !is_left_to_expired(pins);
        self.is_replaced() && !self.is_overdue && is_held(&self.pins())
    }

    fn drains_for(&self) -> Duration {
        self.replaced_at.map_or(Duration::ZERO, clock::since)
    }

    fn pins(&self) -> Vec<Pin> {
        let mut pins = self.holds.list();
        // How long a call has run is nowhere written; how long it has outlived its version's time is known.
        let age = self.drains_for();
        let callers = slot::callers(self.version.as_ptr());
        // Calls with deadlines are in the list already. One through a guard has no slot, and may stand for one that has; but
        // then the guard holds the version as well.
        let is_other = |caller: &Caller| caller.calls > self.holds.calls_on(caller.thread);
        let pin =
            |Caller { name, .. }| Pin { kind: PinKind::Call, origin: format!("on {name}"), age };
        pins.extend(callers.into_iter().filter(is_other).map(pin));
        pins
    }
}

fn is_left_to_expired(pins: &[Pin]) -> bool {
    !pins.is_empty() && pins.iter().all(|pin| pin.kind == PinKind::ExpiredCall)
}
