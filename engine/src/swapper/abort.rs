//! A newcomer that somebody aborts before it is current.

use std::sync::Arc;

use hotswap_artifact::{Fingerprint, Stage, UnderWay};

use super::admission::Refusal;
use super::{Newcomer, Sha1, Swapper};
use crate::audit::Line;
use crate::error::ReloadErrorKind;
use crate::event::SwapReason;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::request::Asker;
use crate::watch::Watch;

impl Swapper {
    /// What begins here, and not with the monitor: from now on it may be aborted.
    pub(super) fn begin(&self, fingerprint: Option<Fingerprint>) -> UnderWay {
        let under_way = UnderWay::new(Stage::Loading);
        fingerprint.iter().for_each(|fingerprint| under_way.is_of(*fingerprint));
        self.core.changes.add(under_way.abortable());
        under_way
    }

    /// Drops what waits, if it was aborted.
    pub(super) fn drop_aborted(&mut self) {
        self.bonds.is_told_to_end = self.bonds.is_bonded;
        let Some(newcomer) = self.held_back.take_if(|held| held.under_way.is_aborted()) else {
            return;
        };
        let path = newcomer.artifact.path.clone();
        let error = LoadError { version: self.next_id(), path, kind: LoadErrorKind::Aborted };
        let error = self.turn_away(&newcomer.tx, error, "swap.abort");
        if newcomer.reason != SwapReason::Offered {
            self.quarantine(&newcomer, &error);
        }
        self.bonds.lost = Some(error);
    }

    /// Lets what was aborted before it was built be built again; how much that is.
    pub(super) fn clear_aborted(&self, by: Asker) -> usize {
        let cleared = self.watch.as_ref().map(Watch::clear_aborted).unwrap_or_default();
        for fingerprint in &cleared {
            let line = Line::info("quarantine.clear").field("fp", Sha1(*fingerprint));
            let line = line.field("by", by);
            self.core.journal.write(None, line);
        }
        cleared.len()
    }
}

impl Newcomer {
    /// Whether it goes on: nobody aborted it.
    pub(super) fn goes_on(&self) -> Result<(), Refusal> {
        match self.under_way.is_aborted() {
            true => Err((LoadErrorKind::Aborted, "swap.abort")),
            false => Ok(()),
        }
    }

    /// The last moment at which it may be aborted.
    pub(super) fn commit(&self) -> Result<(), Refusal> {
        match self.under_way.commit() {
            true => Ok(()),
            false => Err((LoadErrorKind::Aborted, "swap.abort")),
        }
    }
}

/// A refusal, for who waits: an abort is nobody's fault.
pub(super) fn told(error: LoadError) -> ReloadErrorKind {
    match error.kind {
        LoadErrorKind::Aborted => ReloadErrorKind::Aborted,
        _ => ReloadErrorKind::Load(Arc::new(error)),
    }
}
