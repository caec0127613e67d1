//! Who holds a version.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use hotswap_system::{clock, fs};
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
    /// Of a call that has one.
    deadline: Option<Deadline>,
}

/// How long a call may hold its version before that is told.
#[derive(Debug)]
struct Deadline {
    time: Duration,
    is_told: bool,
}

/// Where a holder comes from. Put into words when somebody asks: most holders are gone by then.
#[derive(Debug)]
pub(crate) enum Origin {
    Text(String),
    /// A place in the caller's source, and the thread that passed it.
    Place(&'static Location<'static>, Thread),
    /// A thread that a module started, and the name of who did.
    Started(Arc<StartedThread>, String),
    /// A function, and the thread that called it.
    Call(Arc<str>, Thread),
}

/// A thread of a module, once it runs: the kernel knows its name.
#[derive(Debug, Default)]
pub(crate) struct StartedThread(OnceLock<i32>);

impl StartedThread {
    /// It is this thread.
    pub(crate) fn runs_here(&self) {
        // Said once, by its first frame.
        let _ = self.0.set(rustix::thread::gettid().as_raw_nonzero().get());
    }

    /// Its name, where the kernel tells.
    fn name(&self) -> String {
        let path = self.0.get().map(|id| format!("/proc/self/task/{id}/comm"));
        let name = path.and_then(|path| fs::read_to_string(path).ok());
        name.map_or_else(|| "a thread".to_owned(), |name| name.trim_end().to_owned())
    }
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
            Self::Started(thread, by) => write!(f, "{}, started by {by}", thread.name()),
            Self::Call(function, thread) => write!(f, "{function} on {}", name_of(thread)),
        }
    }
}

impl Holds {
    /// Notes a holder; the number takes it off again.
    pub(crate) fn add(&self, kind: PinKind, origin: impl Into<Origin>) -> u64 {
        self.enter(kind, origin.into(), clock::now(), None)
    }

    /// Notes a call that has a deadline.
    pub(crate) fn add_call(&self, function: Arc<str>, began: Instant, deadline: Duration) -> u64 {
        let origin = Origin::Call(function, thread::current());
        let deadline = Deadline { time: deadline, is_told: false };
        self.enter(PinKind::Call, origin, began, Some(deadline))
    }

    fn enter(
        &self,
        kind: PinKind,
        origin: Origin,
        since: Instant,
        deadline: Option<Deadline>,
    ) -> u64 {
        // Relaxed: only uniqueness matters.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.entries.lock().push(Entry { number, kind, origin, since, deadline });
        number
    }

    /// Takes a holder off; what is left of others.
    pub(crate) fn remove(&self, number: u64) -> Left {
        let mut entries = self.entries.lock();
        if let Some(place) = entries.iter().rposition(|entry| entry.number == number) {
            entries.remove(place);
        }
        let is_call = |entry: &Entry| entry.deadline.is_some();
        if !entries.is_empty() && entries.iter().all(is_call) { Left::Calls } else { Left::Any }
    }

    /// Whether a guard is among them.
    pub(crate) fn has_guards(&self) -> bool {
        self.entries.lock().iter().any(|entry| entry.kind == PinKind::Guard)
    }

    /// How many calls of this thread have deadlines.
    pub(crate) fn calls_on(&self, thread: ThreadId) -> usize {
        let is_its = |entry: &&Entry| match &entry.origin {
            Origin::Call(_, caller) => caller.id() == thread,
            Origin::Text(_) | Origin::Place(..) | Origin::Started(..) => false,
        };
        self.entries.lock().iter().filter(is_its).count()
    }

    /// Gives the calls that run past their deadlines to `tell`, each once: function, thread, deadline and age. When the
    /// next is due.
    pub(crate) fn tell_overdue(
        &self,
        mut tell: impl FnMut(&Arc<str>, String, Duration, Duration),
    ) -> Option<Instant> {
        let now = clock::now();
        let mut next = None;
        for entry in self.entries.lock().iter_mut() {
            let (Some(deadline), Origin::Call(function, thread)) =
                (&mut entry.deadline, &entry.origin)
            else {
                continue;
            };
            if deadline.is_told {
                continue;
            }
            let age = now.saturating_duration_since(entry.since);
            if age >= deadline.time {
                deadline.is_told = true;
                tell(function, name_of(thread), deadline.time, age);
            } else {
                let due = entry.since.checked_add(deadline.time);
                next = [next, due].into_iter().flatten().min();
            }
        }
        next
    }

    pub(crate) fn list(&self) -> Vec<Pin> {
        let pin = |entry: &Entry| {
            let age = clock::since(entry.since);
            let is_expired = entry.deadline.as_ref().is_some_and(|deadline| age >= deadline.time);
            let kind = if is_expired { PinKind::ExpiredCall } else { entry.kind };
            Pin { kind, origin: entry.origin.to_string(), age }
        };
        self.entries.lock().iter().map(pin).collect()
    }
}

/// Who is left when a holder was taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Calls with deadlines, and nobody else.
    Calls,
    /// Nobody, or others.
    Any,
}

/// One holder of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// What holds it.
    pub kind: PinKind,
    /// Where it comes from: the caller's location of a guard, a thread's name (of which Linux keeps 15 bytes), and who
    /// started it.
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
    /// A call that runs past its deadline: it holds the version as any other, and nobody waits for it.
    ExpiredCall,
    /// A guard.
    Guard,
    /// A handle that a registry of modules gave out, or what was made from it: it holds the module, and no version of it.
    Handle,
    /// A thread that the module started.
    Thread,
    /// Values of the module on a thread, with destructors: they run when the thread ends, or with its next call once
    /// nothing else holds the version.
    ThreadLocal,
    /// A hook, or a function for the end, that has not returned.
    Hook,
    /// A migration that has not returned, or state that is being put to rest.
    State,
    /// A signal handler inside the module: held until another takes its place.
    SignalHandler,
    /// Functions of the C library that the module's library imports, by which an address inside it may stay there: held
    /// for good. See [`docs::unload`](crate::docs::unload).
    Import,
    /// Calls and guards in a version of another engine, which was replaced together with this one.
    Sibling,
    /// The loader kept the library after it was closed: held for good.
    Loader,
}

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::ExpiredCall => "expired-call",
            Self::Guard => "guard",
            Self::Handle => "handle",
            Self::Thread => "thread",
            Self::ThreadLocal => "thread-local",
            Self::Hook => "hook",
            Self::State => "state",
            Self::SignalHandler => "signal-handler",
            Self::Import => "import",
            Self::Sibling => "sibling",
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
