//! What a call costs: by handle, by name and through a guard, beside a raw function pointer.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::{Engine, Function};
use parking_lot::RwLock;

use crate::timed::{Timed, interleaved, processor_time};
use crate::{Outcome, Samples, sample_library};

/// How many threads call at once.
pub const THREADS: [usize; 4] = [1, 2, 4, 8];

/// A way to call `add(2, 3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallPath {
    /// Through a function pointer: the floor.
    Raw,
    /// Through a handle.
    Handle,
    /// By name.
    Name,
    /// Through a function pointer behind a `RwLock`: what many would write.
    Locked,
    /// By name through a guard that is taken for each call.
    Guard,
}

impl CallPath {
    /// All of them, the floor first.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Handle, Self::Name, Self::Locked, Self::Guard];

    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw pointer (floor)",
            Self::Handle => "handle",
            Self::Name => "name",
            Self::Locked => "pointer behind a RwLock",
            Self::Guard => "guard, by name",
        }
    }
}

/// What one path cost on so many threads.
#[derive(Debug, Clone)]
pub struct CallCost {
    /// How it was called.
    pub path: CallPath,
    /// On how many threads at once.
    pub threads: usize,
    /// Seconds that one call takes a processor.
    pub samples: Samples,
}

/// An engine with the library of sample-engine.
#[derive(Debug)]
pub struct Calls {
    engine: Engine,
    add: Function<fn(u64, u64) -> u64>,
    raw: fn(u64, u64) -> u64,
    locked: RwLock<fn(u64, u64) -> u64>,
}

impl Calls {
    /// Builds the library and loads it. Blocks for the build.
    ///
    /// # Errors
    ///
    /// When it does not build.
    pub fn open() -> Outcome<Self> {
        let rarely = Duration::from_secs(3_600);
        let library = sample_library()?;
        let engine = Engine::builder(library).without_log().poll_every(rarely).open()?;
        let add = engine.function::<fn(u64, u64) -> u64>("add")?;
        let raw: fn(u64, u64) -> u64 = black_box(|a, b| a + b);
        Ok(Self { engine, add, raw, locked: RwLock::new(raw) })
    }

    /// The engine that is called.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Every path on each number of threads, each beside all others.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn measure(&self, samples: usize) -> Outcome<Vec<CallCost>> {
        let mut found = Vec::new();
        for threads in THREADS {
            let mut paths = CallPath::ALL.map(|path| self.timed(path, threads));
            let all = interleaved(&mut paths, Duration::from_millis(2), samples)?;
            let costs = CallPath::ALL.into_iter().zip(all);
            found.extend(costs.map(|(path, samples)| CallCost { path, threads, samples }));
        }
        Ok(found)
    }

    /// The same while another thread swaps the library as fast as it can. Gives the swaps per second as well.
    ///
    /// # Errors
    ///
    /// When a call or a swap fails.
    pub fn measure_under_swaps(&self, samples: usize) -> Outcome<(Vec<CallCost>, f64)> {
        let library = sample_library()?;
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let swaps = scope.spawn(|| -> Outcome<u64> {
                let mut count = 0;
                // Relaxed: it only says when to stop.
                while !is_done.load(Ordering::Relaxed) {
                    self.engine.offer(&library)?;
                    count += 1;
                }
                Ok(count)
            });
            let start = Instant::now();
            let costs = self.measure(samples);
            is_done.store(true, Ordering::Relaxed);
            let time = start.elapsed();
            let count = swaps.join().map_err(|_| "the thread that swaps panicked")??;
            Ok((costs?, count as f64 / time.as_secs_f64()))
        })
    }

    /// One path on so many threads: time per call of a processor.
    #[must_use]
    pub fn timed(&self, path: CallPath, threads: usize) -> Timed<'_> {
        let name = format!("{}/{threads}", path.name());
        let Self { engine, add, raw, locked } = self;
        Timed::new(name, move |calls| {
            Ok(match path {
                CallPath::Raw => at_once(threads, calls, || raw(black_box(2), black_box(3))),
                CallPath::Handle => at_once(threads, calls, || {
                    add.call(black_box(2), black_box(3)).expect("it adds")
                }),
                CallPath::Name => at_once(threads, calls, || {
                    let arguments = (black_box(2u64), black_box(3u64));
                    engine.call_with::<u64>("add", arguments).expect("it adds")
                }),
                CallPath::Locked => {
                    at_once(threads, calls, || locked.read()(black_box(2), black_box(3)))
                }
                CallPath::Guard => at_once(threads, calls, || {
                    let arguments = (black_box(2u64), black_box(3u64));
                    engine.pin().call_with::<u64>("add", arguments).expect("it adds")
                }),
            })
        })
    }
}

/// The processor time that `calls` calls take on each of so many threads at once, as the average of the threads. Not the time
/// of the clock: more threads than processors take turns, and whatever else runs takes some.
pub(crate) fn at_once(threads: usize, calls: u64, call: impl Fn() -> u64 + Sync) -> Duration {
    if threads == 1 {
        // By reference as below: of a loop that exists once the call becomes a part, and two loops share it as a function,
        // which makes a handle half as dear again.
        return alone(calls, &call);
    }
    let barrier = Barrier::new(threads);
    let each = || {
        barrier.wait();
        alone(calls, &call)
    };
    let total: Duration = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(each)).collect();
        running.into_iter().map(|thread| thread.join().expect("it only calls")).sum()
    });
    total.div_f64(threads as f64)
}

/// The processor time that `calls` calls take on this thread. A loop of its own, whatever stands around it.
#[inline(never)]
pub(crate) fn alone(calls: u64, call: impl Fn() -> u64) -> Duration {
    let start = processor_time();
    for _ in 0..calls {
        black_box(call());
    }
    processor_time().saturating_sub(start)
}
