//! What outlives the process: which versions served, so that the next one can start with the last of them, and what is
//! not to be tried again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use hotswap_artifact::{Artifact, ContentHash, Fingerprint};
use hotswap_system::thread::panic_text;

use super::admission::Admitted;
use super::notified::Found;
use super::rollback::Left;
use super::{Newcomer, Sha1, Swapper};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::SwapReason;
use crate::journal::Tx;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::request::Asker;
use crate::verdict::Verdict;
use crate::version_id::{NO_VERSION, VersionId};
use crate::watch::{Quarantined, Records, Served};

/// When `open` starts with what served last, because what lies in the source cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fallback {
    /// When there is nothing that could be judged, source or compiler being gone; and when it was judged, and is in
    /// quarantine.
    #[default]
    WhenGone,
    /// Whatever is wrong with it.
    Always,
}

impl Swapper {
    /// Notes that a version serves, which was loaded from `file`.
    pub(super) fn note_served(&mut self, tx: &Tx, id: VersionId, artifact: &Artifact, file: &Path) {
        let noted = self.record(|records| records.note_served(artifact, file));
        match noted {
            // A library from elsewhere may be overwritten; what was kept of it will not.
            Ok(kept) => kept.flatten().into_iter().for_each(|kept| self.lineage.is_kept(id, kept)),
            Err(error) => self.tell_unrecorded(tx, &error),
        }
    }

    /// Notes that what gave an artifact is not to be tried again, neither by this process nor by those that come.
    pub(super) fn note_quarantined(&mut self, tx: &Tx, artifact: &Artifact, error: &ReloadError) {
        let (fingerprint, code) = (artifact.fingerprint, error.code());
        let line = Line::warn("quarantine.add").field("fp", Sha1(fingerprint));
        let line = line.field("reason", &code);
        // What depends on the host or on this machine is for the next process to judge.
        let is_lasting = match &error.kind {
            ReloadErrorKind::RolledBack { .. } => true,
            ReloadErrorKind::Load(error) => error.kind.is_of_the_module(),
            _ => false,
        };
        let why = Quarantined::new(fingerprint, code, error.kind.to_string());
        let noted = match is_lasting {
            true => self.record(|records| records.quarantine(artifact, &why)),
            false => Ok(None),
        };
        let until = if noted.as_ref().is_ok_and(|noted| *noted == Some(true)) {
            "edited"
        } else {
            "restart"
        };
        self.core.journal.write(Some(tx), line.field("until", until));
        if let Err(error) = noted {
            self.tell_unrecorded(tx, &error);
        }
    }

    /// Notes that a release is about to be loaded, for as long as the newcomer is there: if the process ends meanwhile, the next
    /// one does not try it again as long as anything else can run.
    pub(super) fn begin_trial(&mut self, newcomer: &mut Newcomer) {
        if newcomer.artifact.release.is_none() || newcomer.trial.is_some() {
            return;
        }
        match self.record(|records| records.begin_trial(&newcomer.artifact)) {
            Ok(trial) => newcomer.trial = trial.flatten(),
            Err(error) => self.tell_unrecorded(&newcomer.tx, &error),
        }
    }

    /// Puts into quarantine what earlier processes died of, while they loaded it.
    pub(crate) fn end_trials(&mut self) {
        let tx = self.core.journal.offer();
        match self.record(Records::end_trials) {
            Ok(ended) => {
                for why in ended.into_iter().flatten() {
                    let line = Line::warn("quarantine.add").field("fp", Sha1(why.fingerprint));
                    let line = line.field("reason", why.code).field("until", "edited");
                    self.core.journal.write(Some(&tx), line.field("msg", why.message));
                }
            }
            Err(error) => self.tell_unrecorded(&tx, &error),
        }
    }

