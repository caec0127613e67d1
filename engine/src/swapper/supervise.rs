//! The thread's loop. A panic ends what was being done, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::select;
use hotswap_artifact::Ticket;
use hotswap_system::clock;
use hotswap_system::fault::{self, Operation};
use hotswap_system::thread::panic_text;

use super::admission::{Admitted, Refusal};
use super::{Newcomer, Swapper};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::load_error::LoadErrorKind;
use crate::request::enter_swapper_thread;
use crate::verdict::Verdict;
use crate::version_id::VersionId;

/// How long it is before what was turned away for want of something is tried again; twice as long each time.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest such delay: a minute, so that it is soon noticed when a disk has room again.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// Whether the thread goes on.
enum Turn {
    Next,
    End,
}

impl Swapper {
    /// Runs until the engine is closed and nothing of it is mapped any more.
    pub(super) fn run(mut self) {
        enter_swapper_thread();
        loop {
            // Unwind safety: what is current is changed by one write, and everything else that a turn changes is
            // put right by `panicked`.
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(Turn::Next) => {}
                Ok(Turn::End) => {
                    let done = self.done.take();
                    drop(self);
                    // Who waited has given up when its thread is ending.
                    let _ = done.map(|done| done.send(()));
                    return;
                }
                Err(payload) => {
                    let message = panic_text(payload);
                    // Telling may be what panicked: nobody is left to be told.
                    let _ = catch_unwind(AssertUnwindSafe(|| self.panicked(message)));
                    if self.is_closing {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for one message and deals with it.
    fn turn(&mut self) -> Turn {
        select! {
            recv(self.retired) -> retired => {
                if let Ok(retired) = retired {
                    self.unload(retired);
                }
            }
            recv(self.rung) -> _ => self.answer_bell(),
            recv(self.requests) -> request => match request {
                Ok(request) => self.serve(request),
                // `Core` holds a sender, and so does this thread.
                Err(_) => return Turn::End,
            },
            recv(self.notifications) -> notification => match notification {
                Ok(notification) => self.consider(notification),
                Err(_) => self.monitor_ended(),
            },
            recv(self.retry) -> _ => self.try_again(),
            recv(self.overdue) -> _ => self.tell_overdue(),
            recv(self.calls_due) -> _ => self.tell_overdue_calls(),
            recv(self.ask_again) -> _ => self.look_at_leftovers(),
            recv(self.hooks.finished) -> finished => {
                finished.into_iter().for_each(|finished| self.hooks_finished(finished));
            }
            recv(self.hooks.overdue) -> _ => self.tell_late_hooks(),
        }
        if self.is_closing {
            return Turn::End;
        }
        self.let_in();
        Turn::Next
    }

    /// Loads what somebody names; a panic on the way is an answer too.
    pub(super) fn offer_or_refuse(&mut self, path: &Path) -> Result<Verdict, ReloadError> {
        // Unwind safety: as for a whole turn.
        let offered = catch_unwind(AssertUnwindSafe(|| self.offer(path)));
        offered.unwrap_or_else(|payload| Err(self.panicked(panic_text(payload))))
    }

    /// Says that a turn panicked, and answers everybody who waits: nobody knows for which the answer is lost.
    fn panicked(&mut self, message: String) -> ReloadError {
        let line = Line::error("swapper.panic").field("err", "panic").field("msg", &message);
        self.core.journal.write(None, line);
        let error = self.error(ReloadErrorKind::Panicked { message });
        self.core.refused(&std::sync::Arc::new(error.clone()));
        self.answer(Ticket(u64::MAX), &Err(error.clone()));
        self.answer_first(Err(error.clone()));
        error
    }

    /// Admits a newcomer; a panic on the way is a refusal.
    pub(super) fn admit_or_refuse(
        &mut self,
        newcomer: &mut Newcomer,
        id: VersionId,
    ) -> Result<Admitted, Refusal> {
        // Unwind safety: what was staged and loaded is dropped, which undoes it.
        let admitted = catch_unwind(AssertUnwindSafe(|| {
            let admitted = self.admit(newcomer, id)?;
            fault::point(Operation::Pass);
            Ok(admitted)
        }));
        admitted.unwrap_or_else(|payload| {
            let message = panic_text(payload);
            Err((LoadErrorKind::Panicked { message }, "load.refused"))
        })
    }

    /// Has what is held back tried again, without being asked.
    pub(super) fn retry_after(&mut self, failures: u32) {
        self.retry = clock::after(clock::backoff(RETRY_DELAY, failures, RETRY_DELAY_MAX));
    }

    fn try_again(&mut self) {
        self.retry = clock::never();
        let is_paused = self.core.history.lock().is_paused;
        if let Some(newcomer) = self.held_back.take_if(|held| !is_paused && held.failures > 0) {
            // The verdict is in the log and in the events; nobody waits for it.
            let _ = self.swap(newcomer);
        }
    }
}
