//! What one idle look costs by the size of the tree, beside asking the system about each of its paths.

use criterion::Criterion;
use hotswap_benches::poll_frequency::{Trees, look, statx_of_known_paths, warm_scanner};
use hotswap_benches::{Outcome, Workshop};

fn main() -> Outcome<()> {
    let mut trees = Trees::new(&Workshop::open()?, &[1, 10, 100, 1_000, 10_000])?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("poll_frequency");
    for tree in trees.iter_mut() {
        let mut scanner = warm_scanner(tree)?;
        let files = tree.sources.len();
        let mut floor = statx_of_known_paths(tree);
        let mut idle = look(&mut scanner);
        for (name, timed) in
            [("statx of known paths (floor)", &mut floor), ("idle look", &mut idle)]
        {
            group.bench_function(format!("{name}/{files}"), |bencher| {
                bencher.iter_custom(|rounds| timed.run(rounds).expect("it ran before"));
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
