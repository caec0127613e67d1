//! An attempt to make current what belongs together: all of it, or nothing.

use std::sync::Arc;

use hotswap_artifact::MemberId;

use super::Hands;
use super::bonds::{Arrival, Bond};
use crate::audit::Line;
use crate::cap::Crowd;
use crate::error::{ReloadError, ReloadErrorKind};
use crate::load_error::LoadErrorKind;
use crate::swapper::Newcomer;
use crate::swapper::admission::{Loaded, Refusal};
use crate::swapper::handover::Handover;
use crate::swapper::notified::{Found, Receipt};
use crate::verdict::Verdict;
use crate::version::Version;
use crate::version_id::{NO_VERSION, VersionId};

/// A newcomer of one engine, on its way with those of others.
pub(super) struct Entrant {
    /// The place of its swapper.
    pub(super) at: usize,
    member: MemberId,
    pub(super) newcomer: Newcomer,
    /// The number that it gets.
    id: VersionId,
    pub(super) progress: Progress,
}

/// Who is answered, when it is decided.
struct Waiter {
    at: usize,
    receipt: Receipt,
    verdict: Option<Result<Verdict, ReloadError>>,
}

/// How far an entrant has come.
pub(super) enum Progress {
    Waiting,
    Loaded(Arc<Version>),
    Ready(Arc<Version>, Handover),
    /// What it is runs already, in this version.
    Same(VersionId),
}

/// Why an entrant, and with it all, cannot become current.
enum Failure {
    Refused(Refusal),
    Crowded(Crowd),
}

/// What became of entrants, by the places of their swappers.
pub(super) type Verdicts = Vec<(usize, Result<Verdict, ReloadError>)>;

impl Hands {
    /// Tries what the bond of a member has, once all have said something.
    pub(super) fn try_together(&mut self, member: MemberId) {
        let Some(mut bond) = self.bonds.take_complete(member) else {
            // It comes to that when the last message does.
            self.seat(member).into_iter().for_each(|at| self.swappers[at].bonds.was_tried());
            return;
        };
        let seats: Vec<_> = bond.members.iter().filter_map(|it| self.seat(*it)).collect();
        self.survive(&seats, |hands| hands.attempt(&mut bond));
        let mut unfinished = bond.culprits.len();
        for at in seats {
            self.swappers[at].bonds.was_tried();
            unfinished += usize::from(self.swappers[at].held_back.is_some());
        }
        // Who is left alone belongs to nobody.
        let is_bonded = unfinished > 1;
        self.bind(&bond.members, is_bonded);
        if is_bonded {
            self.bonds.put_back(bond);
        }
    }

    /// Says whether what these hold back is their own matter, or becomes current with what others do.
    pub(super) fn bind(&mut self, members: &[MemberId], is_bonded: bool) {
        for member in members {
            let at = self.seat(*member);
            at.into_iter().for_each(|at| self.swappers[at].bonds.is_bonded = is_bonded);
        }
    }

    /// Drops a message that waits for those of others, if its change was told to end.
    pub(super) fn drop_aborted(&mut self, at: usize, member: MemberId) {
        let Some(bond) = self.bonds.of(member) else { return };
        let Some(message) = bond.take_aborted(member) else { return };
        let verdict = self.survive(&[at], |hands| {
            let swapper = &mut hands.swappers[at];
            let (receipt, found) = swapper.judge(message)?;
            let verdict = match found {
                Found::Newcomer(newcomer) => {
                    let id = swapper.next_id();
                    Err(swapper.refuse(*newcomer, id, (LoadErrorKind::Aborted, "swap.abort")))
                }
                Found::Verdict(verdict) => verdict,
            };
            swapper.settle(receipt, verdict.clone());
            verdict.err()
        });
        if let (Some(Some(error)), Some(bond)) = (verdict, self.bonds.of(member)) {
            bond.blame(member, error);
        }
    }

    fn seat(&self, member: MemberId) -> Option<usize> {
        self.swappers.iter().position(|swapper| swapper.core.member() == member)
    }

    /// Judges what has come, tries it together with what is held back, and tells everybody who waits.
    fn attempt(&mut self, bond: &mut Bond) {
        let mut waiters = Vec::new();
        let mut entrants = Vec::new();
        for arrival in bond.take_arrived() {
            self.judge(bond, arrival, &mut waiters, &mut entrants);
        }
        let verdicts = match self.obstacle(bond, &entrants) {
            Some((culprit, error)) => self.hold_all(entrants, culprit, &error),
            None => {
                self.join_held(bond, &mut entrants);
                self.admit(bond, entrants)
            }
        };
        for Waiter { at, receipt, verdict } in waiters {
            let decided = || verdicts.iter().find(|(of, _)| *of == at);
            let verdict = verdict.or_else(|| decided().map(|(_, verdict)| verdict.clone()));
            let Some(verdict) = verdict else { continue };
            self.survive(&[at], |hands| hands.swappers[at].settle(receipt, verdict));
        }
    }

