//! From a built library to the first call in it, beside loading a tiny C library; and one of 100 MB, beside reading it.

use criterion::Criterion;
use hotswap_benches::load::{BuiltArtifacts, LARGE_BYTES, Libraries, Offers, read_once, tiny_c};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let mut built = BuiltArtifacts::open(&workshop, &libraries)?;
    let offers = Offers::open(&libraries.modules[0])?;
    let large = libraries.large(&workshop, LARGE_BYTES)?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("load");
    let small = [tiny_c(&libraries.tiny), built.timed(), offers.timed(&libraries.modules[0])];
    let large = [read_once(&large), offers.timed(&large)];
    for (size, timed) in
        [("small", small.into_iter().collect::<Vec<_>>()), ("100 MB", large.into())]
    {
        for mut timed in timed {
            group.bench_function(format!("{}/{size}", timed.name), |bencher| {
                bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
