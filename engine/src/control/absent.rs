//! An engine that nobody outside can ask: built without the feature `control`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::OpenErrorKind;

/// There is nothing to listen with.
#[derive(Debug)]
pub(crate) enum Control {}

/// Nobody can be let in.
pub(crate) fn open<C>(_controlled: &Arc<C>, _path: PathBuf) -> Result<Control, OpenErrorKind> {
    let message = "control(..) needs the feature `control` of hotswap-engine".to_owned();
    Err(OpenErrorKind::Setting { message })
}
