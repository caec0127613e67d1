//! The cells that one version uses, found by the calls in it without waiting.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use parking_lot::Mutex;

use super::cell::Cell;

/// The cells of one image.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// The last of `tables`; null before the version became current.
    current: AtomicPtr<Table>,
    /// All that there were. None is freed before the image, since a call may be looking through it.
    #[expect(clippy::vec_box, reason = "they are reached by address")]
    tables: Mutex<Vec<Box<Table>>>,
    /// Cells that its code can serve, whether they came into use or not.
    kept: Mutex<Vec<Arc<Cell>>>,
}

type Table = Vec<Entry>;

/// One cell.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) is_shared: bool,
    pub(crate) cell: Arc<Cell>,
}

impl Entry {
    fn is(&self, other: &Self) -> bool {
        self.is_shared == other.is_shared && Arc::ptr_eq(&self.cell, &other.cell)
    }
}

impl Bound {
    fn table(&self) -> Option<&Table> {
        // Acquire pairs with the Release in `set`: who sees the table sees what is in it.
        let table = self.current.load(Ordering::Acquire);
        // SAFETY: null, or one of `tables`, which are neither changed nor freed before `self`.
        unsafe { table.as_ref() }
    }

    /// Whether the version may use cells.
    pub(crate) fn is_ready(&self) -> bool {
        !self.current.load(Ordering::Acquire).is_null()
    }

    /// The cell of this schema and name, if it is in use already.
    pub(crate) fn find(&self, schema: &str, name: &str, is_shared: bool) -> Option<&Arc<Cell>> {
        let matches = |entry: &&Entry| {
            entry.cell.schema == schema && entry.cell.name == name && entry.is_shared == is_shared
        };
        self.table()?.iter().find(matches).map(|entry| &entry.cell)
    }

    /// Adds a cell.
    pub(crate) fn add(&self, entry: Entry) -> Arc<Cell> {
        let cell = Arc::clone(&entry.cell);
        let mut tables = self.tables.lock();
        let mut entries = tables.last().map(|table| (**table).clone()).unwrap_or_default();
        if !entries.iter().any(|known| known.is(&entry)) {
            entries.push(entry);
            self.push(&mut tables, entries);
        }
        cell
    }

    /// Uses these from here on.
    pub(crate) fn set(&self, entries: Vec<Entry>) {
        let mut tables = self.tables.lock();
        let is_same = tables.last().is_some_and(|last| {
            last.len() == entries.len() && last.iter().zip(&entries).all(|(old, new)| old.is(new))
        });
        if !is_same {
            self.push(&mut tables, entries);
        }
    }

    #[expect(clippy::vec_box, reason = "they are reached by address")]
    fn push(&self, tables: &mut Vec<Box<Table>>, entries: Vec<Entry>) {
        let mut table = Box::new(entries);
        self.current.store(ptr::from_mut(&mut *table), Ordering::Release);
        tables.push(table);
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
        for entry in self.tables.lock().iter().flat_map(|table| table.iter()) {
            if !all.iter().any(|known| Arc::ptr_eq(known, &entry.cell)) {
                all.push(Arc::clone(&entry.cell));
            }
        }
        all
    }
}
