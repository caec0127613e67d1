//! One attempt at a build, and the proof that it built what was fingerprinted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hotswap_artifact::{
    Artifact, BuildError, BuildErrorKind, Cause, Diagnostics, Fingerprint, Origin, Outcome,
    ScanError, Source,
};
use hotswap_system::{clock, sandbox};

use super::during::{Ended, Superseded};
use super::waiting::Awaited;
use super::{Change, Interrupted, Round, Watch};
use crate::build::{Built, Tool};
use crate::scan::cause_of;
use crate::store::report::{make_room, write_report};
use crate::store::store;
use crate::supply::Supply;
use crate::{Scan, Step};

/// How often in a row a build may touch its own sources, without changing their
/// bytes, before it is believed that it does so every time.
///
/// Three: a build script that writes generated code into `src/` would otherwise
/// be built for ever. Only where there is a build script.
const OWN_TOUCHES_MAX: u32 = 3;

/// How an attempt ended.
pub(super) enum Attempt {
    /// It is known what becomes of the change.
    Done(Verdict),
    /// The inputs moved; what they are now, and what moved.
    Discarded(Scan, Cause),
    /// The source cannot be read any more.
    Unreadable(ScanError),
}

/// What becomes of a change.
pub(super) enum Verdict {
    /// It is what was handed over last.
    Unchanged(Fingerprint),
    /// It was refused before.
    KnownBad(Arc<BuildError>),
    /// It was built before.
    Recalled { artifact: Artifact, elapsed: Duration, warnings: usize },
    /// There was a build, of what lies there.
    Built(Box<Finished>),
    /// It was ended; after so long, if its build had begun.
    Aborted { fingerprint: Fingerprint, elapsed: Option<Duration> },
    /// The source cannot be read any more.
    Unreadable(ScanError),
}

/// What a build gave.
pub(super) struct Finished {
    result: Result<Stored, BuildErrorKind>,
    /// Over everything that the build was seen to read: what the next look will find.
    after: Scan,
    pub(super) elapsed: Duration,
}

/// What a backend gave, with the library in the store.
struct Stored {
    artifact: Artifact,
    fresh: bool,
    by: Tool,
    diagnostics: Diagnostics,
    elapsed: Duration,
}

impl Watch {
    pub(super) fn attempt(
        &mut self,
        change: &Change,
        round: &mut Round,
        scan: &Scan,
    ) -> Result<Attempt, Interrupted> {
        let fingerprint = scan.fingerprint;
        if scan.problem.is_none() && !self.may_build() {
            return Err(self.park(change, Awaited::Permit, Some(fingerprint)));
        }
        let is_confined = self.settings.confinement.is_some() && !self.has_own_backend;
        // Where that cannot be found out the build fails, and says why.
        let sandbox = if is_confined { sandbox::level().ok() } else { None };
        self.tell(change, Step::BuildStarted { fingerprint, sandbox });
        let started = clock::wall();
        let begin = clock::now();
        let Ended { mut result, superseded } = self.build(change, round, scan);
        let elapsed = clock::since(begin);
        if self.stop.is_stopped() {
            return Err(Interrupted::Stopped);
        }
        // From here on only whoever gets the library looks at that.
        if change.under_way.is_aborted() {
            return self.end_attempt(change, round, scan, elapsed);
        }
        let learned = match &mut result {
            Ok(built) => built.inputs.take().map(|inputs| self.scanner.learn(inputs)),
            Err(_) => None,
        };
        // Before the second look at the inputs: of a foreign file it is the input
        // itself that is hashed here.
        let stored = result.and_then(|built| stored(&built, scan, elapsed));
        // Before the look, which may fetch something else.
        let replaced = stored.as_ref().ok().and_then(|stored| self.replaced(&stored.artifact));
        let after = match self.look(round)? {
            Ok(after) => after,
            Err(error) => {
                self.close_unread();
                return Ok(Attempt::Unreadable(error));
            }
        };
        // After it: who asked meanwhile is answered.
        if let Some(error) = replaced {
            self.close_unread();
            return Ok(self.fetch_anew(error));
        }
        let moved = self.moved(&after, learned.unwrap_or_default(), started);
        self.backend.close(&moved);
        if let Some(Superseded { by, cause, .. }) = superseded {
            let step = Step::BuildCancelled {
                fingerprint,
                elapsed,
                superseded_by: by,
                cause: cause.clone(),
            };
            self.tell(change, step);
            return Ok(Attempt::Discarded(after, cause));
        }
        if !moved.is_empty() || after.is_refused() {
            let cause = cause_of(&moved);
            let discarded = Step::BuildDiscarded { fingerprint, elapsed, cause: cause.clone() };
            self.tell(change, discarded);
            return Ok(Attempt::Discarded(after, cause));
        }
        self.memory.own_touches = 0;
        Ok(Attempt::Done(Verdict::Built(Box::new(Finished { result: stored, after, elapsed }))))
    }

