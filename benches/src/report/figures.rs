//! The figures to reach, from what was measured.

mod http;
mod modules;

use std::time::Duration;

use crate::Samples;
use crate::call::{CallCost, CallPath};
use crate::detect::Wake;
use crate::latency::UnderSwaps;
use crate::memory::bytes_per_swap;
use crate::module_crate::Size;
use crate::poll_frequency::PollShare;
use crate::state::LockPath;

use super::figure::{Figure, Reading, Target};
use super::findings::{EditCost, Findings, PolledEdits, SourceCost};
use super::quantity::{Unit, bytes, count, files_named, threads_named, time};

pub(super) const BENCH_CALL: &str = "cargo bench -p hotswap-benches --bench call";
pub(super) const BENCH_SWAP: &str = "cargo bench -p hotswap-benches --bench swap";
pub(super) const BENCH_POLL: &str = "cargo bench -p hotswap-benches --bench poll_frequency";
pub(super) const BENCH_DETECT: &str = "cargo bench -p hotswap-benches --bench detect";
pub(super) const BENCH_BUILD: &str = "cargo bench -p hotswap-benches --bench build";
pub(super) const BENCH_LOAD: &str = "cargo bench -p hotswap-benches --bench load";
pub(super) const BENCH_SOURCES: &str = "cargo bench -p hotswap-benches --bench sources";
pub(super) const BENCH_HTTP: &str = "cargo bench -p hotswap-benches --bench http";
pub(super) const BENCH_MODULES: &str = "cargo bench -p hotswap-benches --bench modules";
pub(super) const BENCH_MEMORY: &str = "cargo bench -p hotswap-benches --bench memory";
pub(super) const BENCH_STATE: &str = "cargo bench -p hotswap-benches --bench state";
pub(super) const BENCH_UNLOAD: &str = "cargo bench -p hotswap-benches --bench unload";
/// What criterion has no group for.
pub(super) const REPORT: &str = "cargo run --release -p hotswap-benches --bin report";

pub(super) fn figures(found: &Findings) -> Vec<Figure> {
    let mut figures = calls(found);
    figures.extend(latency(found));
    figures.extend(load(found));
    figures.extend(unload(found));
    for edits in &found.edits {
        figures.extend(edit_to_live(edits));
    }
    figures.extend(edit_by_polling(found));
    figures.extend(detection(found));
    figures.extend(idle_polls(found));
    figures.extend(idle_shares(found));
    figures.extend(sources(&found.sources));
    figures.extend(http::http(&found.http));
    figures.extend(modules::modules(&found.modules));
    figures.extend(memory(found));
    figures.extend(locks(found));
    figures.extend(state(found));
    figures
}

fn cost(costs: &[CallCost], path: CallPath, threads: usize) -> &Samples {
    let found = costs.iter().find(|cost| cost.path == path && cost.threads == threads);
    &found.expect("every path is measured on every number of threads").samples
}

fn calls(found: &Findings) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (path, most, most_ever, flat) in
        [(CallPath::Handle, 1.5, Some(1.75), 1.2), (CallPath::Name, 4.0, None, 1.3)]
    {
        let name = path.name();
        let raw = cost(&found.calls, CallPath::Raw, 1);
        let one = cost(&found.calls, path, 1);
        figures.push(Figure {
            what: format!("call by {name}, 1 thread"),
            floor: Reading::median("raw pointer", Unit::Seconds, raw),
            ours: Reading::median(name, Unit::Seconds, one),
            target: Target::Times(most),
            command: BENCH_CALL,
        });
        if let Some(most) = most_ever {
            figures.push(worst_call(found, path, most));
        }
        figures.push(Figure {
            what: format!("call by {name}, 8 threads beside 1"),
            floor: Reading::median(format!("{name}, 1 thread"), Unit::Seconds, one),
            ours: Reading::median(
                format!("{name}, 8 threads"),
                Unit::Seconds,
                cost(&found.calls, path, 8),
            ),
            target: Target::Times(flat),
            command: BENCH_CALL,
        });
    }
    figures
}

