//! Swaps under load, for a long time: calls from several threads that leave thread-local values, start threads of the module,
//! panic, allocate and nest; and what is left of all that.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::audit::verify;
use hotswap_engine::{CallErrorKind, Engine, Event, Guard, VersionState};

use crate::deadline::until;
use crate::maps::{executable_mappings, thread_names};
use crate::prebuilt;

/// How many threads call.
const CALLERS: u64 = 4;

/// How many versions may be mapped beside the current one before the next swap waits for them to go. 8: what
/// production hosts are to have.
const EXTRA_VERSIONS_MAX: usize = 8;

/// Swaps before anything is compared: allocators and tables have their size then.
const WARM_UP: u64 = 50;

/// How often memory is looked at.
const READINGS: u64 = 10;

/// What was done and seen. Its `Display` is for people.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Soaked {
    /// How often another version became current.
    pub swaps: u64,
    /// How many calls there were; each gave what it was to give.
    pub calls: u64,
    /// Those of them that panicked, as they were to.
    pub panics: u64,
    /// Threads that modules started; each ran to its end.
    pub threads: u64,
    /// Values with destructors that were left on threads; each was destroyed once.
    pub values: u64,
    /// The most versions that were mapped at a time, the current one among them.
    pub mapped_max: usize,
    /// Anonymous memory in bytes after equal numbers of swaps.
    pub memory: Vec<u64>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Soaked {
    /// By how many bytes each swap of the second half made the process larger. Negative when it became smaller.
    #[must_use]
    pub fn bytes_per_swap(&self) -> f64 {
        let middle = self.memory.len() / 2;
        let ends = self.memory.get(middle).zip(self.memory.last());
        let grown = ends.map_or(0.0, |(middle, last)| *last as f64 - *middle as f64);
        let swaps = self.swaps as f64 * (self.memory.len() - 1 - middle) as f64 / READINGS as f64;
        grown / swaps
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { swaps, calls, panics, threads, values, mapped_max, memory, elapsed } = self;
        writeln!(f, "{swaps} swaps and {calls} calls in {:.1} s", elapsed.as_secs_f64())?;
        writeln!(f, "{panics} panics, {threads} threads and {values} values of modules")?;
        writeln!(f, "{mapped_max} versions mapped at most, one at the end")?;
        let readings: Vec<_> = memory.iter().map(|bytes| (bytes / 1024).to_string()).collect();
        writeln!(f, "anonymous memory in KiB: {}", readings.join(" "))?;
        write!(f, "{:.0} bytes for each swap of the second half", self.bytes_per_swap())
    }
}

/// What callers count together.
#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    panics: AtomicU64,
    threads: AtomicU64,
    values: AtomicU64,
    /// Told by the modules.
    threads_ended: AtomicU64,
    values_dropped: AtomicU64,
}

/// Swaps two modules in turn this often, under load. The process must be for nothing else.
///
/// # Panics
///
/// When a call or a swap fails or gives what it should not; when versions do not go; when anything is left in the end:
/// threads, thread-specific keys, descriptors, mappings, values that were not destroyed; when the log does not verify.
#[must_use]
pub fn soak(swaps: u64) -> Soaked {
    static COUNTS: Counts = Counts {
        calls: AtomicU64::new(0),
        panics: AtomicU64::new(0),
        threads: AtomicU64::new(0),
        values: AtomicU64::new(0),
        threads_ended: AtomicU64::new(0),
        values_dropped: AtomicU64::new(0),
    };
    let counts = &COUNTS;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let libraries = [1, 2].map(|number| {
        let own = directory.path().join(format!("soaked_{number}.so"));
        fs::copy(prebuilt::numbered(number), &own).expect("ours");
        own
    });
    let before = Held::now();
    let engine = prebuilt::engine(&libraries[0])
        .log_file(&log)
        .provide("ended", || add(&counts.threads_ended, 1))
        .provide("local_dropped", || add(&counts.values_dropped, 1))
        .open()
        .expect("opens");
    let is_over = AtomicBool::new(false);
    let begin = Instant::now();
    let (memory, mapped_max) = thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (engine, is_over) = (&engine, &is_over);
            scope.spawn(move || call_until(engine, caller, is_over, counts));
        }
        let ends = Ends(&is_over);
        let seen = swap(&engine, &libraries, swaps);
        drop(ends);
        seen
    });
    let elapsed = begin.elapsed();
    until("everything but the current version is gone", || {
        mapped() == 1 && count(&counts.threads_ended) == count(&counts.threads)
    });
    drop(engine);
    assert_eq!(mapped(), 0);
    let after = || Held::now();
    until("what the process held is let go", || after() == before);
    assert_eq!(count(&counts.values_dropped), count(&counts.values), "destroyed once each");
    let verified = verify(&log).expect("readable");
    assert!(verified.findings.is_empty(), "{:#?}", verified.findings);
    Soaked {
        swaps,
        calls: count(&counts.calls),
        panics: count(&counts.panics),
        threads: count(&counts.threads),
        values: count(&counts.values),
        mapped_max,
        memory,
        elapsed,
    }
}

/// Relaxed, here and below: compared when all threads were joined.
fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Has the callers end, however the swaps do.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `call_until`.
        self.0.store(true, Ordering::Release);
    }
}

