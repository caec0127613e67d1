//! How many bytes of heap each image has: what its allocator was given, minus what it gave back.
//!
//! Each thread counts for itself: a counter has one writer, which loads and stores and shares no cache line with another. Who
//! wants the figure adds them up. All this is called from an allocator: it takes no lock but for a thread's first allocation,
//! does not panic, and works on a thread that is ending.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

/// How many images are counted thread by thread at a time; those beyond share one counter each.
///
/// 64: more than a program has that lets go of its versions, and half a kilobyte for each thread.
const PLACES: usize = 64;

/// The counters of one thread, one for each image. Never freed: those that a thread gave back are the next one's, and go
/// on from where they stand.
#[repr(align(128))]
struct Counters {
    bytes: [AtomicI64; PLACES],
    is_taken: AtomicBool,
}

/// All counters, and which places have an image.
struct Registry {
    counters: Vec<&'static Counters>,
    taken: u64,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { counters: Vec::new(), taken: 0 });

thread_local! {
    /// Without a destructor, so that it can be read at any time in the life of a thread.
    static MINE: Cell<Option<&'static Counters>> = const { Cell::new(None) };
    /// Touched when a thread gets its counters; its drop gives them back.
    static GIVES_BACK: GivesBack = const { GivesBack };
}

/// What one image has.
#[derive(Debug)]
pub(crate) struct Account {
    /// Its place among the counters of each thread; none from `PLACES` on.
    place: usize,
    /// What the counters had when it got that place.
    before: i64,
    /// Counted by threads that have no counters: those that are ending.
    shared: AtomicI64,
    /// What it had in the end.
    settled: Mutex<Option<i64>>,
}

impl Account {
    pub(crate) fn open() -> Self {
        let mut registry = REGISTRY.lock();
        // One bit for each place: the lowest that is free.
        let place = registry.taken.trailing_ones() as usize;
        let mut before = 0;
        if place < PLACES {
            registry.taken |= 1 << place;
            before = registry.sum(place);
        }
        Self { place, before, shared: AtomicI64::new(0), settled: Mutex::new(None) }
    }

    /// Counts what the image was given; negative, what it gave back.
    ///
    /// The one place that all of it comes by, on the thread that it is for: where a limit would be looked at.
    #[inline]
    pub(crate) fn add(&self, bytes: i64) {
        let counter = self.counter();
        if let Some(counter) = counter {
            // Relaxed: only this thread writes it, and who reads it wants the number alone.
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
        } else {
            // Relaxed: the number is all that is shared.
            self.shared.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// What this thread has counted, from some beginning: the difference of two readings is what came between.
    #[inline]
    pub(crate) fn here(&self) -> i64 {
        self.counter().unwrap_or(&self.shared).load(Ordering::Relaxed)
    }

    #[inline]
    fn counter(&self) -> Option<&'static AtomicI64> {
        let counters = match MINE.get() {
            Some(counters) => counters,
            None => register()?,
        };
        counters.bytes.get(self.place)
    }

    /// How much it has now. Less than nothing is nothing: what was handed over uncounted was given back.
    pub(crate) fn bytes(&self) -> u64 {
        let settled = self.settled.lock();
        u64::try_from(settled.unwrap_or_else(|| self.sum(&REGISTRY.lock()))).unwrap_or(0)
    }

    /// Notes what it has as the last that will be said of it. Nothing of the image runs any more.
    pub(crate) fn settle(&self) -> u64 {
        let mut settled = self.settled.lock();
        if settled.is_none() {
            let mut registry = REGISTRY.lock();
            *settled = Some(self.sum(&registry));
            if self.place < PLACES {
                registry.taken &= !(1 << self.place);
            }
        }
        drop(settled);
        self.bytes()
    }

    fn sum(&self, registry: &Registry) -> i64 {
        let shared = self.shared.load(Ordering::Relaxed);
        if self.place < PLACES {
            registry.sum(self.place).wrapping_sub(self.before).wrapping_add(shared)
        } else {
            shared
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Registry {
    fn sum(&self, place: usize) -> i64 {
        let counts = self.counters.iter().map(|counters| &counters.bytes[place]);
        counts.map(|count| count.load(Ordering::Relaxed)).fold(0, i64::wrapping_add)
    }
}

/// Gives this thread counters, unless it is ending.
#[cold]
fn register() -> Option<&'static Counters> {
    // Before anything is taken: a thread that is past this point gives nothing back.
    GIVES_BACK.try_with(|_| ()).ok()?;
    let mut registry = REGISTRY.lock();
    // Acquire pairs with the Release in `GivesBack::drop`: the thread before has written its last.
    let is_free = |counters: &&&Counters| !counters.is_taken.swap(true, Ordering::Acquire);
    let free = registry.counters.iter().find(is_free).copied();
    let counters = free.unwrap_or_else(|| {
        let bytes = [const { AtomicI64::new(0) }; PLACES];
        let new = &*Box::leak(Box::new(Counters { bytes, is_taken: AtomicBool::new(true) }));
        registry.counters.push(new);
        new
    });
    drop(registry);
    MINE.set(Some(counters));
    Some(counters)
}

/// Gives a thread's counters back when the thread ends.
struct GivesBack;

impl Drop for GivesBack {
    fn drop(&mut self) {
        // What is allocated after this is counted by nobody's counter.
        if let Some(counters) = MINE.take() {
            counters.is_taken.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn what_threads_count_is_added_up_also_when_they_have_ended() {
        let account = Account::open();
        account.add(1_000);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|_| account.add(3)));
            }
        });
        account.add(-999);
        assert_eq!(account.bytes(), 24_001);
        assert_eq!(account.settle(), 24_001);
        assert_eq!(account.bytes(), 24_001, "from here on it does not change");
    }

    #[test]
    fn a_place_that_is_given_back_starts_anew() {
        for round in 0..200 {
            let account = Account::open();
            assert_eq!(account.bytes(), 0, "round {round}");
            account.add(round);
        }
    }

    #[test]
    fn beyond_the_places_one_counter_is_shared() {
        let accounts: Vec<_> = (0..PLACES + 3).map(|_| Arc::new(Account::open())).collect();
        for (index, account) in accounts.iter().enumerate() {
            let theirs = Arc::clone(account);
            thread::spawn(move || theirs.add(index as i64)).join().expect("it only counts");
            account.add(1);
        }
        let bytes: Vec<_> = accounts.iter().map(|account| account.bytes()).collect();
        assert_eq!(bytes, (1..=(PLACES + 3) as u64).collect::<Vec<_>>());
    }

    /// A destructor that runs when the thread's counters are given back already.
    #[test]
    fn a_thread_that_is_ending_is_counted() {
        struct Late(Arc<Account>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.add(7);
            }
        }
        thread_local! {
            static LATE: Cell<Option<Late>> = const { Cell::new(None) };
        }
        let account = Arc::new(Account::open());
        let theirs = Arc::clone(&account);
        let late = move || {
            // Registered first, it is dropped last on some platforms and first on others: both are counted.
            LATE.set(Some(Late(Arc::clone(&theirs))));
            theirs.add(1);
        };
        thread::spawn(late).join().expect("it only counts");
        assert_eq!(account.bytes(), 8);
    }

    #[test]
    fn less_than_nothing_is_nothing() {
        let account = Account::open();
        account.add(-5);
        assert_eq!(account.bytes(), 0);
    }
}
