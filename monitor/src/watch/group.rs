//! Sources that changed together: they settle together, are built one after the other under one permit, and what
//! became of them is told when all of it is known.
//!
//! Each is built as if it were alone, by a cargo of its own, so that its library comes out the same; what they
//! share lies in one target directory, where the first build compiles it and the others find it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Select;
use hotswap_artifact::{Cause, Group, MemberId, Stage, Ticket};
use hotswap_system::clock;

use super::attempt::{Attempt, Verdict};
use super::supervise::guarded;
use super::waiting::Parked;
use super::{Awaited, Change, Found, Interrupted, Round, SETTLE_MAX};
use crate::shared::Seat;
use crate::shared::queue::Permit;
use crate::{Scan, Step};

/// A source in which a look found something.
pub(crate) struct Candidate {
    pub(crate) seat: Box<Seat>,
    round: Round,
    found: Found,
}

/// What became of a look, or of a round.
pub(crate) enum Looked {
    Candidate(Box<Candidate>),
    /// There is nothing to do, or not now.
    Back(Box<Seat>),
    /// There is a hold: nobody looked.
    Held(Box<Seat>),
    /// It was told to end.
    Over(Box<Seat>),
}

impl Candidate {
    /// Looks at a source.
    pub(crate) fn find(mut seat: Box<Seat>) -> Looked {
        let mut round = Round { trigger: seat.trigger, through: Ticket::default() };
        let post = seat.post.clone();
        let begun = post.during(|| {
            seat.watch.memory.rest = None;
            seat.watch.guarded(round.trigger, |watch| watch.begin(&mut round))
        });
        match begun {
            Ok(Some(Some(found))) => Looked::Candidate(Box::new(Self { seat, round, found })),
            Ok(Some(None) | None) => {
                seat.watch.permit = None;
                Looked::Back(seat)
            }
            Err(Interrupted::Parked) => {
                seat.watch.permit = None;
                Looked::Held(seat)
            }
            Err(Interrupted::Stopped) => Looked::Over(seat),
        }
    }

    /// Whether others may have changed with it, who were not looked at.
    pub(crate) fn may_have_company(&self) -> bool {
        let stands = |parked: &Parked| {
            parked.stands(&self.found.scan) || parked.change.under_way.is_aborted()
        };
        !self.found.parked.as_ref().is_some_and(stands) && !self.shareable().is_empty()
    }

    /// What others may have changed by as well.
    pub(crate) fn shareable(&self) -> BTreeSet<PathBuf> {
        match self.found.scan.is_refused() {
            true => BTreeSet::new(),
            false => self.seat.watch.memory.differing.clone(),
        }
    }

    /// Of what differs, that by which others were not looked for yet.
    pub(crate) fn unsearched(&self) -> impl Iterator<Item = &PathBuf> {
        let memory = &self.seat.watch.memory;
        memory.differing.difference(&memory.searched)
    }

    /// Leaves it for when all others have been looked at, which happens next.
    pub(crate) fn search(mut self) -> Box<Seat> {
        let memory = &mut self.seat.watch.memory;
        memory.searched.clone_from(&memory.differing);
        self.postpone(None)
    }

    /// Does what is to be done about a source that changed by itself.
    pub(crate) fn carry_out(self) -> Looked {
        let Self { mut seat, mut round, found } = self;
        let post = seat.post.clone();
        let turned = post.during(|| {
            let watch = &mut seat.watch;
            let turned = watch.guarded(round.trigger, |watch| watch.carry_out(&mut round, found));
            watch.end_turn(turned)
        });
        match turned {
            Ok(()) | Err(Interrupted::Parked) => Looked::Back(seat),
            Err(Interrupted::Stopped) => Looked::Over(seat),
        }
    }

    /// Leaves it for later: for when all are looked at, and another one can be.
    pub(crate) fn postpone(self, other: Option<MemberId>) -> Box<Seat> {
        let Self { mut seat, round, found } = self;
        let watch = &mut seat.watch;
        watch.permit = None;
        match found.parked {
            Some(parked) => watch.parked = Some(Parked { awaited: Awaited::Release, ..parked }),
            None => watch.memory.again = Some((round.trigger, found.cause)),
        }
        seat.waits_for = other;
        seat
    }
}

/// A source of a group, and how far it has come.
struct Member {
    seat: Box<Seat>,
    round: Round,
    change: Change,
    scan: Scan,
    /// Whether the source stood still already.
    stands: bool,
    verdict: Option<Verdict>,
}

/// Sources that changed together.
pub(crate) struct Party {
    members: Vec<Member>,
    permit: Option<Permit>,
    /// Those that are no part of it any more.
    left: Vec<Looked>,
}

/// How far a group can be brought now.
enum Progress {
    /// It is known what becomes of each.
    Decided,
    /// Something moved.
    Moved,
    /// It waits without a thread.
    Parked,
}

