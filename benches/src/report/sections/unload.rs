//! What unloading costs, and whom.

use std::time::Duration;

use crate::Samples;
use crate::latency::Percentiles;
use crate::report::Section;
use crate::report::figures::BENCH_UNLOAD;
use crate::report::findings::Findings;
use crate::report::quantity::{Unit, count, time, times};

use super::table;

pub(super) fn unload(found: &Findings) -> Section {
    let unload = &found.unload;
    let calls = |name: &str, times: &Percentiles| {
        let shown = |duration: Duration| time(duration.as_secs_f64());
        [
            name.to_owned(),
            shown(times.median),
            shown(times.p99),
            shown(times.p999),
            shown(times.max),
            count(times.count),
        ]
    };
    let row = |what: &str, samples: &Samples| {
        let ratio = samples.median() / unload.close_c.median();
        [what.to_owned(), Unit::Seconds.spread(samples), times(ratio)]
    };
    Section {
        id: "unload",
        title: "Unloading and the way back",
        text: vec![
            "Versions are unloaded on the engine\u{2019}s own thread. Single calls are timed one by one, in turns: while \
             nothing happens, and while one version after the other is replaced and unloaded, as fast as can be. Each time holds \
             two looks at the clock."
                .to_owned(),
            "A version is gone when the process\u{2019}s mappings say so, which are read each time. The way back to a version \
             that is kept is one write; what takes the time is that hotswap.log says so first, and that what serves now and \
             what is in quarantine is noted for the next process."
                .to_owned(),
        ],
        plots: Vec::new(),
        tables: vec![
            table(
                &format!(
                    "Calls by handle, {} unloads a second, {} callers",
                    count(unload.calls.unloads_per_second as u64),
                    unload.calls.callers
                ),
                ["meanwhile", "median", "99 %", "99.9 %", "all", "samples"],
                vec![
                    calls("nothing (floor)", &unload.calls.idle),
                    calls("versions are unloaded", &unload.calls.unloading),
                ],
            ),
            table(
                "Time",
                ["what", "time", "beside the floor"],
                vec![
                    row("dlclose of a tiny C library (floor)", &unload.close_c),
                    row("unload of an idle version", &unload.idle_version),
                    row("rollback to a version that is kept", &unload.way_back),
                ],
            ),
        ],
        command: BENCH_UNLOAD,
    }
}
