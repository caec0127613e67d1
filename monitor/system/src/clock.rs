//! Time. Whatever waits or decides by time asks here; with the feature `simulation` a test may stop the clock and step it.

use std::ops::Deref;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;

#[cfg(feature = "simulation")]
pub use self::moved::{MovedCalendar, move_calendar};
#[cfg(feature = "simulation")]
pub use self::stepped::{Stepped, Waiting, step_by_hand};

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
    #[cfg(feature = "simulation")]
    return moved::wall();
    #[cfg(not(feature = "simulation"))]
    SystemTime::now()
}

/// Now, as the kernel notes it for a file that is written now: it ticks every 1 to 10 ms. Files may have later times than this,
/// never earlier ones. Calendar time, which a test does not stop.
#[must_use]
#[cfg(target_os = "linux")]
pub fn file_time() -> SystemTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let seconds = Duration::from_secs(time.tv_sec.try_into().unwrap_or(0));
    UNIX_EPOCH + seconds + Duration::from_nanos(time.tv_nsec.try_into().unwrap_or(0))
}

/// Now, as the system notes it for a file that is written now.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn file_time() -> SystemTime {
    SystemTime::now()
}

/// How long to wait before another attempt: `first` after one failure, twice as long after each that
/// follows, at most `longest`.
#[must_use]
pub fn backoff(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// A timer that goes off after this time.
#[must_use]
#[track_caller]
pub fn after(time: Duration) -> Timer {
    #[cfg(feature = "simulation")]
    if let Some((channel, entry)) = stepped::timer(time) {
        return Timer { channel, is_set: true, _entry: Some(entry) };
    }
    Timer::of(crossbeam_channel::after(time), true)
}

/// A timer that never goes off.
#[must_use]
pub fn never() -> Timer {
    Timer::of(crossbeam_channel::never(), false)
}

/// A channel that gets one message when a time has come: `recv(timer)` in a `select!`. Who drops it waits no more.
#[derive(Debug)]
pub struct Timer {
    channel: Receiver<Instant>,
    is_set: bool,
    /// Takes it off a stepped clock.
    #[cfg(feature = "simulation")]
    _entry: Option<stepped::Entry>,
}

impl Timer {
    fn of(channel: Receiver<Instant>, is_set: bool) -> Self {
        Self {
            channel,
            is_set,
            #[cfg(feature = "simulation")]
            _entry: None,
        }
    }

    /// Whether it can go off, or could until it did.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set
    }
}

impl Deref for Timer {
    type Target = Receiver<Instant>;

    fn deref(&self) -> &Self::Target {
        &self.channel
    }
}

#[cfg(feature = "simulation")]
mod moved {
    use std::time::{Duration, SystemTime};

    use parking_lot::{Mutex, MutexGuard};

    /// By how much the calendar is ahead, and by how much behind.
    static OFFSET: Mutex<(Duration, Duration)> = Mutex::new((Duration::ZERO, Duration::ZERO));
    static TURN: Mutex<()> = Mutex::new(());

    /// A calendar that a test may move. It is right again when this is dropped.
    pub struct MovedCalendar {
        _turn: MutexGuard<'static, ()>,
    }

    impl std::fmt::Debug for MovedCalendar {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_tuple("MovedCalendar").field(&*OFFSET.lock()).finish()
        }
    }

    /// Takes hold of the calendar of this process, which goes on. Blocks while another test has it.
    #[must_use]
    pub fn move_calendar() -> MovedCalendar {
        MovedCalendar { _turn: TURN.lock() }
    }

    impl MovedCalendar {
        /// Has it go ahead by this much, from where it is.
        pub fn ahead(&self, time: Duration) {
            OFFSET.lock().0 += time;
        }

        /// Has it go back by this much, from where it is.
        pub fn back(&self, time: Duration) {
            OFFSET.lock().1 += time;
        }
    }

    impl Drop for MovedCalendar {
        fn drop(&mut self) {
            *OFFSET.lock() = (Duration::ZERO, Duration::ZERO);
        }
    }

    pub(super) fn wall() -> SystemTime {
        let (ahead, behind) = *OFFSET.lock();
        SystemTime::now() + ahead - behind
    }
}