/// The worst median of a path, on any number of threads, idle or while the library is swapped.
fn worst_call(found: &Findings, path: CallPath, most: f64) -> Figure {
    let of = |costs: &[CallCost], is_swapped| -> Vec<(f64, Figure)> {
        let own = costs.iter().filter(|cost| cost.path == path);
        own.map(|own| {
            let raw = cost(costs, CallPath::Raw, own.threads);
            let when = if is_swapped { "under swaps" } else { "idle" };
            let place = format!("{}, {when}", threads_named(own.threads));
            let figure = Figure {
                what: format!("call by {}, the worst of all ({place})", path.name()),
                floor: Reading::median(format!("raw pointer, {place}"), Unit::Seconds, raw),
                ours: Reading::median(path.name(), Unit::Seconds, &own.samples),
                target: Target::Times(most),
                command: BENCH_CALL,
            };
            (figure.ratio().unwrap_or_default(), figure)
        })
        .collect()
    };
    let all = of(&found.calls, false).into_iter().chain(of(&found.calls_under_swaps, true));
    let worst = all.max_by(|one, other| one.0.total_cmp(&other.0));
    worst.expect("a path is measured at least once").1
}

fn latency(found: &Findings) -> Vec<Figure> {
    let [spared, busy] = &found.latency;
    let rate = |found: &UnderSwaps| {
        format!(
            "{} swaps a second, {} callers",
            count(found.swaps_per_second as u64),
            found.callers
        )
    };
    let reading = |what: &str, time: Duration, found: &UnderSwaps| {
        Reading::one(what, Unit::Seconds, time.as_secs_f64(), rate(found))
    };
    let mut figures = Vec::new();
    for (name, calls) in [("handle", &spared.handle), ("name", &spared.name)] {
        let figure = |share: &str, raw, ours, most| Figure {
            what: format!("one call by {name} under swaps, {share}"),
            floor: reading("raw pointer, both with a look at the clock", raw, spared),
            ours: reading(name, ours, spared),
            target: Target::SecondsMore(most),
            command: BENCH_SWAP,
        };
        figures.push(figure("99 %", spared.raw.p99, calls.p99, 20e-9));
        figures.push(figure("99.9 %", spared.raw.p999, calls.p999, 250e-9));
    }
    let publish = |share: &str, floor, ours, most| Figure {
        what: format!("publish while every core calls, {share}"),
        floor: reading("with a core to spare", floor, spared),
        ours: reading("every core busy", ours, busy),
        target: Target::Seconds(most),
        command: BENCH_SWAP,
    };
    figures.push(publish("median", spared.publish.median, busy.publish.median, 50e-6));
    figures.push(publish("99 %", spared.publish.p99, busy.publish.p99, 2e-3));
    figures
}

fn load(found: &Findings) -> [Figure; 1] {
    [Figure {
        what: "built artifact to callable".to_owned(),
        floor: Reading::median("dlopen of a tiny C library", Unit::Seconds, &found.load.tiny),
        ours: Reading::median("told to current", Unit::Seconds, &found.load.built),
        target: Target::Times(10.0),
        command: BENCH_LOAD,
    }]
}

/// What is left of a call's wait for an unload is what a processor does who unmaps: 20 ns, as under swaps.
fn unload(found: &Findings) -> [Figure; 3] {
    let unload = &found.unload;
    let calls = &unload.calls;
    let rate = format!(
        "{} unloads a second, {} callers",
        count(calls.unloads_per_second as u64),
        calls.callers
    );
    let reading = |what: &str, time: Duration| {
        Reading::one(what, Unit::Seconds, time.as_secs_f64(), rate.clone())
    };
    let call = |share: &str, idle, unloading| Figure {
        what: format!("one call by handle while versions are unloaded, {share}"),
        floor: reading("while nothing happens", idle),
        ours: reading("while versions are unloaded", unloading),
        target: Target::SecondsMore(20e-9),
        command: BENCH_UNLOAD,
    };
    [
        call("median", calls.idle.median, calls.unloading.median),
        call("99 %", calls.idle.p99, calls.unloading.p99),
        Figure {
            what: "rollback to a version that is kept".to_owned(),
            floor: Reading::median("dlopen of a tiny C library", Unit::Seconds, &found.load.tiny),
            ours: Reading::median("asked to done", Unit::Seconds, &unload.way_back),
            target: Target::Seconds(1e-3),
            command: BENCH_UNLOAD,
        },
    ]
}

