//! Anonymous memory of a version that is kept, beside a tiny C library that is kept: bytes, where criterion says time.

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput};
use hotswap_benches::load::Libraries;
use hotswap_benches::memory::{AfterSwaps, kept, kept_c, unloaded};
use hotswap_benches::{Outcome, Workshop};

/// How many versions are kept for one sample, or fewer where criterion wants fewer.
const KEPT_MAX: u64 = 200;

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let mut criterion = Criterion::default()
        .with_measurement(AnonymousMemory)
        .sample_size(10)
        .configure_from_args();
    let mut group = criterion.benchmark_group("memory");
    type Grow<'a> = Box<dyn Fn(u64) -> Outcome<Vec<AfterSwaps>> + 'a>;
    let subjects: [(&str, Grow<'_>); 3] = [
        (
            "tiny C library, kept (floor)",
            Box::new(|count| kept_c(&workshop, &libraries.tiny, count, count)),
        ),
        ("version, kept", Box::new(|count| kept(&libraries, count, count))),
        ("version, unloaded", Box::new(|count| unloaded(&libraries, count, count))),
    ];
    for (name, grow) in subjects {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let count = rounds.min(KEPT_MAX);
                let readings = grow(count).expect("libraries that were loaded before");
                let bytes = readings.last().map_or(0, |last| last.bytes.max(0));
                // A sample of nothing is none.
                (bytes as f64).max(1.0) * rounds as f64 / count as f64
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// Bytes, in place of time.
struct AnonymousMemory;

impl Measurement for AnonymousMemory {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for AnonymousMemory {
    fn scale_values(&self, _: f64, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|value| *value /= 1_024.0);
        "KB"
    }

    fn scale_throughputs(&self, _: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        self.scale_values(0.0, values)
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "B"
    }
}
