//! A look at each kind of source that finds nothing, beside asking for the times of one file; and from what is put there to the
//! first call, beside putting it there.

use criterion::Criterion;
use hotswap_benches::load::Libraries;
use hotswap_benches::sources::{
    Published, Replaced, cargo_build, idle_library, idle_string, string_to_live,
};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let published = |name| Published::new(&workshop, name, &libraries);
    let idle = published("idle")?;
    let (mut alone, mut live, mut chained) =
        (published("alone")?, published("live")?, published("chained")?);
    let mut copied = Replaced::new(&workshop, "copied", &libraries)?;
    let mut replaced = Replaced::new(&workshop, "replaced", &libraries)?;
    let looks = vec![
        idle.stat(),
        idle_string(),
        idle_library(&libraries.modules[0])?,
        idle.idle()?,
        idle.idle_of_many()?,
    ];
    let publications = vec![alone.alone(), live.to_live()?, chained.to_live_in_a_chain()?];
    let libraries = vec![copied.alone(), replaced.to_live()?];
    let strings = vec![cargo_build(&workshop)?, string_to_live(&workshop)?];
    for (name, paths) in [
        ("idle look", looks),
        ("publication", publications),
        ("library", libraries),
        ("string", strings),
    ] {
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
