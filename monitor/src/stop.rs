//! How work is told to end.

use std::convert::Infallible;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

/// Tells a scan or a build that it must end now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StopSignal(Receiver<Infallible>);

/// Gives the signal when it is dropped.
#[derive(Debug)]
pub struct StopHandle {
    /// Never sent on: its end is the signal.
    _sender: Sender<Infallible>,
}

impl StopSignal {
    /// A signal, and the handle whose drop gives it. Never blocks.
    #[must_use]
    pub fn new() -> (StopHandle, Self) {
        let (sender, receiver) = crossbeam_channel::bounded(0);
        (StopHandle { _sender: sender }, Self(receiver))
    }

    /// A signal that is never given.
    #[must_use]
    pub fn never() -> Self {
        Self(crossbeam_channel::never())
    }

    /// Whether it was given. Never blocks.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// A channel for `select!`: it has something to say (its own end) once the
    /// signal was given, and never carries a message.
    #[must_use]
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.0
    }
}
