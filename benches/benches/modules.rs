//! A registry of a thousand modules beside one of one; calls between modules beside calls of the host; and an edit of a crate that
//! modules share, beside cargo. What all of them take of the machine is told first.

use std::time::Duration;

use criterion::Criterion;
use hotswap_benches::load::Libraries;
use hotswap_benches::modules::{Copies, OneOfMany, Pair, bare, stand, threads_of_one};
use hotswap_benches::shared_crate::{SharedByCargo, SharedInRegistry};
use hotswap_benches::{Outcome, Workshop};

/// How many modules one registry has.
const MODULES: usize = 1_000;

/// How many share a crate.
const SHARING: usize = 24;

/// How long the registry is left alone.
const WINDOW: Duration = Duration::from_secs(10);

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let libraries = Libraries::build(&workshop)?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let many = Copies::new(&workshop, "many", &libraries, MODULES)?;
    println!("one engine alone: {} threads", threads_of_one(&many)?);
    println!("dlopen of {MODULES}: {:#?}", bare(&many)?);
    let few = Copies::new(&workshop, "few", &libraries, MODULES / 10)?;
    for copies in [&few, &many] {
        println!("one registry: {:#?}", stand(copies, WINDOW)?);
    }
    let one = Copies::new(&workshop, "one", &libraries, 1)?;
    let (mut first, mut all) = (OneOfMany::open(&one)?, OneOfMany::open(&many)?);
    let pair = Pair::open(&workshop, &libraries)?;
    let mut by_cargo = SharedByCargo::open(&workshop, SHARING)?;
    let mut alone = SharedInRegistry::open(&workshop, 1)?;
    let mut sharing = SharedInRegistry::open(&workshop, SHARING)?;
    let wakes = vec![first.wake(), all.wake()];
    let edits = vec![by_cargo.timed(), alone.timed(), sharing.timed()];
    for (name, paths) in
        [("modules wake", wakes), ("modules call", pair.timed().into()), ("modules shared", edits)]
    {
        let mut group = criterion.benchmark_group(name);
        for mut timed in paths {
            group.bench_function(timed.name.clone(), |bencher| {
                bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("modules all");
    for mut timed in [first.reload_all(), all.reload_all(), first.pin(), all.pin()] {
        group.bench_function(timed.name.clone(), |bencher| {
            bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
        });
    }
    group.finish();
    criterion.final_summary();
    println!("{:?}", sharing.builds()?);
    Ok(())
}
