//! How long until a change is seen.

use std::collections::BTreeSet;

use crate::detect::{Delays, Wake};
use crate::report::axis::Axis;
use crate::report::figures::BENCH_DETECT;
use crate::report::findings::Findings;
use crate::report::lines::{Line, LinePlot, Point};
use crate::report::palette::{FLOOR, GREEN, MUTED};
use crate::report::quantity::{Unit, count, files_named, time};
use crate::report::{Plot, Section, palette};

use super::{distinct, files_axis, period_axis, period_label, table};

pub(super) fn detection(found: &Findings) -> Section {
    let rows = found.delays.iter().map(|delays| {
        [
            count(delays.files as u64),
            period_label(delays.wake),
            Unit::Seconds.spread(&delays.changed),
            Unit::Seconds.spread(&delays.settled),
            delays.changed.count().to_string(),
        ]
    });
    Section {
        id: "detection",
        title: "Detection",
        text: vec![
            "One file of the tree is written in place. Edits are spread evenly over the period; from half a second on \
             eight monitors look at one tree at different moments, and one edit is seen by all."
                .to_owned(),
            format!(
                "Settled is when a build may begin: what is written must have stood still for a moment. The floor is a write and the \
                 event that the system's own watcher gives of it, both together: {}.",
                Unit::Seconds.spread(&found.bare_event)
            ),
        ],
        plots: vec![
            Plot {
                name: "detection",
                caption: "Medians; the table says where nine of ten samples lie.".to_owned(),
                svg: by_period(found).svg(),
            },
            Plot {
                name: "events",
                caption: "Medians; dashed green: until the files have settled; shaded, where nine of ten samples lie."
                    .to_owned(),
                svg: by_files(found).svg(),
            },
        ],
        tables: vec![table(
            "All delays",
            ["files", "looks", "until it is seen", "until it has settled", "edits"],
            rows.collect(),
        )],
        command: BENCH_DETECT,
    }
}

/// A line for each tree.
fn by_period(found: &Findings) -> LinePlot {
    let line = |files: usize| {
        let of_size = found.delays.iter().filter(move |delays| delays.files == files);
        let points = of_size.filter_map(|delays| match delays.wake {
            Wake::Every(period) => {
                Some(Point::exact(period.as_secs_f64(), delays.changed.median()))
            }
            Wake::Events => None,
        });
        Line {
            name: files_named(files),
            hue: palette::of_files(files),
            is_dashed: false,
            points: points.collect(),
        }
    };
    let sizes = distinct(found.delays.iter().map(|delays| delays.files));
    let lines: Vec<Line> = sizes.into_iter().map(line).collect();
    LinePlot {
        title: "How long until a change is seen, by polling".to_owned(),
        subtitle: "from the end of the write: half the period, and a look; lower is better"
            .to_owned(),
        x: period_axis(found.delays.iter().map(|delays| delays.wake)),
        y: time_axis(&lines),
        lines,
    }
}

/// Lines for events, and one for each period.
fn by_files(found: &Findings) -> LinePlot {
    let points = |wake: Wake, point: fn(&Delays) -> Point| -> Vec<Point> {
        found.delays.iter().filter(|delays| delays.wake == wake).map(point).collect()
    };
    let mut lines = vec![
        Line {
            name: "events".to_owned(),
            hue: GREEN,
            is_dashed: false,
            points: points(Wake::Events, |delays| {
                Point::of(delays.files as f64, &delays.changed, 1.0)
            }),
        },
        Line {
            name: "events, settled".to_owned(),
            hue: GREEN,
            is_dashed: true,
            points: points(Wake::Events, |delays| {
                Point::of(delays.files as f64, &delays.settled, 1.0)
            }),
        },
    ];
    let wakes: BTreeSet<Wake> = found.delays.iter().map(|delays| delays.wake).collect();
    let polled = wakes.into_iter().filter(|wake| *wake != Wake::Events);
    lines.extend(polled.map(|wake| Line {
        name: format!("every {}", period_label(wake)),
        hue: MUTED,
        is_dashed: false,
        points: points(wake, |delays| Point::exact(delays.files as f64, delays.changed.median())),
    }));
    let files = points(Wake::Events, |delays| Point::exact(delays.files as f64, 0.0));
    let floor = found.bare_event.median();
    lines.push(Line {
        name: "write and bare event".to_owned(),
        hue: FLOOR,
        is_dashed: true,
        points: files.into_iter().map(|point| Point::exact(point.x, floor)).collect(),
    });
    LinePlot {
        title: "Events beside polling".to_owned(),
        subtitle: "from the end of the write until a change is seen; lower is better".to_owned(),
        x: files_axis(found.delays.iter().map(|delays| delays.files)),
        y: time_axis(&lines),
        lines,
    }
}

fn time_axis(lines: &[Line]) -> Axis {
    let medians = lines.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    Axis::log("time", medians, time)
}