    /// What a message means: an entrant, or a verdict and maybe a culprit.
    fn judge(
        &mut self,
        bond: &mut Bond,
        arrival: Arrival,
        waiters: &mut Vec<Waiter>,
        entrants: &mut Vec<Entrant>,
    ) {
        let Arrival { member, message, is_news } = arrival;
        let Some(at) = self.seat(member) else { return };
        let Some(judged) = self.survive(&[at], |hands| hands.swappers[at].judge(message)) else {
            let message = "while it was judged what lies in the source".to_owned();
            let error = self.swappers[at].error(ReloadErrorKind::Panicked { message });
            return bond.blame(member, error);
        };
        let Some((receipt, found)) = judged else { return };
        let verdict = match found {
            Found::Newcomer(newcomer) => {
                bond.forgive(member);
                let id = NO_VERSION;
                let progress = Progress::Waiting;
                entrants.push(Entrant { at, member, newcomer: *newcomer, id, progress });
                None
            }
            Found::Verdict(verdict) => {
                match &verdict {
                    Ok(_) => bond.forgive(member),
                    Err(ReloadError { kind: ReloadErrorKind::Paused, .. }) => bond.forgive(member),
                    Err(error) if is_news => bond.blame(member, error.clone()),
                    Err(_) => {}
                }
                Some(verdict)
            }
        };
        waiters.push(Waiter { at, receipt, verdict });
    }

    /// Who keeps all from being tried, and why.
    fn obstacle(&mut self, bond: &Bond, entrants: &[Entrant]) -> Option<(MemberId, ReloadError)> {
        if let Some(culprit) = bond.culprits.first() {
            return Some(culprit.clone());
        }
        for member in &bond.members {
            let Some(at) = self.seat(*member) else { continue };
            let swapper = &mut self.swappers[at];
            let enters = entrants.iter().any(|entrant| entrant.at == at);
            let holds = swapper.held_back.is_some();
            if (enters || holds) && swapper.is_frozen() {
                return Some((*member, swapper.error(ReloadErrorKind::Frozen)));
            }
            // Who enters though swaps are paused was asked to.
            if holds && !enters && swapper.core.history.lock().is_paused {
                return Some((*member, swapper.error(ReloadErrorKind::Paused)));
            }
        }
        None
    }

    /// What others hold back takes part.
    fn join_held(&mut self, bond: &Bond, entrants: &mut Vec<Entrant>) {
        for member in &bond.members {
            let Some(at) = self.seat(*member) else { continue };
            if entrants.iter().any(|entrant| entrant.at == at) {
                continue;
            }
            let held = self.swappers[at].held_back.take();
            entrants.extend(held.map(|newcomer| {
                let progress = Progress::Waiting;
                Entrant { at, member: *member, newcomer, id: NO_VERSION, progress }
            }));
        }
        entrants.sort_by_key(|entrant| bond.place(entrant.member));
    }

    /// Makes all current, or none.
    fn admit(&mut self, bond: &mut Bond, mut entrants: Vec<Entrant>) -> Verdicts {
        if let [_, _, ..] = &entrants[..] {
            self.announce(bond, &entrants);
        }
        match self.prepare_all(&mut entrants) {
            Ok(()) => self.publish_all(entrants),
            Err((at, failure)) => self.undo_all(bond, entrants, at, failure),
        }
    }

    /// Writes down that these become current together.
    fn announce(&self, bond: &Bond, entrants: &[Entrant]) {
        let name = |entrant: &Entrant| self.swappers[entrant.at].core.name.clone();
        let members = entrants.iter().map(name).collect::<Vec<_>>().join(",");
        for Entrant { at, newcomer, .. } in entrants {
            let line = Line::info("group.intent").field("group", bond.number);
            let line = line.field("members", &members);
            self.swappers[*at].core.journal.intent(Some(&newcomer.tx), line);
        }
    }

