//! The versions that an engine had, for people to look at. Nothing is decided by it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::pin::{Pin, PinKind};
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
}

impl History {
    /// Notes a version that became current in place of the one before.
    pub(crate) fn became_current(&mut self, version: &Arc<Version>) {
        for known in &mut self.known {
            if known.info.state == VersionState::Current {
                known.info.state = VersionState::Draining;
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
        // Besides the calls: this very look, every listed hold, and the slot of the current one. The
        // numbers may be one off while others come and go; they are for people.
        let others = 1 + pins.len() + usize::from(self.info.state == VersionState::Current);
        let calls = Arc::strong_count(&version).saturating_sub(others);
        if calls > 0 {
            let origin = if calls == 1 {
                "under way".to_owned()
            } else {
                format!("and {} more under way", calls - 1)
            };
            pins.push(Pin { kind: PinKind::Call, origin, age: Duration::ZERO });
        }
        pins
    }
}
