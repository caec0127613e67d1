//! Too many versions are still in use: who holds them is told, and a newcomer may have to wait.

use std::sync::Arc;

use super::{Newcomer, Sha1, Swapper};
use crate::audit::Line;
use crate::cap::{CapPolicy, Crowd};
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::{Event, SwapReason};
use crate::version_id::NO_VERSION;

impl Swapper {
    /// The versions in use that are neither current nor kept, if there are as many as there may be.
    pub(super) fn crowd(&mut self) -> Option<Crowd> {
        // What nobody uses is no crowd.
        self.look_at_calls();
        self.unload_retired();
        let wanted = usize::from(self.core.current() != NO_VERSION) + self.lineage.warm_count();
        let count = self.mapped_count.saturating_sub(wanted);
        (count > 0 && count >= self.cap.max).then(|| Crowd {
            count,
            policy: self.cap.policy,
            held_by: self.core.history.lock().extra(Crowd::NAMED_MAX),
        })
    }

    /// Says that there is a crowd, to a newcomer that did not hear of it.
    pub(super) fn tell_crowd(&self, newcomer: &Newcomer, crowd: &Crowd) {
        if newcomer.is_queued {
            return;
        }
        let line = Line::warn("version.many").field("count", crowd.count);
        let line = line.field("max", self.cap.max).field("policy", crowd.policy);
        let line = line.field("pins", crowd.holders()).field("msg", crowd);
        self.core.journal.write(Some(&newcomer.tx), line);
        self.core.tell(&Event::Crowded { crowd: crowd.clone() });
    }

    /// Turns a newcomer away, or lets it wait: it is the newest.
    pub(super) fn hold_up(&mut self, mut newcomer: Newcomer, crowd: Crowd) -> ReloadError {
        let policy = crowd.policy;
        let error = self.error(ReloadErrorKind::Crowded(crowd));
        let fingerprint = newcomer.artifact.fingerprint;
        if policy == CapPolicy::Queue {
            if !newcomer.is_queued {
                let line = Line::info("swap.queued").field("fp", Sha1(fingerprint));
                self.core.journal.write(Some(&newcomer.tx), line);
            }
            newcomer.is_queued = true;
            self.held_back = Some(newcomer);
            self.note_queued();
            return error;
        }
        let line = Line::warn("swap.refused").field("fp", Sha1(fingerprint));
        self.core.journal.write(Some(&newcomer.tx), line.failure(&error.code(), &error));
        self.core.refused(&Arc::new(error.clone()));
        if newcomer.reason != SwapReason::Offered {
            // Whoever asks again is told again, without a build. It is staged anew by then.
            newcomer.taken = None;
            self.held_back = Some(newcomer);
        }
        error
    }

    /// At the end of each turn: what waits becomes current as soon as there is room.
    pub(super) fn let_in(&mut self) {
        let is_queued = self.held_back.as_ref().is_some_and(|held| held.is_queued);
        let may_swap = {
            let history = self.core.history.lock();
            !history.is_paused && !history.is_frozen
        };
        if is_queued && may_swap && self.crowd().is_none() {
            self.swap_held();
        }
        self.note_queued();
    }

    fn note_queued(&self) {
        let queued = self.held_back.as_ref().filter(|held| held.is_queued);
        self.core.history.lock().queued = queued.map(|held| held.artifact.fingerprint);
    }
}