fn edit_to_live(edits: &EditCost) -> [Figure; 2] {
    let size = edits.size.name();
    let live = Samples::of_times(edits.live.iter().map(|edit| edit.total));
    // Where a faster linker than the toolchain's own is installed, more is asked.
    let most = if is_installed("wild") { 0.75 } else { 0.85 };
    let against = |floor: &str, samples, most| Figure {
        what: format!("edit to live by events, {size}, beside {floor}"),
        floor: Reading::median(floor, Unit::Seconds, samples),
        ours: Reading::median("edit to live", Unit::Seconds, &live),
        target: Target::Times(most),
        command: BENCH_BUILD,
    };
    [
        against("cargo build", &edits.cargo, most),
        against("rustc --emit=metadata", &edits.front_end, 3.0),
    ]
}

/// Whether a program lies on `PATH`.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The edits of the first size, polled: the average, since the moments of the edits are spread evenly over the period.
fn edit_by_polling(found: &Findings) -> Option<Figure> {
    let edits = found.edits.iter().find(|edits| edits.size == Size::Small)?;
    let PolledEdits { polled, by_events } = edits.polled.as_ref()?;
    let half = found.edit_period.as_secs_f64() / 2.0;
    let period = time(found.edit_period.as_secs_f64());
    let samples = |samples: &Samples| {
        format!("mean; {}, {} samples", Unit::Seconds.range(samples), samples.count())
    };
    Some(Figure {
        what: format!("edit to live, polled every {period}, {}", edits.size.name()),
        floor: Reading::one(
            format!("by events, and {}", time(half)),
            Unit::Seconds,
            by_events.mean() + half,
            samples(by_events),
        ),
        ours: Reading::one("polled", Unit::Seconds, polled.mean(), samples(polled)),
        target: Target::Times(1.05),
        command: REPORT,
    })
}

fn detection(found: &Findings) -> Vec<Figure> {
    let by_events = found.delays.iter().filter(|delays| delays.wake == Wake::Events);
    let by_events = by_events.filter(|delays| delays.files == 1 || delays.files >= 1_000);
    by_events
        .map(|delays| Figure {
            what: format!("detection by events, {}, settled", files_named(delays.files)),
            floor: Reading::median("a write and its bare event", Unit::Seconds, &found.bare_event),
            ours: Reading::median("end of the write to settled", Unit::Seconds, &delays.settled),
            target: Target::Seconds(5e-3),
            command: BENCH_DETECT,
        })
        .collect()
}

fn idle_polls(found: &Findings) -> Vec<Figure> {
    let large = found.idle_polls.iter().filter(|poll| poll.files >= 1_000);
    large
        .map(|poll| Figure {
            what: format!("idle poll of {}", files_named(poll.files)),
            floor: Reading::median("statx of the known paths", Unit::Seconds, &poll.floor),
            ours: Reading::median(
                format!("one look, {} files read", poll.files_read),
                Unit::Seconds,
                &poll.samples,
            ),
            target: Target::Times(2.5),
            command: BENCH_POLL,
        })
        .collect()
}

fn sources(found: &SourceCost) -> Vec<Figure> {
    let look = |name: &str, samples, most| Figure {
        what: format!("idle look, {name}"),
        floor: Reading::median("statx of one path", Unit::Seconds, &found.stat),
        ours: Reading::median("one look", Unit::Seconds, samples),
        target: Target::Times(most),
        command: BENCH_SOURCES,
    };
    // What lies between: it is fetched, stored, verified, staged, loaded and connected.
    let live = |what: &str, floor: (&str, &Samples), samples, target| Figure {
        what: format!("{what}, to its first call"),
        floor: Reading::median(floor.0, Unit::Seconds, floor.1),
        ours: Reading::median("and sync, and call", Unit::Seconds, samples),
        target,
        command: BENCH_SOURCES,
    };
    let publish = ("publish alone", &found.publish_alone);
    let copy = ("copy alone", &found.copy_alone);
    let cargo = ("cargo build of the edit", &found.cargo_build);
    let more = Target::SecondsMore(2e-2);
    vec![
        look("string", &found.string, 1.0),
        look("prebuilt library", &found.prebuilt, 2.0),
        look("SQLite", &found.sqlite, 5.0),
        look("SQLite, one of 1,000 modules", &found.sqlite_of_many, 8.0),
        live("a library is published", publish, &found.publish_to_live, more),
        live("the same, to a chain", publish, &found.chain_to_live, more),
        // 20 ms of it pass until it has stood still.
        live("a library is replaced", copy, &found.library_to_live, Target::SecondsMore(4e-2)),
        live("a string is set", cargo, &found.string_to_live, Target::Times(1.0)),
    ]
}

