//! Threads that exist while there is something to do, and who waits for one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::Sender;
use hotswap_artifact::MemberId;
use hotswap_system::thread;
use parking_lot::Mutex;

use super::Seat;
use crate::watch::Interrupted;

/// How many rounds go on at a time.
///
/// Four: one may look after a build, one may fetch, and others still get their answer. More would only
/// take turns on the disk.
const WORKERS_MAX: usize = 4;

/// What comes to the shared thread.
pub(super) enum Arrival {
    /// To be looked at for the first time.
    New(Box<Seat>),
    /// Back from a round.
    Back(Box<Seat>),
    /// It was told to end, and has.
    Over(MemberId),
}

/// Rounds to be made.
pub(crate) struct Line {
    state: Mutex<State>,
    arrivals: Sender<Arrival>,
}

#[derive(Default)]
struct State {
    seats: VecDeque<Box<Seat>>,
    workers: usize,
}

impl Line {
    pub(super) fn new(arrivals: Sender<Arrival>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrivals })
    }

    /// Has a round made. Where no thread can be had and none is there, here.
    pub(super) fn add(self: &Arc<Self>, seat: Box<Seat>) {
        let mut state = self.state.lock();
        state.seats.push_back(seat);
        self.employ(&mut state);
        if state.workers == 0 {
            log::warn!("no thread could be started; all sources wait for one");
            state.workers += 1;
            drop(state);
            self.work();
        }
    }

    /// Does something that takes as long as somebody else wants it to: others have a thread meanwhile.
    pub(crate) fn aside<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock();
        state.workers -= 1;
        if !state.seats.is_empty() {
            self.employ(&mut state);
        }
        drop(state);
        let done = work();
        self.state.lock().workers += 1;
        done
    }

    fn employ(self: &Arc<Self>, state: &mut State) {
        if state.workers < WORKERS_MAX {
            let line = Arc::clone(self);
            match thread::spawn("hotswap-look", move || line.work()) {
                Ok(_detached) => state.workers += 1,
                Err(error) => log::debug!("no thread could be started ({error})"),
            }
        }
    }

    /// Makes rounds until nobody waits for one.
    fn work(&self) {
        loop {
            let mut state = self.state.lock();
            let Some(seat) = state.seats.pop_front() else {
                state.workers -= 1;
                return;
            };
            drop(state);
            // The shared thread has ended: nobody watches any more.
            let _over = self.arrivals.send(turn(seat));
        }
    }
}

fn turn(mut seat: Box<Seat>) -> Arrival {
    let member = seat.member;
    let trigger = seat.trigger;
    let turned = seat.post.during(|| seat.watch.turn(trigger));
    match turned {
        Ok(()) | Err(Interrupted::Parked) => Arrival::Back(seat),
        Err(Interrupted::Stopped) => {
            release(seat);
            Arrival::Over(member)
        }
    }
}

/// Drops a watch, and with it what is its user's.
pub(super) fn release(seat: Box<Seat>) {
    // Unwind safety: nothing of it is used afterwards.
    if catch_unwind(AssertUnwindSafe(|| drop(seat))).is_err() {
        log::error!("what belongs to a monitor panicked when it was dropped");
    }
}
