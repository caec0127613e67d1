//! Which cells this thread has locked, so that it never waits for itself.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use hotswap_module::__private::{Access, Locker, Text};

/// The image number of this program's own code.
const HOST: u64 = 0;

/// Who locked a cell: code of an image, and where in it. Borrowed from that image: see [`By::text`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct By {
    image: u64,
    locker: Locker,
}

impl By {
    /// Code of an image.
    #[inline]
    pub(crate) const fn image(image: u64, locker: Locker) -> Self {
        Self { image, locker }
    }

    /// The engine itself.
    #[track_caller]
    pub(crate) const fn engine() -> Self {
        let locker = Locker { function: Text::new("hotswap"), place: Location::caller() };
        Self { image: HOST, locker }
    }

    /// The number of its image; `None` for the engine itself.
    pub(crate) fn image_number(&self) -> Option<u64> {
        (self.image != HOST).then_some(self.image)
    }

    /// The function, and the place in it.
    ///
    /// # Safety
    ///
    /// The image is mapped.
    pub(crate) unsafe fn text(&self) -> String {
        let Locker { function, place } = self.locker;
        let (file, line) = (place.file(), place.line());
        // SAFETY: the contract; it is a constant of the image.
        match unsafe { function.as_str() } {
            "" => format!("{file}:{line}"),
            function => format!("{function} ({file}:{line})"),
        }
    }
}

/// One cell that this thread has locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Its address.
    pub(crate) cell: usize,
    pub(crate) access: Access,
    pub(crate) by: By,
}

/// How many cells a thread has locked at once before memory is taken to note more of them.
const FEW: usize = 8;

/// What this thread has locked, in the order in which it did.
struct List {
    count: Cell<usize>,
    few: [Cell<Held>; FEW],
}

thread_local! {
    // Without a destructor: it is there until the thread is gone, and nothing has to be asked before it is used.
    static HELD: List = const {
        const NOTHING: Held = Held { cell: 0, access: Access::Read, by: By::engine() };
        List { count: Cell::new(0), few: [const { Cell::new(NOTHING) }; FEW] }
    };
    static MORE: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

impl List {
    fn get(&self, index: usize) -> Option<Held> {
        match self.few.get(index) {
            Some(held) => Some(held.get()),
            None => MORE.try_with(|more| more.borrow().get(index - FEW).copied()).ok().flatten(),
        }
    }

    /// The latest lock of a cell, and where it is.
    fn find(&self, cell: usize) -> Option<(usize, Held)> {
        let all = (0..self.count.get()).rev();
        all.filter_map(|index| Some((index, self.get(index)?))).find(|(_, held)| held.cell == cell)
    }

    /// One that there is no room for among the few. A thread that is ending cannot note it.
    #[cold]
    fn add_more(&self, held: Held) {
        if MORE.try_with(|more| more.borrow_mut().push(held)).is_ok() {
            self.count.set(self.count.get() + 1);
        }
    }

    /// Puts the last in the place of the latest lock of a cell.
    #[cold]
    fn remove(&self, cell: usize) {
        let Some((index, _)) = self.find(cell) else { return };
        let last = self.count.get() - 1;
        let Some(moved) = self.get(last) else { return };
        match self.few.get(index) {
            Some(place) => place.set(moved),
            None => {
                let _ = MORE.try_with(|more| more.borrow_mut()[index - FEW] = moved);
            }
        }
        if last >= FEW {
            let _ = MORE.try_with(|more| more.borrow_mut().pop());
        }
        self.count.set(last);
    }
}

/// How this thread has a cell locked, if it has. Where there are several locks they all read: who writes a cell is alone with it.
pub(crate) fn find(cell: usize) -> Option<Held> {
    HELD.with(|list| list.find(cell)).map(|(_, held)| held)
}

/// Notes that this thread has a cell locked.
#[inline]
pub(crate) fn add(cell: usize, access: Access, by: By) {
    HELD.with(|list| {
        let count = list.count.get();
        match list.few.get(count) {
            Some(place) => {
                place.set(Held { cell, access, by });
                list.count.set(count + 1);
            }
            None => list.add_more(Held { cell, access, by }),
        }
    });
}

/// Takes its latest lock of a cell off.
#[inline]
pub(crate) fn remove(cell: usize) {
    HELD.with(|list| {
        // Mostly it is the last.
        let last = list.count.get().wrapping_sub(1);
        if list.few.get(last).is_some_and(|held| held.get().cell == cell) {
            list.count.set(last);
        } else {
            list.remove(cell);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Vec<usize> {
        let all = |list: &List| (0..list.count.get()).filter_map(|at| list.get(at)).collect();
        let all: Vec<Held> = HELD.with(all);
        let mut all: Vec<usize> = all.iter().map(|held| held.cell).collect();
        all.sort_unstable();
        all
    }

    /// Few or many, let go of in any order.
    #[test]
    fn a_thread_knows_what_it_has_locked() {
        for count in [1, FEW - 1, FEW, FEW + 1, 3 * FEW] {
            for from in 0..count {
                let mut left: Vec<usize> = (0..count).collect();
                left.iter().for_each(|cell| add(*cell, Access::Write, By::engine()));
                while !left.is_empty() {
                    assert_eq!(held(), left);
                    let cell = left.remove(from % left.len());
                    remove(cell);
                    assert!(find(cell).is_none(), "{cell} of {count}");
                }
                assert_eq!(held(), left);
            }
        }
    }

    /// One cell may be read several times.
    #[test]
    fn one_lock_is_taken_off_at_a_time() {
        add(1, Access::Read, By::engine());
        add(1, Access::Read, By::engine());
        remove(1);
        assert_eq!(held(), [1]);
        remove(1);
        assert!(held().is_empty());
        remove(1);
        assert!(held().is_empty());
    }
}