/// The share that a tree takes of a processor when it is looked at this often.
fn share_of(found: &Findings, files: usize, wake: Wake) -> Option<&PollShare> {
    found.shares.iter().find(|share| share.files == files && share.wake == wake)
}

fn idle_shares(found: &Findings) -> Vec<Figure> {
    let second = Wake::Every(Duration::from_secs(1));
    let window = time(found.long_window.as_secs_f64());
    let figure = |sources: usize, most| {
        let share = share_of(found, sources, second)?;
        let poll = found.idle_polls.iter().find(|poll| poll.files == sources)?;
        Some(Figure {
            what: format!("idle, polled every second, {}", files_named(sources)),
            floor: Reading::one(
                "statx of the known paths each second",
                Unit::Share,
                poll.floor.median(),
                format!("{} samples", poll.floor.count()),
            ),
            ours: Reading::one(
                "processor time",
                Unit::Share,
                share.share,
                format!("over {window}"),
            ),
            target: Target::Share(most),
            command: REPORT,
        })
    };
    [figure(1, 0.0002), figure(1_000, 0.005)].into_iter().flatten().collect()
}

fn memory(found: &Findings) -> [Figure; 2] {
    let memory = &found.memory;
    let reading = |what, readings: &[_]| {
        let swaps = readings.last().map_or(0, |last: &crate::memory::AfterSwaps| last.swaps);
        let certainty = format!("mean of {} versions", count(swaps));
        Reading::one(what, Unit::Bytes, bytes_per_swap(readings), certainty)
    };
    let figure = |what: &str, readings, most| Figure {
        what: what.to_owned(),
        floor: reading("a tiny C library", &memory.kept_c),
        ours: reading("a version of 48 lines", readings),
        target: Target::Bytes(most),
        command: BENCH_MEMORY,
    };
    [
        figure("memory of a kept version", &memory.kept, 32.0 * 1024.0),
        // A page more or less for a hundred versions is the allocator's.
        figure("memory of an unloaded version", &memory.unloaded, 64.0),
    ]
}

fn locks(found: &Findings) -> Vec<Figure> {
    let pairs = found.state.locks.chunks_exact(2);
    pairs
        .map(|pair| {
            let [(_, _, floor), (path, threads, ours)] = pair else { unreachable!("two of them") };
            let floor_name = match path {
                LockPath::Lock => "the call, a Mutex of the host around it",
                _ => "the call, a RwLock of the host around it",
            };
            Figure {
                what: format!("{}, {}", path.name(), threads_named(*threads)),
                floor: Reading::median(floor_name, Unit::Seconds, floor),
                ours: Reading::median("by handle", Unit::Seconds, ours),
                target: Target::SecondsMore(250e-9),
                command: BENCH_STATE,
            }
        })
        .collect()
}

fn state(found: &Findings) -> Vec<Figure> {
    let state = &found.state;
    let mut figures = Vec::new();
    if let [(least, floor), .., (most, ours)] = &state.handovers[..] {
        figures.push(Figure {
            what: format!("swap with {} of state", bytes(*most as f64)),
            floor: Reading::median(format!("with {}", bytes(*least as f64)), Unit::Seconds, floor),
            ours: Reading::median("the same layout", Unit::Seconds, ours),
            target: Target::Times(1.2),
            command: BENCH_STATE,
        });
    }
    for (what, samples, most) in [("a step", &state.up, 2.0), ("its way back", &state.down, 2.0)] {
        figures.push(Figure {
            what: format!("swap with {what}, {} of postcard", bytes(state.migrated_bytes as f64)),
            floor: Reading::median("postcard, there and back", Unit::Seconds, &state.postcard),
            ours: Reading::median("the whole swap", Unit::Seconds, samples),
            target: Target::Times(most),
            command: BENCH_STATE,
        });
    }
    let callers = &state.callers;
    let shown = threads_named(callers.callers);
    let calls = callers.undisturbed.iter().zip(&callers.migrating).zip(["raw", "handle", "name"]);
    for ((alone, beside), name) in calls.skip(1) {
        let reading = |what: &str, time: Duration| {
            Reading::one(what, Unit::Seconds, time.as_secs_f64(), shown.clone())
        };
        figures.push(Figure {
            what: format!(
                "one call by {name} beside migrations that are none of its business, 99 %"
            ),
            floor: reading("with none", alone.p99),
            ours: reading("while one runs", beside.p99),
            target: Target::SecondsMore(250e-9),
            command: BENCH_STATE,
        });
    }
    figures
}
