//! No peers: the feature `peers` is off.

use crate::{Comparison, Outcome, Workshop};

/// Measures nothing.
///
/// # Errors
///
/// Never.
pub fn measure(_: &Workshop, _samples: usize, _edits: u32) -> Outcome<Vec<Comparison>> {
    Ok(Vec::new())
}
