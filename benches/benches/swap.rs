//! One whole swap of a prebuilt library, beside reading that library: verify, stage, load, check, publish, unload. Then what
//! a thousand of them in a second do to callers.

use std::fs;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use hotswap_benches::latency::{UnderSwaps, under_swaps};
use hotswap_benches::{Outcome, sample_library};
use hotswap_engine::{Engine, Event};

fn main() -> Outcome<()> {
    let library = sample_library()?;
    let engine = Engine::builder(&library).without_log().keep_versions(0).open()?;
    let events = engine.subscribe();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("swap");
    group.bench_function("read the library (floor)", |bencher| bencher.iter(|| fs::read(&library)));
    group.bench_function("offer to unloaded", |bencher| {
        bencher.iter(|| {
            engine.offer(&library).expect("it was loaded before");
            // The swap is over when the version before it is gone.
            while !matches!(events.recv(), Ok(Event::Unloaded { .. })) {}
        });
    });
    group.finish();
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        let processors = thread::available_parallelism()?.get();
        // With a processor left for the swapper, and with none.
        for callers in [processors.saturating_sub(1).max(1), processors] {
            print(&under_swaps(&library, callers, 1_000, Duration::from_secs(10))?);
        }
    }
    Ok(())
}

/// A call is read as what it takes more than a raw one in the same line.
fn print(found: &UnderSwaps) {
    let UnderSwaps { callers, swaps_per_second, raw, handle, name, publish } = found;
    println!("under {swaps_per_second:.0} swaps a second, {callers} threads calling:");
    println!("{:<10} {:>10} {:>10} {:>10} {:>10}", "", "median", "p99", "p99.9", "max");
    for (path, times) in [("raw", raw), ("handle", handle), ("name", name), ("publish", publish)] {
        let [median, p99, p999, max] =
            [times.median, times.p99, times.p999, times.max].map(|time| format!("{time:?}"));
        println!("{path:<10} {median:>10} {p99:>10} {p999:>10} {max:>10}");
    }
}
