//! One thread that swaps, for one engine or for many.

use std::io;

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, unbounded};
use hotswap_system::thread;

use super::Swapper;
use super::supervise::Turn;
use crate::request::enter_swapper_thread;

/// The thread of a swapper, or what many share. It ends when all handles are gone, and all engines that joined.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    join: Sender<Swapper>,
}

/// What the thread has.
struct Hands {
    swappers: Vec<Swapper>,
    /// `None` when nobody can join any more.
    newcomers: Option<Receiver<Swapper>>,
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
        let hands = Hands { swappers: Vec::new(), newcomers: Some(newcomers) };
        thread::spawn(name, move || hands.run())?;
        Ok(Self { join })
    }

    /// Has an engine served, until it is closed and nothing of it is mapped any more.
    pub(crate) fn add(&self, swapper: Swapper) {
        // The thread is there for as long as this handle.
        let _ = self.join.send(swapper);
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
            match turn {
                Turn::Idle | Turn::Busy => at += 1,
                Turn::End => self.swappers.remove(at).end(),
            }
        }
        was_busy
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