    /// Why what the monitor hands over is not to be tried, if it is not.
    pub(super) fn refusal(&mut self, artifact: &Artifact) -> Option<ReloadError> {
        if let Some(error) = self.refusals.get(artifact.fingerprint) {
            return Some(error.clone());
        }
        let found = self.record(|records| Ok(records.quarantined(artifact)));
        let Quarantined { code, message, .. } = found.ok()???;
        let error = self.error(ReloadErrorKind::Quarantined { code, message });
        self.refusals.remember(artifact.clone(), &error);
        Some(error)
    }

    /// Lets a source be tried again by later processes too.
    pub(super) fn forget_quarantine(&mut self, fingerprint: Fingerprint) {
        self.refusals.forget(fingerprint);
        // What cannot be removed says so when it is met.
        let _ = self.record(|records| {
            records.forget(fingerprint);
            Ok(())
        });
    }

    /// Everything that is in quarantine by what earlier processes noted, which ends.
    pub(super) fn clear_records(&mut self) -> Vec<Fingerprint> {
        self.record(|records| Ok(records.clear())).ok().flatten().unwrap_or_default()
    }

    /// Starts with what served last, where what lies in the source cannot run, and that is a reason to.
    pub(super) fn start_with_last_good(&mut self, error: &ReloadError) -> Option<Verdict> {
        let first = self.first.as_ref()?;
        let is_reason = match &error.kind {
            ReloadErrorKind::Unreadable(_) | ReloadErrorKind::Quarantined { .. } => true,
            ReloadErrorKind::Build(error) => !error.kind.lies_in_source(),
            ReloadErrorKind::Load(error) => error.kind.is_of_the_module(),
            _ => false,
        };
        if self.core.current() != NO_VERSION || !(is_reason || first.fallback == Fallback::Always) {
            return None;
        }
        for served in self.good(None) {
            let Some(artifact) = self.library(&served) else { continue };
            let tx = self.core.journal.offer();
            if let Err(kind) = self.above_floor(&artifact) {
                self.tell_passed(&tx, &artifact.fingerprint, &kind);
                continue;
            }
            let line = Line::warn("open.fallback").field("fp", Sha1(artifact.fingerprint));
            let line = line.field("sha256", artifact.content);
            self.core.journal.write(Some(&tx), line.failure(&error.code(), error));
            let id = self.next_id();
            let mut newcomer = self.of_before(artifact, &tx, SwapReason::LastGood);
            match self.admit_or_refuse(&mut newcomer, id) {
                Ok(Admitted::Ready(version, handover)) => {
                    let verdict = self.publish(version, &newcomer, handover);
                    self.core.history.lock().fallback = Some(Arc::new(error.clone()));
                    return Some(verdict);
                }
                Ok(Admitted::Same(_) | Admitted::Crowded(_)) => unreachable!("nothing runs yet"),
                Err((kind, event)) => {
                    // What was loaded and refused is gone before the next is tried.
                    self.unload_retired();
                    let path = newcomer.artifact.path;
                    self.turn_away(&tx, LoadError { version: id, path, kind }, event);
                }
            }
        }
        None
    }

    /// What is in quarantine does not run; unless an earlier process put it there, and nothing else can run.
    pub(super) fn keep_out(&mut self, newcomer: Newcomer, error: ReloadError) -> Found {
        let is_of_before = matches!(error.kind, ReloadErrorKind::Quarantined { .. });
        if self.core.current() != NO_VERSION || !is_of_before {
            return Found::Verdict(Err(error));
        }
        if let Some(verdict) = self.start_with_last_good(&error) {
            return Found::Verdict(Ok(verdict));
        }
        self.refusals.forget(newcomer.artifact.fingerprint);
        Found::Newcomer(newcomer.into())
    }

