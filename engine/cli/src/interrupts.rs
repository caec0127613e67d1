//! Ctrl-C, SIGTERM and the closed terminal.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::failure::Failure;

/// The exit code after a second interrupt: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED_TWICE: i32 = 130;

/// How long after the first signal another one counts as the same: a terminal that closes, or `timeout` on a
/// process group, sends two at once.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// Tells everybody who waits that the user wants to end. The second time, ends the process on the spot.
pub(crate) struct Interrupts {
    ended: Receiver<()>,
    cancelled: Receiver<()>,
}

impl Interrupts {
    /// From now on signals arrive here. Once per process.
    pub(crate) fn install() -> Result<Self, Failure> {
        // Nothing is ever sent here: a dropped sender wakes all receivers, however often they look.
        let (end, ended) = bounded(0);
        // An engine that is being opened wants a message; there is room for the one that comes.
        let (cancel, cancelled) = bounded(1);
        let mut end = Some(end);
        let mut first = None;
        ctrlc::set_handler(move || {
            if end.take().is_none() {
                if first.is_some_and(|first: Instant| first.elapsed() < SAME_SIGNAL) {
                    return;
                }
                std::process::exit(INTERRUPTED_TWICE);
            }
            first = Some(Instant::now());
            // Full only if nobody took the one before, and there is none before.
            let _ = cancel.try_send(());
        })
        .map_err(|error| {
            Failure::from(anyhow::Error::new(error).context("cannot listen for Ctrl-C"))
        })?;
        Ok(Self { ended, cancelled })
    }

    /// Disconnected by the first interrupt; nothing is ever sent.
    pub(crate) fn ended(&self) -> &Receiver<()> {
        &self.ended
    }

    /// Gives one message at the first interrupt: for `EngineBuilder::cancel_on`.
    pub(crate) fn cancelled(&self) -> Receiver<()> {
        self.cancelled.clone()
    }
}
