//! What the monitor found, and who waits for a verdict on it.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::never;
use hotswap_artifact::{
    BuildErrorKind, Fingerprint, Notification, Outcome, Stage, Ticket, UnderWay,
};

use super::newcomer::Newcomer;
use super::{Sha1, Swapper};
use crate::audit::Line;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::{Event, SwapReason};
use crate::verdict::Verdict;
use crate::version_id::NO_VERSION;

/// Whom a message answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt {
    pub(super) through: Ticket,
    is_change: bool,
}

/// What a message of the monitor means.
pub(super) enum Found {
    /// This may become current.
    Newcomer(Box<Newcomer>),
    /// Nothing does.
    Verdict(Result<Verdict, ReloadError>),
}

impl Swapper {
    /// A message of the monitor: what lies in the source now.
    pub(super) fn consider(&mut self, notification: Notification) {
        let Some((receipt, found)) = self.judge(notification) else { return };
        let verdict = match found {
            Found::Newcomer(newcomer) => self.swap(*newcomer),
            Found::Verdict(verdict) => verdict,
        };
        self.settle(receipt, verdict);
    }

    /// What a message means, before anything comes of it.
    pub(super) fn judge(&mut self, notification: Notification) -> Option<(Receipt, Found)> {
        let Notification { change, under_way, trigger, through, cause, outcome, .. } = notification;
        let is_forced =
            self.waiters.iter().any(|(ticket, answer)| *ticket <= through && answer.forces);
        let is_paused = self.core.history.lock().is_paused && !is_forced;
        let tx = change.map(|number| self.core.journal.change(number));
        let found = match outcome {
            Outcome::Ready(artifact) => {
                let tx = tx.unwrap_or_else(|| self.core.journal.offer());
                let reason = match self.core.current() {
                    NO_VERSION => SwapReason::First,
                    _ => SwapReason::Change(trigger),
                };
                let under_way = under_way.unwrap_or_else(|| UnderWay::new(Stage::Waiting));
                let mut newcomer = Newcomer::new(artifact, tx, reason, under_way);
                newcomer.cause = cause;
                self.delivered = Some(newcomer.artifact.fingerprint);
                let fingerprint = newcomer.artifact.fingerprint;
                let line = Line::info("notify.sent").field("fp", Sha1(fingerprint));
                self.core.journal.write(Some(&newcomer.tx), line);
                // Not kept: whoever holds the old version keeps it from being unmapped.
                let current = self.core.slot.load().provenance.content;
                if current == Some(newcomer.artifact.content) {
                    // An edit that was taken back, also while swaps are paused.
                    self.held_back = None;
                    Found::Newcomer(newcomer.into())
                } else if let Some(error) = self.refusal(&newcomer.artifact) {
                    // Edited away and back, or refused by an earlier process: it is what was refused.
                    let line = Line::warn("quarantine.hit").field("fp", Sha1(fingerprint));
                    let line = line.field("reason", error.code());
                    self.core.journal.write(Some(&newcomer.tx), line);
                    self.held_back = None;
                    self.keep_out(newcomer, error)
                } else if is_paused {
                    let line = Line::info("swap.paused");
                    let line = line.field("fp", Sha1(newcomer.artifact.fingerprint));
                    self.core.journal.write(Some(&newcomer.tx), line);
                    self.held_back = Some(newcomer);
                    Found::Verdict(Err(self.error(ReloadErrorKind::Paused)))
                } else {
                    self.held_back = None;
                    Found::Newcomer(newcomer.into())
                }
            }
            Outcome::Failed(error) => {
                let error = self.error(match error.kind {
                    BuildErrorKind::Aborted => ReloadErrorKind::Aborted,
                    _ => ReloadErrorKind::Build(error),
                });
                if change.is_some() {
                    self.core.refused(&Arc::new(error.clone()));
                }
                Found::Verdict(Err(error))
            }
            Outcome::Unreadable(error) => {
                Found::Verdict(Err(self.error(ReloadErrorKind::Unreadable(error))))
            }
            Outcome::Unchanged(fingerprint) => self.unchanged(fingerprint, is_paused),
            Outcome::Panicked(message) => {
                let message = message.to_string();
                Found::Verdict(Err(self.error(ReloadErrorKind::Panicked { message })))
            }
            // The enum may grow; what is not understood changes nothing.
            _ => return None,
        };
        Some((Receipt { through, is_change: change.is_some() }, found))
    }

    /// Tells everybody who waits what became of a message.
    pub(super) fn settle(&mut self, receipt: Receipt, verdict: Result<Verdict, ReloadError>) {
        let verdict = verdict.or_else(|error| self.start_with_last_good(&error).ok_or(error));
        if let (Ok(Verdict::Unchanged { current }), true) = (&verdict, receipt.is_change) {
            self.core.tell(&Event::Unchanged { current: *current });
        }
        self.answer(receipt.through, &verdict);
        self.answer_first(verdict);
    }

    fn unchanged(&mut self, fingerprint: Fingerprint, is_paused: bool) -> Found {
        // What was held back is tried again; something else in the source has overtaken it.
        if let Some(newcomer) =
            self.held_back.take_if(|held| held.artifact.fingerprint == fingerprint || !is_paused)
            && newcomer.artifact.fingerprint == fingerprint
        {
            if !is_paused {
                return Found::Newcomer(newcomer.into());
            }
            self.held_back = Some(newcomer);
            return Found::Verdict(Err(self.error(ReloadErrorKind::Paused)));
        }
        Found::Verdict(match self.refusals.get(fingerprint) {
            Some(error) => Err(error.clone()),
            None => Ok(Verdict::Unchanged { current: self.core.current() }),
        })
    }

    pub(super) fn answer(&mut self, through: Ticket, verdict: &Result<Verdict, ReloadError>) {
        self.core.journal.flush();
        let (ready, later) =
            self.waiters.drain(..).partition::<VecDeque<_>, _>(|(ticket, _)| *ticket <= through);
        self.waiters = later;
        for (_, answer) in ready {
            // Who asked may be gone.
            let _ = answer.reply.send(verdict.clone());
        }
    }

    pub(super) fn answer_first(&mut self, verdict: Result<Verdict, ReloadError>) {
        self.core.journal.flush();
        if let Some(first) = self.first.take() {
            if verdict.is_err() && first.waits_for_repair {
                self.first = Some(first);
            } else {
                let _ = first.reply.send(verdict);
            }
        }
    }

    /// The monitor's thread is gone, which only a defect can cause: what is current goes on.
    pub(super) fn monitor_ended(&mut self) {
        self.notifications = never();
        self.watch = None;
        self.bonds.is_mute = true;
        self.core.journal.write(
            None,
            Line::error("monitor.stop").field(
                "msg",
                "the monitor ended; the current version goes on, and changes are no longer seen",
            ),
        );
        let error = self.error(ReloadErrorKind::NoSource);
        for (_, answer) in self.waiters.drain(..) {
            let _ = answer.reply.send(Err(error.clone()));
        }
        if let Some(first) = self.first.take() {
            let _ = first.reply.send(Err(error));
        }
    }
}
