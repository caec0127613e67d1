//! How long after the end of a write a monitor knows: by polling and by events.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use hotswap_monitor::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Diagnostics, Monitor, Notification, Step,
    StopSignal,
};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};

use crate::timed::Timed;
use crate::tree::Tree;
use crate::{Outcome, Samples};

/// What makes a monitor look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Its period is over.
    Every(Duration),
    /// The file system says so; and every ten seconds, for what it does not say.
    Events,
}

/// The period beside events.
const BESIDE_EVENTS: Duration = Duration::from_secs(10);

/// From this period on several monitors look at one tree, at different moments, and one edit is seen by all.
const STAGGERED_FROM: Duration = Duration::from_millis(500);

/// How many.
const STAGGERED: u32 = 8;

/// How long a monitor may take before the bench is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it took from the end of a write.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// Until it was seen that something differs.
    pub changed: Duration,
    /// Until it had stood still for long enough: a build may begin.
    pub settled: Duration,
}

/// How long it took, many times.
#[derive(Debug, Clone)]
pub struct Delays {
    /// How many sources the tree has.
    pub files: usize,
    /// What made the monitor look.
    pub wake: Wake,
    /// Seconds until it was seen.
    pub changed: Samples,
    /// Seconds until it had settled.
    pub settled: Samples,
}

/// How long a tree rests between two edits: longer than the 20 ms within which one follows the other.
const REST: Duration = Duration::from_millis(50);

/// A monitor on a tree, with a compiler that refuses everything at once.
#[derive(Debug)]
pub struct Watched {
    steps: Receiver<(Instant, Seen)>,
    notifications: Receiver<Notification>,
    _monitor: Monitor,
}

#[derive(Debug)]
enum Seen {
    Changed,
    Settled,
    /// Events do not work here.
    Problem(String),
}

struct Refuses;

impl BuildBackend for Refuses {
    fn build(&mut self, _: &BuildJob, _: &StopSignal) -> Result<Built, BuildErrorKind> {
        Err(BuildErrorKind::Failed { diagnostics: Diagnostics::default() })
    }
}

impl Watched {
    /// Starts it, and waits until it has looked for the first time.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not look.
    pub fn start(root: &Path, wake: Wake) -> Outcome<Self> {
        let (told, steps) = unbounded();
        let builder = match wake {
            Wake::Every(period) => Monitor::builder(root).poll_every(period),
            Wake::Events => Monitor::builder(root).poll_every(BESIDE_EVENTS).wake_on_events(),
        };
        let observe = move |step: &Step| {
            let seen = match step {
                Step::Changed { .. } => Seen::Changed,
                Step::Settled { .. } => Seen::Settled,
                Step::Events { problem } => Seen::Problem(problem.to_string()),
                _ => return,
            };
            // Nobody listens any more when the bench is over.
            let _ = told.send((Instant::now(), seen));
        };
        let (monitor, notifications) = builder
            .backend(Box::new(Refuses))
            .observe(move |observation| observe(&observation.step))
            .start()?;
        let watched = Self { steps, notifications, _monitor: monitor };
        watched.see(Instant::now())?;
        Ok(watched)
    }

    /// Waits until it has seen a change whose write ended then, and is idle again.
    fn see(&self, written: Instant) -> Outcome<Delay> {
        let mut changed = None;
        let settled = loop {
            match self.steps.recv_timeout(PATIENCE)? {
                (at, Seen::Changed) => drop(changed.get_or_insert(at)),
                (at, Seen::Settled) => break at,
                (_, Seen::Problem(problem)) => return Err(problem.into()),
            }
        };
        let changed = changed.ok_or("nothing settles before it changed")?;
        self.notifications.recv_timeout(PATIENCE)?;
        let after = |at: Instant| at.saturating_duration_since(written);
        Ok(Delay { changed: after(changed), settled: after(settled) })
    }

