//! The thread starts over when it panics, and tries again what failed for want of something.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotswap_artifact::{BuildErrorKind, Cause, Fingerprint, Outcome, Trigger};
use hotswap_system::clock;
use hotswap_system::thread::panic_text;

use super::{EventsState, Interrupted, Round, Watch};
use crate::{Scanner, Step};

/// How long the thread rests after its first panic. Each time in a row it is twice as long.
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// How long it is before what failed for want of something is tried again. Each time in a row
/// it is twice as long.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest such delay: a minute, so that it is soon noticed when there is room again, and
/// a log does not fill with attempts.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// How many panics in a row are followed by a new start. After that the thread waits until
/// somebody asks: what panicked ten times, for almost two minutes, is a defect and no accident.
const RESTARTS_MAX: u32 = 10;

/// What follows a panic.
pub(super) struct Rest {
    /// `None` to wait until somebody asks.
    pub(super) until: Option<Instant>,
}

/// Another attempt at what failed for a reason outside the source.
pub(super) struct Retry {
    fingerprint: Fingerprint,
    at: Instant,
    /// How many attempts failed in a row.
    failures: u32,
}

impl Watch {
    /// Runs until the handle is dropped or the receiver is gone.
    pub(crate) fn run(mut self) {
        let mut next = Ok(Trigger::Start);
        while let Ok(trigger) = next {
            next = self.turn(trigger).and_then(|()| {
                // A source of somebody's own may wait in its own way.
                catch_unwind(AssertUnwindSafe(|| self.wait())).unwrap_or_else(|payload| {
                    self.broken = Some(panic_text(payload));
                    Ok(Trigger::Poll)
                })
            });
        }
    }

    /// One round, or as much of it as can be done now. A panic is survived.
    pub(crate) fn turn(&mut self, trigger: Trigger) -> Result<(), Interrupted> {
        self.memory.rest = None;
        let turned = self.guarded(trigger, |watch| watch.round(trigger));
        self.end_turn(turned)
    }

    /// What comes after a round that was made whole.
    pub(super) fn end_turn(
        &mut self,
        turned: Result<Option<()>, Interrupted>,
    ) -> Result<(), Interrupted> {
        (self.permit, self.group) = (None, None);
        if let Ok(Some(())) | Err(Interrupted::Parked) = turned {
            self.memory.panics = 0;
        }
        turned.map(drop)
    }

    /// A part of a round; `None` when it panicked, which is told then.
    pub(super) fn guarded<T>(
        &mut self,
        trigger: Trigger,
        part: impl FnOnce(&mut Self) -> Result<T, Interrupted>,
    ) -> Result<Option<T>, Interrupted> {
        guarded(self, |watch| watch, trigger, part)
    }

    /// Says that a round panicked, answers who waits for it, and rests.
    fn panicked(&mut self, trigger: Trigger, message: &str) -> Result<(), Interrupted> {
        self.memory.panics += 1;
        let rests = self.rest_time();
        self.memory.rest = Some(Rest { until: rests.map(|time| clock::now() + time) });
        self.memory.decided = None;
        self.memory.own_touches = 0;
        self.memory.followed = 0;
        self.memory.swept = None;
        if let Some(supply) = &mut self.supply {
            supply.forget();
        }
        self.scanner = Scanner::with_stop(&self.source, &self.settings, self.stop.clone());
        if let EventsState::On(_) = self.events {
            self.events = EventsState::Wanted;
        }
        let step = Step::Panicked { message: message.to_owned(), restart_after: rests };
        let change = self.change(trigger, Cause::default());
        self.tell(&change, step);
        let round = Round { trigger, through: self.requests.take().issued };
        if self.is_asked(&round) {
            self.notify(&round, None, Outcome::Panicked(Arc::from(message)))?;
        }
        Ok(())
    }

    /// How long to wait before the next round; `None` to wait until somebody asks.
    fn rest_time(&self) -> Option<Duration> {
        let panics = self.memory.panics;
        (panics <= RESTARTS_MAX).then(|| clock::backoff(RESTART_DELAY, panics, DELAY_MAX))
    }

    /// Remembers whether, and when, what failed is tried again without being asked for.
    pub(super) fn plan_retry(&mut self, fingerprint: Fingerprint, kind: &BuildErrorKind) {
        let before = self.memory.retry.take().filter(|retry| retry.fingerprint == fingerprint);
        if is_of_the_machine(kind) {
            let failures = before.map_or(1, |retry| retry.failures.saturating_add(1));
            let at = clock::now() + clock::backoff(RETRY_DELAY, failures, DELAY_MAX);
            self.memory.retry = Some(Retry { fingerprint, at, failures });
        }
    }

    /// Whether it is time to try this once more.
    pub(super) fn is_retry_due(&self, fingerprint: Fingerprint) -> bool {
        let is_due = |retry: &Retry| retry.fingerprint == fingerprint && clock::now() >= retry.at;
        self.memory.retry.as_ref().is_some_and(is_due)
    }

    /// How long it is until something is to be tried once more. What is due already and was not
    /// tried, because the source cannot be read or is another now, waits for the next look.
    pub(super) fn until_retry(&self) -> Duration {
        let until = |retry: &Retry| retry.at.checked_duration_since(clock::now());
        let until = self.memory.retry.as_ref().and_then(until);
        until.filter(|time| !time.is_zero()).unwrap_or(Duration::MAX)
    }
}

/// A part of a round of a watch that lies within something else; `None` when it panicked, which is told then.
pub(super) fn guarded<W, T>(
    whole: &mut W,
    watch: impl Fn(&mut W) -> &mut Watch,
    trigger: Trigger,
    part: impl FnOnce(&mut W) -> Result<T, Interrupted>,
) -> Result<Option<T>, Interrupted> {
    // Unwind safety: what may be broken is replaced before it is used again.
    let message = match watch(whole).broken.take() {
        Some(message) => message,
        None => match catch_unwind(AssertUnwindSafe(|| part(whole))) {
            Ok(done) => return done.map(Some),
            Err(payload) => panic_text(payload),
        },
    };
    let watch = watch(whole);
    (watch.permit, watch.parked, watch.memory.again) = (None, None, None);
    // Telling may be what panicked; the new start does not depend on it.
    let told = catch_unwind(AssertUnwindSafe(|| watch.panicked(trigger, &message)));
    match told {
        Ok(told) => told.map(|()| None),
        // Nobody can be answered from here any more: the end of the channel is an answer.
        Err(_again) if watch.memory.panics > RESTARTS_MAX => Err(Interrupted::Stopped),
        Err(_again) => Ok(None),
    }
}

/// Whether the same build may succeed as soon as the machine has what it lacked: room on a
/// disk, a process, a compiler. One that took too long or too much would do so again.
fn is_of_the_machine(kind: &BuildErrorKind) -> bool {
    matches!(
        kind,
        BuildErrorKind::Io { .. }
            | BuildErrorKind::Spawn { .. }
            | BuildErrorKind::Panicked { .. }
            | BuildErrorKind::Stuck
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_bounded() {
        let delay = |failures| clock::backoff(RESTART_DELAY, failures, DELAY_MAX);
        let delays: Vec<_> = (1..=4).map(|failures| delay(failures).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800]);
        assert_eq!(delay(u32::MAX), DELAY_MAX);
        let rests: Duration = (1..=RESTARTS_MAX).map(delay).sum();
        assert_eq!(rests.as_secs(), 102, "the comment says: almost two minutes");
    }
}
