//! What was refused and why, so that the same source is not tried twice.

use std::collections::{HashMap, VecDeque};

use hotswap_artifact::Fingerprint;

use crate::error::ReloadError;

/// How many refusals are remembered, by fingerprint; the oldest goes first.
const REFUSALS_MAX: usize = 256;

/// Refused fingerprints, with their reasons.
#[derive(Default)]
pub(super) struct Refusals {
    by_fingerprint: HashMap<Fingerprint, ReloadError>,
    order: VecDeque<Fingerprint>,
}

impl Refusals {
    /// Notes a refusal; a newer one of the same fingerprint replaces it.
    pub(super) fn remember(&mut self, fingerprint: Fingerprint, error: &ReloadError) {
        if self.by_fingerprint.insert(fingerprint, error.clone()).is_none() {
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
        self.by_fingerprint.get(&fingerprint)
    }
}
