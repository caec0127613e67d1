//! What versions take of memory: those that are kept, and those that are unloaded.

use std::fs;
use std::path::Path;

use hotswap_engine::{Engine, Guard};

use crate::load::{Libraries, Offers, load_c};
use crate::{Outcome, Workshop};

/// Memory after so many swaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfterSwaps {
    /// How many there were.
    pub swaps: u64,
    /// Anonymous memory of the process beyond that at the start, in bytes; it may be less.
    pub bytes: i64,
}

/// Swaps before anything is counted: allocators and tables have their size then.
const WARM_UP: u64 = 50;

/// Anonymous memory of this process in bytes. *Source*: `/proc/self/smaps_rollup`, proc_pid_smaps(5).
///
/// # Errors
///
/// When the system does not tell.
pub fn anonymous_bytes() -> Outcome<i64> {
    rollup("Anonymous:")
}

/// Memory of this process that is present, in bytes, with the pages of files that it has mapped. *Source*: as of
/// [`anonymous_bytes`].
///
/// # Errors
///
/// When the system does not tell.
pub fn resident_bytes() -> Outcome<i64> {
    rollup("Rss:")
}

fn rollup(field: &str) -> Outcome<i64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let found = text.lines().find_map(|line| line.strip_prefix(field));
    let number = found.and_then(|rest| rest.trim().strip_suffix("kB"));
    Ok(number.ok_or_else(|| format!("smaps_rollup has no {field}"))?.trim().parse::<i64>()? * 1_024)
}

/// Swaps between two modules so many times, and looks after every `every`. The versions before are unloaded.
///
/// # Errors
///
/// When a library is refused.
pub fn unloaded(libraries: &Libraries, swaps: u64, every: u64) -> Outcome<Vec<AfterSwaps>> {
    let offers = Offers::open(&libraries.modules[0])?;
    let offer = |swap: u64| offers.offer(&libraries.modules[(swap % 2) as usize]);
    (0..WARM_UP).try_for_each(|swap| offer(swap).map(drop))?;
    grown(swaps, every, |swap| offer(swap).map(drop))
}

/// As [`unloaded`], with a guard on each version. Ends before `swaps` when the engine keeps no more.
///
/// # Errors
///
/// When the first library is refused.
pub fn kept(libraries: &Libraries, swaps: u64, every: u64) -> Outcome<Vec<AfterSwaps>> {
    let rarely = std::time::Duration::from_secs(3_600);
    let open = || {
        Engine::builder(&libraries.modules[0])
            .without_log()
            .poll_every(rarely)
            .keep_versions(0)
            .open()
    };
    let engine = open()?;
    let mut guards: Vec<Guard> = Vec::with_capacity((swaps + WARM_UP) as usize);
    let mut keep = |swap: u64| -> Outcome<()> {
        engine.offer(&libraries.modules[(swap % 2) as usize])?;
        guards.push(engine.pin());
        Ok(())
    };
    (0..WARM_UP).try_for_each(&mut keep)?;
    grown(swaps, every, keep)
}

/// As [`kept`], with copies of the tiny C library: what the loader itself takes, the floor.
///
/// # Errors
///
/// When a copy cannot be written or loaded.
pub fn kept_c(
    workshop: &Workshop,
    tiny: &Path,
    swaps: u64,
    every: u64,
) -> Outcome<Vec<AfterSwaps>> {
    let directory = workshop.directory("copies")?;
    let mut loaded = Vec::with_capacity((swaps + WARM_UP) as usize);
    let mut number = 0;
    let mut keep = |_| -> Outcome<()> {
        let path = directory.join(format!("{number}.so"));
        number += 1;
        fs::copy(tiny, &path)?;
        loaded.push(load_c(&path)?);
        Ok(())
    };
    (0..WARM_UP).try_for_each(&mut keep)?;
    grown(swaps, every, keep)
}

/// What the process has more after every so many swaps.
fn grown(
    swaps: u64,
    every: u64,
    mut swap: impl FnMut(u64) -> Outcome<()>,
) -> Outcome<Vec<AfterSwaps>> {
    let start = anonymous_bytes()?;
    let mut readings = vec![AfterSwaps { swaps: 0, bytes: 0 }];
    for number in 1..=swaps {
        if swap(number).is_err() && number > every {
            break;
        }
        if number.is_multiple_of(every) {
            readings.push(AfterSwaps { swaps: number, bytes: anonymous_bytes()? - start });
        }
    }
    Ok(readings)
}

/// Bytes for each swap between the first reading and the last.
#[must_use]
pub fn bytes_per_swap(readings: &[AfterSwaps]) -> f64 {
    match (readings.first(), readings.last()) {
        (Some(first), Some(last)) if last.swaps > first.swaps => {
            (last.bytes - first.bytes) as f64 / (last.swaps - first.swaps) as f64
        }
        _ => 0.0,
    }
}
