//! What state costs: locking a cell, handing it on, bringing it to another layout, and what callers notice of that.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotswap_engine::Function;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::call::at_once;
use crate::latency::{Percentiles, single_calls};
use crate::load::{Offers, library};
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// How many threads lock at once.
pub const THREADS: [usize; 2] = [1, 2];

/// One module, with two versions of the layout of its world.
#[derive(Debug, Clone)]
pub struct StateLibraries([PathBuf; 2]);

impl StateLibraries {
    /// Builds them. Blocks for the compiler.
    ///
    /// # Errors
    ///
    /// When one does not build.
    pub fn build(workshop: &Workshop) -> Outcome<Self> {
        let source = include_str!("module.rs");
        let (both, parts) = source.split_once("// ---- 1\n").ok_or("no part of version 1")?;
        let (first, second) = parts.split_once("// ---- 2\n").ok_or("no part of version 2")?;
        let build = |role, part: &str| library(workshop, role, |_| format!("{both}{part}"));
        Ok(Self([build("state_1", first)?, build("state_2", second)?]))
    }

    /// The one with the first layout.
    #[must_use]
    pub fn first(&self) -> &Path {
        &self.0[0]
    }

    fn open(&self) -> Outcome<Offers> {
        Offers::open(self.first())
    }
}

/// A number that calls change: in a cell, or with a lock of the host around the call.
#[derive(Debug)]
pub struct Locks {
    increment: Function<fn() -> u64>,
    peek: Function<fn() -> u64>,
    add: Function<fn(u64, u64) -> u64>,
    mutex: Mutex<u64>,
    read_write: RwLock<u64>,
    _engine: Offers,
}

/// Who keeps the number, and what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockPath {
    /// The host, behind a `Mutex` that is locked around the call: the floor of writing.
    Mutex,
    /// A cell that the call locks.
    Lock,
    /// The host, behind a `RwLock` that is read around the call: the floor of reading.
    RwLock,
    /// A cell that the call reads.
    Read,
}

impl LockPath {
    /// All of them, each behind its floor.
    pub const ALL: [Self; 4] = [Self::Mutex, Self::Lock, Self::RwLock, Self::Read];

    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutex => "Mutex of the host, and a call (floor)",
            Self::Lock => "call that locks its cell",
            Self::RwLock => "RwLock of the host, read, and a call (floor)",
            Self::Read => "call that reads its cell",
        }
    }
}

impl Locks {
    /// Loads the module.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn open(libraries: &StateLibraries) -> Outcome<Self> {
        let offers = libraries.open()?;
        let engine = offers.engine();
        Ok(Self {
            increment: engine.function("increment")?,
            peek: engine.function("peek")?,
            add: engine.function("add")?,
            mutex: Mutex::new(0),
            read_write: RwLock::new(0),
            _engine: offers,
        })
    }

    /// One path on so many threads: time per call of a processor. All calls are by handle.
    #[must_use]
    pub fn timed(&self, path: LockPath, threads: usize) -> Timed<'_> {
        let Self { increment, peek, add, mutex, read_write, _engine } = self;
        Timed::new(format!("{}/{threads}", path.name()), move |calls| {
            Ok(match path {
                LockPath::Mutex => at_once(threads, calls, || {
                    let mut count = mutex.lock();
                    *count = add.call(black_box(*count), 1).expect("it adds");
                    *count
                }),
                LockPath::Lock => at_once(threads, calls, || increment.call().expect("it counts")),
                LockPath::RwLock => at_once(threads, calls, || {
                    let count = read_write.read();
                    add.call(black_box(*count), 0).expect("it adds")
                }),
                LockPath::Read => at_once(threads, calls, || peek.call().expect("it reads")),
            })
        })
    }
}

/// An engine whose module holds so many bytes of state, and is swapped for itself.
#[derive(Debug)]
pub struct Handover {
    /// How many.
    pub bytes: usize,
    offers: Offers,
    library: PathBuf,
}

impl Handover {
    /// Loads the module and fills its state.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn open(libraries: &StateLibraries, bytes: usize) -> Outcome<Self> {
        let offers = libraries.open()?;
        offers.engine().call_with::<()>("fill", (bytes as u64,))?;
        Ok(Self { bytes, offers, library: libraries.first().to_owned() })
    }

    /// Offers the library until a call has run in it, with the state handed on.
    #[must_use]
    pub fn timed(&self) -> Timed<'_> {
        let name = format!("swap with {} bytes of state", self.bytes);
        Timed::new(name, |rounds| (0..rounds).map(|_| self.offers.offer(&self.library)).sum())
    }
}

