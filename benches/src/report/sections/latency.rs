//! What a swap does to the one call that it meets.

use crate::call::CallPath;
use crate::latency::{Percentiles, UnderSwaps};
use crate::report::axis::Axis;
use crate::report::figures::BENCH_SWAP;
use crate::report::findings::Findings;
use crate::report::lines::{Line, LinePlot, Point};
use crate::report::palette::{FLOOR, GREEN, Hue};
use crate::report::quantity::{count, time};
use crate::report::{Plot, Section, palette};

use super::table;

pub(super) fn latency(found: &Findings) -> Section {
    let rows = found.latency.iter().flat_map(|found| {
        let row = |name: &str, times: &Percentiles| {
            let shown = |duration: std::time::Duration| time(duration.as_secs_f64());
            [
                found.callers.to_string(),
                count(found.swaps_per_second as u64),
                name.to_owned(),
                shown(times.median),
                shown(times.p99),
                shown(times.p999),
                shown(times.max),
                count(times.count),
            ]
        };
        paths(found).map(|(name, times, _)| row(name, times))
    });
    let [spared, _] = &found.latency;
    Section {
        id: "latency",
        title: "Single calls under swaps",
        text: vec![
            "The library is swapped a thousand times a second, or as often as can be, while single calls are timed one by one, each \
             kind in turn. Each time holds two looks at the clock, the raw pointer\u{2019}s as well: what a kind of call costs is \
             its distance from the raw pointer."
                .to_owned(),
        ],
        plots: vec![Plot {
            name: "latency",
            caption: "The slowest of so many calls; publish is the one write that makes a version current.".to_owned(),
            svg: plot(spared).svg(),
        }],
        tables: vec![table(
            "Percentiles",
            ["callers", "swaps a second", "what", "median", "99 %", "99.9 %", "all", "samples"],
            rows.collect(),
        )],
        command: BENCH_SWAP,
    }
}

fn paths(found: &UnderSwaps) -> [(&'static str, &Percentiles, Hue); 4] {
    [
        ("raw pointer (floor)", &found.raw, FLOOR),
        ("handle", &found.handle, palette::of_call(CallPath::Handle)),
        ("name", &found.name, palette::of_call(CallPath::Name)),
        ("publish", &found.publish, GREEN),
    ]
}

fn plot(found: &UnderSwaps) -> LinePlot {
    let line = |(name, times, hue): (&str, &Percentiles, Hue)| Line {
        name: name.to_owned(),
        hue,
        is_dashed: hue == FLOOR,
        points: [(2.0, times.median), (100.0, times.p99), (1_000.0, times.p999)]
            .map(|(one_of, time)| Point::exact(one_of, time.as_secs_f64()))
            .into(),
    };
    let lines: Vec<Line> = paths(found).map(line).into();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    let shares = [(2.0, "half"), (100.0, "99 %"), (1_000.0, "99.9 %")];
    LinePlot {
        title: "Single calls while the library is swapped".to_owned(),
        subtitle: format!(
            "{} swaps a second, a core left for the swapper; lower is better",
            count(found.swaps_per_second as u64)
        ),
        x: Axis::listed(
            "so many calls took no longer",
            shares.map(|(one_of, label)| (one_of, label.to_owned())).into(),
        ),
        y: Axis::log("time of one call, with two looks at the clock", values, time),
        lines,
    }
}
