//! From an edit to the first call of the new code, beside the compiler's front end alone and a bare `cargo build`.

use criterion::Criterion;
use hotswap_benches::build::{BareCrate, LiveCrate, timed};
use hotswap_benches::module_crate::Size;
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let workshop = Workshop::open()?;
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("build");
    for size in Size::ALL {
        let mut bare = BareCrate::open(&workshop, size)?;
        let mut live = LiveCrate::open(&workshop, size, None)?;
        for mut timed in timed(&mut bare, &mut live) {
            group.bench_function(format!("{}/{}", timed.name, size.name()), |bencher| {
                bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