/// How much state is handed on: little, some, and as much as can be had without others noticing.
///
/// # Errors
///
/// When the system does not tell how much memory there is. *Source*: `/proc/meminfo`, proc_meminfo(5).
pub fn handover_bytes(most: usize) -> Outcome<[usize; 3]> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let field = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = field.and_then(|rest| rest.trim().strip_suffix("kB"));
    let available = number.ok_or("no MemAvailable")?.trim().parse::<usize>()? * 1_024;
    Ok([1 << 10, 1 << 20, most.min(available / 4)])
}

/// A world that is brought from one layout to the other and back.
#[derive(Debug)]
pub struct Migrations {
    offers: Offers,
    libraries: StateLibraries,
    world: World,
    /// What the old value takes as postcard.
    pub bytes: usize,
}

/// The old world, as the host knows it.
#[derive(Debug, Serialize, Deserialize)]
struct World {
    entities: Vec<(f64, f64)>,
}

impl Migrations {
    /// Loads the module and populates its world.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn open(libraries: &StateLibraries, entities: u64) -> Outcome<Self> {
        let offers = libraries.open()?;
        offers.engine().call_with::<()>("populate", (entities,))?;
        let world = World { entities: (0..entities).map(|number| (number as f64, 0.5)).collect() };
        let bytes = postcard::to_extend(&world, Vec::new())?.len();
        Ok(Self { offers, libraries: libraries.clone(), world, bytes })
    }

    /// Writes the old world as postcard and reads it again: what a copy costs alone.
    #[must_use]
    pub fn postcard(&self) -> Timed<'_> {
        Timed::new("postcard, there and back (floor)", |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                let bytes = postcard::to_extend(&self.world, Vec::new())?;
                black_box(postcard::from_bytes::<World>(&bytes)?);
            }
            Ok(start.elapsed())
        })
    }

    /// Brings it to the new layout, by offering the library that has it.
    #[must_use]
    pub fn up(&self) -> Timed<'_> {
        self.timed("swap with a step", 1)
    }

    /// Brings it back.
    #[must_use]
    pub fn down(&self) -> Timed<'_> {
        self.timed("swap with its way back", 0)
    }

    fn timed(&self, name: &str, to: usize) -> Timed<'_> {
        Timed::new(name, move |rounds| {
            let there = |_| {
                self.bring_to(1 - to)?;
                self.offers.offer(&self.libraries.0[to])
            };
            (0..rounds).map(there).sum()
        })
    }

    /// Makes sure that it has a layout.
    fn bring_to(&self, layout: usize) -> Outcome<()> {
        if self.offers.engine().call_with::<u64>("version", ())? != layout as u64 + 1 {
            self.offers.offer(&self.libraries.0[layout])?;
        }
        Ok(())
    }

    /// Times single calls that use no state on `callers` threads: for a while in which nothing else happens, and for as long
    /// while the world is brought there and back again and again.
    ///
    /// # Errors
    ///
    /// When a step or a call fails.
    pub fn callers(&self, callers: usize, period: Duration) -> Outcome<BesideMigrations> {
        let engine = self.offers.engine();
        let (undisturbed, ()) = single_calls(engine, callers, || {
            std::thread::sleep(period);
            Ok(())
        })?;
        let (migrating, longest) = single_calls(engine, callers, || {
            let (start, mut longest) = (Instant::now(), Duration::ZERO);
            while start.elapsed() < period {
                for library in [&self.libraries.0[1], &self.libraries.0[0]] {
                    longest = longest.max(self.offers.offer(library)?);
                }
            }
            Ok(longest)
        })?;
        Ok(BesideMigrations { callers, undisturbed, migrating, longest })
    }
}

/// What callers notice of migrations that are none of their business: through a function pointer, by handle, by name.
#[derive(Debug, Clone)]
pub struct BesideMigrations {
    /// How many threads called.
    pub callers: usize,
    /// While nothing else happened.
    pub undisturbed: [Percentiles; 3],
    /// While the state was migrated.
    pub migrating: [Percentiles; 3],
    /// The longest of these migrations, with its swap.
    pub longest: Duration,
}
