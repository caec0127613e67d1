//! How a log is kept.

use std::time::Duration;

use super::CopySettings;

/// When a log is put aside for an empty one, how many of those are kept, and what else gets its lines.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    /// How long a file may become.
    pub(crate) bytes_max: u64,
    /// How old; for ever if not set.
    pub(crate) age_max: Option<Duration>,
    /// How many are kept beside the one that is written; the oldest goes first.
    pub(crate) files_max: u32,
    pub(crate) copies: Vec<CopySettings>,
    /// Whether an intent is brought to the disk before what it announces.
    pub(crate) is_synced: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        // 16 MiB: some thousand swaps; and nine files in all do not fill a disk.
        Self {
            bytes_max: 16 << 20,
            age_max: None,
            files_max: 8,
            copies: Vec::new(),
            is_synced: false,
        }
    }
}
