//! While a build runs: the source is looked at all the same, and a build of what
//! is no longer there is ended.

use std::time::Duration;

use crossbeam_channel::{Receiver, select};
use hotswap_artifact::{BuildErrorKind, Cause, Diagnostics, Fingerprint, Stage, Trigger, UnderWay};
use hotswap_system::clock;

use super::{Change, Round, Watch};
use crate::build::BuildJob;
use crate::build::supervised::BuildResult;
use crate::requests::Requests;
use crate::scan::cause_of;
use crate::supply::Supply;
use crate::{Scan, Scanner, StopSignal};

/// Why a build was ended before it was done.
pub(super) struct Superseded {
    /// What lies in the source instead, and stands still.
    pub(super) by: Fingerprint,
    /// What differs.
    pub(super) cause: Cause,
    /// What made the monitor look.
    trigger: Trigger,
}

/// How a build that was looked after came to its end.
pub(super) struct Ended {
    pub(super) result: BuildResult,
    pub(super) superseded: Option<Superseded>,
}

/// How much longer than its deadline a build may take before it is given up from here.
///
/// 5 s: our backends end their processes at the deadline themselves, and then have something to tell.
const DEADLINE_GRACE: Duration = Duration::from_secs(5);

impl Watch {
    /// Runs the backend on a thread of its own and looks at the source meanwhile:
    /// after each period, and when somebody asks. A build whose source has become
    /// another one, that stands still, is told to stop; so is one that is aborted.
    ///
    /// Afterwards the scanner compares with what it found before the build.
    pub(super) fn build(&mut self, change: &Change, round: &mut Round, scan: &Scan) -> Ended {
        if let Some(problem) = &scan.problem {
            return Ended { result: Err(problem.clone()), superseded: None };
        }
        change.under_way.enter(Stage::Building);
        let job = self.job(scan);
        let before = self.scanner.snapshot();
        let running = match self.backend.start(job, &self.stop) {
            Ok(running) => running,
            Err(kind) => return Ended { result: Err(kind), superseded: None },
        };
        let looked = Looker {
            scanner: &mut self.scanner,
            supply: self.supply.as_ref(),
            requests: &self.requests,
            woken: &self.woken,
            stop: &self.stop,
            finished: &running.finished,
            under_way: &change.under_way,
            built: scan.fingerprint,
            candidate: None,
            deadline: self.settings.deadline.saturating_add(DEADLINE_GRACE),
        }
        .look_after(self.poll_every, self.settle.longest());
        let (result, superseded) = match looked {
            Looked::Done(result) => (result, None),
            Looked::Stopped => (self.backend.end(running), None),
            Looked::Superseded(superseded) => (self.backend.end(running), Some(superseded)),
            Looked::TimedOut => {
                let result = match self.backend.end(running) {
                    Err(BuildErrorKind::Stopped) | Ok(_) => Err(BuildErrorKind::TimedOut {
                        deadline: self.settings.deadline,
                        diagnostics: Diagnostics::default(),
                    }),
                    other => other,
                };
                (result, None)
            }
        };
        self.scanner.rewind(before);
        if let Some(superseded) = &superseded {
            round.trigger = superseded.trigger;
        }
        Ended { result, superseded }
    }

    fn job(&mut self, scan: &Scan) -> BuildJob {
        let mut job = BuildJob::new(scan.fingerprint);
        job.workspace_root.clone_from(&scan.workspace_root);
        job.inputs = Some(self.scanner.job_inputs());
        job.is_output_doubted = std::mem::take(&mut self.memory.is_output_doubted);
        job
    }
}

/// Looks at the source while a build runs.
struct Looker<'a> {
    scanner: &'a mut Scanner,
    supply: Option<&'a Supply>,
    requests: &'a Requests,
    woken: &'a Receiver<()>,
    stop: &'a StopSignal,
    finished: &'a Receiver<BuildResult>,
    /// The change that it is of, which may be aborted.
    under_way: &'a UnderWay,
    /// What is being built.
    built: Fingerprint,
    /// What lay in the source at the last look, when that is something else.
    candidate: Option<Superseded>,
    /// After this the build is given up.
    deadline: Duration,
}

enum Looked {
    Done(BuildResult),
    TimedOut,
    Stopped,
    Superseded(Superseded),
}

impl Looker<'_> {
    fn look_after(&mut self, poll_every: Duration, settle: Duration) -> Looked {
        let mut trigger = Trigger::Poll;
        let deadline = clock::after(self.deadline);
        loop {
            // Something newer is built only when it stands still; so is the build
            // of the older ended only then.
            let patience = if self.candidate.is_some() { settle } else { poll_every };
            select! {
                recv(self.finished) -> result => {
                    // The sender sends before it ends, unless its thread was ended.
                    return Looked::Done(result.unwrap_or(Err(BuildErrorKind::Stopped)));
                }
                recv(deadline) -> _ => return Looked::TimedOut,
                recv(self.stop.channel()) -> _ => return Looked::Stopped,
                recv(self.under_way.aborted()) -> _ => return Looked::Stopped,
                recv(clock::after(patience)) -> _ => {}
                recv(self.woken) -> _ => {
                    // Tickets are answered by the look after the build.
                    let Some(asked) = self.requests.take().trigger else { continue };
                    trigger = asked;
                }
            }
            if self.requests.is_held() {
                // What lies there may be half of something.
                self.candidate = None;
                continue;
            }
            if let Some(superseded) = self.look(trigger) {
                return Looked::Superseded(superseded);
            }
            if self.candidate.is_none() {
                trigger = Trigger::Poll;
            }
        }
    }

    /// One look; whether something newer stands still.
    fn look(&mut self, trigger: Trigger) -> Option<Superseded> {
        // Published whole: there is nothing to wait for.
        if let Some((by, name)) = self.supply.and_then(Supply::next) {
            let cause = Cause { first: Some(name), count: 1 };
            return Some(Superseded { by, cause, trigger });
        }
        // What cannot be read may be a save half done: the look after the build
        // will tell.
        let scan = self.scanner.scan().ok()?;
        let before = self.candidate.take();
        // Between two saves of an editor that renames, or half a checkout.
        let is_still = scan.changed.is_empty() && scan.touched.is_empty();
        if scan.fingerprint == self.built {
            return None;
        }
        match before {
            Some(before) if is_still && before.by == scan.fingerprint => Some(before),
            before => {
                let cause = match before {
                    Some(before) if scan.changed.is_empty() => before.cause,
                    _ => cause_of(&scan.changed),
                };
                self.candidate = Some(Superseded { by: scan.fingerprint, cause, trigger });
                None
            }
        }
    }
}
