//! How long single calls take while the library is swapped, and how long the swaps take: not the mean, which hides what
//! a swap does to the one call that it meets.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::{Engine, Event};

use crate::Outcome;

/// What `under_swaps` found.
#[derive(Debug, Clone)]
pub struct UnderSwaps {
    /// How many threads called.
    pub callers: usize,
    /// How many swaps there were in a second.
    pub swaps_per_second: f64,
    /// Calls through a raw function pointer: the floor, met by the same interrupts and the same swapper.
    pub raw: Percentiles,
    /// Calls by handle.
    pub handle: Percentiles,
    /// Calls by name.
    pub name: Percentiles,
    /// The one write that makes a version current, as [`Event::Swapped`] tells it.
    pub publish: Percentiles,
}

/// So many per cent took no longer than this.
#[derive(Debug, Clone, Copy)]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// 50 %.
    pub median: Duration,
    /// 99 %.
    pub p99: Duration,
    /// 99.9 %.
    pub p999: Duration,
    /// All.
    pub max: Duration,
}

/// Times single calls on `callers` threads for `period`, while a library is swapped `swaps_per_second` times a second, or as
/// often as can be.
///
/// Each call stands between two looks at the clock, which take some 40 ns themselves; the three kinds of calls take turns. So
/// the differences between their percentiles are what a kind costs, and the figures themselves are not.
///
/// # Errors
///
/// When the library cannot be loaded, or a swap fails.
///
/// # Panics
///
/// When a call fails.
pub fn under_swaps(
    library: &Path,
    callers: usize,
    swaps_per_second: u32,
    period: Duration,
) -> Outcome<UnderSwaps> {
    let rarely = Duration::from_secs(3_600);
    let engine =
        Engine::builder(library).without_log().poll_every(rarely).keep_versions(0).open()?;
    let events = engine.subscribe();
    let mut publish = Histogram::new();
    let mut swaps = 0_u32;
    let start = Instant::now();
    let ([raw, handle, name], elapsed) = single_calls(&engine, callers, || {
        while start.elapsed() < period {
            engine.offer(library)?;
            swaps += 1;
            for event in events.try_iter() {
                if let Event::Swapped { publish_time, .. } = event {
                    publish.add(publish_time);
                }
            }
            // Late swaps are made up for, as long as they can be.
            let next = start + Duration::from_secs(swaps.into()) / swaps_per_second;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(start.elapsed())
    })?;
    Ok(UnderSwaps {
        callers,
        swaps_per_second: f64::from(swaps) / elapsed.as_secs_f64(),
        raw,
        handle,
        name,
        publish: publish.percentiles(),
    })
}

/// Times single calls of `add` on `callers` threads as long as `meanwhile` runs: through a function pointer, by handle and by
/// name. Gives what that gave, too.
pub(crate) fn single_calls<T>(
    engine: &Engine,
    callers: usize,
    meanwhile: impl FnOnce() -> Outcome<T>,
) -> Outcome<([Percentiles; 3], T)> {
    let add = engine.function::<fn(u64, u64) -> u64>("add")?;
    let raw: fn(u64, u64) -> u64 = black_box(|left, right| left + right);
    let done = AtomicBool::new(false);
    let call = || {
        let mut times = [Histogram::new(), Histogram::new(), Histogram::new()];
        while !done.load(Ordering::Relaxed) {
            times[0].time(|| raw(black_box(2), black_box(3)));
            times[1].time(|| add.call(black_box(2), black_box(3)).expect("it adds"));
            times[2].time(|| {
                let arguments = (black_box(2_u64), black_box(3_u64));
                engine.call_with::<u64>("add", arguments).expect("it adds")
            });
        }
        times
    };
    let (times, found) = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        let found = meanwhile();
        done.store(true, Ordering::Relaxed);
        let times = threads.into_iter().map(|thread| thread.join().expect("it only calls"));
        let all = times.reduce(|mut all, more| {
            all.iter_mut().zip(&more).for_each(|(all, more)| all.merge(more));
            all
        });
        (all, found)
    });
    let mut times = times.ok_or("nobody called")?;
    Ok((times.each_mut().map(Histogram::percentiles), found?))
}

/// How many took how long, to the nanosecond where that is few.
pub(crate) struct Histogram {
    /// By nanoseconds.
    short: Vec<u64>,
    long: Vec<Duration>,
}

impl Histogram {
    /// Longer than any call takes that nothing interrupts. 16 us: the table stays in a processor's cache.
    const SHORT_NS: usize = 16_384;

    pub(crate) fn new() -> Self {
        Self { short: vec![0; Self::SHORT_NS], long: Vec::new() }
    }

    #[inline(always)]
    pub(crate) fn time(&mut self, call: impl Fn() -> u64) {
        let start = Instant::now();
        black_box(call());
        self.add(start.elapsed());
    }

    fn add(&mut self, time: Duration) {
        let ns = usize::try_from(time.as_nanos()).unwrap_or(usize::MAX);
        match self.short.get_mut(ns) {
            Some(count) => *count += 1,
            None => self.long.push(time),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.short.iter_mut().zip(&other.short).for_each(|(count, more)| *count += more);
        self.long.extend(&other.long);
    }

    pub(crate) fn percentiles(&mut self) -> Percentiles {
        self.long.sort_unstable();
        let count = self.short.iter().sum::<u64>() + self.long.len() as u64;
        Percentiles {
            count,
            median: self.at(count / 2),
            p99: self.at(count - count / 100 - 1),
            p999: self.at(count - count / 1_000 - 1),
            max: self.at(count.saturating_sub(1)),
        }
    }

    /// What stands at this place when all are in order.
    fn at(&self, mut place: u64) -> Duration {
        for (ns, count) in (0..).zip(&self.short) {
            if place < *count {
                return Duration::from_nanos(ns);
            }
            place -= count;
        }
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        self.long.get(place).copied().unwrap_or_default()
    }
}
