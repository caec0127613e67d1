//! Each thread's slots. They belong to the process and not to an engine: a slot may name a version of any.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use parking_lot::Mutex;

use super::barrier::has_membarrier;
use super::hazard::{Record, is_free};
use crate::pin::thread_name;
use crate::sync::DEPTH_MAX;

/// The slots of one thread, and who it is. Never freed: one that a thread gave back is used by the next.
#[repr(C, align(128))]
struct Place {
    /// First, so that the thread's pointer is the record's.
    record: Record,
    is_taken: AtomicBool,
    owner: Mutex<String>,
    next: *const Place,
}

// SAFETY: `next` is written before the place is shared and never again; everything else is made for sharing.
unsafe impl Sync for Place {}

/// Whose slots are never free: what a thread has before its first call, and after its last.
static NOBODY: Record = Record::new([const { AtomicPtr::new(ptr::dangling_mut()) }; DEPTH_MAX]);

/// All places, the newest first.
static PLACES: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// Without a destructor, so that reading it is one instruction.
    static MINE: Cell<&'static Record> = const { Cell::new(&NOBODY) };
    /// Touched when a thread registers; its drop gives the place back.
    static GIVES_BACK: GivesBack = const { GivesBack(Cell::new(None)) };
}

/// The slot of this thread's outermost call; never free on a thread without a record.
#[inline(always)]
pub(crate) fn first_slot() -> &'static AtomicPtr<()> {
    &MINE.with(Cell::get).slots()[0]
}

/// A free slot of this thread for a call with a full barrier of its own; `None` on a thread that is ending, and when calls
/// are nested too deeply.
#[cold]
pub(crate) fn free_slot() -> Option<&'static AtomicPtr<()>> {
    let mut record = MINE.with(Cell::get);
    if ptr::eq(record, &NOBODY) {
        record = register()?;
    }
    record.slots().iter().find(|slot| is_free(slot))
}

/// All records of the process.
pub(crate) fn records() -> Box<dyn Iterator<Item = &'static Record>> {
    Box::new(places().map(|place| &place.record))
}

/// The names of the threads that are in this version, one for each.
pub(crate) fn callers<T>(version: *const T) -> Vec<String> {
    let is_in = |place: &&Place| place.record.names(version);
    places().filter(is_in).map(|place| place.owner.lock().clone()).collect()
}

fn places() -> impl Iterator<Item = &'static Place> {
    // Acquire pairs with the Release in `place`: who sees a place sees all of it.
    let mut next = PLACES.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: null, or a place that was leaked when it was put into the list.
        let place = unsafe { next.as_ref()? };
        next = place.next;
        Some(place)
    })
}

/// Gives this thread a record, unless it is ending.
fn register() -> Option<&'static Record> {
    let place = GIVES_BACK.try_with(|mine| {
        let place = place();
        mine.0.set(Some(place));
        place
    });
    let place = place.ok()?;
    *place.owner.lock() = thread_name();
    MINE.set(&place.record);
    Some(&place.record)
}

/// A place that nobody has: one that was given back, or a new one.
fn place() -> &'static Place {
    let take = |place: &&Place| {
        // Acquire pairs with the Release in `GivesBack::drop`: its last owner is done with it.
        place.is_taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    if let Some(place) = places().find(take) {
        return place;
    }
    let record = Record::new([const { AtomicPtr::new(ptr::null_mut()) }; DEPTH_MAX]);
    if !has_membarrier() {
        // The slot that relies on it is never free, and all calls have full barriers of their own.
        record.slots()[0].store(ptr::dangling_mut(), Ordering::Relaxed);
    }
    let owner = Mutex::default();
    let mut place =
        Box::new(Place { record, is_taken: AtomicBool::new(true), owner, next: ptr::null() });
    // Relaxed: the exchange below is what orders.
    let mut head = PLACES.load(Ordering::Relaxed);
    loop {
        place.next = head;
        let new = Box::into_raw(place);
        // Release pairs with the Acquire in `places`.
        match PLACES.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
            // SAFETY: it was just leaked, and is never freed.
            Ok(_) => return unsafe { &*new },
            Err(other) => {
                head = other;
                // SAFETY: it came from `Box::into_raw` above, and nobody has seen it.
                place = unsafe { Box::from_raw(new) };
            }
        }
    }
}

/// Gives a thread's place back when the thread ends.
struct GivesBack(Cell<Option<&'static Place>>);

impl Drop for GivesBack {
    fn drop(&mut self) {
        // Calls from destructors that run after this one count references.
        MINE.set(&NOBODY);
        let Some(place) = self.0.get() else { return };
        let first = usize::from(!has_membarrier());
        // A thread that was ended inside a call is in its version for ever.
        if place.record.slots()[first..].iter().all(is_free) {
            place.is_taken.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_end_give_their_places_back() {
        let register = || assert!(free_slot().is_some_and(is_free));
        for _ in 0..200 {
            std::thread::spawn(register).join().expect("it only registers");
        }
        // Other tests of this process may have threads of their own.
        assert!(places().count() < 100, "{}", places().count());
    }
}
