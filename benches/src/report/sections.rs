//! What was measured, subject by subject: plots, and the tables behind them.

mod calls;
mod detection;
mod edits;
mod latency;
mod load;
mod memory;
mod peers;
mod polling;
mod state;
mod unload;

use std::collections::BTreeSet;

use crate::detect::Wake;

use super::axis::Axis;
use super::findings::Findings;
use super::quantity::{count, time};
use super::{Section, Table};

pub(super) fn sections(found: &Findings) -> Vec<Section> {
    let mut sections = vec![
        calls::calls(found),
        latency::latency(found),
        polling::polling(found),
        detection::detection(found),
        edits::edits(found),
        load::load(found),
        unload::unload(found),
        memory::memory(found),
        state::state(found),
    ];
    sections.extend(peers::peers(found));
    sections
}

fn table<const N: usize>(title: &str, head: [&str; N], rows: Vec<[String; N]>) -> Table {
    Table {
        title: title.to_owned(),
        head: head.map(str::to_owned).into(),
        rows: rows.into_iter().map(Into::into).collect(),
    }
}

fn period_label(wake: Wake) -> String {
    match wake {
        Wake::Every(period) => time(period.as_secs_f64()),
        Wake::Events => "events".to_owned(),
    }
}

fn period_axis(wakes: impl Iterator<Item = Wake>) -> Axis {
    let periods = wakes.filter_map(|wake| match wake {
        Wake::Every(period) => Some(period.as_secs_f64()),
        Wake::Events => None,
    });
    Axis::log("polling period", periods, time)
}

fn files_axis(files: impl Iterator<Item = usize>) -> Axis {
    let name = "files in the tree";
    Axis::log(name, files.map(|files| files as f64), |files| count(files.round() as u64))
}

/// In order, each once.
fn distinct(files: impl Iterator<Item = usize>) -> Vec<usize> {
    files.collect::<BTreeSet<_>>().into_iter().collect()
}
