//! The thread that looks at all idle sources.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select};
use hotswap_artifact::{MemberId, Trigger};
use hotswap_system::clock;
use hotswap_system::thread::panic_text;

use super::Seat;
use super::bells::Bells;
use super::line::{Arrival, Line, release};
use super::queue::BuildQueue;
use crate::StopSignal;
use crate::watch::Awaited;

/// What the thread has.
pub(super) struct Rota {
    pub(super) idle: BTreeMap<MemberId, Box<Seat>>,
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
        let mut come: Vec<MemberId> = Vec::new();
        for arrival in self.arrivals.try_iter() {
            match arrival {
                Arrival::New(seat) => self.dispatch(seat, Trigger::Start),
                Arrival::Back(mut seat) => {
                    seat.due = seat.watch.due();
                    come.push(seat.member);
                    self.idle.insert(seat.member, seat);
                }
                Arrival::Over(member) => self.queue.leave(member),
            }
        }
        come.extend(self.bells.take());
        come.into_iter().for_each(|member| self.answer(member));
        let is_aborted = |seat: &Seat| {
            let change = seat.watch.parked_change();
            change.is_some_and(|change| change.is_aborted())
        };
        self.dispatch_all(is_aborted, Trigger::Poll);
        let now = clock::now();
        let is_due = |seat: &Seat| seat.due.is_some_and(|due| due <= now) && seat.is_free();
        self.dispatch_all(is_due, Trigger::Poll);
        if now >= self.swept + self.poll_every {
            self.sweep();
            self.swept = clock::now();
        }
        let idle = &self.idle;
        let awaits = |member: &MemberId| Some(idle.get(member)?.watch.awaited());
        let granted = self.queue.grant(|member| awaits(&member) == Some(Some(Awaited::Permit)));
        if let Some((member, permit)) = granted
            && let Some(mut seat) = self.idle.remove(&member)
        {
            seat.watch.permit = Some(permit);
            self.dispatch(seat, Trigger::Poll);
        }
    }

    /// Waits until there may be something to do.
    fn wait(&self) {
        let free = self.idle.values().filter(|seat| seat.is_free());
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

    /// Somebody may have asked this one for something.
    fn answer(&mut self, member: MemberId) {
        // One that is away is asked when it comes back.
        let Some(seat) = self.idle.get(&member) else { return };
        if seat.watch.stop.is_stopped() {
            self.end(member);
            return;
        }
        let trigger = match seat.watch.awaited() {
            Some(Awaited::Permit) => None,
            Some(Awaited::Release) => (!seat.watch.is_held()).then_some(Trigger::Poll),
            None => seat.watch.asked(),
        };
        if let Some(trigger) = trigger
            && let Some(seat) = self.idle.remove(&member)
        {
            self.dispatch(seat, trigger);
        }
    }

    /// Looks at all of them.
    fn sweep(&mut self) {
        let members: Vec<MemberId> = self.idle.keys().copied().collect();
        // A bell that got lost in a panic costs a period.
        members.into_iter().for_each(|member| self.answer(member));
        let mut found = Vec::new();
        for (member, seat) in self.idle.iter_mut().filter(|(_, seat)| seat.is_free()) {
            if !seat.watch.is_resting() && !seat.post.during(|| seat.watch.is_quiet()) {
                found.push(*member);
            }
        }
        for member in found {
            if let Some(seat) = self.idle.remove(&member) {
                self.dispatch(seat, Trigger::Poll);
            }
        }
    }

    fn dispatch_all(&mut self, is_to_go: impl Fn(&Seat) -> bool, trigger: Trigger) {
        let going: Vec<MemberId> = self
            .idle
            .iter()
            .filter(|(_, seat)| is_to_go(seat))
            .map(|(member, _)| *member)
            .collect();
        for member in going {
            if let Some(seat) = self.idle.remove(&member) {
                self.dispatch(seat, trigger);
            }
        }
    }

    /// Has a round of it made elsewhere.
    fn dispatch(&self, mut seat: Box<Seat>, trigger: Trigger) {
        self.queue.leave(seat.member);
        seat.trigger = trigger;
        self.line.add(seat);
    }

    fn end(&mut self, member: MemberId) {
        self.queue.leave(member);
        if let Some(seat) = self.idle.remove(&member) {
            release(seat);
        }
    }
}

impl Seat {
    /// Whether it may be looked at without being asked for.
    fn is_free(&self) -> bool {
        !self.watch.is_held() && self.watch.awaited().is_none()
    }
}
