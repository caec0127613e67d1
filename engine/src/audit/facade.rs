//! The host's logger, on a thread of its own: one that does not return holds up no line of the file.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_system::thread;

use super::Line;

/// How many records wait for a logger that does not return; what comes on top is not handed over.
const QUEUE_RECORDS_MAX: usize = 1_024;

/// Hands lines to the `log` facade.
pub(super) struct Facade {
    queue: Sender<Line>,
    missed: u64,
}

impl Facade {
    /// Starts the thread. It ends with this, and drops `alive` then.
    pub(super) fn start(alive: Sender<()>) -> io::Result<Self> {
        let (queue, lines): (_, Receiver<Line>) = bounded(QUEUE_RECORDS_MAX);
        thread::spawn("hotswap-logger", move || {
            let _alive = alive;
            lines.iter().for_each(|line| hand_over(&line));
        })?;
        Ok(Self { queue, missed: 0 })
    }

    /// Never waits.
    pub(super) fn tell(&mut self, line: Line) {
        if log::max_level() < line.level.facade() {
            return;
        }
        if self.queue.try_send(line).is_err() {
            self.missed += 1;
        } else if self.missed > 0 {
            let line = Line::warn("log.missed").field("records", self.missed);
            let line = line.field("msg", "the host's logger did not answer; hotswap.log has them");
            if self.queue.try_send(line).is_ok() {
                self.missed = 0;
            }
        }
    }
}

fn hand_over(line: &Line) {
    // A logger that panics loses this record and nothing else.
    let told = catch_unwind(AssertUnwindSafe(|| {
        log::log!(target: "hotswap", line.level.facade(), "{}{}", line.event, line.fields);
    }));
    if let Err(payload) = told {
        // Dropping it may panic again.
        std::mem::forget(payload);
    }
}
