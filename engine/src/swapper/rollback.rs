//! The way back: a version that ran becomes current again.
//!
//! It needs no compiler, no source and no network: what is kept is mapped, everything else lies in the store.

use std::sync::Arc;

use hotswap_artifact::{Cause, Trigger};

use super::admission::Admitted;
use super::{Newcomer, Swapper};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::{Event, SwapReason};
use crate::journal::Tx;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::status::VersionState;
use crate::swapper::Sha1;
use crate::verdict::Verdict;
use crate::version::Version;
use crate::version_id::VersionId;

/// What becomes of the version that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It was bad: its source is not tried again until it changes.
    Quarantined,
    /// Nothing is said about it.
    Alone,
}

impl Swapper {
    /// Goes back to `target`, by default to the version before the current one.
    pub(super) fn roll_back(
        &mut self,
        target: Option<VersionId>,
        left: Left,
    ) -> Result<Verdict, ReloadError> {
        let current = self.core.current();
        let tx = self.core.journal.offer();
        let returned = match target.or_else(|| self.lineage.previous()) {
            Some(target) if target == current => return Ok(Verdict::Unchanged { current }),
            Some(target) => self.return_to(&tx, target, left),
            None => Err(self.error(ReloadErrorKind::NoEarlierVersion)),
        };
        returned.inspect_err(|error| {
            let line = Line::alert("rollback.impossible").field("from", current.number());
            let line = line.maybe("to", target.map(VersionId::number));
            self.core.journal.write(Some(&tx), line.failure(&error.code(), error));
            self.core.refused(&Arc::new(error.clone()));
        })
    }

    fn return_to(
        &mut self,
        tx: &Tx,
        target: VersionId,
        left: Left,
    ) -> Result<Verdict, ReloadError> {
        let current = self.core.current();
        // What is gone is not to be found half gone.
        self.unload_retired();
        let Some((artifact, mapped)) = self.lineage.get(target) else {
            return Err(self.error(ReloadErrorKind::UnknownVersion { version: target }));
        };
        if self.core.history.lock().is_frozen {
            return Err(self.error(ReloadErrorKind::Frozen));
        }
        let mut newcomer =
            Newcomer::new(artifact, tx.clone(), SwapReason::RolledBack, Cause::default());
        let version = match mapped {
            Some(version) => self.still_fits(version),
            None => self.load_again(&mut newcomer, target),
        };
        let version = version.map_err(|kind| {
            // What was loaded and refused is gone before anybody is told.
            self.unload_retired();
            let path = newcomer.artifact.path.clone();
            let error = LoadError { version: target, path, kind };
            self.error(ReloadErrorKind::Load(Arc::new(error)))
        })?;
        let verdict = self.publish(version, &newcomer);
        // Who names a version wants it, whatever was thought of it.
        for artifact in self.lineage.artifacts(target) {
            self.refusals.forget(artifact.fingerprint);
        }
        if left == Left::Quarantined {
            self.quarantine_left(tx, current);
        }
        Ok(verdict)
    }

    /// A version that is mapped was checked when it came; but handles were opened since.
    fn still_fits(&self, version: Arc<Version>) -> Result<Arc<Version>, LoadErrorKind> {
        let expectations = &self.core.expectations;
        expectations.check_loaded(|name| version.exports.get(name), version.id)?;
        Ok(version)
    }

    fn load_again(
        &mut self,
        newcomer: &mut Newcomer,
        id: VersionId,
    ) -> Result<Arc<Version>, LoadErrorKind> {
        match self.admit_or_refuse(newcomer, id) {
            Ok(Admitted::Ready(version)) => Ok(version),
            // Only a change is compared with what runs, and waits for room.
            Ok(Admitted::Same(_) | Admitted::Crowded(_)) => {
                unreachable!("a rollback loads what it names")
            }
            Err((kind, _)) => Err(kind),
        }
    }

    fn quarantine_left(&mut self, tx: &Tx, left: VersionId) {
        let error = self.error(ReloadErrorKind::RolledBack { version: left });
        for artifact in self.lineage.artifacts(left).to_vec() {
            let fingerprint = artifact.fingerprint;
            self.held_back.take_if(|held| held.artifact.fingerprint == fingerprint);
            self.refusals.remember(artifact, &error);
            let line = Line::warn("quarantine.add").field("fp", Sha1(fingerprint));
            self.core.journal.write(Some(tx), line.field("reason", error.code()));
        }
    }

    /// Runs a version, and lets changes wait until `resume`.
    pub(super) fn stay_on(&mut self, target: VersionId) -> Result<Verdict, ReloadError> {
        let verdict = self.roll_back(Some(target), Left::Alone)?;
        self.core.history.lock().is_paused = true;
        let line = Line::info("manual.stay_on").field("version", target.number());
        self.core.journal.write(None, line);
        self.core.tell(&Event::Paused);
        Ok(verdict)
    }

    /// Lets what was refused or rolled back be judged again, when the source is looked at next.
    pub(super) fn clear_quarantine(&mut self) -> usize {
        let cleared = self.refusals.clear();
        let count = cleared.len();
        for artifact in cleared {
            let line = Line::info("quarantine.clear").field("fp", Sha1(artifact.fingerprint));
            self.core.journal.write(None, line);
            // The monitor has handed it over already, and will not again.
            if self.delivered == Some(artifact.fingerprint) && self.held_back.is_none() {
                let reason = SwapReason::Change(Trigger::Manual);
                let tx = self.core.journal.offer();
                self.held_back = Some(Newcomer::new(artifact, tx, reason, Cause::default()));
            }
        }
        count
    }

    /// Nothing changes what runs any more.
    pub(super) fn freeze(&mut self) {
        let was_frozen = std::mem::replace(&mut self.core.history.lock().is_frozen, true);
        if !was_frozen {
            let line = Line::warn("engine.freeze");
            let line = line.field("version", self.core.current().number());
            self.core.journal.write(None, line);
            self.core.tell(&Event::Frozen);
        }
    }

    /// Keeps what was replaced ready, or lets it go.
    pub(super) fn keep_or_drain(&mut self, tx: &Tx, replaced: Arc<Version>) {
        let id = replaced.id;
        for version in self.lineage.keep(replaced) {
            if version.id == id { self.drain(version) } else { self.cool(version) }
        }
        if self.lineage.is_warm(id) {
            self.core.history.lock().became(id, VersionState::Warm);
            let line = Line::info("version.warm").field("version", id.number());
            self.core.journal.write(Some(tx), line);
        }
    }
}
