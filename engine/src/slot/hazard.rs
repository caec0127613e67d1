//! The protocol between callers and the swapper: hazard slots.
//!
//! A caller writes the version that it is about to enter into a slot of its thread, and then looks whether it is
//! still current. The swapper writes the new version, and then looks into the slots. With a full barrier between
//! the two steps on both sides, at least one of them sees what the other wrote: either the caller sees that it is late
//! and tries again, or the swapper sees that the version is in use. The same holds at the end of a call: the caller
//! clears its slot and then looks whether its version was replaced; if so it rings.
//!
//! A swap is rare and a call is not, so the barriers are not the same: the caller's only keeps the compiler from
//! reordering, and the swapper's makes every processor that runs a thread of this process pass a full one.
//! *Source*: membarrier(2); Maged M. Michael, Hazard Pointers, 2004.
//!
//! This file and `draining.rs` are compiled a second time by `tests/tests/memory_model.rs`, with the types of `sync`
//! replaced by those of loom, which tries every order. There both barriers are full fences: the model proves the
//! protocol, and not that a compiler's fence is enough beside membarrier; `tests/tests/litmus.rs` tries that on a processor.

use std::mem;
use std::ptr;

use crate::sync::atomic::{AtomicPtr, Ordering, fence};
use crate::sync::{Arc, DEPTH_MAX, RwLock, light_barrier};

/// The slots of one thread, by depth. On a cache line of its own, and the next, which processors fetch with it.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Record {
    /// Keeps the slots off the offset within a page that the current version's pointer has.
    _apart: [u64; 8],
    slots: [AtomicPtr<()>; DEPTH_MAX],
}

impl Record {
    pub(crate) const fn new(slots: [AtomicPtr<()>; DEPTH_MAX]) -> Self {
        Self { _apart: [0; 8], slots }
    }

    /// The slots, the outermost call's first.
    #[inline(always)]
    pub(crate) fn slots(&self) -> &[AtomicPtr<()>; DEPTH_MAX] {
        &self.slots
    }

    /// Whether a slot names this version.
    pub(crate) fn names<T>(&self, version: *const T) -> bool {
        self.count(version) > 0
    }

    /// How many slots name this version.
    pub(crate) fn count<T>(&self, version: *const T) -> usize {
        // Acquire pairs with the Release in `Current::release`: what the call did is done before the version goes.
        let version = version.cast_mut().cast();
        self.slots.iter().filter(|slot| slot.load(Ordering::Acquire) == version).count()
    }
}

/// Whether the thread that owns a slot may claim it.
#[inline(always)]
pub(crate) fn is_free(slot: &AtomicPtr<()>) -> bool {
    // Relaxed: only its own thread claims it. What another may put there (`threads::ask`) is no version, and only sends
    // this thread the slow way.
    slot.load(Ordering::Relaxed).is_null()
}

/// The current version: counted in its home, and beside it as a pointer that callers read.
#[derive(Debug)]
pub(crate) struct Current<T> {
    /// Always what is in `home`, a moment earlier.
    pointer: Line<AtomicPtr<T>>,
    home: RwLock<Arc<T>>,
}

/// Alone on its cache lines: what callers read is written by swaps only.
#[repr(align(128))]
#[derive(Debug)]
struct Line<T>(T);

impl<T> Current<T> {
    pub(crate) fn new(version: Arc<T>) -> Self {
        Self { pointer: Line(AtomicPtr::new(address(&version))), home: RwLock::new(version) }
    }

    /// A counted reference.
    pub(crate) fn load(&self) -> Arc<T> {
        // `read` and not `read_recursive`: a waiting swap goes before new readers, so that it is never starved. No
        // thread asks while it has the lock, since nothing of ours or of a module runs under it.
        Arc::clone(&self.home.read())
    }

    /// Makes `version` current and gives the one before, which callers may be in.
    pub(crate) fn publish(&self, version: Arc<T>) -> Arc<T> {
        let mut home = self.home.write();
        // Release pairs with the Acquire in `claim`: who reads the pointer sees the whole version.
        self.pointer.0.store(address(&version), Ordering::Release);
        mem::replace(&mut *home, version)
    }

    /// Names the current version in a free slot of this thread; `None` when it was replaced at this very moment.
    /// Then the slot is free again, and the swapper must be told to look once more.
    #[inline(always)]
    pub(crate) fn claim(&self, slot: &AtomicPtr<()>) -> Option<*const T> {
        // Relaxed, twice: nothing is read through the pointer before the second look, which is the one that counts.
        let version = self.pointer.0.load(Ordering::Relaxed);
        slot.store(version.cast(), Ordering::Relaxed);
        // Pairs with the heavy barrier in `Draining::release`.
        light_barrier();
        if self.pointer.0.load(Ordering::Acquire) == version {
            return Some(version);
        }
        slot.store(ptr::null_mut(), Ordering::Release);
        None
    }

    /// As `claim`, until it succeeds, with a full barrier of its own: for slots that are not worth a light one. Tells
    /// of each claim that it took back.
    pub(crate) fn claim_fenced(&self, slot: &AtomicPtr<()>, took_back: impl Fn()) -> *const T {
        loop {
            let version = self.pointer.0.load(Ordering::Relaxed);
            slot.store(version.cast(), Ordering::Relaxed);
            // Pairs with the heavy barrier in `Draining::release`.
            fence(Ordering::SeqCst);
            if self.pointer.0.load(Ordering::Acquire) == version {
                return version;
            }
            slot.store(ptr::null_mut(), Ordering::Release);
            took_back();
        }
    }

    /// Clears a slot that `claim` named. Whether the version was replaced meanwhile: then the swapper waits to
    /// be told.
    #[inline(always)]
    pub(crate) fn release(&self, slot: &AtomicPtr<()>, version: *const T) -> bool {
        // Release pairs with the Acquire in `Record::names`.
        slot.store(ptr::null_mut(), Ordering::Release);
        // Pairs with the heavy barrier in `Draining::release`: either that look sees the slot cleared, or this one sees
        // the new version.
        light_barrier();
        self.is_replaced(version)
    }

    /// As `release`, of a slot that `claim_fenced` named.
    pub(crate) fn release_fenced(&self, slot: &AtomicPtr<()>, version: *const T) -> bool {
        slot.store(ptr::null_mut(), Ordering::Release);
        fence(Ordering::SeqCst);
        self.is_replaced(version)
    }

    #[inline(always)]
    fn is_replaced(&self, version: *const T) -> bool {
        // Relaxed: nothing is read through it.
        !ptr::eq(self.pointer.0.load(Ordering::Relaxed), version)
    }
}

fn address<T>(version: &Arc<T>) -> *mut T {
    Arc::as_ptr(version).cast_mut()
}
