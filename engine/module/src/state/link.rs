//! How code of one image finds its cells without asking for them each time.

use std::ffi::c_void;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::services::Text;

/// Who locks a cell. All that it points at are constants of the image that does.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Locker {
    /// The export; empty where that is not known.
    pub function: Text,
    /// The place in the source. A type of std: the host has the module's compiler, which was compared.
    pub place: &'static Location<'static>,
}

/// The cells of one state type in one image. Written by `#[state]`, a static for each type; filled by the host.
#[repr(transparent)]
#[derive(Debug)]
pub struct CellLinks {
    first: AtomicPtr<CellLink>,
}

/// One cell. The host makes it, tells it which cell that is, and has it outlive the image.
#[repr(C)]
#[derive(Debug)]
pub struct CellLink {
    /// The cell's name; empty for the one without.
    name: Text,
    /// Whether it is the process's cell and not the engine's.
    is_shared: bool,
    /// Null while the host is to be asked.
    cell: AtomicPtr<c_void>,
    /// Written before it is in the list.
    next: AtomicPtr<CellLink>,
}

// SAFETY: the text is constant, as `new` asks.
unsafe impl Send for CellLink {}
// SAFETY: as above; everything else is atomic.
unsafe impl Sync for CellLink {}

impl CellLinks {
    /// None yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only our macro names it")]
    pub const fn new() -> Self {
        Self { first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The cell of this name, unless the host is to be asked.
    #[inline]
    #[cfg(feature = "state")]
    pub(super) fn find(&self, name: &str, is_shared: bool) -> Option<NonNull<c_void>> {
        // Acquire pairs with the Release in `add`: who sees a link sees what is in it.
        let mut next = self.first.load(Ordering::Acquire);
        // SAFETY: null, or a link that outlives this image, by the contract of `add`.
        while let Some(link) = unsafe { next.as_ref() } {
            // SAFETY: the contract of `CellLink::new`: it lives as long as the link.
            let its_name = unsafe { link.name.as_str() };
            // Most have no name, for which nothing needs to be compared.
            let is_it = name.len() == its_name.len() && (name.is_empty() || name == its_name);
            if is_it && link.is_shared == is_shared {
                // Acquire pairs with the Release in `set`: who sees the cell sees what is in it.
                return NonNull::new(link.cell.load(Ordering::Acquire));
            }
            // Relaxed: written before the Release by which the link was found.
            next = link.next.load(Ordering::Relaxed);
        }
        None
    }

    /// For a host: adds a link. One thread at a time does.
    ///
    /// # Safety
    ///
    /// 1. The link is in no list, and outlives all code of the image that `self` is part of.
    /// 2. Its cell is one of the type that `self` is for.
    pub unsafe fn add(&self, link: &CellLink) {
        link.next.store(self.first.load(Ordering::Relaxed), Ordering::Relaxed);
        // Release pairs with the Acquire in `find`.
        self.first.store(ptr::from_ref(link).cast_mut(), Ordering::Release);
    }
}

impl CellLink {
    /// For a host: a link to no cell yet.
    ///
    /// # Safety
    ///
    /// What the name was made from outlives the link.
    #[must_use]
    pub const unsafe fn new(name: Text, is_shared: bool) -> Self {
        let (cell, next) = (AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()));
        Self { name, is_shared, cell, next }
    }

    /// For a host: says which cell it is from here on; null to be asked again.
    pub fn set(&self, cell: *const c_void) {
        // Release pairs with the Acquire in `find`.
        self.cell.store(cell.cast_mut(), Ordering::Release);
    }
}
