//! One thread that swaps, for one engine or for many.

mod bonds;
mod commit;
mod trial;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, unbounded};
use hotswap_artifact::MemberId;
use hotswap_system::thread::{self, panic_text};
use parking_lot::RwLock;

use self::bonds::Bonds;
use super::Swapper;
use super::supervise::Turn;
use crate::request::enter_swapper_thread;

/// The thread of a swapper, or what many share. It ends when all handles are gone, and all engines that joined.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    join: Sender<Swapper>,
    pin_lock: Arc<RwLock<()>>,
}

/// What the thread has.
struct Hands {
    swappers: Vec<Swapper>,
    /// `None` when nobody can join any more.
    newcomers: Option<Receiver<Swapper>>,
    /// Who becomes current together.
    bonds: Bonds,
    pin_lock: Arc<RwLock<()>>,
}

impl Crew {
    /// Starts the thread of engines that share one.
    pub(crate) fn start() -> io::Result<Self> {
        Self::named("hotswap-swapper".to_owned())
    }

    /// Starts the thread of an engine that has one to itself.
    pub(crate) fn of_one(engine: &str) -> io::Result<Self> {
        Self::named(format!("hotswap-{engine}"))
    }

    fn named(name: String) -> io::Result<Self> {
        let (join, newcomers) = unbounded();
        let pin_lock: Arc<RwLock<()>> = Arc::default();
        let hands = Hands {
            swappers: Vec::new(),
            newcomers: Some(newcomers),
            bonds: Bonds::default(),
            pin_lock: Arc::clone(&pin_lock),
        };
        thread::spawn(name, move || hands.run())?;
        Ok(Self { join, pin_lock })
    }

    /// Has an engine served, until it is closed and nothing of it is mapped any more.
    pub(crate) fn add(&self, swapper: Swapper) {
        // The thread is there for as long as this handle.
        let _ = self.join.send(swapper);
    }

    /// Held for writing while the pointers of a group are written, and never while code of a module runs: who pins two
    /// engines holds it for reading, so that both are of before or both of after.
    pub(crate) fn pin_lock(&self) -> &RwLock<()> {
        &self.pin_lock
    }
}

impl Hands {
    fn run(mut self) {
        enter_swapper_thread();
        loop {
            self.take_newcomers();
            if !self.turn() {
                if self.swappers.is_empty() && self.newcomers.is_none() {
                    return;
                }
                self.wait();
            }
        }
    }

    /// Gives each swapper a turn: who has much to do holds up the others by one message of each kind. Whether any of them had
    /// something to do.
    fn turn(&mut self) -> bool {
        let mut was_busy = false;
        let mut at = 0;
        while let Some(swapper) = self.swappers.get_mut(at) {
            let turn = swapper.survive_turn();
            was_busy |= turn != Turn::Idle;
            if turn != Turn::Idle {
                self.attend(at);
            }
            match turn {
                Turn::Idle | Turn::Busy => at += 1,
                Turn::End => self.swappers.remove(at).end(),
            }
        }
        was_busy
    }

    /// Deals with what a swapper leaves to all, after its turn.
    fn attend(&mut self, at: usize) {
        let swapper = &mut self.swappers[at];
        let member = swapper.core.member();
        let lost = swapper.bonds.lost.take();
        let is_told_to_end = std::mem::take(&mut swapper.bonds.is_told_to_end);
        let is_closing = swapper.is_closing();
        let is_leaving = is_closing || swapper.bonds.is_mute;
        // What came in the very turn in which it was closed is of no use to it.
        let arrived = swapper.bonds.arrived.take().filter(|_| !is_closing);
        if let Some(message) = arrived {
            if let Some(message) = self.bonds.take(member, message) {
                // Of no group, after all.
                let _ = self.survive(&[at], |hands| hands.swappers[at].consider(message));
            } else {
                let members = self.bonds.of(member).map(|bond| bond.members.clone());
                self.bind(&members.unwrap_or_default(), true);
                // It may have been told to end on its way here.
                self.drop_aborted(at, member);
                self.try_together(member);
            }
        }
        if let (Some(error), Some(bond)) = (lost, self.bonds.of(member)) {
            bond.blame(member, error);
            self.try_together(member);
        }
        if is_told_to_end {
            self.drop_aborted(at, member);
        }
        if self.swappers[at].bonds.is_to_be_tried {
            self.try_together(member);
        }
        if is_leaving && member != MemberId::default() && !self.bonds.is_gone(member) {
            let left = self.bonds.leave(member);
            self.swappers[at].bonds.is_bonded = false;
            left.into_iter().for_each(|member| self.try_together(member));
        }
    }

    /// Does something that concerns these swappers; when it panics, they say so.
    fn survive<T>(&mut self, whom: &[usize], work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        // Unwind safety: as for a turn.
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        let payload = match done {
            Ok(done) => return Some(done),
            Err(payload) => payload,
        };
        let message = panic_text(payload);
        for at in whom {
            let swapper = &mut self.swappers[*at];
            // Telling may be what panicked: nobody is left to be told.
            let _ = catch_unwind(AssertUnwindSafe(|| swapper.panicked(message.clone())));
        }
        None
    }

    fn take_newcomers(&mut self) {
        while let Some(newcomers) = &self.newcomers {
            match newcomers.try_recv() {
                Ok(swapper) => self.swappers.push(swapper),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.newcomers = None,
            }
        }
    }

    /// Waits until somebody has something to do.
    fn wait(&self) {
        let mut select = Select::new();
        if let Some(newcomers) = &self.newcomers {
            select.recv(newcomers);
        }
        for swapper in &self.swappers {
            swapper.listen(&mut select);
        }
        select.ready();
    }
}