impl Party {
    pub(crate) fn new(candidates: Vec<Candidate>) -> Self {
        let mut permit = None;
        let members = candidates.into_iter().map(|candidate| {
            let Candidate { mut seat, round, found: Found { scan, cause, parked } } = candidate;
            permit = permit.take().or(seat.watch.permit.take());
            let stands = parked.as_ref().is_some_and(|parked| parked.stands(&scan));
            let change = match parked {
                Some(parked) => parked.change,
                None => seat.watch.change(round.trigger, cause),
            };
            Member { seat, round, change, scan, stands, verdict: None }
        });
        let members = in_order(members.collect());
        Self { members, permit, left: Vec::new() }
    }

    /// Does what is to be done about all of them. The number is that of the group, which is asked for when it is told.
    pub(crate) fn carry_out(mut self, number: impl FnOnce() -> u64) -> Vec<Looked> {
        loop {
            let known = self.differing();
            self.settle();
            let mut seats = self.members.iter().map(|member| &member.seat);
            let held = seats.find(|seat| seat.watch.is_held()).map(|seat| seat.member);
            if held.is_some() || self.differing() > known {
                // What was seen may be half of something; or others may differ by what is new.
                self.postpone(held);
                break;
            }
            match self.decide() {
                Progress::Decided => {}
                Progress::Moved => {
                    // What moved one of them may have moved others.
                    self.has_moved();
                    continue;
                }
                Progress::Parked => break,
            }
            if !self.has_moved() {
                self.permit = None;
                self.conclude(number());
                break;
            }
        }
        let back = self.members.into_iter().map(|member| Looked::Back(member.seat));
        self.left.into_iter().chain(back).collect()
    }

    /// Waits until all of them have stood still for the longest time that any of them wants.
    fn settle(&mut self) {
        if self.members.iter().all(|member| member.stands) {
            return;
        }
        let begin = clock::now();
        for Member { seat, change, scan, .. } in self.members.iter_mut().filter(|one| !one.stands) {
            seat.watch.begin_to_settle(change, scan);
        }
        let mut times = self.members.iter().map(|member| member.seat.watch.settle.longest());
        let time = times.by_ref().max().unwrap_or_default();
        let mut is_still = false;
        while !is_still && clock::since(begin) < SETTLE_MAX {
            self.wait(time);
            is_still = true;
            self.each(|member| {
                if member.verdict.is_some() {
                    return Ok(());
                }
                let fingerprint = member.scan.fingerprint;
                if member.change.under_way.is_aborted() {
                    member.verdict = Some(Verdict::Aborted { fingerprint, elapsed: None });
                    return Ok(());
                }
                match member.seat.watch.glance(&mut member.round)? {
                    Ok(scan) => {
                        member.change.under_way.is_of(scan.fingerprint);
                        is_still &= scan.changed.is_empty() && scan.touched.is_empty();
                        member.scan = scan;
                    }
                    Err(error) => member.verdict = Some(Verdict::Unreadable(error)),
                }
                Ok(())
            });
        }
        let waited = clock::since(begin);
        for member in self.members.iter_mut().filter(|member| !member.stands) {
            member.stands = true;
            if member.verdict.is_none() {
                let fingerprint = member.scan.fingerprint;
                member.seat.watch.tell(&member.change, Step::Settled { fingerprint, waited });
            }
        }
    }

    /// Waits this long, or until one of them is to end.
    fn wait(&self, time: Duration) {
        let timer = clock::after(time);
        let mut select = Select::new();
        select.recv(&timer);
        for member in self.members.iter().filter(|member| member.verdict.is_none()) {
            select.recv(member.seat.watch.stop.channel());
            select.recv(member.change.under_way.aborted());
        }
        select.ready();
    }

    /// How many files were found to differ.
    fn differing(&self) -> usize {
        self.members.iter().map(|member| member.seat.watch.memory.differing.len()).sum()
    }

    /// Leaves all of them for later: for when all sources are looked at, and there is no hold on this one.
    fn postpone(&mut self, held: Option<MemberId>) {
        self.permit = None;
        for Member { seat, change, .. } in &mut self.members {
            let _parked = seat.watch.park(change, Awaited::Release, None);
            seat.waits_for = held.filter(|held| *held != seat.member);
        }
    }

