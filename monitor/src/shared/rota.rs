//! The thread that looks at all idle sources.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select};
use hotswap_artifact::{MemberId, Trigger};
use hotswap_system::clock;
use hotswap_system::thread::panic_text;

use super::bells::Bells;
use super::line::{Arrival, Job, Line, Others, release};
use super::queue::BuildQueue;
use super::{Reads, Seat};
use crate::StopSignal;
use crate::watch::Awaited;

/// What the thread has.
pub(super) struct Rota {
    pub(super) idle: BTreeMap<MemberId, Box<Seat>>,
    /// Who is elsewhere.
    pub(super) away: BTreeMap<MemberId, Reads>,
    pub(super) line: Arc<Line>,
    pub(super) queue: Arc<BuildQueue>,
    pub(super) bells: Arc<Bells>,
    pub(super) woken: Receiver<()>,
    pub(super) arrivals: Receiver<Arrival>,
    pub(super) stop: StopSignal,
    pub(super) poll_every: Duration,
    /// When it looked at all of them last.
    pub(super) swept: Instant,
}

impl Rota {
    /// Runs until the last handle is dropped.
    pub(super) fn run(mut self) {
        while !self.stop.is_stopped() {
            // Unwind safety: what was asked for and got lost is found by the next sweep.
            let stepped = catch_unwind(AssertUnwindSafe(|| self.step()));
            if let Err(payload) = stepped {
                log::error!("the shared monitor panicked: {}; it goes on", panic_text(payload));
            }
        }
    }

    fn step(&mut self) {
        self.wait();
        let come = self.take_arrivals();
        for member in come.into_iter().chain(self.bells.take()) {
            self.end_if_stopped(member);
        }
        self.dispatch_aborted();
        let is_sweep = clock::now() >= self.swept + self.poll_every;
        // Asked once: one that is released meanwhile was not looked at all the same.
        let held: BTreeSet<MemberId> =
            self.members(|seat| seat.watch.is_held()).into_iter().collect();
        let found = self.look(is_sweep, &held);
        if is_sweep {
            self.swept = clock::now();
        }
        self.dispatch_found(found, &held);
        self.grant(&held);
    }

    /// Waits until there may be something to do.
    fn wait(&self) {
        let free = self.idle.values().filter(|seat| self.is_free(seat));
        let due = free.filter_map(|seat| seat.due).min();
        let sweep = self.swept + self.poll_every;
        let next = due.map_or(sweep, |due| due.min(sweep));
        let timer = clock::after(next.saturating_duration_since(clock::now()));
        let mut select = Select::new();
        select.recv(self.stop.channel());
        select.recv(&self.woken);
        select.recv(&self.arrivals);
        select.recv(&timer);
        for change in self.idle.values().filter_map(|seat| seat.watch.parked_change()) {
            select.recv(change.aborted());
        }
        select.ready();
        let _token = self.woken.try_recv();
    }

    fn take_arrivals(&mut self) -> Vec<MemberId> {
        let mut come = Vec::new();
        for arrival in self.arrivals.clone().try_iter() {
            match arrival {
                Arrival::New(seat) => self.dispatch(seat, Trigger::Start),
                Arrival::Back(mut seat) => {
                    seat.due = seat.watch.due();
                    self.away.remove(&seat.member);
                    come.push(seat.member);
                    self.idle.insert(seat.member, seat);
                }
                Arrival::Over(member) => {
                    self.away.remove(&member);
                    self.queue.leave(member);
                }
            }
        }
        come
    }

    fn end_if_stopped(&mut self, member: MemberId) {
        // One that is away ends there.
        if self.idle.get(&member).is_some_and(|seat| seat.watch.stop.is_stopped()) {
            self.queue.leave(member);
            self.idle.remove(&member).into_iter().for_each(release);
        }
    }

    fn dispatch_aborted(&mut self) {
        let is_aborted = |seat: &Seat| {
            let change = seat.watch.parked_change();
            change.is_some_and(|change| change.is_aborted())
        };
        for member in self.members(is_aborted) {
            self.dispatch_member(member, Trigger::Poll);
        }
    }

    /// Who has to be looked at, and why. What differs for one may differ for others: they are all looked at then.
    fn look(&mut self, is_sweep: bool, held: &BTreeSet<MemberId>) -> BTreeMap<MemberId, Trigger> {
        let now = clock::now();
        let mut found = BTreeMap::new();
        for member in self.members(|_| true) {
            if is_sweep {
                // A bell that got lost in a panic costs a period.
                self.end_if_stopped(member);
            }
            if held.contains(&member) {
                continue;
            }
            let Some(trigger) = self.asked(member, now) else { continue };
            let Some(seat) = self.idle.get_mut(&member) else { continue };
            // A slow one is not asked here whether it differs: it is looked at as one that does, or its round would come back
            // with what it found, to have others looked at, again and again.
            if seat.watch.has_looked() && (seat.watch.is_slow() || !seat.is_quiet()) {
                found.insert(member, trigger);
            } else {
                self.dispatch_member(member, trigger);
            }
        }
        if !is_sweep && found.is_empty() {
            return found;
        }
        let is_to_be_looked_at = |seat: &Seat| {
            let is_parked = seat.watch.awaited() == Some(Awaited::Permit);
            let is_idle = seat.watch.awaited().is_none() && seat.waits_for.is_none();
            !held.contains(&seat.member) && (is_parked || is_idle && !seat.watch.is_resting())
        };
        let mut members = self.members(is_to_be_looked_at);
        members.retain(|member| !found.contains_key(member));
        for member in members {
            let Some(seat) = self.idle.get_mut(&member) else { continue };
            if seat.watch.is_slow() {
                // It reads what no other does. Who waits for a permit is looked at when there is one.
                if is_sweep && seat.watch.awaited().is_none() {
                    self.dispatch_member(member, Trigger::Poll);
                }
                continue;
            }
            if !found.is_empty() {
                seat.watch.doubt();
            }
            if !seat.is_quiet() {
                found.insert(member, Trigger::Poll);
            }
        }
        found
    }

