//! The steps that can fail, and how a test makes one of them fail.
//!
//! A site is an operation at a place in the source; it may be passed many times. With the feature `simulation`, `watch` counts
//! how often each is passed, and `inject` makes one of them fail.

use std::io;
use std::path::Path;

#[cfg(feature = "simulation")]
pub use self::simulated::*;

/// What a step does, which decides how it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opens a file that is there.
    Open,
    /// Reads a file.
    Read,
    /// Asks what a path is.
    Stat,
    /// Lists a directory.
    List,
    /// Makes a file or directory.
    Create,
    /// Writes a file; half of the bytes get there.
    Write,
    /// Brings a file to the disk.
    Sync,
    /// Gives a file another name.
    Rename,
    /// Gives a file one more name.
    Link,
    /// Removes a file or directory.
    Remove,
    /// Locks a file.
    Lock,
    /// Starts a process.
    Spawn,
    /// Waits for a process.
    Wait,
    /// Starts a thread.
    Thread,
    /// Gives up what a compiler does not need; the kernel cannot.
    Confine,
    /// Asks the kernel to tell of changes.
    Watch,
    /// Asks somebody else's server, by a library that has sockets of its own.
    Ask,
    /// Maps a library.
    Load,
    /// Finds a symbol in a library.
    Symbol,
    /// Unmaps a library.
    Unload,
    /// Hands a message to another thread; it cannot fail, but who does it can panic.
    Send,
    /// A place that cannot fail by itself; who passes it can panic.
    Pass,
}

/// Whether a step that somebody else takes for us may be taken; an error says how it failed.
///
/// # Errors
///
/// When a test made this step fail; never without the feature `simulation`.
#[inline]
#[track_caller]
pub fn check(operation: Operation, path: &Path) -> io::Result<()> {
    #[cfg(feature = "simulation")]
    return passed(operation, path);
    #[cfg(not(feature = "simulation"))]
    {
        let _ = (operation, path);
        Ok(())
    }
}

/// A place that cannot fail, at which a test may have the thread panic.
///
/// # Panics
///
/// When a test says so; never without the feature `simulation`.
#[inline]
#[track_caller]
pub fn point(operation: Operation) {
    // An error is not possible here: a test that asks for one gets a panic.
    if let Err(error) = check(operation, Path::new("")) {
        panic!("{error}");
    }
}

#[cfg(feature = "simulation")]
mod simulated {
    use std::collections::BTreeMap;
    use std::fmt;
    use std::io;
    use std::panic::Location;
    use std::path::Path;

    use parking_lot::{Mutex, MutexGuard};

    use super::Operation;

