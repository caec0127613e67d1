//! A block allocated and freed inside a module, where it is forwarded and counted, beside the host's own allocator.

use criterion::Criterion;
use hotswap_benches::allocator::{THREADS, engine, paths};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let engine = engine(&workshop)?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("allocator");
    for threads in THREADS {
        for mut path in paths(&engine, threads) {
            group.bench_function(path.name.clone(), |bencher| {
                bencher.iter_custom(|rounds| path.run(rounds).expect("it only allocates"));
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
