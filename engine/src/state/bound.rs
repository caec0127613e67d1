//! The cells that one version uses, found by the calls in it without waiting.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use hotswap_module::__private::{CellLink, CellLinks, Text};
use parking_lot::Mutex;

use super::cell::Cell;

/// The cells of one image.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// The last of the tables; null before the version became current.
    current: AtomicPtr<Table>,
    inner: Mutex<Inner>,
    /// Cells that its code can serve, whether they came into use or not.
    kept: Mutex<Vec<Arc<Cell>>>,
}

#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "they are reached by address")]
struct Inner {
    /// All that there were. None is freed before the image, since a call may be looking through it.
    tables: Vec<Box<Table>>,
    /// What finds the cells of the last table from inside the image. None is freed before it.
    links: Vec<Link>,
}

type Table = Vec<Entry>;

/// One cell.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) is_shared: bool,
    pub(crate) cell: Arc<Cell>,
}

/// Which cell of a version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellKey<'a> {
    pub(crate) schema: &'a str,
    /// Empty for the one without.
    pub(crate) name: &'a str,
    pub(crate) is_shared: bool,
}

/// One cell, as the image finds it.
#[derive(Debug)]
struct Link {
    /// In which of the image's lists it is, by address: that of one type.
    list: usize,
    /// What `link` borrows.
    name: String,
    is_shared: bool,
    /// No `Box`, which would claim to be the only way to it.
    link: Arc<CellLink>,
}

impl Entry {
    fn is(&self, other: &Self) -> bool {
        self.is_shared == other.is_shared && Arc::ptr_eq(&self.cell, &other.cell)
    }

    fn has(&self, key: CellKey<'_>) -> bool {
        let Cell { schema, name, .. } = &*self.cell;
        CellKey { schema, name, is_shared: self.is_shared } == key
    }
}

impl Bound {
    fn table(&self) -> Option<&Table> {
        // Acquire pairs with the Release in `push`: who sees the table sees what is in it.
        let table = self.current.load(Ordering::Acquire);
        // SAFETY: null, or one of the tables, which are neither changed nor freed before `self`.
        unsafe { table.as_ref() }
    }

    /// Whether the version may use cells.
    pub(crate) fn is_ready(&self) -> bool {
        !self.current.load(Ordering::Acquire).is_null()
    }

    /// The cell that is meant, if it is in use already.
    pub(crate) fn find(&self, key: CellKey<'_>) -> Option<&Arc<Cell>> {
        self.table()?.iter().find(|entry| entry.has(key)).map(|entry| &entry.cell)
    }

    /// Has the image find the cell that is meant without asking, until others are in use.
    ///
    /// # Safety
    ///
    /// 1. The list is the image's, of the type that the cell's schema has there, and neither is used once `self` is freed.
    pub(crate) unsafe fn link(&self, list: &CellLinks, key: CellKey<'_>) {
        // With the lock held: no cell is linked that is not in use any more.
        let mut inner = self.inner.lock();
        let Inner { tables, links } = &mut *inner;
        let entry = tables.last().and_then(|table| table.iter().find(|entry| entry.has(key)));
        let Some(cell) = entry.map(|entry| Arc::as_ptr(&entry.cell).cast()) else { return };
        let address = ptr::from_ref(list) as usize;
        let is_it = |link: &&Link| {
            link.list == address && link.name == key.name && link.is_shared == key.is_shared
        };
        if let Some(known) = links.iter().find(is_it) {
            return known.link.set(cell);
        }
        let name = key.name.to_owned();
        // SAFETY: the name's bytes stay where they are, beside the link, and neither is changed or freed before `self`.
        let link = Arc::new(unsafe { CellLink::new(Text::new(&name), key.is_shared) });
        link.set(cell);
        // SAFETY: 1. it is new, and freed with `self`, when nothing of the image runs. 2. part 1 of the contract.
        unsafe { list.add(&link) };
        links.push(Link { list: address, name, is_shared: key.is_shared, link });
    }

    /// Adds a cell.
    pub(crate) fn add(&self, entry: Entry) {
        let mut inner = self.inner.lock();
        let mut entries = inner.tables.last().map(|table| (**table).clone()).unwrap_or_default();
        if !entries.iter().any(|known| known.is(&entry)) {
            entries.push(entry);
            self.push(&mut inner, entries);
        }
    }

    /// Uses these from here on.
    pub(crate) fn set(&self, entries: Vec<Entry>) {
        let mut inner = self.inner.lock();
        let is_same = inner.tables.last().is_some_and(|last| {
            last.len() == entries.len() && last.iter().zip(&entries).all(|(old, new)| old.is(new))
        });
        if !is_same {
            self.push(&mut inner, entries);
            // From here on the image asks again. Who becomes current by a later write is seen to have done this.
            inner.links.iter().for_each(|link| link.link.set(ptr::null()));
        }
    }

    fn push(&self, inner: &mut Inner, entries: Vec<Entry>) {
        let mut table = Box::new(entries);
        self.current.store(ptr::from_mut(&mut *table), Ordering::Release);
        inner.tables.push(table);
    }

    /// Notes a cell that its code can serve.
    pub(crate) fn keep(&self, cell: Arc<Cell>) {
        let mut kept = self.kept.lock();
        if !kept.iter().any(|known| Arc::ptr_eq(known, &cell)) {
            kept.push(cell);
        }
    }

    /// Every cell that it ever used, or made.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        let mut all = self.kept.lock().clone();
        for entry in self.inner.lock().tables.iter().flat_map(|table| table.iter()) {
            if !all.iter().any(|known| Arc::ptr_eq(known, &entry.cell)) {
                all.push(Arc::clone(&entry.cell));
            }
        }
        all
    }
}
