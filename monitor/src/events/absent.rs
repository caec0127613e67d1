//! A program without events.

use std::sync::Arc;

use super::told::Listener;
use super::{EventsProblem, Watcher};

pub(super) fn watcher(_listener: Arc<dyn Listener>) -> Result<Box<dyn Watcher>, EventsProblem> {
    Err(EventsProblem::NotBuiltIn)
}
