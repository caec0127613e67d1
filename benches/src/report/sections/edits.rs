//! From an edit to the first call of the new code.

use crate::Samples;
use crate::build::Step;
use crate::report::axis::Axis;
use crate::report::bars::{Bar, BarPlot};
use crate::report::figures::BENCH_BUILD;
use crate::report::findings::{EditCost, Findings};
use crate::report::palette::{FLOOR, Hue, MUTED};
use crate::report::quantity::{Unit, time, times};
use crate::report::{Plot, Section, palette};

use super::table;

/// What edits are compared with: its name, where it was measured, and its colour.
type Floor = (&'static str, fn(&EditCost) -> &Samples, Hue);

const FLOORS: [Floor; 2] = [
    ("cargo build", |edits| &edits.cargo, MUTED),
    ("rustc --emit=metadata", |edits| &edits.front_end, FLOOR),
];

pub(super) fn edits(found: &Findings) -> Section {
    let mut bars = Vec::new();
    let mut rows = Vec::new();
    let mut step_rows = Vec::new();
    for edits in &found.edits {
        let size = edits.size.name();
        let step = |step: usize| Samples::of_times(edits.live.iter().map(|edit| edit.steps[step]));
        let steps: Vec<Samples> = (0..Step::ALL.len()).map(step).collect();
        let live = Samples::of_times(edits.live.iter().map(|edit| edit.total));
        bars.push(Bar {
            name: format!("{size}: edit to live"),
            is_first: true,
            parts: steps
                .iter()
                .zip(palette::STEPS)
                .map(|(step, hue)| (step.median(), hue))
                .collect(),
        });
        for (name, samples, hue) in FLOORS.map(|(name, of, hue)| (name, of(edits), hue)) {
            let parts = vec![(samples.median(), hue)];
            bars.push(Bar { name: name.to_owned(), is_first: false, parts });
        }
        for (name, samples) in [
            ("rustc --emit=metadata", &edits.front_end),
            ("cargo build", &edits.cargo),
            ("edit to live", &live),
        ] {
            rows.push([
                size.to_owned(),
                name.to_owned(),
                Unit::Seconds.spread(samples),
                times(samples.median() / edits.cargo.median()),
                times(samples.median() / edits.front_end.median()),
            ]);
        }
        step_rows.extend(Step::ALL.iter().zip(&steps).map(|(step, samples)| {
            [size.to_owned(), step.name().to_owned(), Unit::Seconds.spread(samples)]
        }));
    }
    let longest = bars.iter().map(|bar| bar.parts.iter().map(|(value, _)| value).sum());
    let steps = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
    let mut legend: Vec<_> = Step::ALL.iter().map(|step| step.name()).zip(palette::STEPS).collect();
    legend.extend(FLOORS.map(|(name, _, hue)| (name, hue)));
    let plot = BarPlot {
        title: "From a saved edit to the first call of the new code".to_owned(),
        subtitle: "medians of each step, events on, development profile; shorter is better"
            .to_owned(),
        axis: Axis::linear("time", longest.collect::<Vec<f64>>(), &steps, time),
        legend,
        bars,
    };
    let samples = found.edits.first().map_or(0, |edits| edits.live.len());
    Section {
        id: "edits",
        title: "Edit to live",
        text: vec![
            "One line of a generated crate is edited; the time runs from the end of the write until a call gives the new \
             answer. In turn with it, a copy of the crate with a target directory of its own gets the same edit: `cargo build`, \
             as typed into a terminal, and the compiler alone with `--emit=metadata`, which checks everything and \
             generates no code."
                .to_owned(),
            "The steps are read from the times of the lines in hotswap.log: `detect.change`, `detect.settled`, `build.ok`, \
             `notify.sent`, `verify.ok`, `stage.ok`, `load.ok`, and the call."
                .to_owned(),
        ],
        plots: vec![Plot {
            name: "edits",
            caption: format!(
                "Medians of {samples} edits each. The medians of the steps add up to about the median of the whole."
            ),
            svg: plot.svg(),
        }],
        tables: vec![
            table(
                "Edits",
                ["crate", "what", "time", "beside `cargo build`", "beside `rustc --emit=metadata`"],
                rows,
            ),
            table("Steps", ["crate", "step", "time"], step_rows),
        ],
        command: BENCH_BUILD,
    }
}
