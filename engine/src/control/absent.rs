//! An engine that nobody outside can ask: built without the feature `control`.

/// There is nothing to listen with.
#[derive(Debug)]
pub(crate) enum Control {}
