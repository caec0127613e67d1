//! One call, beside a call through a raw function pointer: by handle, by name, through a guard; on 1, 2 and 8 threads
//! at once; idle, and while the library is swapped as fast as it can be.

use std::error::Error;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use hotswap_benches::sample_library;
use hotswap_engine::{Engine, Function};
use parking_lot::RwLock;

/// How many threads call at once.
const THREADS: [usize; 3] = [1, 2, 8];

fn main() -> Result<(), Box<dyn Error>> {
    let library = sample_library()?;
    let engine = Engine::builder(&library).without_log().open()?;
    let add = engine.function::<fn(u64, u64) -> u64>("add")?;
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("call");
    every_path(&mut group, &engine, &add);
    group.finish();

    let done = AtomicBool::new(false);
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let swaps = scope.spawn(|| {
            let mut count = 0u64;
            while !done.load(Ordering::Relaxed) {
                engine.offer(&library).expect("it was loaded before");
                count += 1;
            }
            count
        });
        let start = Instant::now();
        let mut group = criterion.benchmark_group("call_under_swaps");
        every_path(&mut group, &engine, &add);
        group.finish();
        done.store(true, Ordering::Relaxed);
        let count = swaps.join().map_err(|_| "a swap failed")?;
        let rate = count as f64 / start.elapsed().as_secs_f64();
        println!("{count} swaps meanwhile, {rate:.0} a second");
        Ok(())
    })?;
    criterion.final_summary();
    Ok(())
}

fn every_path(
    group: &mut BenchmarkGroup<'_, WallTime>,
    engine: &Engine,
    add: &Function<fn(u64, u64) -> u64>,
) {
    let raw: fn(u64, u64) -> u64 = black_box(|a, b| a + b);
    let behind_a_lock = RwLock::new(raw);
    for threads in THREADS {
        let name = |path: &str| format!("{path}/{threads}");
        bench(group, &name("raw pointer (floor)"), threads, || raw(black_box(2), black_box(3)));
        bench(group, &name("raw pointer behind a RwLock"), threads, || {
            behind_a_lock.read()(black_box(2), black_box(3))
        });
        bench(group, &name("handle"), threads, || {
            add.call(black_box(2), black_box(3)).expect("it adds")
        });
        bench(group, &name("name"), threads, || {
            engine.call_with::<u64>("add", (black_box(2u64), black_box(3u64))).expect("it adds")
        });
        bench(group, &name("name from elsewhere"), threads, || {
            let add = black_box("add");
            engine.call_with::<u64>(add, (black_box(2u64), black_box(3u64))).expect("it adds")
        });
    }
    bench(group, "guard by name/1", 1, || {
        // Taken anew each time: what a unit of work of one call pays.
        engine.pin().call_with::<u64>("add", (black_box(2u64), black_box(3u64))).expect("it adds")
    });
}

/// Time per call of each thread, all of them calling at once.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    threads: usize,
    call: impl Fn() -> u64 + Sync,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            let barrier = Barrier::new(threads);
            let each = || {
                barrier.wait();
                let start = Instant::now();
                for _ in 0..calls {
                    black_box(call());
                }
                start.elapsed()
            };
            if threads == 1 {
                return each();
            }
            // More threads than processors take turns: what counts is what one call costs a processor.
            let total: Duration = thread::scope(|scope| {
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(each)).collect();
                running.into_iter().map(|thread| thread.join().expect("it only calls")).max()
            })
            .unwrap_or_default();
            let processors = thread::available_parallelism().map_or(1, usize::from);
            total * u32::try_from(processors.min(threads)).unwrap_or(1)
                / u32::try_from(threads).unwrap_or(1)
        });
    });
}
