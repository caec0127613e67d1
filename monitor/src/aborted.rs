//! What was aborted, and is not built again.

use std::collections::VecDeque;

use hotswap_artifact::Fingerprint;
use parking_lot::Mutex;

/// How many aborted fingerprints are remembered; the oldest goes first.
const ABORTED_MAX: usize = 256;

/// The fingerprints whose build, or settling, was aborted. The handle may take them back.
#[derive(Debug, Default)]
pub(crate) struct Aborted(Mutex<VecDeque<Fingerprint>>);

impl Aborted {
    pub(crate) fn add(&self, fingerprint: Fingerprint) {
        let mut fingerprints = self.0.lock();
        if fingerprints.contains(&fingerprint) {
            return;
        }
        fingerprints.push_back(fingerprint);
        if fingerprints.len() > ABORTED_MAX {
            fingerprints.pop_front();
        }
    }

    pub(crate) fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.0.lock().contains(&fingerprint)
    }

    /// Takes all of them back, and gives them, oldest first.
    pub(crate) fn clear(&self) -> Vec<Fingerprint> {
        self.0.lock().drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_the_oldest_go_first() {
        let of = |number: usize| Fingerprint::of(&number.to_le_bytes());
        let aborted = Aborted::default();
        for number in (0..=ABORTED_MAX).chain([7]) {
            aborted.add(of(number));
        }
        assert!(!aborted.contains(of(0)) && aborted.contains(of(1)));
        assert_eq!(aborted.clear().len(), ABORTED_MAX);
        assert!(!aborted.contains(of(1)));
    }
}