    /// As [`delay`](Self::delay), of a tree that has rested.
    fn delay_after_rest(&self, tree: &mut Tree) -> Outcome<Delay> {
        thread::sleep(REST);
        self.delay(tree)
    }

    /// Edits the tree, and waits until it is seen.
    ///
    /// # Errors
    ///
    /// When it is not seen within a minute.
    pub fn delay(&self, tree: &mut Tree) -> Outcome<Delay> {
        tree.edit()?;
        self.see(Instant::now())
    }
}

/// How long it takes until an edit is seen, so many times, with the edits spread evenly over the period.
///
/// # Errors
///
/// When a monitor does not start, or does not see an edit within a minute.
pub fn delays(tree: &mut Tree, wake: Wake, edits: u32) -> Outcome<Delays> {
    let found = match wake {
        Wake::Every(period) if period >= STAGGERED_FROM => staggered(tree, period)?,
        Wake::Every(period) => one_by_one(tree, wake, period, edits)?,
        Wake::Events => after_rest(tree, edits)?,
    };
    let changed = Samples::of_times(found.iter().map(|delay| delay.changed));
    let settled = Samples::of_times(found.iter().map(|delay| delay.settled));
    Ok(Delays { files: tree.sources.len(), wake, changed, settled })
}

fn one_by_one(tree: &mut Tree, wake: Wake, period: Duration, edits: u32) -> Outcome<Vec<Delay>> {
    let watched = Watched::start(tree.root(), wake)?;
    let mut found = Vec::new();
    for edit in 0..edits {
        thread::sleep(period.mul_f64((f64::from(edit) + 0.5) / f64::from(edits)));
        found.push(watched.delay(tree)?);
    }
    Ok(found)
}

/// One edit after the other, each when the tree has rested: one that comes at once belongs to a burst, which is waited for.
fn after_rest(tree: &mut Tree, edits: u32) -> Outcome<Vec<Delay>> {
    let watched = Watched::start(tree.root(), Wake::Events)?;
    (0..edits).map(|_| watched.delay_after_rest(tree)).collect()
}

fn staggered(tree: &mut Tree, period: Duration) -> Outcome<Vec<Delay>> {
    let mut watched = Vec::new();
    for _ in 0..STAGGERED {
        watched.push(Watched::start(tree.root(), Wake::Every(period))?);
        thread::sleep(period / STAGGERED);
    }
    tree.edit()?;
    let written = Instant::now();
    watched.iter().map(|watched| watched.see(written)).collect()
}

/// A write, and the system's own watcher with nothing behind it until it tells that the file was closed: the floor. It often
/// tells before the write has returned, so that only both together can be timed.
///
/// # Errors
///
/// When the system gives no watch.
pub fn bare_event(tree: &mut Tree) -> Outcome<Timed<'_>> {
    let (told, events) = unbounded();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if event.is_ok_and(|event| event.kind == closed) {
            // Nobody listens any more when the bench is over.
            let _ = told.send(Instant::now());
        }
    })?;
    watcher.watch(tree.root(), RecursiveMode::Recursive)?;
    Ok(Timed::new("write and bare event (floor)", move |rounds| {
        // Its life is the closure's.
        let _ = &watcher;
        let one = |_| -> Outcome<Duration> {
            let start = Instant::now();
            tree.edit()?;
            Ok(events.recv_timeout(PATIENCE)?.saturating_duration_since(start))
        };
        (0..rounds).map(one).sum()
    }))
}

/// A monitor, until what was written has settled.
///
/// # Errors
///
/// When it does not start.
pub fn monitored(tree: &mut Tree, wake: Wake) -> Outcome<Timed<'_>> {
    let watched = Watched::start(tree.root(), wake)?;
    let name = match wake {
        Wake::Every(period) => {
            format!("polled every {}, settled", humantime::format_duration(period))
        }
        Wake::Events => "events, settled".to_owned(),
    };
    Ok(Timed::new(name, move |rounds| {
        (0..rounds).map(|_| Ok(watched.delay_after_rest(tree)?.settled)).sum()
    }))
}