    /// Why somebody wants this one to be looked at.
    fn asked(&self, member: MemberId, now: Instant) -> Option<Trigger> {
        let seat = self.idle.get(&member)?;
        if seat.waits_for.is_some() {
            return (!self.is_waiting(seat) && !seat.watch.is_held()).then_some(seat.trigger);
        }
        match seat.watch.awaited() {
            Some(Awaited::Permit) => None,
            Some(Awaited::Release) => (!seat.watch.is_held()).then_some(Trigger::Poll),
            None => {
                let is_due = seat.due.is_some_and(|due| due <= now) && !seat.watch.is_held();
                seat.watch.asked().or(is_due.then_some(Trigger::Poll))
            }
        }
    }

    /// Has those looked at that differ, each with those that differ by the same.
    fn dispatch_found(&mut self, found: BTreeMap<MemberId, Trigger>, held: &BTreeSet<MemberId>) {
        if found.is_empty() {
            return;
        }
        let away = self.away.iter().map(|(member, reads)| (*member, reads.clone()));
        let mut others = Others { absent: away.collect(), quiet: Vec::new() };
        for seat in self.idle.values().filter(|seat| !found.contains_key(&seat.member)) {
            match held.contains(&seat.member) {
                true => others.absent.push((seat.member, seat.reads.clone())),
                false => others.quiet.push(seat.reads.clone()),
            }
        }
        let mut seats = Vec::new();
        for (member, trigger) in found {
            if let Some(mut seat) = self.take(member) {
                seat.trigger = trigger;
                seats.push(seat);
            }
        }
        self.line.add(Job::Look(seats, others));
    }

    /// Gives the permit to the first in line, and has him go on with those that changed with him.
    fn grant(&mut self, held: &BTreeSet<MemberId>) {
        let (idle, can_take) = (&self.idle, |seat: &Seat| {
            seat.watch.awaited() == Some(Awaited::Permit) && seat.waits_for.is_none()
        });
        let granted =
            self.queue.grant(|member| idle.get(&member).is_some_and(|seat| can_take(seat)));
        let Some((first, permit)) = granted else { return };
        let mut together = BTreeSet::from([first]);
        let mut paths: BTreeSet<PathBuf> = idle[&first].watch.differing().clone();
        while let Some(next) = idle.values().find(|seat| {
            !together.contains(&seat.member)
                && can_take(seat)
                && !seat.watch.differing().is_disjoint(&paths)
        }) {
            together.insert(next.member);
            paths.extend(next.watch.differing().iter().cloned());
        }
        if let Some(seat) = self.idle.get_mut(&first) {
            seat.watch.permit = Some(permit);
        }
        if together.len() == 1 {
            self.dispatch_member(first, Trigger::Poll);
        } else {
            self.dispatch_found(
                together.into_iter().map(|member| (member, Trigger::Poll)).collect(),
                held,
            );
        }
    }

    fn members(&self, is_meant: impl Fn(&Seat) -> bool) -> Vec<MemberId> {
        self.idle.values().filter(|seat| is_meant(seat)).map(|seat| seat.member).collect()
    }

    /// Has a round of it made elsewhere.
    fn dispatch_member(&mut self, member: MemberId, trigger: Trigger) {
        if let Some(seat) = self.take(member) {
            self.dispatch(seat, trigger);
        }
    }

    fn dispatch(&mut self, mut seat: Box<Seat>, trigger: Trigger) {
        self.away.insert(seat.member, seat.reads.clone());
        seat.trigger = trigger;
        let has_looked = seat.watch.has_looked();
        self.line.add(if has_looked { Job::Ask(seat) } else { Job::Round(seat) });
    }

    /// Takes one that is to go elsewhere.
    fn take(&mut self, member: MemberId) -> Option<Box<Seat>> {
        let mut seat = self.idle.remove(&member)?;
        self.queue.leave(member);
        self.away.insert(member, seat.reads.clone());
        seat.waits_for = None;
        Some(seat)
    }

    /// Whether it may be looked at without being asked for.
    fn is_free(&self, seat: &Seat) -> bool {
        !seat.watch.is_held() && seat.watch.awaited().is_none() && seat.waits_for.is_none()
    }

    /// Whether another one, for which it waits, cannot be looked at yet.
    fn is_waiting(&self, seat: &Seat) -> bool {
        seat.waits_for.is_some_and(|other| {
            let is_held = || self.idle.get(&other).is_some_and(|other| other.watch.is_held());
            self.away.contains_key(&other) || is_held()
        })
    }
}

impl Seat {
    fn is_quiet(&mut self) -> bool {
        let post = self.post.clone();
        post.during(|| self.watch.is_quiet())
    }
}