    /// Everything that must be true of all, short of making them current: dependencies first. Gives the place of the
    /// first that fails.
    fn prepare_all(&mut self, entrants: &mut [Entrant]) -> Result<(), (usize, Failure)> {
        for (place, entrant) in entrants.iter_mut().enumerate() {
            let swapper = &mut self.swappers[entrant.at];
            let Entrant { newcomer, id, .. } = entrant;
            *id = swapper.next_id();
            let loaded = swapper.survive(|swapper| swapper.prepare(newcomer, *id));
            entrant.progress = match loaded {
                Ok(Loaded::Ready(version, ())) => Progress::Loaded(version),
                Ok(Loaded::Same(current)) => Progress::Same(current),
                Ok(Loaded::Crowded(crowd)) => return Err((place, Failure::Crowded(crowd))),
                Err(refusal) => return Err((place, Failure::Refused(refusal))),
            };
        }
        // Their load hooks have run: from here on state is locked.
        for (place, entrant) in entrants.iter_mut().enumerate() {
            let Progress::Loaded(version) = &entrant.progress else { continue };
            let (swapper, version) = (&mut self.swappers[entrant.at], Arc::clone(version));
            let newcomer = &entrant.newcomer;
            let handover = swapper
                .survive(|swapper| swapper.take_over(&version, newcomer))
                .map_err(|refusal| (place, Failure::Refused(refusal)))?;
            entrant.progress = Progress::Ready(version, handover);
        }
        for (place, entrant) in entrants.iter().enumerate() {
            let Progress::Ready(version, _) = &entrant.progress else { continue };
            self.swappers[entrant.at]
                .survive(|swapper| swapper.commit(version, &entrant.newcomer))
                .map_err(|refusal| (place, Failure::Refused(refusal)))?;
        }
        Ok(())
    }

    /// One of them failed: the others are what they were, and wait for it.
    fn undo_all(
        &mut self,
        bond: &mut Bond,
        mut entrants: Vec<Entrant>,
        place: usize,
        failure: Failure,
    ) -> Verdicts {
        // Dependents first.
        let mut were_loaded = Vec::new();
        for Entrant { at, progress, .. } in entrants.iter_mut().rev() {
            match progress {
                Progress::Waiting | Progress::Same(_) => {}
                Progress::Loaded(_) | Progress::Ready(..) => {
                    *progress = Progress::Waiting;
                    were_loaded.push(*at);
                    self.survive(&[*at], |hands| hands.swappers[*at].unload_retired());
                }
            }
        }
        let Entrant { at, member, mut newcomer, id, .. } = entrants.remove(place);
        let told = self.survive(&[at], |hands| {
            let swapper = &mut hands.swappers[at];
            match failure {
                Failure::Refused(refusal) => swapper.refuse(newcomer, id, refusal),
                Failure::Crowded(crowd) => {
                    // It is told each time.
                    newcomer.is_queued = false;
                    swapper.hold_up(newcomer, crowd)
                }
            }
        });
        let message = "while it was told why it was refused".to_owned();
        let panicked = || self.swappers[at].error(ReloadErrorKind::Panicked { message });
        let error = told.unwrap_or_else(panicked);
        if self.swappers[at].held_back.is_none() {
            bond.blame(member, error.clone());
        }
        let mut verdicts = vec![(at, Err(error.clone()))];
        let because = self.because_of(member, &error);
        for entrant in entrants {
            let at = entrant.at;
            let verdict = self.survive(&[at], |hands| match entrant.progress {
                Progress::Same(current) => {
                    Ok(hands.swappers[at].stay_the_same(current, entrant.newcomer))
                }
                _ => {
                    let event = match were_loaded.contains(&at) {
                        true => "swap.abort",
                        false => "swap.refused",
                    };
                    Err(hands.swappers[at].hold(entrant.newcomer, because.clone(), Some(event)))
                }
            });
            verdicts.extend(verdict.map(|verdict| (at, verdict)));
        }
        verdicts
    }

    /// Nothing is tried, because of one of them.
    fn hold_all(
        &mut self,
        entrants: Vec<Entrant>,
        culprit: MemberId,
        error: &ReloadError,
    ) -> Verdicts {
        let because = self.because_of(culprit, error);
        let mut verdicts = Verdicts::new();
        for Entrant { at, member, newcomer, .. } in entrants {
            let verdict = self.survive(&[at], |hands| {
                let swapper = &mut hands.swappers[at];
                if member == culprit && matches!(error.kind, ReloadErrorKind::Frozen) {
                    return swapper.hold_frozen(newcomer);
                }
                // Who is told again is told nothing new.
                let event = (!newcomer.was_told).then_some("swap.refused");
                swapper.hold(newcomer, because.clone(), event)
            });
            verdicts.extend(verdict.map(|error| (at, Err(error))));
        }
        verdicts
    }

    fn because_of(&self, culprit: MemberId, error: &ReloadError) -> ReloadErrorKind {
        let name = |at: usize| self.swappers[at].core.name.clone();
        let member = self.seat(culprit).map(name).unwrap_or_default();
        ReloadErrorKind::Group { member, error: Arc::new(error.clone()) }
    }
}
