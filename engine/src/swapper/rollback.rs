//! The way back: a version that ran becomes current again.
//!
//! It needs no compiler, no source and no network: what is kept is mapped, everything else lies in the store.

use std::sync::Arc;

use hotswap_artifact::{Stage, Trigger, UnderWay};

use super::admission::Admitted;
use super::handover::Handover;
use super::{Newcomer, Swapper, abort};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::{Event, SwapReason};
use crate::journal::Tx;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::request::Asker;
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
        by: Asker,
        left: Left,
    ) -> Result<Verdict, ReloadError> {
        let current = self.core.current();
        let tx = self.core.journal.offer();
        let returned = match target {
            Some(target) if target == current => return Ok(Verdict::Unchanged { current }),
            _ if self.core.history.lock().is_frozen => Err(self.error(ReloadErrorKind::Frozen)),
            Some(target) => self.return_to(&tx, target, by, left),
            None => self.return_to_earlier(&tx, by, left),
        };
        returned.inspect_err(|error| {
            let line = Line::alert("rollback.impossible").field("from", current.number());
            let line = line.maybe("to", target.map(VersionId::number));
            let line = line.failure(&error.code(), error).field("by", by);
            self.core.journal.write(Some(&tx), line);
            self.core.refused(&Arc::new(error.clone()));
        })
    }

    /// Goes back to the latest version before the current one that may still run, of this process or an earlier one.
    fn return_to_earlier(
        &mut self,
        tx: &Tx,
        by: Asker,
        left: Left,
    ) -> Result<Verdict, ReloadError> {
        let mut passed = None;
        for target in self.lineage.earlier() {
            let Some((artifact, _)) = self.lineage.get(target) else { continue };
            match self.above_floor(&artifact) {
                Ok(()) => return self.return_to(tx, target, by, left),
                Err(kind) => {
                    self.tell_passed(tx, &artifact.fingerprint, &kind);
                    passed.get_or_insert(LoadError { version: target, path: artifact.path, kind });
                }
            }
        }
        self.return_to_earlier_process(tx, by, left, passed)
    }

    fn return_to(
        &mut self,
        tx: &Tx,
        target: VersionId,
        by: Asker,
        left: Left,
    ) -> Result<Verdict, ReloadError> {
        let current = self.core.current();
        // What is gone is not to be found half gone.
        self.unload_retired();
        let Some((artifact, mapped)) = self.lineage.get(target) else {
            return Err(self.error(ReloadErrorKind::UnknownVersion { version: target }));
        };
        if let Err(kind) = self.above_floor(&artifact) {
            let path = artifact.path;
            return Err(self.error(abort::told(LoadError { version: target, path, kind })));
        }
        // What is mapped becomes current at once; only what is loaded again may be aborted.
        let under_way = match mapped {
            Some(_) => UnderWay::new(Stage::Loading),
            None => self.begin(Some(artifact.fingerprint)),
        };
        let mut newcomer = Newcomer::new(artifact, tx.clone(), SwapReason::RolledBack, under_way);
        newcomer.by = Some(by);
        let (version, handover) = match mapped {
            Some(version) => self
                .still_fits(version, &newcomer)
                .map_err(|kind| self.not_loaded(&newcomer, target, kind))?,
            None => self.load_to_return(&mut newcomer, target)?,
        };
        let verdict = self.publish(version, &newcomer, handover);
        // Who names a version wants it, whatever was thought of it.
        for artifact in self.lineage.artifacts(target).to_vec() {
            self.forget_quarantine(artifact.fingerprint);
        }
        self.end_of_return(tx, current, left);
        Ok(verdict)
    }

    /// Deals with the version that was left.
    pub(super) fn end_of_return(&mut self, tx: &Tx, version: VersionId, left: Left) {
        match left {
            Left::Quarantined => self.quarantine_left(tx, version),
            Left::Alone => {}
        }
    }

    /// A version that is mapped was checked when it came; but handles were opened since, and state may have another form.
    fn still_fits(
        &mut self,
        version: Arc<Version>,
        newcomer: &Newcomer,
    ) -> Result<(Arc<Version>, Handover), LoadErrorKind> {
        let expectations = &self.core.expectations;
        expectations.check_loaded(|name| version.exports.find(name), version.id)?;
        let handover = self.hand_over(&version, newcomer)?;
        Ok((version, handover))
    }

    /// Loads what is gone back to.
    pub(super) fn load_to_return(
        &mut self,
        newcomer: &mut Newcomer,
        id: VersionId,
    ) -> Result<(Arc<Version>, Handover), ReloadError> {
        match self.admit_or_refuse(newcomer, id) {
            Ok(Admitted::Ready(version, handover)) => Ok((version, handover)),
            // Only a change is compared with what runs, and waits for room.
            Ok(Admitted::Same(_) | Admitted::Crowded(_)) => {
                unreachable!("a rollback loads what it names")
            }
            Err((kind, _)) => Err(self.not_loaded(newcomer, id, kind)),
        }
    }

    fn not_loaded(
        &mut self,
        newcomer: &Newcomer,
        version: VersionId,
        kind: LoadErrorKind,
    ) -> ReloadError {
        // What was loaded and refused is gone before anybody is told.
        self.unload_retired();
        let path = newcomer.artifact.path.clone();
        self.error(abort::told(LoadError { version, path, kind }))
    }

    fn quarantine_left(&mut self, tx: &Tx, left: VersionId) {
        let error = self.error(ReloadErrorKind::RolledBack { version: left });
        for artifact in self.lineage.artifacts(left).to_vec() {
            let fingerprint = artifact.fingerprint;
            let held = self.held_back.take_if(|held| held.artifact.fingerprint == fingerprint);
            if held.is_some() {
                self.bonds.lost = Some(error.clone());
            }
            self.refusals.remember(artifact.clone(), &error);
            self.note_quarantined(tx, &artifact, &error);
        }
    }

    /// Runs a version, and lets changes wait until `resume`.
    pub(super) fn stay_on(&mut self, target: VersionId, by: Asker) -> Result<Verdict, ReloadError> {
        let verdict = self.roll_back(Some(target), by, Left::Alone)?;
        self.core.history.lock().is_paused = true;
        let line = Line::info("manual.stay_on").field("version", target.number());
        let line = line.field("by", by);
        self.core.journal.write(None, line);
        self.core.tell(&Event::Paused);
        Ok(verdict)
    }

    /// Lets what was refused or rolled back be judged again, when the source is looked at next.
    pub(super) fn clear_quarantine(&mut self, by: Asker) -> usize {
        let cleared = self.refusals.clear();
        let mut fingerprints = self.clear_records();
        fingerprints.retain(|found| cleared.iter().all(|known| known.fingerprint != *found));
        fingerprints.extend(cleared.iter().map(|artifact| artifact.fingerprint));
        for fingerprint in &fingerprints {
            let line = Line::info("quarantine.clear").field("fp", Sha1(*fingerprint));
            let line = line.field("by", by);
            self.core.journal.write(None, line);
        }
        for artifact in cleared {
            // The monitor has handed it over already, and will not again.
            if self.delivered == Some(artifact.fingerprint) && self.held_back.is_none() {
                let reason = SwapReason::Change(Trigger::Manual);
                // Nothing is under way before it is asked for.
                let under_way = UnderWay::new(Stage::Waiting);
                let tx = self.core.journal.offer();
                self.held_back = Some(Newcomer::new(artifact, tx, reason, under_way));
            }
        }
        fingerprints.len() + self.clear_aborted(by)
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
