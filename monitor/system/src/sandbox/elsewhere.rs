//! Where there is nothing to confine a thread with.

use std::io;

use super::{Level, Rules};

pub(super) fn confine(_rules: &Rules) -> io::Result<Level> {
    Ok(Level::default())
}
