//! Cells that modules lock.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use hotswap_module::__private::{Access, CellQuery, LockedCell};
use hotswap_module::{StateError, StateErrorKind};

use super::{ImageContext, context_of};
use crate::failure;
use crate::state::{Cell, Entry, Place};

pub(super) unsafe extern "C" fn state_lock(
    context: *const c_void,
    query: *const CellQuery,
    locked: *mut LockedCell,
    error: *mut Option<StateError>,
) {
    // SAFETY: the module's record lives for the length of this call.
    let query = unsafe { &*query };
    // SAFETY: the texts are constants of the image that calls.
    let [schema, name, function, file] =
        [query.schema, query.name, query.function, query.file].map(|text| unsafe { text.as_str() });
    // SAFETY: the context of a live image.
    let known = unsafe { context_of(context) };
    let work = || {
        let cell = known.ok_or(StateErrorKind::NoEngine)?.cell(schema, name, query)?;
        let by = Place::new(function, file, query.line);
        let value = cell.lock_for_module(query.access, query.timeout, &by)?;
        Ok(LockedCell { value, cell: ptr::from_ref(cell).cast() })
    };
    let answer = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // What dropping it might do is not worth knowing here.
        std::mem::forget(payload);
        Err(StateErrorKind::Initial { message: "the engine panicked, a defect of it".to_owned() })
    });
    match answer {
        // SAFETY: the module gave room for it.
        Ok(answer) => unsafe { locked.write(answer) },
        Err(kind) => {
            let state = match name {
                "" => schema.to_owned(),
                name => format!("{schema} {name:?}"),
            };
            // SAFETY: the module gave room for it, with a `None` there, which owns nothing.
            unsafe { error.write(Some(StateError::new(state, kind))) };
        }
    }
}

pub(super) unsafe extern "C" fn state_unlock(cell: *const c_void, access: Access, panicked: u32) {
    // SAFETY: what `state_lock` gave this thread: cells are kept as long as the images that use them.
    let cell = unsafe { &*cell.cast::<Cell>() };
    cell.unlock_for_module(access, panicked != 0);
}

pub(super) unsafe extern "C" fn state_failed(_context: *const c_void, error: *const StateError) {
    // SAFETY: the error is borrowed for the length of this call.
    failure::note_state(unsafe { &*error });
}

impl ImageContext {
    /// The cell that is asked for.
    fn cell(&self, schema: &str, name: &str, query: &CellQuery) -> Result<&Cell, StateErrorKind> {
        if !self.cells.is_ready() {
            return Err(StateErrorKind::NotCurrent);
        }
        let cell = match self.cells.find(schema, name, query.is_shared) {
            Some(cell) => &**cell,
            None => self.new_cell(schema, name, query)?,
        };
        match cell.form.version == query.version {
            true => Ok(cell),
            false => Err(StateErrorKind::OtherVersion {
                wanted: query.version,
                found: cell.form.version,
            }),
        }
    }

    /// A cell that this image did not use before.
    #[cold]
    fn new_cell(
        &self,
        schema: &str,
        name: &str,
        query: &CellQuery,
    ) -> Result<&Cell, StateErrorKind> {
        let engine = self.engine.upgrade().ok_or(StateErrorKind::NoEngine)?;
        let kind = self.kinds().wanted_of(schema).ok_or(StateErrorKind::NoEngine)?;
        let glue = self.glue(kind.shim);
        let cell = engine.cells(query.is_shared).find_or_add(schema, name, &kind.form, glue)?;
        self.cells.add(Entry { is_shared: query.is_shared, cell });
        let added = self.cells.find(schema, name, query.is_shared);
        added.map(Arc::as_ref).ok_or(StateErrorKind::NoEngine)
    }
}
