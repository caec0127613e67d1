//! The writes that make a group current.

use std::sync::{Arc, Weak};

use super::Hands;
use super::trial::{Entrant, Progress, Verdicts};
use crate::error::ReloadErrorKind;
use crate::siblings::{Companion, Family, Sibling};
use crate::slot;
use crate::sync::heavy_barrier;
use crate::version::Version;
use crate::version_id::NO_VERSION;

/// A version in use that was told what belongs with it.
struct Introduced {
    at: usize,
    version: Weak<Version>,
}

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
        let places: Vec<_> = ready.iter().map(|(at, ..)| *at).collect();
        let introduced = self.introduce(&places);
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
        let olds: Vec<_> = published.iter().map(|published| Arc::clone(&published.old)).collect();
        let finished: Vec<_> = ready
            .into_iter()
            .map(|(at, newcomer, _, handover)| (at, newcomer, handover.finish()))
            .collect();
        self.keep_together(&places, introduced, &olds);
        drop(olds);
        for ((at, newcomer, migrate_time), published) in finished.into_iter().zip(published) {
            let verdict = self.survive(&[at], |hands| {
                hands.swappers[at].end_publish(published, &newcomer, migrate_time)
            });
            let message = "after it became current".to_owned();
            let kind = ReloadErrorKind::Panicked { message };
            verdicts.push((at, verdict.ok_or_else(|| self.swappers[at].error(kind))));
        }
        // What one of them let go of another may have been the last to hold.
        for at in places {
            self.survive(&[at], |hands| hands.swappers[at].unload_retired());
        }
        verdicts
    }

    /// Tells all versions of these that are in use what belongs with them, before it is replaced.
    fn introduce(&self, places: &[usize]) -> Vec<Introduced> {
        let current = |at: &usize| {
            let core = &self.swappers[*at].core;
            Some((core.member(), core.slot.load())).filter(|(_, it)| it.id != NO_VERSION)
        };
        let currents = places.iter().filter_map(current);
        let family = currents.map(|(member, version)| (member, Arc::downgrade(&version)));
        let family = Arc::new(Family::new(family.collect()));
        let mut introduced = Vec::new();
        for at in places {
            for version in self.swappers[*at].lineage.living() {
                if let Some(strong) = version.upgrade() {
                    strong.siblings.add(&family);
                    introduced.push(Introduced { at: *at, version });
                }
            }
        }
        introduced
    }

    /// Keeps what was replaced for as long as calls or guards are in what belongs with it.
    fn keep_together(
        &mut self,
        places: &[usize],
        introduced: Vec<Introduced>,
        olds: &[Arc<Version>],
    ) {
        // As in `Draining::release`: a call that is not seen below sees that its version is not current.
        heavy_barrier();
        for Introduced { at, version } in introduced {
            let Some(version) = version.upgrade() else { continue };
            let is_entered = slot::records().any(|record| record.names(Arc::as_ptr(&version)));
            if !is_entered && !version.holds.has_guards() {
                continue;
            }
            let of = format!("{} of {}", version.id, self.swappers[at].core.name);
            let belongs = |(place, old): &(&usize, &Arc<Version>)| {
                let sibling = version.siblings.of(self.swappers[**place].core.member());
                let is_it = |sibling: &Arc<Version>| Arc::ptr_eq(sibling, old);
                **place != at && matches!(sibling, Sibling::Version(sibling) if is_it(&sibling))
            };
            let with = places.iter().zip(olds).filter(belongs);
            let companions = with.map(|(_, old)| Companion::new(Arc::clone(old), &of)).collect();
            self.swappers[at].draining.add_with(version, companions);
        }
    }
}
