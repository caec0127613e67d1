//! Keeps a monitor from building what is half written.

use std::fmt;
use std::sync::Arc;

use crate::requests::Requests;

/// While this lives the monitor builds nothing; [`Monitor::hold`](crate::Monitor::hold)
/// opens one. It may outlive the monitor, and be dropped on any thread.
#[must_use = "the monitor builds again as soon as this is dropped"]
pub struct Hold {
    requests: Arc<Requests>,
}

impl Hold {
    pub(crate) fn open(requests: Arc<Requests>) -> Self {
        requests.hold();
        Self { requests }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.requests.release();
    }
}