/// Offers one library after the other; what memory was taken meanwhile, and how many versions were mapped at most.
fn swap(engine: &Engine, libraries: &[std::path::PathBuf; 2], swaps: u64) -> (Vec<u64>, usize) {
    let events = engine.subscribe();
    let mut mapped_max = 0;
    let mut memory = Vec::new();
    for swap in 1..=WARM_UP + swaps {
        engine.offer(&libraries[(swap % 2) as usize]).expect("it was loaded before");
        mapped_max = mapped_max.max(mapped());
        let is_pinned = |event: &Event| matches!(event, Event::Pinned { .. });
        assert!(!events.try_iter().any(|event| is_pinned(&event)), "the loader kept one");
        let is_extra = |state| matches!(state, VersionState::Draining | VersionState::Warm);
        until("replaced versions go", || {
            let versions = engine.versions();
            versions.iter().filter(|info| is_extra(info.state)).count() < EXTRA_VERSIONS_MAX
        });
        if swap >= WARM_UP && (swap - WARM_UP).is_multiple_of((swaps / READINGS).max(1)) {
            memory.push(anonymous_bytes());
        }
    }
    (memory, mapped_max)
}

/// Calls until it is over, in ways that differ from one call to the next.
fn call_until(engine: &Engine, caller: u64, is_over: &AtomicBool, counts: &Counts) {
    let handle = engine.function::<fn() -> u64>("version").expect("exported");
    // In which version this thread left a value last, and in how many it did.
    let (mut valued, mut values) = (None, 0);
    // A thread of the module that this one started, and the version that it is of.
    let mut thread: Option<Guard> = None;
    let mut calls = 0;
    let mut round = caller;
    while !is_over.load(Ordering::Acquire) {
        round += 1;
        // One version for a unit of work: the library that became current with that number, and no other.
        let guard = engine.pin();
        let number = (guard.version().number() - 1) % 2 + 1;
        for name in ["version", "other"] {
            assert_eq!(guard.call_with(name, ()), Ok(number));
        }
        if round.is_multiple_of(16) {
            guard.call("keeps_local").expect("exported");
            // None comes again.
            let is_first = valued.replace(guard.version()) != Some(guard.version());
            values += u64::from(is_first);
            calls += 1;
        }
        drop(guard);
        for answer in [handle.call(), engine.call_with("version", ())] {
            assert!(matches!(answer, Ok(1 | 2)), "{answer:?}");
        }
        calls += 4;
        if round.is_multiple_of(32) {
            let error =
                engine.call_with::<u64>("panics_with_string", (round,)).expect_err("it panics");
            let CallErrorKind::Panicked { message, .. } = &error.kind else { panic!("{error}") };
            assert_eq!(*message, format!("number {round}"));
            add(&counts.panics, 1);
            calls += 1;
        }
        if round.is_multiple_of(64) {
            if let Some(thread) = thread.take() {
                join(thread, caller);
            }
            let guard = engine.pin();
            let arguments = (caller, "ended".to_owned());
            guard.call_with::<()>("starts_joinable", arguments).expect("exported");
            // The thread's own.
            add(&counts.values, 1);
            add(&counts.threads, 1);
            thread = Some(guard);
            calls += 2;
        }
        if round.is_multiple_of(8) {
            let block: Vec<u8> =
                engine.call_with("allocates", (round % 10_000,)).expect("exported");
            // Often by another version than allocated it.
            assert_eq!(engine.call_with("frees", (block,)), Ok(round % 10_000));
            let nested =
                engine.call_with::<Result<u64, hotswap_module::CallError>>("nested", (3_u64,));
            assert!(matches!(nested, Ok(Ok(1 | 2))), "{nested:?}");
            calls += 3;
        }
    }
    thread.into_iter().for_each(|thread| join(thread, caller));
    add(&counts.calls, calls);
    add(&counts.values, values);
}

/// Waits for a thread of a module; its version may have been replaced many times. A thread that is detached while it ends is
/// read by the C library after it was freed: `pthread_detach` of glibc 2.36, in any program.
fn join(version: Guard, caller: u64) {
    assert_eq!(version.call_with("joins", (caller,)), Ok(true));
}

/// How many versions are mapped.
fn mapped() -> usize {
    executable_mappings("-soaked_").len()
}

/// What a process has only so many of.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    threads: usize,
    descriptors: usize,
    keys: usize,
}

impl Held {
    fn now() -> Self {
        // One of them is what lists them.
        let descriptors = fs::read_dir(Path::new("/proc/self/fd")).expect("Linux tells").count();
        Self { threads: thread_names().len(), descriptors, keys: keys() }
    }
}

/// How many thread-specific keys are taken.
fn keys() -> usize {
    let mut taken = Vec::new();
    loop {
        let mut key = 0;
        // SAFETY: room for a key.
        if unsafe { libc::pthread_key_create(&raw mut key, None) } != 0 {
            break;
        }
        taken.push(key);
    }
    for key in &taken {
        // SAFETY: made above, and nobody has a value of it.
        unsafe { libc::pthread_key_delete(*key) };
    }
    // As many as there are less those that were free. *Source*: PTHREAD_KEYS_MAX, limits.h.
    1_024 - taken.len()
}

/// Anonymous memory of this process. *Source*: `/proc/self/smaps_rollup`, proc_pid_smaps(5).
fn anonymous_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("it is there");
    let number = line.trim().strip_suffix("kB").expect("its unit");
    number.trim().parse::<u64>().expect("a number") * 1_024
}
