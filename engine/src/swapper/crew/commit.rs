//! The writes that make a group current.

use std::sync::Arc;

use super::Hands;
use super::trial::{Entrant, Progress, Verdicts};
use crate::error::ReloadErrorKind;

impl Hands {
    /// Makes all current. Nothing may keep any of them out any more: what panics is told, and the others go on.
    pub(super) fn publish_all(&mut self, entrants: Vec<Entrant>) -> Verdicts {
        let mut verdicts = Verdicts::new();
        let mut ready = Vec::new();
        for Entrant { at, newcomer, progress, .. } in entrants {
            match progress {
                Progress::Ready(version, handover) => ready.push((at, newcomer, version, handover)),
                Progress::Same(current) => {
                    let same =
                        |hands: &mut Self| hands.swappers[at].stay_the_same(current, newcomer);
                    verdicts.extend(self.survive(&[at], same).map(|verdict| (at, Ok(verdict))));
                }
                Progress::Waiting | Progress::Loaded(_) => unreachable!("all were prepared"),
            }
        }
        for (at, newcomer, version, handover) in &ready {
            self.survive(&[*at], |hands| {
                hands.swappers[*at].begin_publish(version, newcomer, handover);
            });
        }
        let mut published = Vec::with_capacity(ready.len());
        {
            // Nothing else is done meanwhile: who pins several engines waits.
            let _all = self.pin_lock.write();
            for (at, _, version, _) in &ready {
                published.push(self.swappers[*at].write(Arc::clone(version)));
            }
        }
        let finished: Vec<_> = ready
            .into_iter()
            .map(|(at, newcomer, _, handover)| (at, newcomer, handover.finish()))
            .collect();
        for ((at, newcomer, migrate_time), published) in finished.into_iter().zip(published) {
            let verdict = self.survive(&[at], |hands| {
                hands.swappers[at].end_publish(published, &newcomer, migrate_time)
            });
            let message = "after it became current".to_owned();
            let kind = ReloadErrorKind::Panicked { message };
            verdicts.push((at, verdict.ok_or_else(|| self.swappers[at].error(kind))));
        }
        verdicts
    }
}
