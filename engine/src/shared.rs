//! What many engines have together.

use crate::swapper::Crew;

/// The threads that many engines share, instead of having each its own.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) crew: Crew,
}
