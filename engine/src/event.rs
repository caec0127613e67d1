//! What happens to an engine, told to whoever asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use hotswap_artifact::{Cause, Fingerprint, ScanError, Trigger};
use parking_lot::Mutex;

use crate::cap::Crowd;
use crate::error::ReloadError;
use crate::hook::HookKind;
use crate::pin::Pin;
use crate::version_id::VersionId;

/// How many events wait for a subscriber before it misses some. A change gives about ten.
const EVENTS_MAX: usize = 256;

/// One transition. Subscribers get them in order, each once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The source changed.
    Changed {
        /// What it looks like now.
        fingerprint: Fingerprint,
        /// What made the monitor look.
        trigger: Trigger,
        /// Which files differ.
        cause: Cause,
    },
    /// A build began.
    BuildStarted {
        /// What is being built.
        fingerprint: Fingerprint,
    },
    /// A change ended where it began: it was taken back, or its library is the one that runs.
    Unchanged {
        /// The version that stays current.
        current: VersionId,
    },
    /// The source cannot be read: it was removed, or permissions are missing, or what lies there is not believed. The current version goes on, and
    /// the source is looked at as before.
    Unreadable {
        /// What cannot be read, and why.
        error: Arc<ScanError>,
    },
    /// What lies in the source cannot be told to be the newest: it expired, or the clock is wrong. Told once while that lasts; the
    /// current version goes on.
    Stale {
        /// What the source says.
        error: Arc<ScanError>,
    },
    /// The source can be read again, and what lies there is believed, and not old.
    Readable,
    /// What lies in the source was turned away; the current version goes on.
    Refused {
        /// Why.
        error: Arc<ReloadError>,
    },
    /// Another version is current.
    Swapped {
        /// The version before; `None` for the first.
        from: Option<VersionId>,
        /// The version now.
        to: VersionId,
        /// Why.
        reason: SwapReason,
        /// How long the build took; zero when there was none.
        build_time: Duration,
        /// How long the write of the pointer took.
        publish_time: Duration,
    },
    /// A replaced version is still in use.
    Draining {
        /// The version.
        version: VersionId,
        /// Who holds it, as far as it is known.
        held_by: Vec<Pin>,
    },
    /// A replaced version is in use for longer than the drain deadline. Told once for each; it stays mapped.
    Overdue {
        /// The version.
        version: VersionId,
        /// Who holds it.
        held_by: Vec<Pin>,
    },
    /// A call runs past its deadline. Told once for each, while it runs; it goes on, and holds its version.
    CallOverdue {
        /// The version that it runs in.
        version: VersionId,
        /// The function.
        function: String,
        /// The thread that called it.
        thread: String,
        /// Its deadline.
        deadline: Duration,
        /// How long it has run.
        age: Duration,
    },
    /// There are as many versions in use, beside the current one and those that are kept, as there may be, and another came.
    Crowded {
        /// Who holds them, and what becomes of the newcomer.
        crowd: Crowd,
    },
    /// A replaced version is gone: no executable mapping of it is left.
    Unloaded {
        /// The version.
        version: VersionId,
    },
    /// A version that is gone did not give back all of its heap memory: so much is lost.
    Leaked {
        /// The version.
        version: VersionId,
        /// How much, net of what crossed.
        bytes: u64,
    },
    /// A replaced version stays mapped for good.
    Pinned {
        /// The version.
        version: VersionId,
    },
    /// A panic left a cell locked for writing, half written, maybe.
    StateTorn {
        /// The cell.
        state: String,
        /// Who had it locked: a function, and the place in it.
        by: String,
        /// Whose code that is; it need not be current any more.
        version: VersionId,
    },
    /// A hook that nothing waits for panicked, returned an `Err`, or is still running past its deadline.
    HookFailed {
        /// The version.
        version: VersionId,
        /// When it runs.
        hook: HookKind,
        /// The function; all of them, where it is not known which.
        name: String,
        /// What it did.
        reason: String,
    },
    /// Automatic swaps stopped.
    Paused,
    /// Automatic swaps go on.
    Resumed,
    /// Nothing changes what runs any more.
    Frozen,
    /// This many events were lost, since nobody received them in time.
    Missed(u64),
    /// The engine was dropped; the last event.
    Stopped,
}

/// Why a version became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SwapReason {
    /// The first version.
    First,
    /// The source changed.
    Change(Trigger),
    /// Somebody offered a library.
    Offered,
    /// A version that ran before was gone back to.
    RolledBack,
    /// The first version: what served last in an earlier process, since what lies in the source cannot run.
    LastGood,
}

impl fmt::Display for SwapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => Trigger::Start.as_str(),
            Self::Change(trigger) => trigger.as_str(),
            Self::Offered => "offer",
            Self::RolledBack => "rollback",
            Self::LastGood => "fallback",
        })
    }
}

/// Everybody who listens. Telling them never waits.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    list: Mutex<Vec<Subscriber>>,
}

#[derive(Debug)]
pub(crate) struct Subscriber {
    channel: Sender<Event>,
    missed: u64,
}

/// A new subscriber, and the end that it reads.
pub(crate) fn subscriber() -> (Subscriber, Receiver<Event>) {
    let (channel, events) = bounded(EVENTS_MAX);
    (Subscriber { channel, missed: 0 }, events)
}

impl Subscriber {
    /// Whether the other end still exists.
    fn tell(&mut self, event: &Event) -> bool {
        if self.missed > 0 {
            match self.channel.try_send(Event::Missed(self.missed)) {
                Ok(()) => self.missed = 0,
                Err(TrySendError::Full(_)) => {
                    self.missed += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.channel.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Subscribers {
    pub(crate) fn add(&self, subscriber: Subscriber) {
        self.list.lock().push(subscriber);
    }

    pub(crate) fn tell(&self, event: &Event) {
        self.list.lock().retain_mut(|subscriber| subscriber.tell(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_subscriber_is_told_what_it_missed() {
        let subscribers = Subscribers::default();
        let (subscriber, events) = subscriber();
        subscribers.add(subscriber);
        for _ in 0..EVENTS_MAX + 5 {
            subscribers.tell(&Event::Paused);
        }
        assert_eq!(events.try_iter().count(), EVENTS_MAX);
        subscribers.tell(&Event::Resumed);
        assert!(matches!(events.try_recv(), Ok(Event::Missed(5))));
        assert!(matches!(events.try_recv(), Ok(Event::Resumed)));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let subscribers = Subscribers::default();
        let (subscriber, events) = subscriber();
        subscribers.add(subscriber);
        drop(events);
        subscribers.tell(&Event::Paused);
        assert!(subscribers.list.lock().is_empty());
    }
}
