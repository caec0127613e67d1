//! Each thread's slots. They belong to the process and not to an engine: a slot may name a version of any.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread::ThreadId;

use parking_lot::Mutex;

use super::barrier::has_membarrier;
use super::hazard::{Record, is_free};
use crate::leftovers;
use crate::pin::thread_name;
use crate::sync::DEPTH_MAX;

/// The slots of one thread, and who it is. Never freed: one that a thread gave back is used by the next.
#[repr(C, align(128))]
struct Place {
    /// First, so that the thread's pointer is the record's.
    record: Record,
    is_taken: AtomicBool,
    owner: Mutex<Option<Owner>>,
    next: *const Place,
}

#[derive(Debug)]
struct Owner {
    name: String,
    thread: ThreadId,
}

// SAFETY: `next` is written before the place is shared and never again; everything else is made for sharing.
unsafe impl Sync for Place {}

/// In the first slot of a thread that is asked to destroy what modules left on it: never free, so that its next call comes by.
const ASKED: *mut () = ptr::without_provenance_mut(2);

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
    if record.slots()[0].load(Ordering::Relaxed) == ASKED {
        // Relaxed: the thread's own slot again. What is to be seen is in the list that it looks through.
        record.slots()[0].store(at_rest(), Ordering::Relaxed);
        leftovers::clear_closing();
    }
    record.slots().iter().find(|slot| is_free(slot))
}

/// What the first slot of a thread has between calls: without membarrier nothing may rely on it, so that it is never free
/// and all calls have full barriers of their own.
fn at_rest() -> *mut () {
    if has_membarrier() { ptr::null_mut() } else { ptr::dangling_mut() }
}

/// Has each of these threads destroy what modules left on it, at its next call. One that is in a call may miss it,
/// and is to be asked again.
pub(crate) fn ask(threads: &[ThreadId]) {
    for place in places() {
        // Kept while it is asked: a thread that ends takes it back under the same lock.
        let owner = place.owner.lock();
        if !owner.as_ref().is_some_and(|owner| threads.contains(&owner.thread)) {
            continue;
        }
        // Relaxed: it only sends the thread the slow way; a call that it makes at this moment writes over it.
        let _ = place.record.slots()[0].compare_exchange(
            at_rest(),
            ASKED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// All records of the process.
pub(crate) fn records() -> Box<dyn Iterator<Item = &'static Record>> {
    Box::new(places().map(|place| &place.record))
}

/// A thread that is in a version.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) thread: ThreadId,
    pub(crate) name: String,
    /// How many calls of it are in that version, as far as it has slots.
    pub(crate) calls: usize,
}

/// The threads that are in this version.
pub(crate) fn callers<T>(version: *const T) -> Vec<Caller> {
    let caller = |place: &Place| {
        let calls = place.record.count(version);
        let owner = place.owner.lock();
        let Owner { name, thread } = owner.as_ref().filter(|_| calls > 0)?;
        Some(Caller { thread: *thread, name: name.clone(), calls })
    };
    places().filter_map(caller).collect()
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
    let thread = std::thread::current().id();
    *place.owner.lock() = Some(Owner { name: thread_name(), thread });
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
    record.slots()[0].store(at_rest(), Ordering::Relaxed);
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
        let [first, deeper @ ..] = place.record.slots();
        let mut owner = place.owner.lock();
        // Who asks has the lock too.
        if first.load(Ordering::Relaxed) == ASKED {
            first.store(at_rest(), Ordering::Relaxed);
        }
        // A thread that was ended inside a call is in its version for ever.
        if first.load(Ordering::Relaxed) == at_rest() && deeper.iter().all(is_free) {
            *owner = None;
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
