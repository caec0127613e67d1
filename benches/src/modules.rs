//! A registry of many modules: what it takes of the machine, what it takes to load, wake and drop one of them, and what a call
//! between two costs.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::{CallError, Engine, Modules};
use hotswap_monitor::RACY_WINDOW;

use crate::load::{self, Libraries};
use crate::memory::{anonymous_bytes, resident_bytes};
use crate::poll_frequency::processor_times;
use crate::timed::{Timed, processor_time};
use crate::{Outcome, Workshop};

/// How often all of them are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Only what is asked for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// How long threads that exist only while something changes may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Copies of a library, each its own file.
#[derive(Debug)]
pub struct Copies {
    directory: PathBuf,
    names: Vec<String>,
    paths: Vec<PathBuf>,
    libraries: [PathBuf; 2],
}

impl Copies {
    /// Writes so many, of the first library.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn new(
        workshop: &Workshop,
        name: &str,
        libraries: &Libraries,
        count: usize,
    ) -> Outcome<Self> {
        let directory = workshop.directory(name)?;
        let modules = directory.join("modules");
        fs::create_dir_all(&modules)?;
        let names: Vec<_> = (0..count).map(|number| format!("m{number}")).collect();
        let paths: Vec<_> =
            names.iter().map(|name| modules.join(name).with_extension("so")).collect();
        for path in &paths {
            fs::copy(&libraries.modules[0], path)?;
        }
        Ok(Self { directory, names, paths, libraries: libraries.modules.clone() })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// A registry of them, of which nothing is loaded. With a log, as a program has one.
    fn registry(&self, period: Duration) -> Outcome<Modules> {
        let target = self.directory.join("target");
        let modules = Modules::builder(self.directory.join("modules"))
            .poll_every(period)
            .log_file(self.directory.join("hotswap.log"))
            .each(move |_, engine| engine.target_dir(&target));
        Ok(modules.open()?)
    }

    /// Waits until they are so old that their times are believed.
    pub fn let_age(&self) {
        thread::sleep(RACY_WINDOW + Duration::from_millis(100));
    }

    /// Seconds for each since then.
    fn each(&self, start: Instant) -> f64 {
        start.elapsed().as_secs_f64() / self.count() as f64
    }

    /// The floor of an idle registry: the times of each file, in processor time.
    #[must_use]
    pub fn stat(&self) -> Timed<'_> {
        Timed::new(format!("stat of {} files (floor)", self.count()), |rounds| {
            let start = processor_time();
            for path in self.paths.iter().cycle().take(self.count() * usize::try_from(rounds)?) {
                black_box(fs::metadata(path)?);
            }
            Ok(processor_time().saturating_sub(start))
        })
    }
}

/// What a number of modules takes, of each or of all.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// How many there are.
    pub modules: usize,
    /// Threads beyond those that the process had without them.
    pub threads: usize,
    /// Resident memory for each, in bytes.
    pub resident: f64,
    /// Anonymous memory for each, in bytes: what is left without the pages of its file.
    pub anonymous: f64,
    /// Seconds from asking for one to having it, one after the other.
    pub load: f64,
    /// Seconds for the end of each, of all together.
    pub drop: f64,
    /// The processor time of its threads while nothing happened, from 0 to 1.
    pub idle: f64,
}

