//! A look at each kind of source that finds nothing, beside asking for the times of one file; and from a publication to the
//! first call, beside the publication alone.

use criterion::Criterion;
use hotswap_benches::load::Libraries;
use hotswap_benches::sources::{Published, idle_library, idle_string};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let idle = Published::new(&workshop, "idle", &libraries)?;
    let (mut live, mut alone) = (
        Published::new(&workshop, "live", &libraries)?,
        Published::new(&workshop, "alone", &libraries)?,
    );
    let looks = [idle.stat(), idle_string(), idle_library(&libraries.modules[0])?, idle.idle()?];
    let publications = [alone.alone(), live.to_live()?];
    for (name, paths) in
        [("idle look", looks.into_iter().collect::<Vec<_>>()), ("publication", publications.into())]
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
