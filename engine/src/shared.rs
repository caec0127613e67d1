//! What many engines have together.

use std::sync::Arc;
use std::time::Duration;

use crate::error::OpenErrorKind;
use crate::swapper::Crew;
use crate::watch::SharedWatch;

/// The threads that many engines share, instead of having each its own.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) crew: Crew,
    /// `None` where each has a monitor of its own all the same.
    pub(crate) watch: Option<SharedWatch>,
}

impl Shared {
    /// Starts them: one looks at all sources after this period, one swaps.
    pub(crate) fn start(poll_every: Duration) -> Result<Self, OpenErrorKind> {
        let watch = Some(SharedWatch::start(poll_every)?);
        let crew = Crew::start();
        let crew = crew
            .map_err(|error| OpenErrorKind::Thread { thread: "swapper", error: Arc::new(error) })?;
        Ok(Self { crew, watch })
    }
}
