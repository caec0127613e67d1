//! Waiting, with an end: who waits too long panics and says what it saw instead.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use hotswap_engine::Event;

/// How long anything may take before a test fails: far beyond what a loaded machine needs, so that
/// only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Longer than anybody waits: for what is given a time and must end before it.
pub const LONGER: Duration = PATIENCE.saturating_mul(10);

/// The next message.
///
/// # Panics
///
/// When none comes in time, or the other end is gone.
#[track_caller]
pub fn receive<T>(channel: &Receiver<T>, what: &str) -> T {
    match channel.recv_timeout(PATIENCE) {
        Ok(message) => message,
        Err(RecvTimeoutError::Timeout) => panic!("no {what} within {PATIENCE:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("waited for {what}, and the sender is gone"),
    }
}

/// The first event for which `wanted` gives something; those before it are dropped.
///
/// # Panics
///
/// When none comes in time; then with all events that did.
#[track_caller]
pub fn event<T>(
    events: &Receiver<Event>,
    what: &str,
    mut wanted: impl FnMut(&Event) -> Option<T>,
) -> T {
    let end = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match events.recv_deadline(end) {
            Ok(event) => match wanted(&event) {
                Some(found) => return found,
                None => seen.push(event),
            },
            Err(error) => panic!("waited for {what}: {error}; saw {seen:#?}"),
        }
    }
}

/// Runs `work` on a thread of its own and gives its result.
///
/// # Panics
///
/// When it takes longer than `time`, or panics itself.
#[track_caller]
pub fn within<T: Send + 'static>(
    time: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = bounded(1);
    let worker = thread::spawn(move || {
        // The receiver is gone only when time was up already.
        let _ = done.send(work());
    });
    match result.recv_timeout(time) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("{what} took longer than {time:?}"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(()) => panic!("{what} gave nothing"),
            Err(payload) => std::panic::resume_unwind(payload),
        },
    }
}

/// Looks until `condition` holds: only for what nothing announces, as the end of a thread in `/proc`.
///
/// # Panics
///
/// When it does not hold in time.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it did not come true within {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}
