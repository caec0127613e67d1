//! The figures of a registry with many modules.

use crate::Samples;
use crate::report::figure::{Figure, Reading, Target};
use crate::report::findings::ModuleCost;
use crate::report::quantity::{Unit, count, time};

use super::BENCH_MODULES;

pub(super) fn modules(found: &ModuleCost) -> Vec<Figure> {
    let mut figures = standing(found);
    figures.extend(calls(found));
    figures.extend(shared(found));
    figures
}

/// What many take of the machine, and each of them of time.
fn standing(found: &ModuleCost) -> Vec<Figure> {
    let (few, many, bare) = (&found.few, &found.many, &found.bare);
    let all = format!("{} modules", count(many.modules as u64));
    let mean = format!("mean of {}", count(many.modules as u64));
    let mean_of_few = format!("mean of {}", count(few.modules as u64));
    let threads = |threads: usize, of: &str| {
        Reading::one(of, Unit::Threads, threads as f64, "those of the host are not counted")
    };
    let figure = |what: &str, floor, ours, target| Figure {
        what: format!("{what}, {all}"),
        floor,
        ours,
        target,
        command: BENCH_MODULES,
    };
    let bytes = |what, bytes| Reading::one(what, Unit::Bytes, bytes, mean.clone());
    let seconds = |what: &str, seconds, of: &str| Reading::one(what, Unit::Seconds, seconds, of);
    vec![
        figure(
            "threads",
            threads(found.threads_of_one, "one engine"),
            threads(many.threads, "one registry"),
            Target::Times(1.0),
        ),
        figure(
            "resident memory of a module",
            bytes("dlopen alone", bare.resident),
            bytes("in a registry", many.resident),
            Target::Times(1.5),
        ),
        figure(
            "anonymous memory of a module",
            bytes("dlopen alone", bare.anonymous),
            bytes("in a registry", many.anonymous),
            Target::Bytes(64.0 * 1_024.0),
        ),
        figure(
            "idle, polled every second",
            Reading::one(
                "stat of each file each second",
                Unit::Share,
                found.stat.median(),
                format!("{} samples", found.stat.count()),
            ),
            Reading::one(
                "processor time",
                Unit::Share,
                many.idle,
                format!("over {}", time(found.window.as_secs_f64())),
            ),
            Target::Share(0.005),
        ),
        // 20 ms of it pass until the file has stood still.
        figure(
            "load of a module",
            seconds("of few", few.load, &mean_of_few),
            seconds("of all", many.load, &mean),
            Target::Times(1.5),
        ),
        figure(
            "end of a module",
            seconds("of few", few.drop, &mean_of_few),
            seconds("of all", many.drop, &mean),
            Target::Times(1.5),
        ),
        figure(
            "one library is replaced, to its first call",
            Reading::median("a registry of one", Unit::Seconds, &found.wake_of_one),
            Reading::median("a registry of all", Unit::Seconds, &found.wake_of_many),
            Target::SecondsMore(2e-2),
        ),
    ]
}

fn calls(found: &ModuleCost) -> Vec<Figure> {
    let [host, named, kept, guard, pinned] = &found.calls;
    let figure = |what: &str, samples, target| Figure {
        what: format!("call of a module {what}"),
        floor: Reading::median("by the host, by name", Unit::Seconds, host),
        ours: Reading::median("one call", Unit::Seconds, samples),
        target,
        command: BENCH_MODULES,
    };
    vec![
        figure("by another, engine_named(..) each time", named, Target::SecondsMore(250e-9)),
        figure("by another that keeps the caller", kept, Target::SecondsMore(250e-9)),
        figure("by a guard of Modules::pin()", guard, Target::Times(1.5)),
        figure("by Modules::pin() of two each time", pinned, Target::SecondsMore(2e-6)),
    ]
}

/// An edit of what many share, beside cargo, and beside as many edits of one.
fn shared(found: &ModuleCost) -> [Figure; 2] {
    let of = format!("{} modules", count(found.sharing as u64));
    let builds = &found.builds;
    let figure = |beside: &str, floor, target| Figure {
        what: format!("edit of a shared crate until {of} run it, beside {beside}"),
        floor,
        ours: Reading::median(
            format!(
                "reload_all, {} builds in {} edits, cargo in {}",
                builds.builds, builds.edits, builds.by_cargo
            ),
            Unit::Seconds,
            &found.shared_by_many,
        ),
        target,
        command: BENCH_MODULES,
    };
    let apart = Samples::new([found.shared_by_one.median() * found.sharing as f64]);
    [
        figure(
            "cargo",
            Reading::median("cargo build --workspace", Unit::Seconds, &found.cargo_workspace),
            Target::Times(3.0),
        ),
        figure(
            "each alone",
            Reading::median("as many times one", Unit::Seconds, &apart),
            Target::Times(1.0),
        ),
    ]
}
