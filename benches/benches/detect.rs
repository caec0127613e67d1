//! From the end of a write to a monitor that would build, beside a bare event of the system; with the settle time that is
//! the default.

use std::time::Duration;

use criterion::Criterion;
use hotswap_benches::detect::{Wake, bare_event, monitored};
use hotswap_benches::tree::Tree;
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let mut trees = Vec::new();
    for name in ["floor", "events", "polled"] {
        trees.push(Tree::new(&workshop, name, 100)?);
    }
    let [floor, events, polled] = &mut trees[..] else { unreachable!("three names") };
    let polling = Wake::Every(Duration::from_millis(10));
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("detect");
    for mut timed in
        [bare_event(floor)?, monitored(events, Wake::Events)?, monitored(polled, polling)?]
    {
        group.bench_function(timed.name.clone(), |bencher| {
            bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
