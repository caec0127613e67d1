//! The protocol of `engine/src/slot`, in every order that memory allows: the very files, with the types of loom.
//!
//! A version that is freed while a call is in it, or kept although nobody rings for it, is found here and by no amount of
//! running it. What stays outside, that membarrier makes the callers' half of a barrier whole, is tried in `litmus.rs`.

#![expect(dead_code, reason = "the engine uses more of these files than the model")]

#[path = "../../engine/src/slot/draining.rs"]
mod draining;
#[path = "../../engine/src/slot/hazard.rs"]
mod hazard;

/// Where the files look for each other.
mod slot {
    pub(crate) use crate::hazard;
}

/// What the files are made of, here by loom.
mod sync {
    use std::sync::atomic::{AtomicU8, Ordering};

    pub(crate) use loom::sync::{Arc, atomic};

    /// Fewer than in the engine: every slot is one more place to look at.
    pub(crate) const DEPTH_MAX: usize = 2;

    /// Which barrier a mutant leaves out.
    pub(crate) static LEFT_OUT: AtomicU8 = AtomicU8::new(NOTHING);
    pub(crate) const NOTHING: u8 = 0;
    pub(crate) const LIGHT: u8 = 1;
    pub(crate) const HEAVY: u8 = 2;

    pub(crate) fn light_barrier() {
        if LEFT_OUT.load(Ordering::SeqCst) != LIGHT {
            atomic::fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy_barrier() {
        if LEFT_OUT.load(Ordering::SeqCst) != HEAVY {
            atomic::fence(Ordering::SeqCst);
        }
    }

    /// With the interface of parking_lot's, which has no poison.
    #[derive(Debug)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
            self.0.read().expect("nothing panics under it")
        }

        pub(crate) fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
            self.0.write().expect("nothing panics under it")
        }
    }
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use loom::thread;

use draining::Draining;
use hazard::{Current, Record};

/// What a version's code would be: loom reports a call that runs while it is unmapped.
type Code = Arc<UnsafeCell<bool>>;

/// A version; its drop unmaps.
struct Version {
    code: Code,
}

impl Drop for Version {
    fn drop(&mut self) {
        self.code.with_mut(|mapped| {
            // SAFETY: loom panics when anybody is in `with` at this moment or unordered with it.
            unsafe { *mapped = false };
        });
    }
}

/// What the engine has in its slot and beside it, and the code of each version by its address: a caller of the model
/// never follows a pointer that may be wrong.
struct House {
    current: Current<Version>,
    records: Vec<Record>,
    codes: Vec<(usize, Code)>,
    /// Not taken up by the swapper yet.
    rings: AtomicUsize,
}

fn version() -> (Arc<Version>, Code) {
    let code = Arc::new(UnsafeCell::new(true));
    (Arc::new(Version { code: Arc::clone(&code) }), code)
}

impl House {
    fn ring(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
    }

    /// One call on a thread, in the slot of its depth.
    fn call(&self, thread: usize, depth: usize, inside: impl FnOnce()) {
        let slot: &AtomicPtr<()> = &self.records[thread].slots()[depth];
        let quick = (depth == 0).then(|| self.current.claim(slot)).flatten();
        let version = quick.unwrap_or_else(|| {
            if depth == 0 {
                self.ring();
            }
            self.current.claim_fenced(slot, || self.ring())
        });
        let (_, code) = self
            .codes
            .iter()
            .find(|(address, _)| *address == version as usize)
            .expect("a version of this model");
        code.with(|mapped| {
            // SAFETY: loom panics when a drop is at work at this moment, or unordered with this.
            assert!(unsafe { *mapped }, "the call runs in code that is gone");
        });
        inside();
        let is_replaced = match quick {
            Some(_) => self.current.release(slot, version),
            None => self.current.release_fenced(slot, version),
        };
        if is_replaced {
            self.ring();
        }
    }
}

/// One swapper that swaps `swaps` times, and callers that do `work`; then everything that nobody is in must be gone.
fn model(swaps: usize, callers: Vec<fn(&House, usize)>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let versions: Vec<_> = (0..=swaps).map(|_| version()).collect();
        let codes = versions
            .iter()
            .map(|(version, code)| (Arc::as_ptr(version) as usize, Arc::clone(code)));
        let house = Arc::new(House {
            codes: codes.collect(),
            current: Current::new(Arc::clone(&versions[0].0)),
            records: callers
                .iter()
                .map(|_| Record::new(std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut()))))
                .collect(),
            rings: AtomicUsize::new(0),
        });
        let codes: Vec<Code> = versions.iter().map(|(_, code)| Arc::clone(code)).collect();
        let mut next = versions.into_iter().map(|(version, _)| version);
        drop(next.next());
        let threads: Vec<_> = callers
            .iter()
            .enumerate()
            .map(|(number, work)| {
                let (house, work) = (Arc::clone(&house), *work);
                thread::spawn(move || work(&house, number))
            })
            .collect();
        let mut draining = Draining::new();
        for version in next {
            draining.add(house.current.publish(version));
            release(&house, &mut draining);
        }
        for thread in threads {
            thread.join().expect("the model found nothing");
        }
        // Whoever left a replaced version rang, so that one more look finds all of them free.
        while house.rings.swap(0, Ordering::SeqCst) > 0 {
            release(&house, &mut draining);
        }
        assert!(draining.is_empty(), "a version is kept, and nobody rang");
        for (number, code) in codes.iter().enumerate() {
            // SAFETY: all threads have ended.
            let mapped = code.with(|mapped| unsafe { *mapped });
            assert_eq!(mapped, number == swaps, "version {number}");
        }
    });
}

fn release(house: &House, draining: &mut Draining<Version>) {
    draining.release(|| Box::new(house.records.iter()), |_| false);
}

/// The barriers that are left out are the whole process's.
static TURN: Mutex<()> = Mutex::new(());

fn whole(swaps: usize, callers: Vec<fn(&House, usize)>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    model(swaps, callers);
}

/// The model must find what is wrong without this barrier.
fn mutant(left_out: u8) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    sync::LEFT_OUT.store(left_out, Ordering::SeqCst);
    let found = catch_unwind(AssertUnwindSafe(|| model(1, vec![calls_once])));
    sync::LEFT_OUT.store(sync::NOTHING, Ordering::SeqCst);
    assert!(found.is_err(), "the model found nothing wrong without a barrier");
}

fn calls_once(house: &House, thread: usize) {
    house.call(thread, 0, || {});
}

fn calls_twice(house: &House, thread: usize) {
    house.call(thread, 0, || {});
    house.call(thread, 0, || {});
}

fn calls_nested(house: &House, thread: usize) {
    house.call(thread, 0, || house.call(thread, 1, || {}));
}

#[test]
fn one_call_and_one_swap() {
    whole(1, vec![calls_once]);
}

#[test]
fn two_calls_and_two_swaps() {
    whole(2, vec![calls_twice]);
}

#[test]
fn a_nested_call_and_two_swaps() {
    whole(2, vec![calls_nested]);
}

#[test]
fn two_callers_and_one_swap() {
    whole(1, vec![calls_once, calls_once]);
}

#[test]
fn without_the_callers_barrier_the_model_fails() {
    mutant(sync::LIGHT);
}

#[test]
fn without_the_swappers_barrier_the_model_fails() {
    mutant(sync::HEAVY);
}