    /// Hands over what a build gave, or tells why it gave nothing.
    pub(super) fn finish(
        &mut self,
        change: &Change,
        round: &Round,
        finished: Finished,
    ) -> Result<(), Interrupted> {
        let Finished { result, after, elapsed } = finished;
        match result {
            Ok(stored) => self.hand_over(change, round, stored, &after, elapsed),
            Err(kind) => self.refuse(change, round, &after, kind, elapsed),
        }
    }

    /// Why this is not what was fetched, if it is not.
    pub(super) fn replaced(&self, artifact: &Artifact) -> Option<ScanError> {
        self.supply.as_ref()?.replaced(artifact.content)
    }

    /// Forgets what lies there, which somebody replaced.
    pub(super) fn fetch_anew(&mut self, error: ScanError) -> Attempt {
        self.supply.iter_mut().for_each(Supply::forget);
        Attempt::Unreadable(error)
    }

    /// The end of a build that was aborted. Who asked for it is told; who asked meanwhile, what lies there now.
    fn end_attempt(
        &mut self,
        change: &Change,
        round: &mut Round,
        scan: &Scan,
        elapsed: Duration,
    ) -> Result<Attempt, Interrupted> {
        let asked = Round { ..*round };
        let after = match self.look(round)? {
            Ok(after) => after,
            Err(error) => {
                self.close_unread();
                self.end_aborted(change, &asked, scan.fingerprint, Some(elapsed))?;
                return Ok(Attempt::Unreadable(error));
            }
        };
        let moved: Vec<PathBuf> = after.changed.iter().chain(&after.touched).cloned().collect();
        self.backend.close(&moved);
        if after.fingerprint == scan.fingerprint {
            let fingerprint = scan.fingerprint;
            return Ok(Attempt::Done(Verdict::Aborted { fingerprint, elapsed: Some(elapsed) }));
        }
        self.end_aborted(change, &asked, scan.fingerprint, Some(elapsed))?;
        Ok(Attempt::Discarded(after, cause_of(&moved)))
    }

    /// Tells the backend that nobody knows what moved: anything may have.
    fn close_unread(&mut self) {
        let files = self.scanner.job_inputs().files;
        let names: Vec<PathBuf> = files.into_iter().map(|file| file.name).collect();
        self.backend.close(&names);
    }

    /// What moved while the build ran, if anything did.
    ///
    /// Equal bytes before and after are not enough: a file may have been changed
    /// and changed back. But then its times differ, because the source stood
    /// still for longer than a tick of the clock before the build began.
    ///
    /// What the build was seen to read for the first time was not looked at
    /// before. If it is clearly older than the build, it was the same then;
    /// otherwise the build is done once more, now with everything known.
    fn moved(
        &mut self,
        after: &Scan,
        learned: BTreeSet<PathBuf>,
        started: SystemTime,
    ) -> Vec<PathBuf> {
        let is_known = |path: &&PathBuf| !learned.contains(*path);
        let mut moved: Vec<PathBuf> = after.changed.iter().filter(is_known).cloned().collect();
        // Names that the scan no longer covers count as changed too, but nobody
        // wrote them: a `.d` file that names less than the one before.
        moved.retain(|name| self.scanner.is_still_input(name));
        let since = |name: &&PathBuf| self.scanner.may_be_written_since(name, started);
        moved.extend(learned.iter().filter(since).cloned());
        if self.is_own_library() {
            // Linked into the store, which is noted in its times; nobody else writes there.
            return moved;
        }
        if moved.is_empty() && !after.touched.is_empty() {
            self.memory.own_touches += 1;
            if after.has_build_script && self.memory.own_touches > OWN_TOUCHES_MAX {
                log::warn!(
                    "the build of {} writes {} every time; it is handed over all the same",
                    self.source_name,
                    cause_of(&after.touched)
                );
                return Vec::new();
            }
        } else {
            self.memory.own_touches = 0;
        }
        moved.extend(after.touched.iter().cloned());
        moved
    }

