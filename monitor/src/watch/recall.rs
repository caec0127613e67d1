//! What was built before, by this process or another, is not built again.

use hotswap_artifact::{Artifact, BuildError, BuildErrorKind, Diagnostics};
use hotswap_system::clock;

use super::attempt::{Attempt, Verdict};
use super::{Interrupted, Round, Watch};
use crate::build::{BuildJob, Recipe};
use crate::scan::cause_of;
use crate::store::{self, Entry, Found, Index, Known};
use crate::{Scan, StopSignal};

impl Watch {
    /// Answers from the store; `None` when there has to be a build.
    ///
    /// Equal fingerprints cover the same names with the same bytes, and those of a
    /// build cover everything that it was seen to read: what it gave is what a
    /// build would give now.
    pub(super) fn recall(
        &mut self,
        round: &mut Round,
        scan: &Scan,
    ) -> Result<Option<Attempt>, Interrupted> {
        let begin = clock::now();
        let Some(recipe) = self.recipe(scan) else { return Ok(None) };
        let Some(entry) = Index::of(&recipe.target_dir).find(&recipe, scan.fingerprint) else {
            return Ok(None);
        };
        let toolchain = self.toolchain(&self.stop);
        if self.stop.is_stopped() {
            return Err(Interrupted::Stopped);
        }
        let is_same = toolchain.as_ref().map(|found| *found == entry.toolchain);
        match entry.known {
            // Without a compiler there is nothing better than what it built once.
            Known::Built { content, warnings, build_time } if is_same.unwrap_or(true) => {
                let target_dir = &recipe.target_dir;
                let artifact = match store::find(target_dir, scan.fingerprint, content, build_time)
                {
                    Found::Whole(artifact) => artifact,
                    Found::Absent => return Ok(None),
                    Found::Damaged => {
                        self.memory.is_output_doubted = true;
                        return Ok(None);
                    }
                };
                let elapsed = clock::since(begin);
                Ok(Some(Attempt::Done(Verdict::Recalled { artifact, elapsed, warnings })))
            }
            Known::Failed(kind) if is_same == Some(true) => {
                self.recall_failure(round, scan, kind).map(Some)
            }
            Known::Built { .. } | Known::Failed(_) => Ok(None),
        }
    }

    fn recall_failure(
        &mut self,
        round: &mut Round,
        scan: &Scan,
        kind: BuildErrorKind,
    ) -> Result<Attempt, Interrupted> {
        let error = self.failed(scan.fingerprint, kind);
        self.memory.known_bad.remember(&error);
        if let Some(diagnostics) = error.diagnostics() {
            self.scanner.learn_missing(diagnostics);
        }
        // The files that the build missed may be there by now.
        match self.look(round)? {
            Err(error) => return Ok(Attempt::Unreadable(error)),
            Ok(after) if after.fingerprint != scan.fingerprint => {
                let cause = cause_of(&after.changed);
                return Ok(Attempt::Discarded(after, cause));
            }
            Ok(_same) => {}
        }
        Ok(Attempt::Done(Verdict::KnownBad(error)))
    }

    /// Remembers a library for other processes, and for when the source is this
    /// again.
    pub(super) fn remember_built(&self, scan: &Scan, artifact: &Artifact, warnings: usize) {
        let (content, build_time) = (artifact.content, artifact.build_time);
        self.remember(scan, Known::Built { content, warnings, build_time });
    }

    /// Remembers a failure, if it lies in the source beyond doubt: the compiler
    /// named the place. A linker or a network that was missing may be there for
    /// the next process.
    pub(super) fn remember_failed(&self, scan: &Scan, error: &BuildError) {
        let kind = error.kind.clone();
        if error.diagnostics().is_some_and(Diagnostics::names_a_place) {
            self.remember(scan, Known::Failed(kind));
        } else if let BuildErrorKind::NoLibrary { .. } = kind {
            self.remember(scan, Known::Failed(kind));
        }
    }

    fn remember(&self, scan: &Scan, known: Known) {
        let Some(recipe) = self.recipe(scan) else { return };
        // Not ended with the monitor, which waits: it takes some milliseconds, and
        // the next process would have to build all over.
        let Some(toolchain) = self.toolchain(&StopSignal::never()) else { return };
        let entry = Entry { known, toolchain };
        Index::of(&recipe.target_dir).record(&recipe, scan.fingerprint, &entry);
    }

    fn recipe(&self, scan: &Scan) -> Option<Recipe> {
        if scan.problem.is_some() {
            return None;
        }
        let mut job = BuildJob::new(scan.fingerprint);
        job.workspace_root.clone_from(&scan.workspace_root);
        self.backend.recipe(&job)
    }

    fn toolchain(&self, stop: &StopSignal) -> Option<Vec<u8>> {
        self.backend.toolchain(stop)
    }
}
