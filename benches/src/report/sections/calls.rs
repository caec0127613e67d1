//! What a call costs.

use crate::call::{CallCost, CallPath, THREADS};
use crate::report::axis::Axis;
use crate::report::figures::BENCH_CALL;
use crate::report::findings::Findings;
use crate::report::lines::{Line, LinePlot, Point};
use crate::report::quantity::{Unit, count, times};
use crate::report::{Plot, Section, Table, palette};

use super::table;

pub(super) fn calls(found: &Findings) -> Section {
    let raw = |costs: &[CallCost], threads| {
        let raw = costs.iter().find(|cost| cost.path == CallPath::Raw && cost.threads == threads);
        raw.map_or(f64::NAN, |raw| raw.samples.median())
    };
    let line = |costs: &[CallCost], path: CallPath, is_swapped: bool| Line {
        name: if is_swapped { format!("{}, swapped", path.name()) } else { path.name().to_owned() },
        hue: palette::of_call(path),
        is_dashed: is_swapped,
        points: costs
            .iter()
            .filter(|cost| cost.path == path)
            .map(|cost| Point::of(cost.threads as f64, &cost.samples, raw(costs, cost.threads)))
            .collect(),
    };
    let mut lines: Vec<Line> =
        CallPath::ALL.iter().map(|path| line(&found.calls, *path, false)).collect();
    let ours = [CallPath::Handle, CallPath::Name];
    lines.extend(ours.iter().map(|path| line(&found.calls_under_swaps, *path, true)));
    let medians = lines.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    let plot = LinePlot {
        title: "What a call costs".to_owned(),
        subtitle: "multiples of a call through a raw pointer on as many threads; lower is better"
            .to_owned(),
        x: Axis::listed(
            "threads that call at once",
            THREADS.map(|n| (n as f64, n.to_string())).into(),
        ),
        y: Axis::log("times a raw pointer", medians, times),
        lines,
    };
    let rate = count(found.swaps_per_second as u64);
    let all = [(&found.calls, "idle"), (&found.calls_under_swaps, "swapped meanwhile")];
    let rows = all.iter().flat_map(|(costs, when)| {
        costs.iter().map(|cost| {
            [
                cost.path.name().to_owned(),
                cost.threads.to_string(),
                (*when).to_owned(),
                Unit::Seconds.spread(&cost.samples),
                times(cost.samples.median() / raw(costs, cost.threads)),
            ]
        })
    });
    Section {
        id: "calls",
        title: "Calls",
        text: vec![
            "`add(2, 3)` of the sample module, with its shim, its status and its `Result`, beside the same addition through a \
             function pointer. What is told is processor time, not that of the clock: more threads than processors take turns, \
             and whatever else the machine does takes some."
                .to_owned(),
            format!(
                "Dashed: while another thread swapped the library {rate} times a second. That thread takes part of the \
                 machine from all paths alike, the raw pointer as well."
            ),
        ],
        plots: vec![Plot {
            name: "calls",
            caption: "Medians; shaded, where nine of ten samples lie.".to_owned(),
            svg: plot.svg(),
        }],
        tables: vec![
            table(
                "All calls",
                ["path", "threads", "when", "time of one call", "beside a raw pointer"],
                rows.collect(),
            ),
            instructions(),
        ],
        command: BENCH_CALL,
    }
}

/// What the quick paths may take: a test of every change, since noise cannot change it.
fn instructions() -> Table {
    let figures = include_str!("../../../instructions.txt");
    let rows = figures.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        Some([columns.next()?, columns.next()?, columns.next()?].map(str::to_owned))
    });
    table(
        "Instructions, as every change is held to: `cargo run --release -p hotswap-benches --bin instructions`",
        ["path", "instructions", "may differ by"],
        rows.collect(),
    )
}
