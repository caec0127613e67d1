//! The versions that an engine had, for people to look at. Nothing is decided by it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use hotswap_artifact::{Cause, Fingerprint};
use hotswap_system::clock;

use crate::event::SwapReason;
use crate::heap::Account;
use crate::pin::{Holds, Pin, PinKind};
use crate::slot;
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
        // One that ran before has its place.
        self.known.retain(|known| known.info.id != version.id);
        let provenance = &version.provenance;
        self.known.push(Known {
            info: VersionInfo {
                id: version.id,
                state: VersionState::Current,
                fingerprint: provenance.fingerprint,
                content: provenance.content,
                bytes: provenance.bytes,
                heap_bytes: 0,
                since: version.since,
                build_time: provenance.build_time,
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

    /// Notes what became of a version that nobody reaches any more.
    pub(crate) fn ended(&mut self, id: VersionId, state: VersionState) {
        // What was loaded again under its number is another image.
        let is_gone = |known: &&mut Known| known.version.strong_count() == 0;
        let mut known = self.known.iter_mut().filter(is_gone);
        if let Some(known) = known.find(|known| known.info.id == id) {
            known.info.state = state;
        }
        let gone = |known: &Known| known.info.state == VersionState::Unloaded;
        while self.known.iter().filter(|known| gone(known)).count() > GONE_MAX {
            let oldest = self.known.iter().position(gone).expect("one was just counted");
            self.known.remove(oldest);
        }
    }

    /// Notes whether a replaced version is kept.
    pub(crate) fn became(&mut self, id: VersionId, state: VersionState) {
        if let Some(known) = self.known.iter_mut().find(|known| known.info.id == id) {
            known.info.state = state;
        }
    }

    /// All versions, by number, with who holds them now.
    pub(crate) fn versions(&self) -> Vec<VersionInfo> {
        let mut versions: Vec<_> = self.known.iter().map(Known::info).collect();
        versions.sort_by_key(|version| version.id);
        versions
    }

    /// One version, with who holds it now.
    pub(crate) fn find(&self, id: VersionId) -> Option<VersionInfo> {
        self.known.iter().find(|known| known.info.id == id).map(Known::info)
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

    /// Whether its end is waited for, and nobody was told yet that it takes long.
    fn is_awaited(&self) -> bool {
        let is_replaced = matches!(self.info.state, VersionState::Draining | VersionState::Warm);
        is_replaced && !self.is_overdue && !self.pins().is_empty()
    }

    fn drains_for(&self) -> Duration {
        self.replaced_at.map_or(Duration::ZERO, clock::since)
    }

    fn pins(&self) -> Vec<Pin> {
        let mut pins = self.holds.list();
        // How long a call has run is nowhere written; how long it has outlived its version's time is known.
        let age = self.drains_for();
        let callers = slot::callers(self.version.as_ptr());
        let pin = |thread| Pin { kind: PinKind::Call, origin: format!("on {thread}"), age };
        pins.extend(callers.into_iter().map(pin));
        pins
    }
}