/// Loads all modules into one registry, leaves them alone for a while, and drops them.
///
/// # Errors
///
/// When one is refused.
pub fn stand(copies: &Copies, window: Duration) -> Outcome<Standing> {
    let (before, memory) = (processor_times()?, Memory::now()?);
    let modules = copies.registry(PERIOD)?;
    let start = Instant::now();
    for name in &copies.names {
        modules.load(name)?;
    }
    let load = copies.each(start);
    let (resident, anonymous) = memory.grown(copies.count())?;
    copies.let_age();
    let is_ours = |thread: &u64| !before.contains_key(thread);
    // The first look after that reads nothing any more, and what looked before has ended.
    thread::sleep(2 * PERIOD);
    let used_before = processor_times()?;
    let start = Instant::now();
    thread::sleep(window);
    let used = processor_times()?;
    let window = start.elapsed();
    let ours = used.iter().filter(|(thread, _)| is_ours(thread));
    let idle: Duration = ours
        .clone()
        .map(|(thread, used)| {
            used.saturating_sub(used_before.get(thread).copied().unwrap_or_default())
        })
        .sum();
    let threads = ours.count();
    let start = Instant::now();
    drop(modules);
    let drop = copies.each(start);
    // Those of the next registry are counted from here.
    let over = Instant::now() + PATIENCE;
    while processor_times()?.keys().any(is_ours) && Instant::now() < over {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(Standing {
        modules: copies.count(),
        threads,
        resident,
        anonymous,
        load,
        drop,
        idle: idle.as_secs_f64() / window.as_secs_f64(),
    })
}

/// How many threads an engine alone has, beyond those that the process had: the floor of a registry's.
///
/// # Errors
///
/// When the library is refused.
pub fn threads_of_one(copies: &Copies) -> Outcome<usize> {
    let before = processor_times()?;
    let engine = Engine::builder(&copies.paths[0])
        .target_dir(copies.directory.join("target_of_one"))
        .log_file(copies.directory.join("one.log"))
        .open()?;
    let threads = processor_times()?.keys().filter(|thread| !before.contains_key(thread)).count();
    drop(engine);
    Ok(threads)
}

/// What loading and closing the same files costs without us, for each.
#[derive(Debug, Clone, Copy)]
pub struct Bare {
    /// Resident memory in bytes.
    pub resident: f64,
    /// Anonymous memory in bytes.
    pub anonymous: f64,
    /// Seconds for `dlopen`.
    pub load: f64,
    /// Seconds for `dlclose`.
    pub drop: f64,
}

/// `dlopen` of all copies: the floor.
///
/// # Errors
///
/// When one cannot be loaded.
pub fn bare(copies: &Copies) -> Outcome<Bare> {
    let memory = Memory::now()?;
    let start = Instant::now();
    let loaded =
        copies.paths.iter().map(|path| load::load_bare(path)).collect::<Outcome<Vec<_>>>()?;
    let load = copies.each(start);
    let (resident, anonymous) = memory.grown(copies.count())?;
    let start = Instant::now();
    drop(loaded);
    Ok(Bare { resident, anonymous, load, drop: copies.each(start) })
}

/// What the process has.
struct Memory {
    resident: i64,
    anonymous: i64,
}

impl Memory {
    fn now() -> Outcome<Self> {
        Ok(Self { resident: resident_bytes()?, anonymous: anonymous_bytes()? })
    }

    /// What it has more since then, for each of so many.
    fn grown(&self, count: usize) -> Outcome<(f64, f64)> {
        let now = Self::now()?;
        let each = |bytes: i64| bytes as f64 / count as f64;
        Ok((each(now.resident - self.resident), each(now.anonymous - self.anonymous)))
    }
}

/// A registry with all of its modules loaded, of which one is replaced.
#[derive(Debug)]
pub struct OneOfMany<'a> {
    copies: &'a Copies,
    modules: Modules,
    replaced: u64,
}

impl<'a> OneOfMany<'a> {
    /// Loads them.
    ///
    /// # Errors
    ///
    /// When one is refused.
    pub fn open(copies: &'a Copies) -> Outcome<Self> {
        fs::copy(&copies.libraries[0], &copies.paths[0])?;
        let modules = copies.registry(RARELY)?;
        for name in &copies.names {
            modules.load(name)?;
        }
        copies.let_age();
        Ok(Self { copies, modules, replaced: 0 })
    }

