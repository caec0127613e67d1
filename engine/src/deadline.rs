//! Deadlines of calls: which calls have one, which run past it, and which came back late.
//!
//! A call with a deadline is a holder of its version that says when it began. Nothing interrupts it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotswap_system::clock;
use parking_lot::Mutex;

use crate::audit::Line;
use crate::core::Core;
use crate::exports::Exports;
use crate::pin::thread_name;
use crate::request::Request;
use crate::version::Version;
use crate::version_id::VersionId;

/// How often it is told that calls of one function come back late. A function that is always late, and called a
/// thousand times a second, must not fill the log.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The deadlines that a host sets, over those that a module declares.
#[derive(Debug, Default)]
pub(crate) struct DeadlineSettings {
    /// By the name of the export; the last one counts.
    pub(crate) by_name: Vec<(String, Duration)>,
    /// Of every export that has no other.
    pub(crate) default: Option<Duration>,
}

impl DeadlineSettings {
    /// Sets them for a version that nobody has called yet.
    pub(crate) fn apply(&self, exports: &mut Exports) {
        if let Some(default) = self.default {
            let of_none = exports.iter().filter(|(_, found)| found.deadline.is_none());
            let names: Vec<_> = of_none.map(|(name, _)| name.to_owned()).collect();
            names.iter().for_each(|name| exports.set_deadline(name, Some(default)));
        }
        for (name, deadline) in &self.by_name {
            exports.set_deadline(name, Some(*deadline).filter(is_bounded));
        }
    }
}

/// Whether it ever comes; what does not is no deadline.
pub(crate) fn is_bounded(deadline: &Duration) -> bool {
    *deadline < Duration::MAX
}

/// The calls that have deadlines: when to look at them, and which were late.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    pub(crate) settings: DeadlineSettings,
    /// When the swapper looks next; nothing that is due later has to wake it.
    next: Mutex<Option<Instant>>,
    /// Functions of which calls came back late within `TOLD_EVERY`.
    late: Mutex<BTreeMap<Arc<str>, Late>>,
    late_count: AtomicU64,
}

/// Calls of one function that came back late.
#[derive(Debug)]
struct Late {
    told_at: Instant,
    /// Those that were not told yet, and the longest of them.
    untold: u64,
    longest: Option<LateCall>,
}

/// A call that came back after its deadline.
#[derive(Debug, Clone)]
struct LateCall {
    version: VersionId,
    thread: String,
    deadline: Duration,
    took: Duration,
}

impl Deadlines {
    pub(crate) fn new(settings: DeadlineSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// How many calls came back late since the engine was opened.
    pub(crate) fn late_count(&self) -> u64 {
        // Relaxed: a count, which orders nothing.
        self.late_count.load(Ordering::Relaxed)
    }

    /// When the swapper is to look, from now.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        self.next.lock().map(|next| next.saturating_duration_since(clock::now()))
    }

    /// Notes that something is due then; whether the swapper has to be told.
    fn expect(&self, due: Instant) -> bool {
        let mut next = self.next.lock();
        let is_earlier = next.is_none_or(|next| due < next);
        if is_earlier {
            *next = Some(due);
        }
        is_earlier
    }
}

impl Core {
    /// Runs `call`, a call of this function, under a deadline.
    pub(crate) fn timed<R>(
        &self,
        version: &Version,
        name: &str,
        deadline: Duration,
        call: impl FnOnce() -> R,
    ) -> R {
        let name = version.exports.kept_name(name);
        let began = clock::now();
        let number = version.holds.add_call(Arc::clone(&name), began, deadline);
        if let Some(due) = began.checked_add(deadline) {
            self.expect_call(due);
        }
        // Nothing unwinds out of a shim.
        let result = call();
        let took = clock::since(began);
        version.holds.remove(number);
        if took >= deadline {
            let (version, thread) = (version.id, thread_name());
            self.came_back_late(name, LateCall { version, thread, deadline, took });
        }
        result
    }

    fn expect_call(&self, due: Instant) {
        if self.deadlines.expect(due) {
            // A closed engine looks no more.
            let _ = self.requests.send(Request::WatchCalls);
        }
    }

    #[cold]
    fn came_back_late(&self, name: Arc<str>, call: LateCall) {
        let now = clock::now();
        // Relaxed: a count, which orders nothing.
        self.deadlines.late_count.fetch_add(1, Ordering::Relaxed);
        let mut late = self.deadlines.late.lock();
        let Some(known) = late.get_mut(&name) else {
            late.insert(Arc::clone(&name), Late { told_at: now, untold: 0, longest: None });
            drop(late);
            return self.tell_late(&name, &call, 1);
        };
        known.untold += 1;
        if known.longest.as_ref().is_none_or(|longest| longest.took < call.took) {
            known.longest = Some(call);
        }
        let due = known.told_at + TOLD_EVERY;
        drop(late);
        self.expect_call(due);
    }

    fn tell_late(&self, name: &str, call: &LateCall, count: u64) {
        let line = Line::warn("call.late")
            .field("version", call.version.number())
            .field("function", name)
            .field("thread", &call.thread)
            .field("deadline_us", call.deadline.as_micros())
            .field("took_us", call.took.as_micros())
            .field("calls", count);
        self.journal.write(None, line);
    }

    /// Tells of calls that came back late and were not told; when there may be more to tell.
    fn tell_untold(&self) -> Option<Instant> {
        let now = clock::now();
        let is_over = |late: &Late| now.saturating_duration_since(late.told_at) >= TOLD_EVERY;
        let mut untold = Vec::new();
        let mut late = self.deadlines.late.lock();
        late.retain(|name, late| {
            if !is_over(late) {
                return true;
            }
            let Some(longest) = late.longest.take() else { return false };
            untold.push((Arc::clone(name), longest, std::mem::take(&mut late.untold)));
            late.told_at = now;
            true
        });
        let next = late.values().map(|late| late.told_at + TOLD_EVERY).min();
        drop(late);
        untold.iter().for_each(|(name, longest, count)| self.tell_late(name, longest, *count));
        next
    }

    /// The calls that run past their deadlines and were not told before. Notes when to look again.
    pub(crate) fn look_at_deadlines(&self) -> Vec<OverdueCall> {
        // Held over the look: what happens meanwhile is either seen, or waits here and has the swapper look again.
        let mut next = self.deadlines.next.lock();
        let untold = self.tell_untold();
        let (overdue, due) = self.history.lock().overdue_calls();
        *next = [untold, due].into_iter().flatten().min();
        overdue
    }
}

/// A call that runs past its deadline.
#[derive(Debug, Clone)]
pub(crate) struct OverdueCall {
    pub(crate) version: VersionId,
    pub(crate) function: Arc<str>,
    pub(crate) thread: String,
    pub(crate) deadline: Duration,
    pub(crate) age: Duration,
}
