//! What state costs.

use crate::latency::Percentiles;
use crate::report::Section;
use crate::report::figures::BENCH_STATE;
use crate::report::findings::{Findings, StateCost};
use crate::report::quantity::{Unit, bytes, count, time, times};

use super::table;

pub(super) fn state(found: &Findings) -> Section {
    let state = &found.state;
    Section {
        id: "state",
        title: "State",
        text: vec![
            "A cell is locked by the host for the module, which asks for it by schema and name. It is compared with a lock that \
             the host takes itself around a call that does the same. Threads that lock at once count one number."
                .to_owned(),
            format!(
                "A version with the same layout gets the same cell, however large: that swap copies nothing. One with another \
                 layout migrates: {} entities, {} as postcard, are written, read by the step and made anew. Other calls go on \
                 meanwhile; those of the last table use no state.",
                count(state.entities),
                bytes(state.migrated_bytes as f64)
            ),
        ],
        plots: Vec::new(),
        tables: vec![
            table(
                "Locking",
                ["path", "threads", "time of one call", "beside the floor"],
                locks(state),
            ),
            table(
                "Swaps, until a call has run in the new version",
                ["what", "time", "beside the first"],
                swaps(state),
            ),
            table(
                "Migrations, with their swap",
                ["what", "time", "a second", "beside postcard alone"],
                migrations(state),
            ),
            table(
                "Single calls beside migrations, each with two looks at the clock",
                ["what", "when", "median", "99 %", "99.9 %", "all", "samples"],
                callers(state),
            ),
        ],
        command: BENCH_STATE,
    }
}

fn locks(state: &StateCost) -> Vec<[String; 4]> {
    let pairs = state.locks.chunks_exact(2);
    pairs
        .flat_map(|pair| {
            let floor = pair[0].2.median();
            pair.iter().map(move |(path, threads, samples)| {
                [
                    path.name().to_owned(),
                    threads.to_string(),
                    Unit::Seconds.spread(samples),
                    times(samples.median() / floor),
                ]
            })
        })
        .collect()
}

fn swaps(state: &StateCost) -> Vec<[String; 3]> {
    let floor = state.handovers.first().map_or(f64::NAN, |(_, samples)| samples.median());
    let row = |(size, samples): &(usize, crate::Samples)| {
        let what = format!("{} of state", bytes(*size as f64));
        [what, Unit::Seconds.spread(samples), times(samples.median() / floor)]
    };
    state.handovers.iter().map(row).collect()
}

fn migrations(state: &StateCost) -> Vec<[String; 4]> {
    let paths = [
        ("postcard, there and back (floor)", &state.postcard),
        ("a step", &state.up),
        ("its way back", &state.down),
    ];
    let row = |(what, samples): (&str, &crate::Samples)| {
        let rate = state.migrated_bytes as f64 / samples.median();
        [
            what.to_owned(),
            Unit::Seconds.spread(samples),
            bytes(rate),
            times(samples.median() / state.postcard.median()),
        ]
    };
    paths.map(row).into()
}

fn callers(state: &StateCost) -> Vec<[String; 7]> {
    let callers = &state.callers;
    let longest = format!("beside migrations of up to {}", time(callers.longest.as_secs_f64()));
    let sets = [("alone".to_owned(), &callers.undisturbed), (longest, &callers.migrating)];
    let row = |name: &str, when: &str, found: &Percentiles| {
        let shown = |duration: std::time::Duration| time(duration.as_secs_f64());
        [
            name.to_owned(),
            when.to_owned(),
            shown(found.median),
            shown(found.p99),
            shown(found.p999),
            shown(found.max),
            count(found.count),
        ]
    };
    let names = ["raw pointer (floor)", "handle", "name"];
    let rows = sets.iter().flat_map(|(when, paths)| {
        names.iter().zip(*paths).map(move |(name, found)| row(name, when, found))
    });
    rows.collect()
}
