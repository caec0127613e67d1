//! How others ask the monitor's thread to look.

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_artifact::{Ticket, Trigger};
use parking_lot::Mutex;

use crate::shared::bells::Doorbell;

/// What was asked for and not yet taken up. Many requests become one scan.
pub(crate) struct Requests {
    state: Mutex<State>,
    wake: Sender<()>,
    /// Rung besides, where the thread is that of many.
    doorbell: Option<Doorbell>,
}

#[derive(Default)]
struct State {
    issued: u64,
    pending: Option<Trigger>,
    /// How many holds are open.
    holds: usize,
}

/// What the monitor's thread takes up before a scan.
pub(crate) struct Request {
    /// The last ticket issued: the scan that starts now answers it.
    pub(crate) issued: Ticket,
    /// Why, when anybody asked since the last time.
    pub(crate) trigger: Option<Trigger>,
}

impl Requests {
    /// The requests, and the channel that has a message when there are some.
    pub(crate) fn new(doorbell: Option<Doorbell>) -> (Self, Receiver<()>) {
        // One token: it says "look at the state", how often does not matter.
        let (wake, woken) = bounded(1);
        let state = Mutex::default();
        (Self { state, wake, doorbell }, woken)
    }

    /// Asks for a scan that is answered.
    pub(crate) fn scan(&self, trigger: Trigger) -> Ticket {
        let mut state = self.state.lock();
        state.issued += 1;
        let ticket = Ticket(state.issued);
        state.pending = Some(stronger(state.pending, trigger));
        drop(state);
        self.wake();
        ticket
    }

    /// Asks for a scan that need not be answered.
    pub(crate) fn push(&self, trigger: Trigger) {
        let mut state = self.state.lock();
        state.pending = Some(stronger(state.pending, trigger));
        drop(state);
        self.wake();
    }

    /// Opens a hold.
    pub(crate) fn hold(&self) {
        self.state.lock().holds += 1;
    }

    /// Closes a hold; the last one asks for a scan.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock();
        state.holds -= 1;
        if state.holds > 0 {
            return;
        }
        state.pending = Some(stronger(state.pending, Trigger::Push));
        drop(state);
        self.wake();
    }

    /// Whether a hold is open.
    pub(crate) fn is_held(&self) -> bool {
        self.state.lock().holds > 0
    }

    /// Takes up what was asked for. A request is complete in the state before its
    /// token is sent, so none is missed by taking the token first.
    pub(crate) fn take(&self) -> Request {
        let mut state = self.state.lock();
        Request { issued: Ticket(state.issued), trigger: state.pending.take() }
    }

    fn wake(&self) {
        // Full: a token is there already. Disconnected: the thread has ended.
        let _sent = self.wake.try_send(());
        if let Some(doorbell) = &self.doorbell {
            doorbell.ring();
        }
    }
}

/// The trigger that is told when several came together: a person's first, an event
/// of the file system, which comes with all others, last.
fn stronger(pending: Option<Trigger>, new: Trigger) -> Trigger {
    match pending {
        Some(Trigger::Manual) => Trigger::Manual,
        Some(pending) if new == Trigger::Event => pending,
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_comes_with_other_requests_is_not_the_reason() {
        let (requests, _woken) = Requests::new(None);
        requests.scan(Trigger::Manual);
        requests.push(Trigger::Event);
        assert_eq!(requests.take().trigger, Some(Trigger::Manual));
        requests.push(Trigger::Event);
        requests.push(Trigger::Push);
        assert_eq!(requests.take().trigger, Some(Trigger::Push));
    }

    #[test]
    fn only_the_end_of_the_last_hold_asks_for_a_scan() {
        let (requests, woken) = Requests::new(None);
        requests.hold();
        requests.hold();
        requests.release();
        assert!(requests.is_held() && woken.is_empty());
        requests.release();
        assert!(!requests.is_held());
        assert!(woken.try_recv().is_ok());
        assert_eq!(requests.take().trigger, Some(Trigger::Push));
    }
}
