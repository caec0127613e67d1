//! What a call costs as a multiple of a call through a raw pointer, on a machine that does other things too: the paths
//! take turns in short batches, each is divided by the raw one beside it, and the median of that is what is told.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::Engine;
use parking_lot::RwLock;

/// How many calls are timed at a time: some 50 us of them, which few interrupts meet.
const BATCH_CALLS: u32 = 20_000;

/// How many batches of each path a thread makes.
const ROUNDS: usize = 200;

/// The paths, in the order of [`Ratios::paths`]; the first is the floor.
pub const PATHS: [&str; 5] =
    ["raw pointer", "handle", "name", "name from elsewhere", "raw pointer behind a RwLock"];

/// What `ratios` found.
#[derive(Debug, Clone)]
pub struct Ratios {
    /// How many threads called at once.
    pub threads: usize,
    /// What a raw call took, in nanoseconds: a duration has no fractions of them.
    pub raw_ns: f64,
    /// Multiples of that, by the order of [`PATHS`].
    pub paths: [f64; PATHS.len()],
    /// How often the library was swapped in a second meanwhile.
    pub swaps_per_second: f64,
}

/// Times all paths on so many threads at once, while the library is swapped as often as can be, or not at all.
///
/// # Errors
///
/// When the library cannot be loaded.
///
/// # Panics
///
/// When a call or a swap fails.
pub fn ratios(library: &Path, threads: usize, swaps: bool) -> Result<Ratios, Box<dyn Error>> {
    let rarely = Duration::from_secs(3_600);
    let engine = Engine::builder(library).without_log().poll_every(rarely).open()?;
    let add = engine.function::<fn(u64, u64) -> u64>("add")?;
    let raw: fn(u64, u64) -> u64 = black_box(|left, right| left + right);
    let behind_a_lock = RwLock::new(raw);
    let barrier = Barrier::new(threads);
    let arguments = || (black_box(2_u64), black_box(3_u64));
    let work = || {
        let mut times: Vec<[f64; PATHS.len()]> = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            barrier.wait();
            times.push([
                batch(|| raw(black_box(2), black_box(3))),
                batch(|| add.call(black_box(2), black_box(3)).expect("it adds")),
                batch(|| engine.call_with("add", arguments()).expect("it adds")),
                batch(|| engine.call_with(black_box("add"), arguments()).expect("it adds")),
                batch(|| behind_a_lock.read()(black_box(2), black_box(3))),
            ]);
        }
        times
    };
    let done = AtomicBool::new(false);
    let (times, swaps_per_second) = thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let (start, mut count) = (Instant::now(), 0_u32);
            while swaps && !done.load(Ordering::Relaxed) {
                engine.offer(library).expect("it was loaded before");
                count += 1;
            }
            f64::from(count) / start.elapsed().as_secs_f64()
        });
        let callers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let times: Vec<_> =
            callers.into_iter().flat_map(|caller| caller.join().expect("it only calls")).collect();
        done.store(true, Ordering::Relaxed);
        (times, swapper.join().expect("it only swaps"))
    });
    let raw_ns = median(times.iter().map(|times| times[0]));
    let paths =
        std::array::from_fn(|path| median(times.iter().map(|times| times[path] / times[0])));
    Ok(Ratios { threads, raw_ns, paths, swaps_per_second })
}

/// Nanoseconds per call.
fn batch(call: impl Fn() -> u64) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH_CALLS {
        black_box(call());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH_CALLS)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