    /// Goes back to what served before the first version of this process.
    pub(super) fn return_to_earlier_process(
        &mut self,
        tx: &Tx,
        by: Asker,
        left: Left,
        mut passed: Option<LoadError>,
    ) -> Result<Verdict, ReloadError> {
        let current = self.core.current();
        let id = self.next_id();
        let running = self.core.slot.load().provenance.content;
        let mut found = None;
        for served in self.good(running) {
            let Some(artifact) = self.library(&served) else { continue };
            let Err(kind) = self.above_floor(&artifact) else {
                found = Some(artifact);
                break;
            };
            self.tell_passed(tx, &artifact.fingerprint, &kind);
            passed.get_or_insert(LoadError { version: id, path: artifact.path, kind });
        }
        let Some(artifact) = found else {
            let below = |error| ReloadErrorKind::Load(Arc::new(error));
            return Err(self.error(passed.map_or(ReloadErrorKind::NoEarlierVersion, below)));
        };
        let mut newcomer = self.of_before(artifact, tx, SwapReason::RolledBack);
        newcomer.by = Some(by);
        let (version, handover) = self.load_to_return(&mut newcomer, id)?;
        // It came before everything that ran here.
        self.lineage.leave_path();
        let verdict = self.publish(version, &newcomer, handover);
        self.end_of_return(tx, current, left);
        Ok(verdict)
    }

    /// Whether a library may run by its number: below the floor of its source nothing does, whatever it was before. What has
    /// no number is not the source's to judge.
    pub(super) fn above_floor(&self, artifact: &Artifact) -> Result<(), LoadErrorKind> {
        let Some(release) = artifact.release else { return Ok(()) };
        match self.floor.lowest() {
            floor if release < floor => Err(LoadErrorKind::BelowFloor { release, floor }),
            _ => Ok(()),
        }
    }

    /// Says that something is not gone back to.
    pub(super) fn tell_passed(&self, tx: &Tx, fingerprint: &Fingerprint, kind: &LoadErrorKind) {
        let line = Line::warn("floor.passed").field("fp", Sha1(*fingerprint));
        let line = match kind {
            LoadErrorKind::BelowFloor { release, floor } => {
                line.field("release", release).field("floor", floor)
            }
            _ => line,
        };
        self.core.journal.write(Some(tx), line.failure(kind.code(), kind));
    }

    /// Notes that what runs was released again, under this number.
    pub(super) fn note_released(&mut self, tx: &Tx, id: VersionId, release: Option<u64>) {
        let Some(number) = release else { return };
        self.core.history.lock().released(id, release);
        let Some(content) = self.core.slot.load().provenance.content else { return };
        if let Err(error) = self.record(|records| records.note_released(content, number)) {
            self.tell_unrecorded(tx, &error);
        }
    }

    /// What served, and is neither `but` nor what a source in quarantine gave; the latest first.
    fn good(&self, but: Option<ContentHash>) -> Vec<Served> {
        let Some(records) = &self.records else { return Vec::new() };
        let is_good = |served: &&Served| {
            Some(served.content) != but
                && records.reason(served.fingerprint).is_none()
                && self.refusals.get(served.fingerprint).is_none()
        };
        records.served().iter().filter(is_good).copied().collect()
    }

    /// What ran in another process, on its way to become current again.
    fn of_before(&self, artifact: Artifact, tx: &Tx, reason: SwapReason) -> Newcomer {
        let under_way = self.begin(Some(artifact.fingerprint));
        Newcomer::new(artifact, tx.clone(), reason, under_way)
    }

    /// The library of what served, if it is still there. Reads all of it.
    fn library(&self, served: &Served) -> Option<Artifact> {
        self.records.as_ref()?.library(served)
    }

    /// Reads or writes what outlives the process, where there is a place for it.
    fn record<T>(
        &mut self,
        act: impl FnOnce(&mut Records) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let Some(records) = &mut self.records else { return Ok(None) };
        // Unwind safety: what is noted is read from disk by the next process, where every file is whole.
        let noted = catch_unwind(AssertUnwindSafe(|| act(records)));
        noted.unwrap_or_else(|payload| Err(io::Error::other(panic_text(payload)))).map(Some)
    }

    fn tell_unrecorded(&self, tx: &Tx, error: &io::Error) {
        let line = Line::warn("record.fail").failure("record", error);
        self.core.journal.write(Some(tx), line);
    }
}
