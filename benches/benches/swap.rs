//! One whole swap of a prebuilt library, beside reading that library: verify, stage, load, check, publish, unload.

use std::error::Error;
use std::fs;

use criterion::Criterion;
use hotswap_benches::sample_library;
use hotswap_engine::{Engine, Event};

fn main() -> Result<(), Box<dyn Error>> {
    let library = sample_library()?;
    let engine = Engine::builder(&library).without_log().open()?;
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
    Ok(())
}
