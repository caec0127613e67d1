//! What a user would pick instead.

use crate::Comparison;
use crate::report::axis::Axis;
use crate::report::bars::{Bar, BarPlot};
use crate::report::findings::Findings;
use crate::report::palette::{BLUE, FLOOR, MUTED};
use crate::report::quantity::{Unit, time, times};
use crate::report::{Plot, Section};

use super::table;

/// What measures them.
const COMMAND: &str = "cargo run --release -p hotswap-benches --features peers --bin report";

/// Nothing when they were not measured.
pub(super) fn peers(found: &Findings) -> Option<Section> {
    if found.peers.is_empty() {
        return None;
    }
    let tables = found.peers.iter().map(|comparison| {
        let floor = &comparison.floor.1;
        let all = [&comparison.floor].into_iter().chain(&comparison.ours).chain(&comparison.peers);
        let rows = all.map(|(name, samples)| {
            [name.clone(), Unit::Seconds.spread(samples), times(samples.median() / floor.median())]
        });
        table(comparison.title, ["what", "time", "beside the first"], rows.collect())
    });
    Some(Section {
        id: "peers",
        title: "Peers",
        text: vec![
            "What a user would pick instead, each as its documentation shows. None of them builds, so that `cargo build` is part \
             of their edit to live; libloading and relib begin to load when it has ended, hot-lib-reloader when its \
             watcher, with its default of half a second, says that the file changed. None of them compares signatures \
             or proves what it loaded."
                .to_owned(),
        ],
        plots: found.peers.iter().map(plot).collect(),
        tables: tables.collect(),
        command: COMMAND,
    })
}

fn plot(comparison: &Comparison) -> Plot {
    let hues = [FLOOR].into_iter().chain(comparison.ours.iter().map(|_| BLUE));
    let all = [&comparison.floor].into_iter().chain(&comparison.ours).chain(&comparison.peers);
    let bars: Vec<Bar> = all
        .zip(hues.chain(std::iter::repeat(MUTED)))
        .enumerate()
        .map(|(index, ((name, samples), hue))| Bar {
            name: name.clone(),
            is_first: index == 0,
            parts: vec![(samples.median(), hue)],
        })
        .collect();
    let medians = bars.iter().map(|bar| bar.parts[0].0).collect::<Vec<_>>();
    let steps = (-9..2).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    let picture = BarPlot {
        title: comparison.title.to_owned(),
        subtitle: "shorter is better".to_owned(),
        axis: Axis::linear("time", medians, &steps.collect::<Vec<_>>(), time),
        legend: vec![("floor", FLOOR), ("ours", BLUE), ("peers", MUTED)],
        bars,
    };
    let samples = comparison.floor.1.count();
    Plot {
        name: comparison.id,
        caption: format!("Medians of {samples} samples each."),
        svg: picture.svg(),
    }
}