    /// A step: what is done, and where in the source.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Site {
        /// What is done.
        pub operation: Operation,
        /// The source file, from the root of the workspace.
        pub file: &'static str,
        /// The line.
        pub line: u32,
    }

    impl fmt::Display for Site {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{:?} at {}:{}", self.operation, self.file, self.line)
        }
    }

    /// How a step fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Manner {
        /// With an error of the system that fits the operation.
        Error,
        /// The thread panics.
        Panic,
    }

    /// Which passings of a site fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Times {
        /// This one, counted from 0.
        Once(u64),
        /// This one and all after it.
        From(u64),
    }

    /// What is to fail.
    #[derive(Debug, Clone, Copy)]
    pub struct Fault {
        /// The step.
        pub site: Site,
        /// When.
        pub times: Times,
        /// How.
        pub manner: Manner,
    }

    struct World {
        passed: BTreeMap<Site, u64>,
        faults: Vec<Fault>,
        fired: u64,
    }

    impl World {
        fn with(faults: Vec<Fault>) -> Self {
            Self { passed: BTreeMap::new(), faults, fired: 0 }
        }
    }

    /// What is watched now, if anything.
    static WORLD: Mutex<Option<World>> = Mutex::new(None);

    /// One test at a time: the steps of all threads of the process are counted together.
    static TURN: Mutex<()> = Mutex::new(());

    /// Counts steps for as long as it lives. Other tests that want to do so wait.
    pub struct Watching {
        _turn: MutexGuard<'static, ()>,
    }

    impl fmt::Debug for Watching {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Watching").finish_non_exhaustive()
        }
    }

    /// Begins to count the steps that this process takes. Blocks while another test does.
    #[must_use]
    pub fn watch() -> Watching {
        let turn = TURN.lock();
        *WORLD.lock() = Some(World::with(Vec::new()));
        Watching { _turn: turn }
    }

    impl Watching {
        /// How often each step was passed since the beginning or the last [`clear`](Self::clear).
        #[must_use]
        pub fn passed(&self) -> BTreeMap<Site, u64> {
            WORLD.lock().as_ref().map(|world| world.passed.clone()).unwrap_or_default()
        }

        /// Counts from zero again, and makes nothing fail.
        pub fn clear(&self) {
            self.inject_all(Vec::new());
        }

        /// Counts from zero again, and makes this fail.
        pub fn inject(&self, fault: Fault) {
            self.inject_all(vec![fault]);
        }

        /// Counts from zero again, and makes all these fail; of two about one step the first counts.
        pub fn inject_all(&self, faults: Vec<Fault>) {
            *WORLD.lock() = Some(World::with(faults));
        }

        /// Makes nothing fail any more; says how often something did.
        pub fn heal(&self) -> u64 {
            WORLD.lock().as_mut().map_or(0, |world| {
                world.faults.clear();
                world.fired
            })
        }

        /// How often the fault has fired.
        #[must_use]
        pub fn fired(&self) -> u64 {
            WORLD.lock().as_ref().map_or(0, |world| world.fired)
        }
    }

    impl Drop for Watching {
        fn drop(&mut self) {
            *WORLD.lock() = None;
        }
    }

    #[track_caller]
    pub(super) fn passed(operation: Operation, path: &Path) -> io::Result<()> {
        let place = Location::caller();
        let site = Site { operation, file: place.file(), line: place.line() };
        let manner = {
            let mut world = WORLD.lock();
            let Some(world) = world.as_mut() else { return Ok(()) };
            let count = world.passed.entry(site).or_default();
            let number = *count;
            *count += 1;
            let Some(fault) = world.faults.iter().find(|fault| fault.site == site).copied() else {
                return Ok(());
            };
            let fires = match fault.times {
                Times::Once(at) => number == at,
                Times::From(at) => number >= at,
            };
            if !fires {
                return Ok(());
            }
            world.fired += 1;
            fault.manner
        };
        match manner {
            Manner::Panic => panic!("injected: {site} ({})", path.display()),
            Manner::Error => Err(io::Error::from_raw_os_error(code(operation))),
        }
    }

    /// The number of an error that this operation is known to give, as Linux has it.
    fn code(operation: Operation) -> i32 {
        const EIO: i32 = 5;
        const EAGAIN: i32 = 11;
        const EACCES: i32 = 13;
        const EXDEV: i32 = 18;
        const ENOSPC: i32 = 28;
        const ENOLCK: i32 = 37;
        const EOPNOTSUPP: i32 = 95;
        const ECONNREFUSED: i32 = 111;
        match operation {
            Operation::Open | Operation::Read | Operation::Stat | Operation::List => EIO,
            Operation::Create | Operation::Write | Operation::Sync | Operation::Watch => ENOSPC,
            Operation::Rename | Operation::Remove | Operation::Unload => EACCES,
            Operation::Link => EXDEV,
            Operation::Lock => ENOLCK,
            Operation::Confine => EOPNOTSUPP,
            Operation::Spawn | Operation::Wait | Operation::Thread => EAGAIN,
            Operation::Ask => ECONNREFUSED,
            Operation::Load | Operation::Symbol | Operation::Send | Operation::Pass => EIO,
        }
    }
}
