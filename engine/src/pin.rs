//! Who holds a version.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotswap_system::clock;
use parking_lot::Mutex;

/// Who keeps a version beyond its calls: guards, threads, thread-local destructors and the like.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    next: AtomicU64,
    entries: Mutex<Vec<(u64, Pin, Instant)>>,
}

impl Holds {
    /// Notes a holder; the number takes it off again.
    pub(crate) fn add(&self, kind: PinKind, origin: String) -> u64 {
        // Relaxed: only uniqueness matters.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pin = Pin { kind, origin, age: Duration::ZERO };
        self.entries.lock().push((number, pin, clock::now()));
        number
    }

    pub(crate) fn remove(&self, number: u64) {
        self.entries.lock().retain(|(entry, ..)| *entry != number);
    }

    pub(crate) fn list(&self) -> Vec<Pin> {
        let entries = self.entries.lock();
        entries
            .iter()
            .map(|(_, pin, since)| Pin { age: clock::since(*since), ..pin.clone() })
            .collect()
    }
}

/// One holder of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// What holds it.
    pub kind: PinKind,
    /// Where it comes from: the caller's location of a guard, a thread's name.
    pub origin: String,
    /// For how long.
    pub age: Duration,
}

/// What can hold a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PinKind {
    /// Calls under way.
    Call,
    /// A guard.
    Guard,
    /// A thread that the module started.
    Thread,
    /// Values of the module on a thread, with destructors: they run when the thread ends, or with its next call once
    /// nothing else holds the version.
    ThreadLocal,
    /// A load hook that has not returned.
    Hook,
    /// A signal handler inside the module: held until another takes its place.
    SignalHandler,
    /// The loader kept the library after it was closed: held for good.
    Loader,
}

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Guard => "guard",
            Self::Thread => "thread",
            Self::ThreadLocal => "thread-local",
            Self::Hook => "hook",
            Self::SignalHandler => "signal-handler",
            Self::Loader => "loader",
        })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for {:.1} s", self.kind, self.origin, self.age.as_secs_f64())
    }
}

/// Where a guard was taken, with the thread's name.
pub(crate) fn origin_of(location: &Location<'_>) -> String {
    format!("{} on {}", location, thread_name())
}

/// The name of this thread, or its number.
pub(crate) fn thread_name() -> String {
    let thread = std::thread::current();
    thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned)
}
