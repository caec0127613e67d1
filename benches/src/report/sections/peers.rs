//! What a user would pick instead.

use crate::report::Section;
use crate::report::findings::Findings;
use crate::report::quantity::{Unit, times};

use super::table;

/// What measures them.
const COMMAND: &str = "cargo run --release -p hotswap-benches --features peers --bin report";

pub(super) fn peers(found: &Findings) -> Option<Section> {
    if found.peers.is_empty() {
        return None;
    }
    let tables = found.peers.iter().map(|comparison| {
        let floor = &comparison.readings.first().expect("the floor comes first").1;
        let rows = comparison.readings.iter().map(|(name, samples)| {
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
        plots: Vec::new(),
        tables: tables.collect(),
        command: COMMAND,
    })
}