#[cfg(feature = "simulation")]
mod stepped {
    use std::panic::Location;
    use std::time::{Duration, Instant};

    use crossbeam_channel::{Receiver, Sender, bounded};
    use parking_lot::{Condvar, Mutex, MutexGuard};

    struct Clock {
        now: Instant,
        /// In the order in which they were set.
        timers: Vec<Set>,
        /// Gets a token whenever a timer is set.
        told: Sender<()>,
    }

    /// A timer that has not gone off, and whom to tell.
    struct Set {
        number: u64,
        at: Instant,
        place: &'static Location<'static>,
        tell: Sender<Instant>,
    }

    /// A timer that somebody waits for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Waiting {
        /// The source file in which it was set, from the root of the workspace.
        pub file: &'static str,
        /// The line.
        pub line: u32,
        /// How long it has to go.
        pub left: Duration,
    }

    static CLOCK: Mutex<Option<Clock>> = Mutex::new(None);
    static TIMER_SET: Condvar = Condvar::new();
    static TURN: Mutex<()> = Mutex::new(());

    /// A clock that stands still until it is told to go on. Calendar time goes on.
    pub struct Stepped {
        set: Receiver<()>,
        _turn: MutexGuard<'static, ()>,
    }

    impl std::fmt::Debug for Stepped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Stepped").field("timers", &self.timers()).finish_non_exhaustive()
        }
    }

    /// Stops the clock of this process. Blocks while another test has it.
    #[must_use]
    pub fn step_by_hand() -> Stepped {
        let turn = TURN.lock();
        let (told, set) = bounded(1);
        *CLOCK.lock() = Some(Clock { now: Instant::now(), timers: Vec::new(), told });
        Stepped { set, _turn: turn }
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
            self.advance_to_next_within(Duration::MAX)
        }

        /// As [`advance_to_next`](Self::advance_to_next), if that is no longer than `limit` from now.
        pub fn advance_to_next_within(&self, limit: Duration) -> bool {
            let mut clock = CLOCK.lock();
            let Some(clock) = clock.as_mut() else { return false };
            let now = clock.now;
            let is_near = |at: &Instant| at.saturating_duration_since(now) <= limit;
            let next = clock.timers.iter().map(|timer| timer.at).min().filter(is_near);
            let Some(next) = next else { return false };
            clock.now = now.max(next);
            clock.fire();
            true
        }

        /// Who waits now.
        #[must_use]
        pub fn timers(&self) -> Vec<Waiting> {
            CLOCK.lock().as_ref().map(Clock::waiting).unwrap_or_default()
        }

        /// A channel with a message when a timer was set since the last one was taken.
        #[must_use]
        pub fn timer_set(&self) -> &Receiver<()> {
            &self.set
        }

        /// Waits until somebody waits for a timer, at most for `patience`; whether somebody does.
        #[must_use]
        pub fn wait_for_timer(&self, patience: Duration) -> bool {
            self.wait_for_timer_in("", patience)
        }

        /// Waits until somebody waits for a timer that was set in this source file, at most for `patience` of real
        /// time; whether somebody does.
        #[must_use]
        pub fn wait_for_timer_in(&self, file: &str, patience: Duration) -> bool {
            let mut clock = CLOCK.lock();
            let is_absent = |clock: &mut Option<Clock>| {
                let timers = clock.iter().flat_map(|clock| &clock.timers);
                !timers.into_iter().any(|timer| timer.place.file().ends_with(file))
            };
            !TIMER_SET.wait_while_for(&mut clock, is_absent, patience).timed_out()
        }
    }

    impl Clock {
        /// Tells everybody whose time has come.
        fn fire(&mut self) {
            let now = self.now;
            self.timers.retain(|timer| {
                let is_over = timer.at <= now;
                if is_over {
                    // There is room: each gets one message, and whoever gave up is off the list.
                    let _sent = timer.tell.try_send(now);
                }
                !is_over
            });
        }

        fn waiting(&self) -> Vec<Waiting> {
            let waiting = |timer: &Set| Waiting {
                file: timer.place.file(),
                line: timer.place.line(),
                left: timer.at.saturating_duration_since(self.now),
            };
            self.timers.iter().map(waiting).collect()
        }
    }

    impl Drop for Stepped {
        fn drop(&mut self) {
            if let Some(clock) = CLOCK.lock().take() {
                // Nobody waits for a clock that is gone.
                for timer in clock.timers {
                    let _sent = timer.tell.try_send(timer.at);
                }
            }
        }
    }

    /// A timer on the clock; dropping it takes it off.
    #[derive(Debug)]
    pub(super) struct Entry(u64);

    impl Drop for Entry {
        fn drop(&mut self) {
            if let Some(clock) = CLOCK.lock().as_mut() {
                clock.timers.retain(|timer| timer.number != self.0);
            }
        }
    }

    /// Counted over all clocks of the process: an entry may outlive its clock.
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

    pub(super) fn offset() -> Option<Instant> {
        CLOCK.lock().as_ref().map(|clock| clock.now)
    }

    #[track_caller]
    pub(super) fn timer(time: Duration) -> Option<(Receiver<Instant>, Entry)> {
        let place = Location::caller();
        let mut clock = CLOCK.lock();
        let clock = clock.as_mut()?;
        // Relaxed: only uniqueness matters.
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (tell, timer) = bounded(1);
        clock.timers.push(Set { number, at: clock.now + time, place, tell });
        TIMER_SET.notify_all();
        // Full: there is a token already.
        let _sent = clock.told.try_send(());
        Some((timer, Entry(number)))
    }
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_timer_goes_off_when_its_time_was_stepped_to_and_one_that_is_dropped_is_not_waited_for() {
        let clock = step_by_hand();
        let start = now();
        let (long, short) = (after(3 * SECOND), after(SECOND));
        drop(after(2 * SECOND));
        assert!(clock.timer_set().try_recv().is_ok());
        assert_eq!(
            clock.timers().iter().map(|timer| timer.left).collect::<Vec<_>>(),
            [3 * SECOND, SECOND]
        );
        assert!(!clock.advance_to_next_within(SECOND / 2));
        assert!(clock.advance_to_next());
        assert!(short.try_recv().is_ok() && long.try_recv().is_err());
        assert_eq!(since(start), SECOND);
        clock.advance(SECOND);
        assert!(long.try_recv().is_err());
        assert!(clock.advance_to_next());
        assert!(long.try_recv().is_ok());
        assert_eq!(since(start), 3 * SECOND);
        assert!(!clock.advance_to_next());
    }

    #[test]
    fn a_moved_calendar_is_right_again_afterwards() {
        let day = Duration::from_secs(24 * 60 * 60);
        let before = wall();
        let calendar = move_calendar();
        calendar.ahead(3 * day);
        assert!(wall() >= before + 3 * day);
        calendar.back(5 * day);
        assert!(wall() < before - day);
        drop(calendar);
        assert!(wall() >= before);
    }

    #[test]
    fn it_is_known_where_somebody_waits() {
        let clock = step_by_hand();
        let waiter = std::thread::spawn(|| after(SECOND).recv().is_ok());
        assert!(clock.wait_for_timer_in("clock.rs", PATIENCE));
        assert!(!clock.wait_for_timer_in("elsewhere.rs", Duration::ZERO));
        drop(clock);
        assert!(waiter.join().is_ok_and(|told| told), "nobody waits for a clock that is gone");
    }
}
