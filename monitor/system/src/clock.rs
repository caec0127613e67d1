//! Time. Whatever waits or decides by time asks here; with the feature `simulation` a test may stop the clock and step it.

use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;

#[cfg(feature = "simulation")]
pub use self::stepped::{Stepped, step_by_hand};

/// Now, for measuring.
#[must_use]
pub fn now() -> Instant {
    #[cfg(feature = "simulation")]
    if let Some(offset) = stepped::offset() {
        return offset;
    }
    Instant::now()
}

/// How long ago that was.
#[must_use]
pub fn since(start: Instant) -> Duration {
    now().saturating_duration_since(start)
}

/// Now, as a calendar has it.
#[must_use]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// How long to wait before another attempt: `first` after one failure, twice as long after each that
/// follows, at most `longest`.
#[must_use]
pub fn backoff(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// A channel that gets one message after this time.
#[must_use]
pub fn after(time: Duration) -> Receiver<Instant> {
    #[cfg(feature = "simulation")]
    if let Some(timer) = stepped::timer(time) {
        return timer;
    }
    crossbeam_channel::after(time)
}

#[cfg(feature = "simulation")]
mod stepped {
    use std::time::{Duration, Instant};

    use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
    use parking_lot::{Condvar, Mutex, MutexGuard};

    struct Clock {
        now: Instant,
        /// When, and whom to tell. In the order in which they were set.
        timers: Vec<(Instant, Sender<Instant>)>,
    }

    static CLOCK: Mutex<Option<Clock>> = Mutex::new(None);
    static TIMER_SET: Condvar = Condvar::new();
    static TURN: Mutex<()> = Mutex::new(());

    /// A clock that stands still until it is told to go on. Calendar time goes on.
    pub struct Stepped {
        _turn: MutexGuard<'static, ()>,
    }

    impl std::fmt::Debug for Stepped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Stepped").finish_non_exhaustive()
        }
    }

    /// Stops the clock of this process. Blocks while another test has it.
    #[must_use]
    pub fn step_by_hand() -> Stepped {
        let turn = TURN.lock();
        *CLOCK.lock() = Some(Clock { now: Instant::now(), timers: Vec::new() });
        Stepped { _turn: turn }
    }

    impl Stepped {
        /// Lets this much time pass, and tells everybody whose time has come.
        pub fn advance(&self, time: Duration) {
            let mut clock = CLOCK.lock();
            let Some(clock) = clock.as_mut() else { return };
            clock.now += time;
            clock.fire();
        }

        /// Lets time pass until somebody who still waits is told. `false` when nobody waits.
        pub fn advance_to_next(&self) -> bool {
            let mut clock = CLOCK.lock();
            let Some(clock) = clock.as_mut() else { return false };
            loop {
                let Some(next) = clock.timers.iter().map(|(at, _)| *at).min() else { return false };
                clock.now = clock.now.max(next);
                if clock.fire() {
                    return true;
                }
            }
        }

        /// Waits until somebody sets a timer, at most for `patience`; whether one is set.
        #[must_use]
        pub fn wait_for_timer(&self, patience: Duration) -> bool {
            let mut clock = CLOCK.lock();
            let is_idle =
                |clock: &mut Option<Clock>| clock.as_ref().is_some_and(|c| c.timers.is_empty());
            !TIMER_SET.wait_while_for(&mut clock, is_idle, patience).timed_out()
        }
    }

    impl Clock {
        /// Tells everybody whose time has come; whether anybody was still there.
        fn fire(&mut self) -> bool {
            let now = self.now;
            let mut told = false;
            self.timers.retain(|(at, timer)| {
                if *at > now {
                    return true;
                }
                told |= !matches!(timer.try_send(now), Err(TrySendError::Disconnected(_)));
                false
            });
            told
        }
    }

    impl Drop for Stepped {
        fn drop(&mut self) {
            if let Some(clock) = CLOCK.lock().take() {
                // Nobody waits for a clock that is gone.
                for (at, timer) in clock.timers {
                    let _gone = timer.try_send(at);
                }
            }
        }
    }

    pub(super) fn offset() -> Option<Instant> {
        CLOCK.lock().as_ref().map(|clock| clock.now)
    }

    pub(super) fn timer(time: Duration) -> Option<Receiver<Instant>> {
        let mut clock = CLOCK.lock();
        let clock = clock.as_mut()?;
        let (set, timer) = bounded(1);
        clock.timers.push((clock.now + time, set));
        TIMER_SET.notify_all();
        Some(timer)
    }
}
