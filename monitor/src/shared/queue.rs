//! One build at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use hotswap_artifact::MemberId;
use parking_lot::Mutex;

use super::Reads;
use super::bells::Bells;
use super::line::Line;
use crate::events::Hub;

/// Who may build, and who waits for that, first come first served.
pub(crate) struct BuildQueue {
    state: Mutex<State>,
    bells: Arc<Bells>,
}

#[derive(Default)]
struct State {
    is_taken: bool,
    line: VecDeque<MemberId>,
}

impl State {
    fn wait(&mut self, member: MemberId) {
        if !self.line.contains(&member) {
            self.line.push_back(member);
        }
    }
}

/// The right to build; there is one. Dropped, it goes to the next.
pub(crate) struct Permit(Arc<BuildQueue>);

/// A member's place among all.
pub(crate) struct Place {
    pub(crate) queue: Arc<BuildQueue>,
    pub(crate) line: Arc<Line>,
    pub(crate) member: MemberId,
    pub(crate) reads: Reads,
    pub(crate) hub: Arc<Hub>,
}

impl Place {
    /// Takes the permit if nobody has it or waits for it; else waits in line.
    pub(crate) fn ask(&self) -> Option<Permit> {
        let mut state = self.queue.state.lock();
        if !state.is_taken && state.line.is_empty() {
            state.is_taken = true;
            return Some(Permit(Arc::clone(&self.queue)));
        }
        state.wait(self.member);
        None
    }

    /// Waits in line, whoever has the permit.
    pub(crate) fn stand_in_line(&self) {
        self.queue.state.lock().wait(self.member);
        self.queue.bells.wake();
    }
}

impl BuildQueue {
    pub(super) fn new(bells: Arc<Bells>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), bells })
    }

    /// Gives the permit, if it is free, to the first in line who can take it.
    pub(super) fn grant(
        self: &Arc<Self>,
        can_take: impl Fn(MemberId) -> bool,
    ) -> Option<(MemberId, Permit)> {
        let mut state = self.state.lock();
        if state.is_taken {
            return None;
        }
        let place = state.line.iter().position(|member| can_take(*member))?;
        let member = state.line.remove(place)?;
        state.is_taken = true;
        Some((member, Permit(Arc::clone(self))))
    }

    /// Takes a member out of the line.
    pub(super) fn leave(&self, member: MemberId) {
        self.state.lock().line.retain(|waiting| *waiting != member);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state.lock().is_taken = false;
        self.0.bells.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_permit_and_the_others_get_it_in_order() {
        let (bells, woken) = Bells::new();
        let queue = BuildQueue::new(bells);
        let line = Line::new(crossbeam_channel::unbounded().0);
        let place = |number| Place {
            queue: Arc::clone(&queue),
            line: Arc::clone(&line),
            member: MemberId(number),
            reads: Reads::default(),
            hub: Arc::default(),
        };
        let first = place(1).ask().expect("nobody has it");
        for number in [2, 3, 2, 4] {
            assert!(place(number).ask().is_none());
        }
        assert!(queue.grant(|_| true).is_none() && woken.is_empty());
        drop(first);
        assert!(woken.try_recv().is_ok(), "the thread is to give it to the next");
        assert!(place(5).ask().is_none(), "others wait for it");
        queue.leave(MemberId(3));
        let order: Vec<u64> = std::iter::from_fn(|| {
            let (member, _permit) = queue.grant(|member| member != MemberId(2))?;
            Some(member.0)
        })
        .collect();
        assert_eq!(order, [4, 5]);
        assert_eq!(queue.grant(|_| true).map(|(member, _)| member), Some(MemberId(2)));
    }
}
