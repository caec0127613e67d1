//! What was refused and why, so that the same source is not tried twice.

use std::collections::{HashMap, VecDeque};

use hotswap_artifact::{Artifact, Fingerprint};

use crate::error::ReloadError;

/// How many refusals are remembered, by fingerprint; the oldest goes first.
const REFUSALS_MAX: usize = 256;

/// Refused fingerprints, with their reasons.
#[derive(Default)]
pub(super) struct Refusals {
    by_fingerprint: HashMap<Fingerprint, (ReloadError, Artifact)>,
    order: VecDeque<Fingerprint>,
}

impl Refusals {
    /// Notes a refusal; a newer one of the same fingerprint replaces it.
    pub(super) fn remember(&mut self, artifact: Artifact, error: &ReloadError) {
        let fingerprint = artifact.fingerprint;
        if self.by_fingerprint.insert(fingerprint, (error.clone(), artifact)).is_none() {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > REFUSALS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_fingerprint.remove(&oldest);
        }
    }

    /// Why a fingerprint was refused, if it was.
    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<&ReloadError> {
        self.by_fingerprint.get(&fingerprint).map(|(error, _)| error)
    }

    /// Forgets the refusal of a fingerprint.
    pub(super) fn forget(&mut self, fingerprint: Fingerprint) {
        if self.by_fingerprint.remove(&fingerprint).is_some() {
            self.order.retain(|known| *known != fingerprint);
        }
    }

    /// Forgets all refusals, and gives what was refused, oldest first.
    pub(super) fn clear(&mut self) -> Vec<Artifact> {
        let order = std::mem::take(&mut self.order);
        let artifacts =
            order.into_iter().map(|fingerprint| self.by_fingerprint.remove(&fingerprint));
        artifacts.flatten().map(|(_, artifact)| artifact).collect()
    }
}
