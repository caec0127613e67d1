//! What versions take of memory.

use crate::memory::{AfterSwaps, bytes_per_swap};
use crate::report::axis::Axis;
use crate::report::figures::BENCH_MEMORY;
use crate::report::findings::Findings;
use crate::report::lines::{Line, LinePlot, Point};
use crate::report::palette::{BLUE, FLOOR, GREEN};
use crate::report::quantity::{bytes, count};
use crate::report::{Plot, Section};

use super::table;

pub(super) fn memory(found: &Findings) -> Section {
    let memory = &found.memory;
    let line = |name: &str, hue, is_dashed, readings: &[AfterSwaps]| Line {
        name: name.to_owned(),
        hue,
        is_dashed,
        points: readings
            .iter()
            .map(|reading| Point::exact(reading.swaps as f64, reading.bytes as f64))
            .collect(),
    };
    let megabyte = 1024.0 * 1024.0;
    let plot = |title: &str, lines: Vec<Line>| {
        let swaps = lines.iter().flat_map(|line| line.points.iter().map(|point| point.x));
        let memory = lines.iter().flat_map(|line| line.points.iter().map(|point| point.y));
        let swap_steps = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];
        let memory_steps = [
            4096.0,
            16384.0,
            65536.0,
            megabyte / 4.0,
            megabyte,
            2.0 * megabyte,
            5.0 * megabyte,
            10.0 * megabyte,
            50.0 * megabyte,
        ];
        let (swaps, memory): (Vec<f64>, Vec<f64>) = (swaps.collect(), memory.collect());
        LinePlot {
            title: title.to_owned(),
            subtitle: "anonymous memory of the process beyond that at the start; lower is better"
                .to_owned(),
            x: Axis::linear("swaps", swaps, &swap_steps, |value| count(value as u64)),
            y: Axis::linear("memory", memory, &memory_steps, bytes),
            lines,
        }
        .svg()
    };
    let kept = vec![
        line("versions kept", BLUE, false, &memory.kept),
        line("C libraries kept", FLOOR, true, &memory.kept_c),
    ];
    let unloaded = vec![line("versions unloaded", GREEN, false, &memory.unloaded)];
    let row = |what: &str, readings: &[AfterSwaps]| {
        let last = readings.last().copied().unwrap_or(AfterSwaps { swaps: 0, bytes: 0 });
        [
            what.to_owned(),
            count(last.swaps),
            bytes(last.bytes as f64),
            bytes(bytes_per_swap(readings)),
        ]
    };
    let rows = vec![
        row("tiny C libraries, kept (floor)", &memory.kept_c),
        row("versions, kept by guards", &memory.kept),
        row("versions, unloaded", &memory.unloaded),
    ];
    Section {
        id: "memory",
        title: "Memory",
        text: vec![
            "Anonymous memory is what belongs to the process alone and to no file: heap, relocated and written pages of \
             libraries. Two modules of 48 lines in release profile are offered in turn. A guard keeps a version; without guards \
             the version before is unmapped at each swap, and that is waited for."
                .to_owned(),
        ],
        plots: vec![
            Plot {
                name: "memory_kept",
                caption: "Versions that are kept, beside copies of a tiny C library that are kept.".to_owned(),
                svg: plot("Memory of versions that are kept", kept),
            },
            Plot {
                name: "memory_unloaded",
                caption: "Versions that are unloaded: what is left is the allocator's.".to_owned(),
                svg: plot("Memory of versions that are unloaded", unloaded),
            },
        ],
        tables: vec![table("Memory", ["what", "swaps", "in all", "for each"], rows)],
        command: BENCH_MEMORY,
    }
}
