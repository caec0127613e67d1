//! Who holds a version.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hotswap_system::clock;
use parking_lot::Mutex;

/// Who keeps a version beyond its calls: guards, threads, thread-local destructors and the like.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    next: AtomicU64,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    kind: PinKind,
    origin: Origin,
    since: Instant,
}

/// Where a holder comes from. Put into words when somebody asks: most holders are gone by then.
#[derive(Debug)]
pub(crate) enum Origin {
    Text(String),
    /// A place in the caller's source, and the thread that passed it.
    Place(&'static Location<'static>, Thread),
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Place(location, thread) => write!(f, "{location} on {}", name_of(thread)),
        }
    }
}

impl Holds {
    /// Notes a holder; the number takes it off again.
    pub(crate) fn add(&self, kind: PinKind, origin: impl Into<Origin>) -> u64 {
        // Relaxed: only uniqueness matters.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { number, kind, origin: origin.into(), since: clock::now() };
        self.entries.lock().push(entry);
        number
    }

    pub(crate) fn remove(&self, number: u64) {
        let mut entries = self.entries.lock();
        if let Some(place) = entries.iter().rposition(|entry| entry.number == number) {
            entries.remove(place);
        }
    }

    pub(crate) fn list(&self) -> Vec<Pin> {
        let pin = |entry: &Entry| Pin {
            kind: entry.kind,
            origin: entry.origin.to_string(),
            age: clock::since(entry.since),
        };
        self.entries.lock().iter().map(pin).collect()
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
    /// A hook that has not returned.
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

/// The name of this thread, or its number.
pub(crate) fn thread_name() -> String {
    name_of(&thread::current())
}

fn name_of(thread: &Thread) -> String {
    thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned)
}
