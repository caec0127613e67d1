//! How many sources wake one thread.

use std::collections::BTreeSet;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_artifact::MemberId;
use parking_lot::Mutex;

/// Who rang since the thread looked last.
#[derive(Debug)]
pub(crate) struct Bells {
    rung: Mutex<BTreeSet<MemberId>>,
    wake: Sender<()>,
}

/// The bell of one member.
#[derive(Debug, Clone)]
pub(crate) struct Doorbell {
    pub(crate) bells: Arc<Bells>,
    pub(crate) member: MemberId,
}

impl Bells {
    /// The bells, and the channel that has a message when there is something to see.
    pub(crate) fn new() -> (Arc<Self>, Receiver<()>) {
        // One token: how often it rang does not matter.
        let (wake, woken) = bounded(1);
        (Arc::new(Self { rung: Mutex::default(), wake }), woken)
    }

    /// Wakes the thread for nobody in particular.
    pub(crate) fn wake(&self) {
        // Full: a token is there already. Disconnected: the thread has ended.
        let _sent = self.wake.try_send(());
    }

    /// Takes who rang. Whoever rings is noted before the token is sent, so none is missed by taking the token first.
    pub(crate) fn take(&self) -> BTreeSet<MemberId> {
        std::mem::take(&mut *self.rung.lock())
    }
}

impl Doorbell {
    pub(crate) fn ring(&self) {
        self.bells.rung.lock().insert(self.member);
        self.bells.wake();
    }
}
