//! Modules on a web server: an idle look and the way to the first call beside one conditional request; and the checks of a large
//! release beside its SHA-256.

use criterion::Criterion;
use hotswap_benches::http::{LargeRelease, Released};
use hotswap_benches::load::{LARGE_BYTES, Libraries};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let idle = Released::new(&workshop, "http_idle", &libraries)?;
    let mut live = Released::new(&workshop, "http_live", &libraries)?;
    let large = LargeRelease::new(&workshop, LARGE_BYTES)?;
    let looks = vec![idle.conditional_get()?, idle.idle()?];
    let releases = vec![idle.conditional_get()?, live.to_live()?];
    let checks = vec![large.hash_alone()?, large.verify()];
    for (name, paths) in
        [("idle look at a server", looks), ("release", releases), ("verification", checks)]
    {
        let mut group = criterion.benchmark_group(name);
        for mut timed in paths {
            group.bench_function(timed.name.clone(), |bencher| {
                bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
            });
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
