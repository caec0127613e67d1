//! The barriers of `engine/src/slot` on this very processor: the very files, with the types of the engine.
//!
//! The model in `memory_model.rs` proves the protocol where both sides have full barriers, and takes it on trust that a
//! compiler's barrier in the caller is one beside membarrier in the swapper. Here both are the real ones. Calling alone
//! would show nothing: a processor has the caller's store out in a few nanoseconds, long before anybody looks. So each
//! call first fills its processor's store buffer with stores that miss all caches: what it then writes into its slot
//! waits behind them, while it goes on and reads.

#![expect(dead_code, reason = "the engine uses more of these files than this does")]

#[path = "../../engine/src/slot/barrier.rs"]
mod barrier;
#[path = "../../engine/src/slot/draining.rs"]
mod draining;
#[path = "../../engine/src/slot/hazard.rs"]
mod hazard;

/// Where the files look for each other.
mod slot {
    pub(crate) use crate::hazard;
}

/// What the files are made of: as in the engine, but for the swapper's barrier, which can be left out.
mod sync {
    use std::sync::atomic::{AtomicBool, Ordering, fence};

    pub(crate) use std::sync::{Arc, atomic};

    pub(crate) use parking_lot::RwLock;

    pub(crate) use crate::barrier::light_barrier;

    pub(crate) const DEPTH_MAX: usize = 8;

    /// Whether the swapper makes do with a barrier of its own.
    pub(crate) static IS_LIGHT: AtomicBool = AtomicBool::new(false);

    pub(crate) fn heavy_barrier() {
        if IS_LIGHT.load(Ordering::Relaxed) {
            fence(Ordering::SeqCst);
        } else {
            crate::barrier::heavy_barrier();
        }
    }
}

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use barrier::has_membarrier;
use draining::Draining;
use hazard::{Current, Record};
use hotswap_tests::isolated;

/// How many swaps are tried: seconds of them.
const SWAPS: usize = 1_000_000;

/// How many are tried at most until something is found that is known to be wrong: on an idle machine it takes some
/// thousand, and 1 in 200 finds it.
const SWAPS_MAX: usize = 20 * SWAPS;

/// So many stores wait in a processor, and leave room for those of the call.
const STORES: usize = 24;

/// Larger than a cache, in lines of it: 128 MiB.
const LINES: usize = 1 << 21;

/// How often a call looks whether its version is gone: for as long as what it wrote may wait.
const CALL_LOOKS: usize = 200;

struct Version {
    /// Whether it is dropped: code that is gone.
    is_poisoned: AtomicBool,
}

impl Drop for Version {
    fn drop(&mut self) {
        *self.is_poisoned.get_mut() = true;
    }
}

/// A cache line of its own.
#[repr(align(64))]
struct Line(AtomicU64);

/// Calls and swaps at once, until a call has run in a version that was gone; whether one did.
fn is_found_out(swaps_max: usize) -> bool {
    let version = || Arc::new(Version { is_poisoned: AtomicBool::new(false) });
    let current = Current::new(version());
    let record = Record::new([const { AtomicPtr::new(ptr::null_mut()) }; sync::DEPTH_MAX]);
    let lines: Vec<Line> = (0..LINES).map(|_| Line(AtomicU64::new(0))).collect();
    let (found, called, done) =
        (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    // Their memory stays until nobody looks any more.
    let mut memory: Vec<Weak<Version>> = vec![Arc::downgrade(&current.load())];
    thread::scope(|scope| {
        scope.spawn(|| {
            let slot = &record.slots()[0];
            let mut random = 1_u64;
            while !done.load(Ordering::Relaxed) {
                for _ in 0..STORES {
                    // Anywhere. *Source*: Knuth's linear congruential generator.
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    lines[(random >> 40) as usize % LINES].0.store(random, Ordering::Relaxed);
                }
                let Some(version) = current.claim(slot) else { continue };
                // SAFETY: its memory is there until this thread has ended: `memory` keeps it. Of what was dropped in it only
                // a boolean is read, which has no destructor.
                let is_poisoned = unsafe { &(*version).is_poisoned };
                if (0..CALL_LOOKS).any(|_| is_poisoned.load(Ordering::Relaxed)) {
                    found.store(true, Ordering::Relaxed);
                }
                current.release(slot, version);
                called.store(true, Ordering::Relaxed);
            }
        });
        let mut draining: Draining<_> = Draining::new();
        for _ in 0..swaps_max {
            let next = version();
            memory.push(Arc::downgrade(&next));
            draining.add(current.publish(next));
            draining.release(|| Box::new(std::iter::once(&record)), |_| false);
            if found.load(Ordering::Relaxed) {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(called.into_inner(), "nobody called");
    found.into_inner()
}

#[test]
fn no_call_runs_in_a_version_that_is_gone() {
    isolated("no_call_runs_in_a_version_that_is_gone", || {
        if !has_membarrier() {
            eprintln!("not tried: the kernel has no membarrier");
            return;
        }
        assert!(!is_found_out(SWAPS));
    });
}

/// What the test before it relies on: that it finds what is wrong.
#[test]
fn without_the_swappers_barrier_one_does() {
    isolated("without_the_swappers_barrier_one_does", || {
        // On one processor a thread that is put aside has passed a barrier.
        if thread::available_parallelism().is_ok_and(|processors| processors.get() < 2) {
            eprintln!("not tried: there is one processor");
            return;
        }
        sync::IS_LIGHT.store(true, Ordering::Relaxed);
        assert!(is_found_out(SWAPS_MAX));
    });
}
