//! All cells of an engine, and those that engines share.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use hotswap_module::StateErrorKind;
use parking_lot::Mutex;

use super::cell::{Cell, CellOwner, Content};
use super::kinds::{Form, Glue};

/// The cells that all engines of this process share.
pub(crate) static SHARED: Cells = Cells::new();

/// Cells, by schema and name. At any time those of one schema have one form.
#[derive(Debug)]
pub(crate) struct Cells {
    inner: Mutex<Inner>,
    /// Who is told of what happens to them.
    owner: OnceLock<Weak<dyn CellOwner>>,
}

#[derive(Debug)]
struct Inner {
    cells: BTreeMap<(String, String), Arc<Cell>>,
    forms: BTreeMap<String, Form>,
}

impl Cells {
    pub(crate) const fn new() -> Self {
        let inner = Inner { cells: BTreeMap::new(), forms: BTreeMap::new() };
        Self { inner: Mutex::new(inner), owner: OnceLock::new() }
    }

    /// Says, once, who is told of what happens to them.
    pub(crate) fn belong_to(&self, owner: Weak<dyn CellOwner>) {
        // Set once, right after the engine was made.
        let _ = self.owner.set(owner);
    }

    pub(crate) fn owner(&self) -> Option<Weak<dyn CellOwner>> {
        self.owner.get().cloned()
    }

    /// The cell of this schema and name; made empty where there is none.
    pub(crate) fn find_or_add(
        &self,
        schema: &str,
        name: &str,
        form: &Form,
        glue: Glue,
    ) -> Result<Arc<Cell>, StateErrorKind> {
        let mut inner = self.inner.lock();
        let known = inner.forms.entry(schema.to_owned()).or_insert_with(|| form.clone());
        if known != form {
            return Err(match known.version == form.version {
                true => StateErrorKind::StateSuperseded,
                false => {
                    StateErrorKind::OtherVersion { wanted: form.version, found: known.version }
                }
            });
        }
        let key = (schema.to_owned(), name.to_owned());
        let cell = inner.cells.entry(key).or_insert_with(|| {
            Arc::new(Cell::new(schema, name, form.clone(), Content::Empty, self.owner()))
        });
        cell.add_glue(glue);
        Ok(Arc::clone(cell))
    }

    /// The cells of a schema.
    pub(crate) fn of(&self, schema: &str) -> Vec<Arc<Cell>> {
        let inner = self.inner.lock();
        inner.cells.values().filter(|cell| cell.schema == schema).map(Arc::clone).collect()
    }

    /// All cells.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        self.inner.lock().cells.values().map(Arc::clone).collect()
    }

    /// Puts a cell in the place of the one of its schema and name; that schema has its form from here on.
    pub(crate) fn put(&self, cell: Arc<Cell>) {
        let mut inner = self.inner.lock();
        inner.forms.insert(cell.schema.clone(), cell.form.clone());
        inner.cells.insert((cell.schema.clone(), cell.name.clone()), cell);
    }
}