    /// Builds what has to be built. Dependencies come first.
    fn decide(&mut self) -> Progress {
        let mut progress = Progress::Decided;
        let permit = &mut self.permit;
        let mut is_waiting = false;
        each(&mut self.members, &mut self.left, |member| {
            if member.verdict.is_some() || is_waiting || matches!(progress, Progress::Moved) {
                return Ok(());
            }
            let fingerprint = member.scan.fingerprint;
            if member.change.under_way.is_aborted() {
                member.verdict = Some(Verdict::Aborted { fingerprint, elapsed: None });
                return Ok(());
            }
            let watch = &mut member.seat.watch;
            watch.permit = permit.take();
            let attempt = watch.decide(&member.change, &mut member.round, &member.scan);
            *permit = watch.permit.take();
            match attempt {
                Ok(Attempt::Done(verdict)) => member.verdict = Some(verdict),
                Ok(Attempt::Unreadable(error)) => {
                    member.verdict = Some(Verdict::Unreadable(error));
                }
                Ok(Attempt::Discarded(scan, cause)) => {
                    member.begin_anew(scan, cause);
                    progress = Progress::Moved;
                }
                Err(Interrupted::Parked) => is_waiting = true,
                Err(Interrupted::Stopped) => return Err(Interrupted::Stopped),
            }
            Ok(())
        });
        if !is_waiting {
            return progress;
        }
        // They come back together, with whoever gets the permit first.
        for Member { seat, change, scan, .. } in &mut self.members {
            change.under_way.enter(Stage::Waiting);
            let _parked = seat.watch.park(change, Awaited::Permit, Some(scan.fingerprint));
            if let Some(place) = &seat.watch.place {
                place.stand_in_line();
            }
        }
        Progress::Parked
    }

    /// Whether any of them is another one by now. What was built of the others stays good.
    fn has_moved(&mut self) -> bool {
        let mut has_moved = false;
        self.each(|member| {
            if let Some(Verdict::Unreadable(_) | Verdict::Aborted { .. }) = member.verdict {
                return Ok(());
            }
            match member.seat.watch.look(&mut member.round)? {
                Ok(scan) if scan.changed.is_empty() => {}
                Ok(scan) if member.verdict.is_none() => {
                    (member.scan, member.stands) = (scan, false);
                }
                Ok(scan) => {
                    let cause = scan.cause();
                    if let Some(Verdict::Built(finished)) = &member.verdict {
                        let (fingerprint, elapsed) = (member.scan.fingerprint, finished.elapsed);
                        let cause = cause.clone();
                        let step = Step::BuildDiscarded { fingerprint, elapsed, cause };
                        member.seat.watch.tell(&member.change, step);
                    }
                    member.begin_anew(scan, cause);
                    has_moved = true;
                }
                Err(error) => member.verdict = Some(Verdict::Unreadable(error)),
            }
            Ok(())
        });
        has_moved
    }

    /// Tells each what became of it, and of whom with it.
    fn conclude(&mut self, number: u64) {
        let members: Vec<MemberId> = self.members.iter().map(|member| member.seat.member).collect();
        let group = (members.len() > 1).then(|| Arc::new(Group::new(number, members)));
        self.each(|member| {
            let Some(verdict) = member.verdict.take() else { return Ok(()) };
            let watch = &mut member.seat.watch;
            watch.group = group.clone();
            let concluded = watch.conclude(&member.change, &member.round, verdict);
            watch.end_turn(concluded.map(Some))
        });
    }

    fn each(&mut self, part: impl FnMut(&mut Member) -> Result<(), Interrupted>) {
        each(&mut self.members, &mut self.left, part);
    }
}

/// Does something with every member. Who panics, or is told to end, is no part of the group any more.
fn each(
    members: &mut Vec<Member>,
    left: &mut Vec<Looked>,
    mut part: impl FnMut(&mut Member) -> Result<(), Interrupted>,
) {
    let all = std::mem::take(members);
    for mut member in all {
        let post = member.seat.post.clone();
        let done = post.during(|| {
            let trigger = member.round.trigger;
            guarded(&mut member, |member| &mut member.seat.watch, trigger, &mut part)
        });
        match done {
            Ok(Some(())) => members.push(member),
            Ok(None) | Err(Interrupted::Parked) => left.push(Looked::Back(member.seat)),
            Err(Interrupted::Stopped) => left.push(Looked::Over(member.seat)),
        }
    }
}

impl Member {
    /// It is another one: the change that it was of is over.
    fn begin_anew(&mut self, scan: Scan, cause: Cause) {
        self.change = self.seat.watch.change(self.round.trigger, cause);
        (self.scan, self.stands, self.verdict) = (scan, false, None);
    }
}

/// What others depend on stands before them; else they are in the order of their numbers.
fn in_order(mut members: Vec<Member>) -> Vec<Member> {
    members.sort_by_key(|member| member.seat.member);
    let mut ordered: Vec<Member> = Vec::new();
    while !members.is_empty() {
        let depends = |one: &Member, other: &Member| {
            one.seat.watch.scanner.depends_on(other.seat.watch.source.location())
        };
        let is_free = |one: &Member| !members.iter().any(|other| depends(one, other));
        // Cargo knows no circles.
        let next = members.iter().position(is_free).unwrap_or_default();
        ordered.push(members.remove(next));
    }
    ordered
}
