//! A program without events.

use std::sync::Arc;

use super::told::Waker;
use super::{EventsProblem, Watcher};

pub(super) fn watcher(_waker: &Arc<Waker>) -> Result<Box<dyn Watcher>, EventsProblem> {
    Err(EventsProblem::NotBuiltIn)
}