    /// Replaces the first, asks for it to be looked at, and calls it: from before it is copied to after the call.
    pub fn wake(&mut self) -> Timed<'_> {
        let copies = self.copies;
        let (path, name) = (&copies.paths[0], &copies.names[0]);
        Timed::new(format!("replaced, 1 of {}", copies.count()), move |rounds| {
            let engine = self.modules.get(name)?;
            let start = Instant::now();
            for _ in 0..rounds {
                self.replaced += 1;
                let number = self.replaced % 2;
                let new = path.with_extension("new");
                fs::copy(&copies.libraries[usize::try_from(number)?], &new)?;
                fs::rename(new, path)?;
                self.modules.reload(name)?;
                let found: u64 = engine.call_with("version", ())?;
                if found != number {
                    return Err(format!("version {found}, not {number}").into());
                }
            }
            Ok(start.elapsed())
        })
    }

    /// Asks for all to be looked at, which finds nothing.
    #[must_use]
    pub fn reload_all(&self) -> Timed<'_> {
        Timed::new(format!("reload_all of {}, nothing new", self.copies.count()), |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                for (name, verdict) in self.modules.reload_all() {
                    verdict.map_err(|error| format!("{name}: {error}"))?;
                }
            }
            Ok(start.elapsed())
        })
    }

    /// Holds all of them, and lets go.
    #[must_use]
    pub fn pin(&self) -> Timed<'_> {
        Timed::new(format!("pin of {}", self.copies.count()), |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                black_box(self.modules.pin());
            }
            Ok(start.elapsed())
        })
    }
}

/// What the module that calls another has, beside what all have.
const CALLS: &str = r#"
/// Calls the other module so often, each time by its name.
#[export]
pub fn by_module(rounds: u64) -> Result<u64, hotswap_module::CallError> {
    let mut sum = 0;
    for _ in 0..rounds {
        sum ^= hotswap_module::engine_named("callee")?.call_with::<u64>("version", ())?;
    }
    Ok(sum)
}

/// As `by_module`, with a caller that is kept.
#[export]
pub fn by_kept(rounds: u64) -> Result<u64, hotswap_module::CallError> {
    let callee = hotswap_module::engine_named("callee")?;
    let mut sum = 0;
    for _ in 0..rounds {
        sum ^= callee.call_with::<u64>("version", ())?;
    }
    Ok(sum)
}
"#;

/// Two modules of one registry, one of which calls the other.
#[derive(Debug)]
pub struct Pair {
    modules: Modules,
    callee: Engine,
    caller: Engine,
}

impl Pair {
    /// Builds and loads them. Blocks for the compiler.
    ///
    /// # Errors
    ///
    /// When one does not build.
    pub fn open(workshop: &Workshop, libraries: &Libraries) -> Outcome<Self> {
        let caller = load::library(workshop, "caller", |source| source + CALLS)?;
        let directory = workshop.directory("pair")?;
        let place = directory.join("modules");
        fs::create_dir_all(&place)?;
        fs::copy(caller, place.join("caller.so"))?;
        fs::copy(&libraries.modules[0], place.join("callee.so"))?;
        let target = directory.join("target");
        let modules = Modules::builder(place)
            .poll_every(RARELY)
            .without_log()
            .each(move |_, engine| engine.target_dir(&target))
            .open()?;
        let (callee, caller) = (modules.get("callee")?, modules.get("caller")?);
        Ok(Self { modules, callee, caller })
    }

    /// The floor: the host calls it by name. Then another module does, by its name and by a caller that is kept; the host
    /// through a guard of all modules; and the host with such a guard for each call.
    #[must_use]
    pub fn timed(&self) -> [Timed<'_>; 5] {
        [
            Timed::new("host, by name (floor)", |rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    black_box(self.callee.call_with::<u64>("version", ())?);
                }
                Ok(start.elapsed())
            }),
            self.by_export("module, engine_named(..) each time", "by_module"),
            self.by_export("module, kept caller", "by_kept"),
            Timed::new("host, by a guard of Modules::pin()", |rounds| {
                let all = self.modules.pin();
                let guard = all.get("callee").ok_or("it is loaded")?;
                let start = Instant::now();
                for _ in 0..rounds {
                    black_box(guard.call_with::<u64>("version", ())?);
                }
                Ok(start.elapsed())
            }),
            Timed::new("host, Modules::pin() each time", |rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    let all = self.modules.pin();
                    let guard = all.get("callee").ok_or("it is loaded")?;
                    black_box(guard.call_with::<u64>("version", ())?);
                }
                Ok(start.elapsed())
            }),
        ]
    }

    fn by_export(&self, name: &str, export: &'static str) -> Timed<'_> {
        Timed::new(name, move |rounds| {
            let start = Instant::now();
            let sum = self.caller.call_with::<Result<u64, CallError>>(export, (rounds,))?;
            black_box(sum?);
            Ok(start.elapsed())
        })
    }
}
