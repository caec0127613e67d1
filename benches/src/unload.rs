//! What unloading costs, and whom: calls while versions are unloaded, one after the other, beside calls while nothing happens;
//! an idle version that is asked to go, beside closing a tiny C library; and the way back to a version that is kept.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::{Engine, UnloadOutcome, VersionId};

use crate::latency::{Histogram, Percentiles};
use crate::load::{Libraries, load_c};
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// Longer than any bench runs.
const RARELY: Duration = Duration::from_secs(3_600);

/// How long a version may take to go before the bench is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long calls are timed before versions are unloaded, or not, in turn.
const TURN: Duration = Duration::from_millis(250);

/// What `calls_under_unloads` found.
#[derive(Debug, Clone)]
pub struct UnderUnloads {
    /// How many threads called.
    pub callers: usize,
    /// How many versions were unloaded in a second.
    pub unloads_per_second: f64,
    /// Calls by handle while nothing happens: the floor.
    pub idle: Percentiles,
    /// The same calls while one version after the other is replaced and unloaded.
    pub unloading: Percentiles,
}

/// Times single calls by handle on `callers` threads for `period`, half of it while versions are unloaded as fast as can be. Each
/// call stands between two looks at the clock, as in [`latency`](crate::latency).
///
/// # Errors
///
/// When a library is refused.
///
/// # Panics
///
/// When a call or a swap fails.
pub fn calls_under_unloads(
    libraries: &Libraries,
    callers: usize,
    period: Duration,
) -> Outcome<UnderUnloads> {
    let engine = engine_on(&libraries.modules[0]).keep_versions(0).open()?;
    let version = engine.function::<fn() -> u64>("version")?;
    // What callers do now: the first half of the readings, or the second.
    let is_unloading = AtomicBool::new(false);
    let is_over = AtomicBool::new(false);
    let call = || {
        let mut times = [Histogram::new(), Histogram::new()];
        // Relaxed: a reading more or less in the wrong half is one of millions.
        while !is_over.load(Ordering::Relaxed) {
            let half = usize::from(is_unloading.load(Ordering::Relaxed));
            times[half].time(|| black_box(version.call().expect("it answers")));
        }
        times
    };
    let (mut unloads, mut unloading_for) = (0_u32, Duration::ZERO);
    let mut times = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        let start = Instant::now();
        while start.elapsed() < period {
            thread::sleep(TURN);
            is_unloading.store(true, Ordering::Relaxed);
            let turn = Instant::now();
            while turn.elapsed() < TURN {
                unloads += 1;
                let library = &libraries.modules[(unloads % 2) as usize];
                engine.offer(library).expect("it was loaded before");
            }
            unloading_for += turn.elapsed();
            is_unloading.store(false, Ordering::Relaxed);
        }
        is_over.store(true, Ordering::Relaxed);
        let times = threads.into_iter().map(|thread| thread.join().expect("it only calls"));
        times.reduce(|mut all, more| {
            all.iter_mut().zip(&more).for_each(|(all, more)| all.merge(more));
            all
        })
    })
    .ok_or("nobody called")?;
    let [idle, unloading] = times.each_mut().map(Histogram::percentiles);
    let unloads_per_second = f64::from(unloads) / unloading_for.as_secs_f64();
    Ok(UnderUnloads { callers, unloads_per_second, idle, unloading })
}

/// Closes the C library: what every unloading pays. Loading it is not timed.
#[must_use]
pub fn close_c(library: &Path) -> Timed<'_> {
    Timed::new("dlclose of a tiny C library (floor)", move |rounds| {
        let mut total = Duration::ZERO;
        for _ in 0..rounds {
            let (library, _) = load_c(library)?;
            let start = Instant::now();
            drop(library);
            total += start.elapsed();
        }
        Ok(total)
    })
}

/// Asks a version that is kept and idle to go, and waits until it is gone, which is looked up in the process's mappings.
/// Loading it is not timed.
///
/// # Errors
///
/// When a library is refused.
pub fn unload_idle(libraries: &Libraries) -> Outcome<Timed<'_>> {
    let engine = engine_on(&libraries.modules[0]).keep_versions(1).open()?;
    let mut number = 0;
    Ok(Timed::new("unload of an idle version", move |rounds| {
        let mut total = Duration::ZERO;
        for _ in 0..rounds {
            number += 1;
            let replaced = engine.version();
            engine.offer(&libraries.modules[number % 2])?;
            let start = Instant::now();
            if engine.unload(replaced)?.wait(PATIENCE) != UnloadOutcome::Unloaded {
                return Err("an idle version does not go".into());
            }
            total += start.elapsed();
        }
        Ok(total)
    }))
}

/// An engine that goes back and forth between two versions, both of which are mapped. It writes hotswap.log, and notes for the
/// next process what serves and what is in quarantine.
#[derive(Debug)]
pub struct WayBack {
    engine: Engine,
    versions: [VersionId; 2],
}

impl WayBack {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// When a library is refused.
    pub fn open(workshop: &Workshop, libraries: &Libraries) -> Outcome<Self> {
        let directory = workshop.directory("way_back")?;
        let engine = Engine::builder(&libraries.modules[0])
            .log_file(directory.join("way_back.log"))
            .target_dir(directory.join("target"))
            .poll_every(RARELY)
            .keep_versions(1)
            .open()?;
        let first = engine.version();
        engine.offer(&libraries.modules[1])?;
        let versions = [first, engine.version()];
        Ok(Self { engine, versions })
    }

    /// For criterion and the report.
    #[must_use]
    pub fn timed(&self) -> Timed<'_> {
        Timed::new("rollback to a version that is kept", |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                let [one, other] = self.versions;
                let target = if self.engine.version() == one { other } else { one };
                if !self.engine.rollback_to(target)?.is_swapped() {
                    return Err("it went nowhere".into());
                }
            }
            Ok(start.elapsed())
        })
    }
}

fn engine_on(library: &Path) -> hotswap_engine::EngineBuilder {
    Engine::builder(library).without_log().poll_every(RARELY)
}
