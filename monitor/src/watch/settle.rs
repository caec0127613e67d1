//! How long a source must stand still before it is built.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{never, select};
use hotswap_artifact::{ScanError, Stage};
use hotswap_system::clock;

use super::{Change, EventsState, Interrupted, Round, Watch};
use crate::build::process::stopped_within;
use crate::events::Told;
use crate::known_bad::is_of_the_source;
use crate::supply::Supply;
use crate::{Scan, Step};

/// How long a source that never stands still is waited for.
///
/// 2 s: a checkout of a large tree is done by then; what moves on while it is
/// built is discarded in any case.
pub const SETTLE_MAX: Duration = Duration::from_secs(2);

/// The shortest settle time; a shorter one is taken as this.
///
/// 10 ms, one tick of the kernel's coarse clock at 100 Hz: a write after the last
/// scan of a settled source is then bound to have another time than any before,
/// so that a change made and taken back during a build is seen.
pub const SETTLE_MIN: Duration = Duration::from_millis(10);

/// How long a source must stand still when nobody says otherwise.
///
/// 20 ms: an editor's save and a formatter's rewrite after it are one change.
/// *Source*: watchman's default.
const SETTLE: Duration = Duration::from_millis(20);

/// How long nothing may follow a save that events call complete. Once something may, as when a new file
/// gets its name; each time after that it is twice as long.
///
/// 2 ms: a program that saves several files takes less for each. One that takes longer costs a build
/// that is ended.
const QUIET_AFTER_SAVE: Duration = Duration::from_millis(2);

/// After how many looks at one change events are not listened to any more.
///
/// 16: a save gives four or five. After that the time alone decides, so that events that change nothing
/// keep nobody busy.
const LOOKS_MAX: u32 = 16;

/// How often the file system's clock is read while it must tick.
///
/// 0.5 ms: it ticks every 1 to 10 ms.
const TICK_LOOK_EVERY: Duration = Duration::from_micros(500);

/// How long a source must stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettleTime {
    /// As somebody wants it.
    Fixed(Duration),
    /// As long as it is good to wait; less where events say that a save is complete.
    ByEvents,
}

impl SettleTime {
    pub(crate) fn fixed(time: Duration) -> Self {
        Self::Fixed(time.max(SETTLE_MIN))
    }

    /// The longest that it is.
    pub(crate) fn longest(self) -> Duration {
        match self {
            Self::Fixed(time) => time,
            Self::ByEvents => SETTLE,
        }
    }
}

/// A change that has not come to rest.
#[derive(Default)]
struct Unrest {
    /// What differs, by all looks of this change.
    changed: Vec<PathBuf>,
    /// What events told of it.
    told: Told,
    /// How many looks found something.
    finds: u32,
    /// How many looks there were.
    looks: u32,
    /// Whether one thing follows another: then nothing that events say of single files counts.
    is_burst: bool,
}

/// What is waited for.
struct Quiet {
    time: Duration,
    /// Whether that is less than usual, because events call the save complete.
    is_early: bool,
    /// Whether an event is a reason to look before that.
    is_interruptible: bool,
}

/// How a wait ended.
enum Waited {
    ToTheEnd,
    UntilAnEvent,
}

impl Watch {
    /// Scans until the source has stayed the same for the settle time, or the change is aborted.
    pub(super) fn settle(
        &mut self,
        change: &Change,
        round: &mut Round,
        first: Scan,
    ) -> Result<Result<Scan, ScanError>, Interrupted> {
        let begin = clock::now();
        let fingerprint = first.fingerprint;
        self.begin_to_settle(change, &first);
        if first.problem.is_none() && self.supply.as_ref().is_some_and(Supply::has_fetched) {
            // It was published whole, and nobody writes where it lies.
            self.tell(change, Step::Settled { fingerprint, waited: Duration::ZERO });
            return Ok(Ok(first));
        }
        let is_recent = |moved| clock::since(moved) < self.settle.longest();
        let is_burst = self.memory.moved.is_some_and(is_recent);
        let mut unrest = Unrest { is_burst, ..Unrest::default() };
        let mut scan = first;
        let mut is_still = false;
        let settled = loop {
            unrest.add(&scan, &self.told);
            if !is_still {
                self.memory.moved = Some(clock::now());
            }
            let quiet = self.quiet_after(&unrest);
            let waited = self.wait_out(&quiet, change)?;
            if change.under_way.is_aborted() {
                return Ok(Ok(scan));
            }
            scan = match self.glance(round)? {
                Ok(scan) => scan,
                Err(error) => return Ok(Err(error)),
            };
            change.under_way.is_of(scan.fingerprint);
            is_still = scan.changed.is_empty() && scan.touched.is_empty();
            let is_over = match waited {
                Waited::ToTheEnd => is_still && !(quiet.is_early && self.has_open()),
                Waited::UntilAnEvent => false,
            };
            if is_over || clock::since(begin) >= SETTLE_MAX {
                break scan;
            }
        };
        let fingerprint = settled.fingerprint;
        let waited = clock::since(begin);
        self.tell(change, Step::Settled { fingerprint, waited });
        Ok(Ok(settled))
    }

