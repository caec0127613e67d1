//! The readers of foreign bytes, for who feeds them on anything. No part of the public API.

use std::path::PathBuf;

use crate::build::messages::{self, Messages};
use crate::build::output::LineSink as _;
use crate::scan::parse_dep_info;
use crate::store::index;

/// The inputs that a `.d` file names.
#[must_use]
pub fn dep_info(bytes: &[u8]) -> Vec<PathBuf> {
    parse_dep_info(bytes)
}

/// An entry of the store's index, written anew; `None` when it is no entry.
#[must_use]
pub fn index_entry(bytes: &[u8]) -> Option<String> {
    index::parse(bytes).map(|entry| index::render(&entry))
}

/// What a build that printed these lines is told to have said.
#[must_use]
pub fn compiler_messages(bytes: &[u8]) -> crate::Diagnostics {
    let mut messages = Messages::default();
    bytes.split(|byte| *byte == b'\n').for_each(|line| messages.line(line));
    let diagnostics = messages.into_diagnostics(true, "stderr");
    let _may_be_empty = messages::missing_files(&diagnostics);
    diagnostics
}
