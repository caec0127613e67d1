//! While a build runs: the source is looked at all the same, and a build of what
//! is no longer there is ended.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use hotswap_artifact::{BuildErrorKind, Cause, Fingerprint, Trigger};
use hotswap_system::clock;
use hotswap_system::thread;

use super::{Round, Watch};
use crate::build::{BuildJob, Built};
use crate::requests::Requests;
use crate::scan::cause_of;
use crate::{BuildBackend, Scan, Scanner, StopSignal};

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
    pub(super) result: Result<Built, BuildErrorKind>,
    pub(super) superseded: Option<Superseded>,
}

impl Watch {
    /// Runs the backend on a thread of its own and looks at the source meanwhile:
    /// after each period, and when somebody asks. A build whose source has become
    /// another one, that stands still, is told to stop.
    ///
    /// Afterwards the scanner compares with what it found before the build.
    pub(super) fn build(&mut self, round: &mut Round, scan: &Scan) -> Ended {
        if let Some(problem) = &scan.problem {
            return Ended { result: Err(problem.clone()), superseded: None };
        }
        let job = self.job(scan);
        let before = self.scanner.snapshot();
        let (end, stop) = StopSignal::new();
        let (done, finished) = bounded(1);
        let backend = &mut self.backend;
        let source_name = &self.source_name;
        let work = || run(backend.as_mut(), &job, &stop, &done, source_name);
        let mut looker = Looker {
            scanner: &mut self.scanner,
            requests: &self.requests,
            woken: &self.woken,
            stop: &self.stop,
            finished,
            built: scan.fingerprint,
            candidate: None,
        };
        let (poll_every, settle) = (self.poll_every, self.settle);
        // Leaving the scope waits for the backend; `end` is dropped before that,
        // also by a panic, which tells it to stop.
        let ended = std::thread::scope(|scope| {
            if let Err(error) = thread::spawn_scoped(scope, "hotswap-build", work) {
                return Ended { result: Err(no_thread(source_name, error)), superseded: None };
            }
            let (result, superseded) = match looker.look_after(poll_every, settle) {
                Looked::Done(result) => (Some(result), None),
                Looked::Stopped => (None, None),
                Looked::Superseded(superseded) => (None, Some(superseded)),
            };
            drop(end);
            let result = result.unwrap_or_else(|| looker.result());
            Ended { result, superseded }
        });
        self.scanner.rewind(before);
        if let Some(superseded) = &ended.superseded {
            round.trigger = superseded.trigger;
        }
        ended
    }

    fn job(&mut self, scan: &Scan) -> BuildJob {
        let mut job = BuildJob::new(scan.fingerprint);
        job.workspace_root.clone_from(&scan.workspace_root);
        job.inputs = Some(self.scanner.job_inputs());
        job.is_output_doubted = std::mem::take(&mut self.memory.is_output_doubted);
        job
    }
}

/// Runs the backend, which is somebody else's code and may panic.
fn run(
    backend: &mut dyn BuildBackend,
    job: &BuildJob,
    stop: &StopSignal,
    done: &Sender<Result<Built, BuildErrorKind>>,
    source_name: &str,
) {
    // Unwind safety: the backend sees its own state broken, not ours.
    let build = AssertUnwindSafe(|| backend.build(job, stop));
    let result = catch_unwind(build).unwrap_or_else(|_panic| {
        Err(BuildErrorKind::Io {
            action: "build",
            path: PathBuf::from(source_name),
            error: Arc::new(io::Error::other("the build backend panicked")),
        })
    });
    // The receiver lives until the scope has ended, unless it panicked.
    let _nobody_waits = done.send(result);
}

fn no_thread(source_name: &str, error: io::Error) -> BuildErrorKind {
    BuildErrorKind::Io {
        action: "start a thread that builds",
        path: PathBuf::from(source_name),
        error: Arc::new(error),
    }
}

/// Looks at the source while a build runs.
struct Looker<'a> {
    scanner: &'a mut Scanner,
    requests: &'a Requests,
    woken: &'a Receiver<()>,
    stop: &'a StopSignal,
    finished: Receiver<Result<Built, BuildErrorKind>>,
    /// What is being built.
    built: Fingerprint,
    /// What lay in the source at the last look, when that is something else.
    candidate: Option<Superseded>,
}

enum Looked {
    Done(Result<Built, BuildErrorKind>),
    Stopped,
    Superseded(Superseded),
}

impl Looker<'_> {
    fn look_after(
        &mut self,
        poll_every: std::time::Duration,
        settle: std::time::Duration,
    ) -> Looked {
        let mut trigger = Trigger::Poll;
        loop {
            // Something newer is built only when it stands still; so is the build
            // of the older ended only then.
            let patience = if self.candidate.is_some() { settle } else { poll_every };
            select! {
                recv(self.finished) -> result => return Looked::Done(self.received(result.ok())),
                recv(self.stop.channel()) -> _ => return Looked::Stopped,
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

    /// Waits for the backend, which was told to stop.
    fn result(&self) -> Result<Built, BuildErrorKind> {
        self.received(self.finished.recv().ok())
    }

    fn received(
        &self,
        result: Option<Result<Built, BuildErrorKind>>,
    ) -> Result<Built, BuildErrorKind> {
        // The sender is owned outside the scope: there is always a message.
        result.unwrap_or(Err(BuildErrorKind::Stopped))
    }
}