    /// Tells of the change, which is known from here on.
    pub(super) fn begin_to_settle(&mut self, change: &Change, first: &Scan) {
        let (fingerprint, cause) = (first.fingerprint, change.cause.clone());
        change.under_way.is_of(fingerprint);
        change.under_way.enter(Stage::Settling);
        let abortable = change.under_way.abortable();
        self.tell(change, Step::Changed { fingerprint, cause, abortable });
        if first.problem.as_ref().is_some_and(|problem| !is_of_the_source(problem)) {
            // Cargo did not answer for a reason outside the source, which may be
            // gone by now.
            self.scanner.retry();
        }
    }

    fn quiet_after(&self, unrest: &Unrest) -> Quiet {
        let is_event_driven =
            matches!((self.settle, &self.events), (SettleTime::ByEvents, EventsState::On(_)));
        let is_interruptible = is_event_driven && !unrest.is_burst;
        let is_complete = |name: &PathBuf| unrest.told.is_complete(&self.scanner.path(name));
        let is_early = is_interruptible
            && !unrest.changed.is_empty()
            && !unrest.told.is_anything()
            && unrest.changed.iter().all(is_complete)
            && !self.has_open();
        let time = if is_early { quiet_after_save(unrest.finds) } else { self.settle.longest() };
        Quiet { time, is_early, is_interruptible }
    }

    fn wait_out(&self, quiet: &Quiet, change: &Change) -> Result<Waited, Interrupted> {
        let nobody = never();
        let woken = if quiet.is_interruptible { &self.woken } else { &nobody };
        select! {
            recv(self.stop.channel()) -> _ => return Err(Interrupted::Stopped),
            // Who asked how it went looks at the change.
            recv(change.under_way.aborted()) -> _ => return Ok(Waited::UntilAnEvent),
            recv(woken) -> _ => return Ok(Waited::UntilAnEvent),
            recv(clock::after(quiet.time)) -> _ => {}
        }
        if quiet.is_early {
            self.wait_for_a_tick()?;
        }
        Ok(Waited::ToTheEnd)
    }

    /// Waits until a file that is written gets a later time than those that were. What takes longer
    /// than the usual settle time is a clock that was set back, and not waited for.
    fn wait_for_a_tick(&self) -> Result<(), Interrupted> {
        let begin = clock::now();
        let newest = self.scanner.newest_change();
        while newest.is_some_and(|newest| clock::file_time() <= newest)
            && clock::since(begin) < SETTLE
        {
            if stopped_within(&self.stop, TICK_LOOK_EVERY) {
                return Err(Interrupted::Stopped);
            }
        }
        Ok(())
    }

    /// Whether any file is being written, as far as events tell.
    fn has_open(&self) -> bool {
        matches!(&self.events, EventsState::On(events) if events.has_open())
    }
}

impl Unrest {
    fn add(&mut self, scan: &Scan, told: &Told) {
        self.looks += 1;
        self.finds += u32::from(!(scan.changed.is_empty() && scan.touched.is_empty()));
        self.is_burst |= quiet_after_save(self.finds) >= SETTLE || self.looks > LOOKS_MAX;
        if !self.is_burst {
            self.changed.extend(scan.changed.iter().chain(&scan.touched).cloned());
            self.told.extend(told);
        }
    }
}

/// How long nothing may follow when so many looks found something.
fn quiet_after_save(finds: u32) -> Duration {
    clock::backoff(QUIET_AFTER_SAVE, finds.saturating_sub(1), SETTLE)
}
