//! Stderr: whole lines from any thread, and one line below them that is rewritten in place.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};

use crate::arguments::Color;
use crate::paint::Paint;

/// Back to the first column, and erase the line.
const ERASE_LINE: &str = "\r\u{1b}[2K";

/// Where status goes.
pub(crate) struct Screen {
    paint: Paint,
    is_terminal: bool,
    /// Whether a line without an end is shown.
    shows_progress: Mutex<bool>,
}

impl Screen {
    pub(crate) fn stderr(color: Color) -> Self {
        Self {
            paint: Paint::choose(color, &stderr()),
            is_terminal: stderr().is_terminal(),
            shows_progress: Mutex::new(false),
        }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether lines can be rewritten.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Prints text as whole lines, in one write.
    pub(crate) fn print(&self, text: &str) {
        let mut shows_progress = self.shows_progress.lock().unwrap_or_else(PoisonError::into_inner);
        let erase = if std::mem::take(&mut *shows_progress) { ERASE_LINE } else { "" };
        write(&format!("{erase}{}\n", text.trim_end()));
    }

    /// Shows a line until the next one: in place on a terminal, as an ordinary line elsewhere.
    pub(crate) fn progress(&self, text: &str) {
        if self.is_terminal {
            *self.shows_progress.lock().unwrap_or_else(PoisonError::into_inner) = true;
            write(&format!("{ERASE_LINE}{}", self.paint.faint(text)));
        } else {
            self.print(text);
        }
    }

    /// Takes the line of `progress` away.
    pub(crate) fn end_progress(&self) {
        if std::mem::take(&mut *self.shows_progress.lock().unwrap_or_else(PoisonError::into_inner))
        {
            write(ERASE_LINE);
        }
    }
}

fn write(text: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = stderr().lock().write_all(text.as_bytes());
}
