//! One whole swap of a prebuilt library, beside reading that library: verify, stage, load, check, publish, unload.

use std::error::Error;
use std::fs;

use criterion::Criterion;
use hotswap_engine::{Engine, Event, Profile};

fn main() -> Result<(), Box<dyn Error>> {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../sample-engine");
    let store = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/hotswap/store");
    let built = Engine::builder(sample).profile(Profile::Release).without_log().open()?;
    let content = built.versions().last().and_then(|version| version.content);
    let library = format!("{store}/{}.so", content.ok_or("a built version has a content hash")?);
    drop(built);

    let engine = Engine::builder(library.as_str()).without_log().open()?;
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
