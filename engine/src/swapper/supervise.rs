//! What a swapper does when its turn comes. A panic ends what was being done, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Select, TryRecvError};
use hotswap_artifact::Ticket;
use hotswap_system::clock;
use hotswap_system::fault::{self, Operation};
use hotswap_system::thread::panic_text;

use super::admission::{Admitted, Refusal};
use super::retire::Ending;
use super::{Newcomer, Swapper};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::load_error::LoadErrorKind;
use crate::verdict::Verdict;
use crate::version_id::VersionId;

/// How long it is before what was turned away for want of something is tried again; twice as long each time.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest such delay: a minute, so that it is soon noticed when a disk has room again.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There was nothing to do.
    Idle,
    /// There may be more.
    Busy,
    /// There will never be anything more.
    End,
}

impl Swapper {
    /// Deals with what has arrived, and never waits for more.
    pub(super) fn survive_turn(&mut self) -> Turn {
        // Unwind safety: what is current is changed by one write, and everything else that a turn changes is
        // put right by `panicked`.
        catch_unwind(AssertUnwindSafe(|| self.turn())).unwrap_or_else(|payload| {
            let message = panic_text(payload);
            // Telling may be what panicked: nobody is left to be told.
            let _ = catch_unwind(AssertUnwindSafe(|| self.panicked(message)));
            if self.is_closing() { Turn::End } else { Turn::Busy }
        })
    }

    /// The last thing that becomes of it.
    pub(super) fn end(mut self) {
        let done = self.ending.take();
        drop(self);
        // Who waited has given up when its thread is ending.
        let _ = done.and_then(Ending::into_waiter).map(|done| done.send(()));
    }

    /// Has the thread wake when there is something to do.
    pub(super) fn listen<'a>(&'a self, select: &mut Select<'a>) {
        // This swapper has senders of these: they are never disconnected.
        select.recv(&self.retired);
        select.recv(&self.rung);
        select.recv(&self.hooks.finished);
        let mut timers = vec![&self.ask_again, &self.hooks.overdue];
        if !self.is_closing() {
            select.recv(&self.requests);
            select.recv(&self.notifications);
            timers.extend([&self.retry, &self.overdue, &self.calls_due]);
        }
        for timer in timers.into_iter().filter(|timer| timer.is_set()) {
            select.recv(timer);
        }
    }

    /// Deals with one message of each kind.
    fn turn(&mut self) -> Turn {
        let mut turn = Turn::Idle;
        if let Ok(retired) = self.retired.try_recv() {
            turn = Turn::Busy;
            self.unload(retired);
        }
        if self.rung.try_recv().is_ok() {
            turn = Turn::Busy;
            self.answer_bell();
        }
        if self.ask_again.try_recv().is_ok() {
            turn = Turn::Busy;
            self.look_at_leftovers();
        }
        if let Ok(finished) = self.hooks.finished.try_recv() {
            turn = Turn::Busy;
            self.hooks_finished(finished);
        }
        if self.hooks.overdue.try_recv().is_ok() {
            turn = Turn::Busy;
            self.tell_late_hooks();
        }
        if self.is_closing() {
            return if self.has_ended() { Turn::End } else { turn };
        }
        match self.turn_while_open() {
            Turn::Idle if turn == Turn::Idle => return Turn::Idle,
            Turn::End => return Turn::End,
            Turn::Idle | Turn::Busy => {}
        }
        if !self.is_closing() {
            self.let_in();
        }
        Turn::Busy
    }

    /// Deals with one message of each kind that nobody asks about any more when the engine is closed.
    fn turn_while_open(&mut self) -> Turn {
        let mut turn = Turn::Idle;
        if self.retry.try_recv().is_ok() {
            turn = Turn::Busy;
            self.try_again();
        }
        if self.overdue.try_recv().is_ok() {
            turn = Turn::Busy;
            self.tell_overdue();
        }
        if self.calls_due.try_recv().is_ok() {
            turn = Turn::Busy;
            self.tell_overdue_calls();
        }
        match self.notifications.try_recv() {
            Ok(notification) => {
                turn = Turn::Busy;
                self.receive(notification);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                turn = Turn::Busy;
                self.monitor_ended();
            }
        }
        match self.requests.try_recv() {
            Ok(request) => {
                turn = Turn::Busy;
                self.serve(request);
            }
            Err(TryRecvError::Empty) => {}
            // `Core` holds a sender, and so does this swapper.
            Err(TryRecvError::Disconnected) => turn = Turn::End,
        }
        turn
    }

    /// Loads what somebody names; a panic on the way is an answer too.
    pub(super) fn offer_or_refuse(&mut self, path: &Path) -> Result<Verdict, ReloadError> {
        // Unwind safety: as for a whole turn.
        let offered = catch_unwind(AssertUnwindSafe(|| self.offer(path)));
        offered.unwrap_or_else(|payload| Err(self.panicked(panic_text(payload))))
    }

    /// Says that a turn panicked, and answers everybody who waits: nobody knows for which the answer is lost.
    pub(super) fn panicked(&mut self, message: String) -> ReloadError {
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
        self.survive(|swapper| swapper.admit(newcomer, id))
    }

    /// Takes a step with a newcomer; a panic on the way is a refusal.
    pub(super) fn survive<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        // Unwind safety: what was staged and loaded is dropped, which undoes it.
        let taken = catch_unwind(AssertUnwindSafe(|| {
            let taken = step(self)?;
            fault::point(Operation::Pass);
            Ok(taken)
        }));
        taken.unwrap_or_else(|payload| {
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
        if !is_paused && self.held_back.as_ref().is_some_and(|held| held.failures > 0) {
            self.swap_held();
        }
    }
}
