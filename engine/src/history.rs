//! The versions that an engine had, for people to look at. Nothing is decided by it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hotswap_system::clock;

use crate::pin::{Pin, PinKind};
use crate::slot;
use crate::status::{LastFailure, VersionInfo, VersionState};
use crate::version::Version;
use crate::version_id::VersionId;

/// How many versions that are gone are remembered.
const GONE_MAX: usize = 64;

/// What an engine remembers.
#[derive(Debug, Default)]
pub(crate) struct History {
    known: Vec<Known>,
    pub(crate) is_paused: bool,
    pub(crate) swap_count: u64,
    pub(crate) refused_count: u64,
    pub(crate) last_failure: Option<LastFailure>,
}

#[derive(Debug)]
struct Known {
    info: VersionInfo,
    version: Weak<Version>,
    /// When another became current.
    replaced_at: Option<Instant>,
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
        let provenance = &version.provenance;
        self.known.push(Known {
            info: VersionInfo {
                id: version.id,
                state: VersionState::Current,
                fingerprint: provenance.fingerprint,
                content: provenance.content,
                bytes: provenance.bytes,
                since: version.since,
                build_time: provenance.build_time,
                pins: Vec::new(),
            },
            version: Arc::downgrade(version),
            replaced_at: None,
        });
    }

    /// Notes what became of a version that nobody reaches any more.
    pub(crate) fn ended(&mut self, id: VersionId, state: VersionState) {
        if let Some(known) = self.known.iter_mut().find(|known| known.info.id == id) {
            known.info.state = state;
        }
        let gone = |known: &Known| known.info.state == VersionState::Unloaded;
        while self.known.iter().filter(|known| gone(known)).count() > GONE_MAX {
            let oldest = self.known.iter().position(gone).expect("one was just counted");
            self.known.remove(oldest);
        }
    }

    /// All versions, oldest first, with who holds them now.
    pub(crate) fn versions(&self) -> Vec<VersionInfo> {
        let info = |known: &Known| VersionInfo { pins: known.pins(), ..known.info.clone() };
        self.known.iter().map(info).collect()
    }
}

impl Known {
    fn pins(&self) -> Vec<Pin> {
        let Some(version) = self.version.upgrade() else {
            return Vec::new();
        };
        let mut pins = version.holds.list();
        // How long a call has run is nowhere written; how long it has outlived its version's time is known.
        let age = self.replaced_at.map_or(Duration::ZERO, clock::since);
        let callers = slot::callers(Arc::as_ptr(&version));
        let pin = |thread| Pin { kind: PinKind::Call, origin: format!("on {thread}"), age };
        pins.extend(callers.into_iter().map(pin));
        pins
    }
}
