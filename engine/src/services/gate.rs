//! Code of an image that runs although nobody holds its version any more: handlers of the process's end, and threads
//! that destructors start.

use std::sync::Arc;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::ImageContext;

/// Whether anybody may go into an image, and how many did.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Wakes who waits for the image to be clear.
    bell: Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    is_shut: bool,
}

/// Keeps an image mapped while its code runs.
#[derive(Debug)]
pub(super) struct Inside {
    image: Arc<ImageContext>,
}

impl Gate {
    pub(super) fn new(bell: Sender<()>) -> Self {
        Self { state: Mutex::default(), bell }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().inside == 0
    }

    /// Lets nobody in any more, unless somebody is inside or `is_clear` says no. That is asked when nobody is inside, and
    /// nobody goes in meanwhile: what somebody left there is seen.
    pub(super) fn shut(&self, is_clear: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        state.is_shut = state.inside == 0 && is_clear();
        state.is_shut
    }

    /// Whether the image is being closed: what it still asks for must lead nowhere into it.
    pub(crate) fn is_shut(&self) -> bool {
        self.state.lock().is_shut
    }
}

impl Inside {
    /// Goes in; `None` when the image is being closed, or is closed.
    pub(super) fn enter(image: &Arc<ImageContext>) -> Option<Self> {
        let mut state = image.gate.state.lock();
        if state.is_shut {
            return None;
        }
        state.inside += 1;
        Some(Self { image: Arc::clone(image) })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let gate = &self.image.gate;
        gate.state.lock().inside -= 1;
        // Full means that the swapper will look in any case; gone, that nobody has to.
        let _ = gate.bell.try_send(());
    }
}
