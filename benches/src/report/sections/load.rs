//! From a library to the first call in it.

use crate::Samples;
use crate::report::axis::Axis;
use crate::report::bars::{Bar, BarPlot};
use crate::report::figures::BENCH_LOAD;
use crate::report::findings::Findings;
use crate::report::palette::{BLUE, FLOOR, TEAL};
use crate::report::quantity::{Unit, bytes, time, times};
use crate::report::{Plot, Section};

use super::table;

pub(super) fn load(found: &Findings) -> Section {
    let load = &found.load;
    let large = bytes(load.large_bytes as f64);
    let bar = |name: String, is_first, samples: &Samples, hue| Bar {
        name,
        is_first,
        parts: vec![(samples.median(), hue)],
    };
    let small = [
        bar("dlopen of a tiny C library".to_owned(), true, &load.tiny, FLOOR),
        bar("module that was built".to_owned(), false, &load.built, BLUE),
        bar("module that is offered".to_owned(), false, &load.offered, TEAL),
    ];
    let longest = small.iter().map(|bar| bar.parts[0].0).collect::<Vec<_>>();
    let steps = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2];
    let plot = BarPlot {
        title: "From a library to the first call in it".to_owned(),
        subtitle: "a module of 48 lines, release profile; shorter is better".to_owned(),
        axis: Axis::linear("time", longest, &steps, time),
        legend: vec![("floor", FLOOR), ("hard link", BLUE), ("private copy", TEAL)],
        bars: small.into(),
    };
    let row = |what: String, samples: &Samples, floor: &Samples| {
        [what, Unit::Seconds.spread(samples), times(samples.median() / floor.median())]
    };
    let rows = vec![
        row("dlopen of a tiny C library, dlsym, call (floor)".to_owned(), &load.tiny, &load.tiny),
        row("built artifact: told to current".to_owned(), &load.built, &load.tiny),
        row("foreign library: offered to called".to_owned(), &load.offered, &load.tiny),
        row(format!("read {large} (floor)"), &load.large_read, &load.large_read),
        row(
            format!("foreign library of {large}: offered to called"),
            &load.large_offered,
            &load.large_read,
        ),
    ];
    Section {
        id: "load",
        title: "Loading",
        text: vec![
            "What is left of a swap when the build is over: the file is verified, gets a name of its own, is loaded, connected \
             and published. A library that the engine built is linked into place; a foreign one, which may be \
             overwritten at any time, is copied first. The intent is in hotswap.log before the effect, and its writing is waited for."
                .to_owned(),
            format!(
                "A library with {large} of sections that are not loaded, as debug information is, is asked of the system {} \
                 on its way, by `read`.",
                times(load.large_times_read)
            ),
        ],
        plots: vec![Plot {
            name: "load",
            caption: format!("Medians of {} loads each.", load.built.count()),
            svg: plot.svg(),
        }],
        tables: vec![table("Loads", ["what", "time", "beside its floor"], rows)],
        command: BENCH_LOAD,
    }
}
