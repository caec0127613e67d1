//! What a swapper has to do with others that change together with it.

use std::sync::Arc;

use crossbeam_channel::Sender;
use hotswap_artifact::{Notification, Stage};

use super::{Newcomer, Sha1, Swapper};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};

/// What the crew asks of a swapper after its turn.
#[derive(Debug, Default)]
pub(super) struct Bonded {
    /// Whether what it holds back becomes current with what others hold back, or not at all.
    pub(super) is_bonded: bool,
    /// A message that is not its own matter.
    pub(super) arrived: Option<Notification>,
    /// Whether what is held back may be tried.
    pub(super) is_to_be_tried: bool,
    /// Why what was held back is so no more, and did not become current either.
    pub(super) lost: Option<ReloadError>,
    /// Whether something of it was told to end.
    pub(super) is_told_to_end: bool,
    /// Whether no message will come any more.
    pub(super) is_mute: bool,
    /// Who waits for the next attempt.
    waiters: Vec<Sender<()>>,
}

impl Bonded {
    /// Answers who asked for an attempt: now, if none is to come.
    pub(super) fn answer_when_tried(&mut self, done: Sender<()>) {
        self.waiters.push(done);
        if !self.is_to_be_tried {
            self.was_tried();
        }
    }

    /// Answers who waited for an attempt.
    pub(super) fn was_tried(&mut self) {
        self.is_to_be_tried = false;
        for done in self.waiters.drain(..) {
            // Who asked may be gone.
            let _ = done.send(());
        }
    }
}

impl Swapper {
    /// A message of the monitor: this swapper's alone, or one for the crew.
    pub(super) fn receive(&mut self, notification: Notification) {
        if self.bonds.is_bonded || notification.group.is_some() {
            self.bonds.arrived = Some(notification);
        } else {
            self.consider(notification);
        }
    }

    /// Holds a newcomer back because of another engine's; `event` tells of it.
    pub(super) fn hold(
        &mut self,
        mut newcomer: Newcomer,
        because: ReloadErrorKind,
        event: Option<&'static str>,
    ) -> ReloadError {
        newcomer.under_way.enter(Stage::Waiting);
        newcomer.is_queued = false;
        newcomer.was_told = true;
        // It is not being loaded any more.
        newcomer.trial = None;
        let error = self.error(because);
        if let Some(event) = event {
            let line = Line::warn(event).field("fp", Sha1(newcomer.artifact.fingerprint));
            let line = line.field("outcome", "held").failure(&error.code(), &error);
            self.core.journal.write(Some(&newcomer.tx), line);
            self.core.refused(&Arc::new(error.clone()));
        }
        self.held_back = Some(newcomer);
        error
    }

    /// Tries what is held back, if anything is.
    pub(super) fn swap_held(&mut self) {
        if self.bonds.is_bonded {
            self.bonds.is_to_be_tried = true;
        } else if let Some(newcomer) = self.held_back.take() {
            // The verdict is in the log and in the events; nobody waits for it.
            let _ = self.swap(newcomer);
        }
    }
}
