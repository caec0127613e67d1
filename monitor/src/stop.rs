//! How work is told to end.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use parking_lot::Mutex;

/// Tells a scan or a build that it must end now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StopSignal {
    channel: Receiver<Infallible>,
    last: Arc<LastWords>,
}

/// Gives the signal when it is dropped.
#[derive(Debug)]
pub struct StopHandle {
    /// Never sent on: its end is the signal.
    sender: Option<Sender<Infallible>>,
    last: Arc<LastWords>,
}

/// What is to be done when the signal is given, by who gives it.
#[derive(Default)]
struct LastWords(Mutex<Vec<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LastWords").field(&self.0.lock().len()).finish()
    }
}

impl StopSignal {
    /// A signal, and the handle whose drop gives it. Never blocks.
    #[must_use]
    pub fn new() -> (StopHandle, Self) {
        let (sender, channel) = crossbeam_channel::bounded(0);
        let last = Arc::<LastWords>::default();
        (StopHandle { sender: Some(sender), last: Arc::clone(&last) }, Self { channel, last })
    }

    /// A signal that is never given.
    #[must_use]
    pub fn never() -> Self {
        Self { channel: crossbeam_channel::never(), last: Arc::default() }
    }

    /// Whether it was given. Never blocks.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.channel.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// A channel for `select!`: it has something to say (its own end) once the
    /// signal was given, and never carries a message.
    #[must_use]
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.channel
    }

    /// Has this done when the signal is given, at once if it was: by whoever gives it, who must not be held up.
    pub(crate) fn when_stopped(&self, work: Box<dyn FnOnce() + Send>) {
        let mut last = self.last.0.lock();
        // The signal comes before the words are taken: one of the two is seen.
        if self.is_stopped() {
            drop(last);
            work();
        } else {
            last.push(work);
        }
    }
}

impl Drop for StopHandle {
    fn drop(&mut self) {
        drop(self.sender.take());
        let last = std::mem::take(&mut *self.last.0.lock());
        last.into_iter().for_each(|work| work());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn last_words_are_said_once_also_by_who_comes_late() {
        let said = Arc::new(AtomicU64::new(0));
        let word = || -> Box<dyn FnOnce() + Send> {
            let said = Arc::clone(&said);
            // Relaxed: one thread.
            Box::new(move || {
                said.fetch_add(1, Ordering::Relaxed);
            })
        };
        let (handle, signal) = StopSignal::new();
        signal.when_stopped(word());
        signal.clone().when_stopped(word());
        assert_eq!(said.load(Ordering::Relaxed), 0);
        drop(handle);
        assert_eq!(said.load(Ordering::Relaxed), 2);
        signal.when_stopped(word());
        assert_eq!(said.load(Ordering::Relaxed), 3);
        StopSignal::never().when_stopped(word());
        assert_eq!(said.load(Ordering::Relaxed), 3);
    }
}
