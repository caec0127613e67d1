//! Copies of the log in other formats, made of the very lines that stand in it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use hotswap_system::fs::{self, File};

use super::Line;
use super::rotation::shift;
use crate::log_line::LogLine;

/// A file that gets every line too, in another format.
#[derive(Debug, Clone)]
pub(crate) struct CopySettings {
    pub(crate) path: PathBuf,
    /// A line with its newline; `None` leaves it out.
    pub(crate) format: fn(&LogLine) -> Option<String>,
}

/// An open copy.
pub(super) struct LogCopy {
    settings: CopySettings,
    file: Option<Open>,
    is_failing: bool,
}

struct Open {
    file: File,
    identity: (u64, u64),
    is_file: bool,
}

impl LogCopy {
    pub(super) fn new(settings: CopySettings) -> Self {
        Self { settings, file: None, is_failing: false }
    }

    /// Adds lines of the log. What is to be said of it there: that it failed, for the first time in a row.
    pub(super) fn add(&mut self, lines: &str) -> Option<Line> {
        let lines = lines.lines().filter_map(|line| line.parse().ok());
        let text: String = lines.filter_map(|line| (self.settings.format)(&line)).collect();
        let Err(error) = self.append(&text) else {
            self.is_failing = false;
            return None;
        };
        let was_failing = std::mem::replace(&mut self.is_failing, true);
        (!was_failing).then(|| {
            let line = Line::warn("log.copy").field("path", self.settings.path.display());
            line.field("outcome", "failed").failure("file", &error)
        })
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let path = &self.settings.path;
        let identity = |found: &fs::Metadata| (found.dev(), found.ino());
        let named = fs::metadata(path).ok().as_ref().map(identity);
        let open = match self.file.take() {
            Some(open) if named == Some(open.identity) => open,
            _ => {
                let file = File::append(path)?;
                let found = file.metadata()?;
                Open { file, identity: identity(&found), is_file: found.is_file() }
            }
        };
        // What there is of a line that could not be written must not run into the next.
        let joint = if self.is_failing { "\n" } else { "" };
        let open = self.file.insert(open);
        open.file.write_all(format!("{joint}{text}").as_bytes())
    }

    /// Puts it aside when the log is, if it is a file that we write: no directory, and no pipe.
    pub(super) fn rotate(&mut self, files_max: u32) {
        if self.file.as_ref().is_some_and(|open| open.is_file) {
            // That it could not be is no reason to stop.
            let _stays = shift(&self.settings.path, files_max);
        }
    }
}
