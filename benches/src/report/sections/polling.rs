//! What looking costs while nothing changes.

use crate::Samples;
use crate::detect::Wake;
use crate::poll_frequency::IdlePoll;
use crate::report::axis::Axis;
use crate::report::figures::BENCH_POLL;
use crate::report::findings::Findings;
use crate::report::lines::{Line, LinePlot, Point};
use crate::report::palette::{BLUE, FLOOR};
use crate::report::quantity::{Unit, count, files_named, share, time, times};
use crate::report::{Plot, Section, palette};

use super::{distinct, files_axis, period_axis, period_label, table};

pub(super) fn polling(found: &Findings) -> Section {
    let polls = &found.idle_polls;
    let look_rows = polls.iter().map(|poll| {
        [
            count(poll.files as u64),
            Unit::Seconds.spread(&poll.floor),
            Unit::Seconds.spread(&poll.samples),
            times(poll.samples.median() / poll.floor.median()),
            poll.files_read.to_string(),
        ]
    });
    let share_rows = found
        .shares
        .iter()
        .map(|found| [count(found.files as u64), period_label(found.wake), share(found.share)]);
    Section {
        id: "polling",
        title: "Polling while nothing changes",
        text: vec![
            "A look asks the system about each file that goes into the build and about each folder, for what is new. The \
             floor asks about the same files by their known paths, and finds nothing new. Both are told in processor time."
                .to_owned(),
            format!(
                "The processor time by period is that of the monitor's threads, read from the scheduler. Periods from a \
                 second on, and events, were watched together for {}; the point of 10 s is of a few looks only. With events the \
                 monitor looks every ten seconds as well.",
                time(found.long_window.as_secs_f64())
            ),
        ],
        plots: vec![
            Plot {
                name: "look",
                caption: "Medians; shaded, where nine of ten samples lie.".to_owned(),
                svg: look(found).svg(),
            },
            Plot {
                name: "poll_frequency",
                caption: "One reading each. A period is counted from the end of one look to the beginning of the next.".to_owned(),
                svg: shares(found).svg(),
            },
        ],
        tables: vec![
            table(
                "One idle look",
                ["files", "statx of the known paths", "one look", "ratio", "files read"],
                look_rows.collect(),
            ),
            table(
                "Processor time",
                ["files", "looks", "share of one processor"],
                share_rows.collect(),
            ),
        ],
        command: BENCH_POLL,
    }
}

/// One look, and its floor, by the size of the tree.
fn look(found: &Findings) -> LinePlot {
    let points = |samples: fn(&IdlePoll) -> &Samples| -> Vec<Point> {
        let polls = found.idle_polls.iter();
        polls.map(|poll| Point::of(poll.files as f64, samples(poll), 1.0)).collect()
    };
    let lines = vec![
        Line {
            name: "one look".to_owned(),
            hue: BLUE,
            is_dashed: false,
            points: points(|poll| &poll.samples),
        },
        Line {
            name: "statx (floor)".to_owned(),
            hue: FLOOR,
            is_dashed: true,
            points: points(|poll| &poll.floor),
        },
    ];
    let values = lines.iter().flat_map(|line| line.points.iter().flat_map(|p| [p.low, p.high]));
    LinePlot {
        title: "What one idle look costs".to_owned(),
        subtitle: "nothing changed: no file is read; lower is better".to_owned(),
        x: files_axis(found.idle_polls.iter().map(|poll| poll.files)),
        y: Axis::log("processor time", values, time),
        lines,
    }
}

/// Processor time by the period, a line for each tree.
fn shares(found: &Findings) -> LinePlot {
    let line = |files: usize| {
        let polled = found.shares.iter().filter(move |share| share.files == files);
        let points = polled.filter_map(|share| match share.wake {
            // What is too little to be counted is no point of a logarithmic axis.
            Wake::Every(period) if share.share > 0.0 => {
                Some(Point::exact(period.as_secs_f64(), share.share))
            }
            Wake::Every(_) | Wake::Events => None,
        });
        Line {
            name: files_named(files),
            hue: palette::of_files(files),
            is_dashed: false,
            points: points.collect(),
        }
    };
    let sizes = distinct(found.shares.iter().map(|share| share.files));
    let lines: Vec<Line> = sizes.into_iter().map(line).collect();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    LinePlot {
        title: "What polling costs by its period".to_owned(),
        subtitle: "processor time of the monitor's threads while nothing changes; lower is better"
            .to_owned(),
        x: period_axis(found.shares.iter().map(|share| share.wake)),
        y: Axis::log("share of one processor", values, share),
        lines,
    }
}
