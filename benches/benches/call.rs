//! One call, beside a call through a raw function pointer: by name, by handle, through a guard.

use std::error::Error;
use std::hint::black_box;

use criterion::Criterion;
use hotswap_engine::{Engine, Profile};

fn main() -> Result<(), Box<dyn Error>> {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../sample-engine");
    let engine = Engine::builder(sample).profile(Profile::Release).without_log().open()?;
    let add = engine.function::<fn(u64, u64) -> u64>("add")?;
    let guard = engine.pin();
    let raw: fn(u64, u64) -> u64 = black_box(|a, b| a + b);

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("call");
    group.bench_function("raw pointer (floor)", |bencher| {
        bencher.iter(|| black_box(raw)(black_box(2), black_box(3)));
    });
    group.bench_function("handle", |bencher| bencher.iter(|| add.call(black_box(2), black_box(3))));
    group.bench_function("guard by name", |bencher| {
        bencher.iter(|| guard.call_with::<u64>("add", (black_box(2u64), black_box(3u64))));
    });
    group.bench_function("engine by name", |bencher| {
        bencher.iter(|| engine.call_with::<u64>("add", (black_box(2u64), black_box(3u64))));
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
