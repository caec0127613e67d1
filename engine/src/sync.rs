//! What the protocol of `slot` is made of. The model of memory compiles it with other types of the same names.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic;

pub(crate) use parking_lot::RwLock;

/// How deep calls of one thread may be nested before they count references instead.
pub(crate) const DEPTH_MAX: usize = 8;

pub(crate) use crate::slot::barrier::{heavy_barrier, light_barrier};