    /// Whether what is handed over is a library that was fetched.
    fn is_own_library(&self) -> bool {
        let is_fetched = self.supply.as_ref().is_some_and(Supply::has_fetched);
        is_fetched && matches!(self.source, Source::Prebuilt(_))
    }

    fn hand_over(
        &mut self,
        change: &Change,
        round: &Round,
        stored: Stored,
        after: &Scan,
        elapsed: Duration,
    ) -> Result<(), Interrupted> {
        let fingerprint = after.fingerprint;
        self.memory.decided = Some(fingerprint);
        self.memory.retry = None;
        let Stored { fresh, by, ref diagnostics, .. } = stored;
        let warnings = diagnostics.warning_count;
        self.tell(change, Step::BuildOk { fingerprint, elapsed, fresh, by, warnings });
        let mut artifact = stored.artifact;
        artifact.fingerprint = fingerprint;
        let step = Step::Stored { artifact: artifact.clone(), elapsed: stored.elapsed };
        self.tell(change, step);
        make_room(&artifact);
        self.offer(change, round, artifact.clone())?;
        // Afterwards: nobody waits for it.
        if artifact.origin == Origin::Built {
            self.remember_built(after, &artifact, warnings);
            let files = self.scanner.job_inputs().files;
            write_report(&artifact, &self.source_name, by, &files, &stored.diagnostics);
        }
        Ok(())
    }

    pub(super) fn offer(
        &mut self,
        change: &Change,
        round: &Round,
        mut artifact: Artifact,
    ) -> Result<(), Interrupted> {
        let fingerprint = artifact.fingerprint;
        artifact.release = self.supply.as_ref().and_then(Supply::release);
        self.notify(round, Some(change), Outcome::Ready(artifact.clone()))?;
        self.memory.handed_over = Some(artifact);
        self.tell(change, Step::Notified { fingerprint });
        Ok(())
    }

    fn refuse(
        &mut self,
        change: &Change,
        round: &Round,
        after: &Scan,
        kind: BuildErrorKind,
        elapsed: Duration,
    ) -> Result<(), Interrupted> {
        if change.under_way.is_aborted() {
            // It failed at the very moment; what the machine lacked is not a reason to try it again.
            return self.end_aborted(change, round, after.fingerprint, Some(elapsed));
        }
        let error = self.failed(after.fingerprint, kind);
        self.memory.decided = Some(after.fingerprint);
        self.memory.known_bad.remember(&error);
        self.plan_retry(after.fingerprint, &error.kind);
        if let Some(diagnostics) = error.diagnostics() {
            self.scanner.learn_missing(diagnostics);
        }
        let told = Arc::clone(&error);
        self.tell(change, Step::BuildFailed { elapsed, error: told });
        self.notify(round, Some(change), Outcome::Failed(Arc::clone(&error)))?;
        self.remember_failed(after, &error);
        Ok(())
    }
}

fn stored(built: &Built, scan: &Scan, build_time: Duration) -> Result<Stored, BuildErrorKind> {
    let begin = clock::now();
    let build_time = match built.origin {
        Origin::Built => build_time,
        Origin::Foreign => Duration::ZERO,
    };
    let artifact = store(built, scan.fingerprint, build_time)?;
    Ok(Stored {
        artifact,
        fresh: built.fresh,
        by: built.by,
        diagnostics: built.diagnostics.clone(),
        elapsed: clock::since(begin),
    })
}
