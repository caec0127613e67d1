//! What was refused before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hotswap_artifact::{BuildError, BuildErrorKind, Fingerprint};

/// How many refusals are remembered.
///
/// 256: a day of broken saves; each holds its diagnostics, 1 MiB at the most.
const KNOWN_BAD_MAX: usize = 256;

/// The fingerprints that do not build, and why; the oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct KnownBad {
    errors: HashMap<Fingerprint, Arc<BuildError>>,
    order: VecDeque<Fingerprint>,
}

impl KnownBad {
    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<Arc<BuildError>> {
        self.errors.get(&fingerprint).cloned()
    }

    /// Remembers an error that lies in the source; one of the machine may be gone
    /// the next time.
    pub(crate) fn remember(&mut self, error: &Arc<BuildError>) {
        if !is_of_the_source(&error.kind) {
            return;
        }
        let fingerprint = error.fingerprint;
        if self.errors.insert(fingerprint, Arc::clone(error)).is_none() {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > KNOWN_BAD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.errors.remove(&oldest);
        }
    }
}

/// Whether building the same source again would fail again.
pub(crate) fn is_of_the_source(kind: &BuildErrorKind) -> bool {
    matches!(
        kind,
        BuildErrorKind::Failed { .. }
            | BuildErrorKind::NoLibrary { .. }
            | BuildErrorKind::Manifest { .. }
            | BuildErrorKind::Refused { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: usize, kind: BuildErrorKind) -> Arc<BuildError> {
        let fingerprint = Fingerprint::of(&number.to_le_bytes());
        Arc::new(BuildError::new("x", fingerprint, kind))
    }

    #[test]
    fn it_is_bounded_and_the_oldest_go_first() {
        let mut known_bad = KnownBad::default();
        let message = String::new;
        for number in 0..=KNOWN_BAD_MAX {
            let kind = BuildErrorKind::Manifest { message: message() };
            known_bad.remember(&error(number, kind));
        }
        assert_eq!(known_bad.errors.len(), KNOWN_BAD_MAX);
        assert!(known_bad.get(Fingerprint::of(&0_usize.to_le_bytes())).is_none());
        assert!(known_bad.get(Fingerprint::of(&1_usize.to_le_bytes())).is_some());
    }

    #[test]
    fn what_is_not_the_sources_fault_is_not_held_against_it() {
        let mut known_bad = KnownBad::default();
        let stopped = error(0, BuildErrorKind::Stopped);
        known_bad.remember(&stopped);
        assert!(known_bad.get(stopped.fingerprint).is_none());
    }
}
