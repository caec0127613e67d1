//! Cells that modules lock.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr;
use std::sync::Arc;

use hotswap_module::__private::{Access, CellQuery, LockedCell, Locker, Text};
use hotswap_module::{StateError, StateErrorKind};

use super::{ImageContext, context_of};
use crate::failure;
use crate::state::{By, Cell, CellKey, Entry};

pub(super) unsafe extern "C" fn state_try_lock(
    context: *const c_void,
    cell: *const c_void,
    access: Access,
    function: Text,
    place: &'static Location<'static>,
) -> *mut u8 {
    // SAFETY: the context of a live image.
    let Some(known) = (unsafe { context_of(context) }) else { return ptr::null_mut() };
    // SAFETY: what `Bound` linked to the image: its cells are kept as long as itself.
    let cell = unsafe { &*cell.cast::<Cell>() };
    let Some(value) = cell.try_lock_for_module(access) else { return ptr::null_mut() };
    cell.locked(access, By::image(known.number, Locker { function, place }));
    value.as_ptr()
}

pub(super) unsafe extern "C" fn state_lock(
    context: *const c_void,
    query: *const CellQuery,
    locked: *mut LockedCell,
    error: *mut Option<StateError>,
) {
    // SAFETY: the module's record lives for the length of this call.
    let query = unsafe { &*query };
    // SAFETY: the texts are constants of the image that calls.
    let [schema, name] = [query.schema, query.name].map(|text| unsafe { text.as_str() });
    // SAFETY: the context of a live image.
    let known = unsafe { context_of(context) };
    let work = || {
        let known = known.ok_or(StateErrorKind::NoEngine)?;
        let cell = known.cell(CellKey { schema, name, is_shared: query.is_shared }, query)?;
        let by = By::image(known.number, query.by);
        // SAFETY: it is the image that calls.
        let value = unsafe { cell.lock_for_module(query.access, query.timeout, by) }?;
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

pub(super) unsafe extern "C" fn state_unlock(
    context: *const c_void,
    cell: *const c_void,
    access: Access,
    panicked: u32,
) {
    // SAFETY: what was locked on this thread: cells are kept as long as the images that use them.
    let cell = unsafe { &*cell.cast::<Cell>() };
    if panicked != 0 {
        // SAFETY: the context of a live image, or null.
        let known = unsafe { context_of(context) };
        let version = known.and_then(|known| known.version.get()).map(|(id, _)| *id);
        // SAFETY: 1. this thread locked it for the module that calls.
        unsafe { cell.panicked(access, version) };
    }
    cell.unlock_for_module(access);
}

pub(super) unsafe extern "C" fn state_failed(_context: *const c_void, error: *const StateError) {
    // SAFETY: the error is borrowed for the length of this call.
    failure::note_state(unsafe { &*error });
}

impl ImageContext {
    /// The cell that is asked for.
    fn cell(&self, key: CellKey<'_>, query: &CellQuery) -> Result<&Cell, StateErrorKind> {
        if !self.cells.is_ready() {
            return Err(StateErrorKind::NotCurrent);
        }
        let cell = match self.cells.find(key) {
            Some(cell) => &**cell,
            None => self.new_cell(key)?,
        };
        if cell.form.version != query.version {
            let found = cell.form.version;
            return Err(StateErrorKind::OtherVersion { wanted: query.version, found });
        }
        // SAFETY: null, or a static of the image that calls.
        if let Some(links) = unsafe { query.links.as_ref() } {
            // SAFETY: 1. all cells of a schema that an image uses are of the one type that has their version there; the
            // image's context, which `self.cells` is part of, outlives the image.
            unsafe { self.cells.link(links, key) };
        }
        Ok(cell)
    }

    /// A cell that this image did not use before.
    #[cold]
    fn new_cell(&self, key: CellKey<'_>) -> Result<&Cell, StateErrorKind> {
        let CellKey { schema, name, is_shared } = key;
        let engine = self.engine.upgrade().ok_or(StateErrorKind::NoEngine)?;
        let kind = self.kinds().wanted_of(schema).ok_or(StateErrorKind::NoEngine)?;
        let glue = self.glue(kind.shim);
        let cell = engine.cells(is_shared).find_or_add(schema, name, &kind.form, glue)?;
        self.cells.add(Entry { is_shared, cell });
        self.cells.find(key).map(Arc::as_ref).ok_or(StateErrorKind::NoEngine)
    }
}
