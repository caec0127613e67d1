//! Unloading an idle version, beside closing a tiny C library; the way back to a version that is kept; and single calls while
//! versions are unloaded, beside the same calls while nothing happens.

use std::thread;
use std::time::Duration;

use criterion::Criterion;
use hotswap_benches::latency::Percentiles;
use hotswap_benches::load::Libraries;
use hotswap_benches::unload::{WayBack, calls_under_unloads, close_c, unload_idle};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let way_back = WayBack::open(&workshop, &libraries)?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("unload");
    for mut timed in [close_c(&libraries.tiny), unload_idle(&libraries)?, way_back.timed()] {
        group.bench_function(timed.name.clone(), |bencher| {
            bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
        });
    }
    group.finish();
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        let callers = thread::available_parallelism()?.get().saturating_sub(1).max(1);
        let found = calls_under_unloads(&libraries, callers, Duration::from_secs(10))?;
        println!(
            "{:.0} unloads a second, {callers} threads calling by handle:",
            found.unloads_per_second
        );
        println!("{:<10} {:>10} {:>10} {:>10} {:>10}", "", "median", "p99", "p99.9", "max");
        print("idle", found.idle);
        print("unloading", found.unloading);
    }
    Ok(())
}

fn print(what: &str, times: Percentiles) {
    let [median, p99, p999, max] =
        [times.median, times.p99, times.p999, times.max].map(|time| format!("{time:?}"));
    println!("{what:<10} {median:>10} {p99:>10} {p999:>10} {max:>10}");
}
