//! State: locking a cell beside locking in the host, a swap with more and more state, a migration beside postcard alone, and
//! what callers notice of migrations that are none of their business.

use std::time::Duration;

use criterion::Criterion;
use hotswap_benches::latency::Percentiles;
use hotswap_benches::state::{
    Handover, LockPath, Locks, Migrations, StateLibraries, THREADS, handover_bytes,
};
use hotswap_benches::timed::Timed;
use hotswap_benches::{Outcome, Workshop};

/// How large the largest state is, where there is memory for it.
const BYTES_MAX: usize = 1 << 30;

/// How many entities are migrated.
const ENTITIES: u64 = 1_000_000;

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = StateLibraries::build(&workshop)?;
    let mut criterion = Criterion::default().configure_from_args();
    let locks = Locks::open(&libraries)?;
    let paths = THREADS.into_iter().flat_map(|threads| LockPath::ALL.map(|path| (path, threads)));
    let paths = paths.map(|(path, threads)| locks.timed(path, threads)).collect();
    group(&mut criterion, "state_lock", 100, paths);
    let states = handover_bytes(BYTES_MAX)?.map(|bytes| Handover::open(&libraries, bytes));
    let states = states.into_iter().collect::<Outcome<Vec<_>>>()?;
    group(&mut criterion, "state_handover", 20, states.iter().map(Handover::timed).collect());
    drop(states);
    let migrations = Migrations::open(&libraries, ENTITIES)?;
    let paths = vec![migrations.postcard(), migrations.up(), migrations.down()];
    group(&mut criterion, "state_migrate", 10, paths);
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        let found = migrations.callers(1, Duration::from_secs(5))?;
        println!("one thread calling, alone, and beside migrations of up to {:?}:", found.longest);
        for (when, paths) in [("alone", found.undisturbed), ("beside", found.migrating)] {
            for (name, times) in ["raw", "handle", "name"].into_iter().zip(paths) {
                let Percentiles { median, p99, p999, max, .. } = times;
                println!("{when:<8} {name:<8} {median:>10?} {p99:>10?} {p999:>10?} {max:>10?}");
            }
        }
    }
    Ok(())
}

fn group(criterion: &mut Criterion, name: &str, samples: usize, paths: Vec<Timed<'_>>) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(samples);
    for mut timed in paths {
        group.bench_function(timed.name.clone(), |bencher| {
            bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
        });
    }
    group.finish();
}
