//! How hotswap.log is kept. [`crate::docs::log`] says what is in it.

use std::path::Path;
use std::time::Duration;

use crate::audit::{CopySettings, json_line, plain_line};
use crate::builder::EngineBuilder;
use crate::journal::Unwritten;

impl EngineBuilder {
    /// Where hotswap.log is written; by default `hotswap.log` in the working directory. Engines of one
    /// process may share a file, which is kept as the first of them wants it; when another process holds it,
    /// `<stem>-<pid>.log` beside it is used.
    pub fn log_file(mut self, path: impl AsRef<Path>) -> Self {
        self.log = Some(path.as_ref().into());
        self
    }

    /// Writes no log file. Its lines still go to the `log` facade.
    pub fn without_log(mut self) -> Self {
        self.log = None;
        self
    }

    /// How long the log may become before it is put aside as `<name>.1`; 16 MiB by default.
    pub fn log_bytes_max(mut self, bytes_max: u64) -> Self {
        self.log_settings.bytes_max = bytes_max;
        self
    }

    /// How old the log may become before a line goes to a new one; for ever by default.
    pub fn log_age_max(mut self, age_max: Duration) -> Self {
        self.log_settings.age_max = Some(age_max);
        self
    }

    /// How many logs that were put aside are kept, at least 1; 8 by default. The oldest goes first.
    pub fn log_files_max(mut self, files_max: u32) -> Self {
        self.log_settings.files_max = files_max;
        self
    }

    /// Writes each line to this file too, as a JSON object.
    pub fn log_json(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().into();
        self.log_settings.copies.push(CopySettings { path, format: json_line });
        self
    }

    /// Writes each line that has a message to this file too, as Python's `logging` does:
    /// `INFO:root:received notification of fingerprint change (<sha1>)`.
    pub fn log_plain(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().into();
        self.log_settings.copies.push(CopySettings { path, format: plain_line });
        self
    }

    /// Brings the line that announces a swap to the disk before the swap, so that it is there after a loss of power too,
    /// not only after a crash of the process. The swap waits for the disk, some milliseconds; calls do not.
    pub fn log_synced(mut self) -> Self {
        self.log_settings.is_synced = true;
        self
    }

    /// Swaps even while the log cannot be written. By default such a swap is refused, with
    /// [`LoadErrorKind::Log`](crate::LoadErrorKind::Log), and tried again by itself.
    ///
    /// [`Status::lost_log_lines`](crate::Status::lost_log_lines) counts what is missing, and a line of level `ALERT` says it
    /// when the log can be written again.
    pub fn swap_unlogged(mut self) -> Self {
        self.unwritten = Unwritten::Swap;
        self
    }
}
