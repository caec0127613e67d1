//! Which engines become another version together, and what has come of that so far.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use hotswap_artifact::{Group, MemberId, Notification, Outcome, UnderWay};

use crate::error::ReloadError;

/// All bonds. A member is in one of them at most: groups that share a member become one.
#[derive(Debug, Default)]
pub(super) struct Bonds {
    bonds: Vec<Bond>,
    /// Who was a member and is closed: nobody waits for them. Their numbers do not come back.
    gone: HashSet<MemberId>,
}

/// Members that become current together, or not at all.
#[derive(Debug)]
pub(super) struct Bond {
    /// The number of its latest group.
    pub(super) number: u64,
    /// Dependencies before dependents.
    pub(super) members: Vec<MemberId>,
    /// Whose messages are still to come, by group.
    missing: Vec<(MemberId, u64)>,
    /// The latest message of each, since the last attempt.
    arrived: Vec<Arrival>,
    /// Who has nothing that could be tried, and why.
    pub(super) culprits: Vec<(MemberId, ReloadError)>,
}

/// What the monitor said of a member.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) member: MemberId,
    pub(super) message: Notification,
    /// Whether it is about a change, and no answer from memory.
    pub(super) is_news: bool,
}

impl Bonds {
    /// Takes a message in; gives it back if it is its receiver's alone.
    pub(super) fn take(
        &mut self,
        from: MemberId,
        mut message: Notification,
    ) -> Option<Notification> {
        let mut is_news = message.change.is_some();
        match message.group.take() {
            Some(group) if group.members.contains(&from) => {
                is_news = true;
                self.begin(&group, from);
            }
            // A monitor that starts over has forgotten what was to come.
            _ if matches!(message.outcome, Outcome::Panicked(_)) => self.has_sent(from, u64::MAX),
            _ => {}
        }
        match self.of(from) {
            Some(bond) => bond.arrive(Arrival { member: from, message, is_news }),
            None => return Some(message),
        }
        None
    }

    /// The bond of a member.
    pub(super) fn of(&mut self, member: MemberId) -> Option<&mut Bond> {
        self.bonds.iter_mut().find(|bond| bond.members.contains(&member))
    }

    /// Takes the bond of a member out if all messages have come that it waits for.
    pub(super) fn take_complete(&mut self, member: MemberId) -> Option<Bond> {
        let is_its = |bond: &Bond| bond.missing.is_empty() && bond.members.contains(&member);
        let at = self.bonds.iter().position(is_its)?;
        Some(self.bonds.swap_remove(at))
    }

    /// Puts one back that is not finished.
    pub(super) fn put_back(&mut self, bond: Bond) {
        self.bonds.push(bond);
    }

    /// Nobody waits for a member any more; gives another of its bond, where one was waiting for it.
    pub(super) fn leave(&mut self, member: MemberId) -> Option<MemberId> {
        self.gone.insert(member);
        let bond = self.of(member)?;
        bond.members.retain(|known| *known != member);
        bond.missing.retain(|(known, _)| *known != member);
        bond.arrived.retain(|arrival| arrival.member != member);
        bond.culprits.retain(|(known, _)| *known != member);
        bond.members.first().copied()
    }

    /// Whether a member is closed, or will never say anything again.
    pub(super) fn is_gone(&self, member: MemberId) -> bool {
        self.gone.contains(&member)
    }

    /// A member sent what it sends of groups up to this number.
    fn has_sent(&mut self, from: MemberId, number: u64) {
        for bond in &mut self.bonds {
            bond.missing.retain(|(member, of)| *member != from || *of > number);
        }
    }

    /// A message of this group came: the first one begins a bond.
    fn begin(&mut self, group: &Arc<Group>, from: MemberId) {
        let is_awaited = |bond: &Bond| bond.missing.contains(&(from, group.number));
        let is_known = self.bonds.iter().any(is_awaited);
        self.has_sent(from, group.number);
        if is_known {
            return;
        }
        let is_there = |member: &&MemberId| !self.gone.contains(member);
        let members: Vec<_> = group.members.iter().filter(is_there).copied().collect();
        let missing = members.iter().filter(|member| **member != from);
        let mut bond = Bond {
            number: group.number,
            missing: missing.map(|member| (*member, group.number)).collect(),
            members,
            arrived: Vec::new(),
            culprits: Vec::new(),
        };
        // What is unfinished takes part: it may rely on what changes now.
        let overlaps = |other: &mut Bond| other.members.iter().any(|it| bond.members.contains(it));
        for older in self.bonds.extract_if(.., overlaps).collect::<Vec<_>>() {
            bond.absorb(older);
        }
        self.bonds.push(bond);
    }
}

impl Bond {
    /// The messages that came since the last attempt, dependencies first.
    pub(super) fn take_arrived(&mut self) -> Vec<Arrival> {
        let mut arrived = mem::take(&mut self.arrived);
        arrived.sort_by_key(|arrival| self.place(arrival.member));
        arrived
    }

    /// The message of a member whose change was told to end.
    pub(super) fn take_aborted(&mut self, member: MemberId) -> Option<Notification> {
        let is_aborted = |arrival: &mut Arrival| {
            let under_way = arrival.message.under_way.as_ref();
            arrival.member == member && under_way.is_some_and(UnderWay::is_aborted)
        };
        self.arrived.extract_if(.., is_aborted).next().map(|arrival| arrival.message)
    }

    /// Where a member stands among all.
    pub(super) fn place(&self, member: MemberId) -> Option<usize> {
        self.members.iter().position(|known| *known == member)
    }

    /// Notes that a member has nothing to be tried.
    pub(super) fn blame(&mut self, member: MemberId, error: ReloadError) {
        self.forgive(member);
        self.culprits.push((member, error));
    }

    /// A member has something to be tried, or runs already what it is to run.
    pub(super) fn forgive(&mut self, member: MemberId) {
        self.culprits.retain(|(known, _)| *known != member);
    }

    /// Of two messages the later one counts, unless it says nothing new; both are answered.
    fn arrive(&mut self, mut later: Arrival) {
        let Some(earlier) = self.arrived.iter_mut().find(|it| it.member == later.member) else {
            self.arrived.push(later);
            return;
        };
        let through = earlier.message.through.max(later.message.through);
        later.message.through = through;
        earlier.message.through = through;
        if later.is_news {
            *earlier = later;
        }
    }

    /// Takes in an older bond that has members in common with this one.
    fn absorb(&mut self, older: Bond) {
        self.members = merged(&older.members, &self.members);
        self.missing.extend(older.missing);
        self.arrived.extend(older.arrived);
        self.culprits.extend(older.culprits);
    }
}

/// One order out of two; the newer one counts where they contradict each other.
fn merged(older: &[MemberId], newer: &[MemberId]) -> Vec<MemberId> {
    let mut rest = older.iter().filter(|member| !newer.contains(member)).peekable();
    let place = |member: &MemberId| older.iter().position(|known| known == member);
    let mut all = Vec::new();
    for member in newer {
        // What came before it goes on doing so.
        while let Some(before) = rest.next_if(|before| place(before) < place(member)) {
            all.push(*before);
        }
        all.push(*member);
    }
    all.extend(rest);
    all
}

#[cfg(test)]
mod tests {
    use hotswap_artifact::{Cause, Fingerprint, Stage, Ticket, Trigger};

    use super::*;

    fn ids(numbers: &[u64]) -> Vec<MemberId> {
        numbers.iter().copied().map(MemberId).collect()
    }

    fn message(through: u64, change: Option<u64>) -> Notification {
        let change = change.map(|number| (number, UnderWay::new(Stage::Waiting)));
        let outcome = Outcome::Unchanged(Fingerprint::of(&through.to_le_bytes()));
        Notification::new(change, Trigger::Poll, Ticket(through), Cause::default(), outcome)
    }

    fn grouped(bonds: &mut Bonds, from: u64, through: u64, group: &Arc<Group>) {
        let message = message(through, Some(through)).with_group(Arc::clone(group));
        assert!(bonds.take(MemberId(from), message).is_none(), "it is not its receiver's alone");
    }

    #[test]
    fn dependencies_stay_before_dependents_when_groups_become_one() {
        assert_eq!(merged(&ids(&[1, 2, 3]), &ids(&[2, 3])), ids(&[1, 2, 3]));
        assert_eq!(merged(&ids(&[2, 3, 4]), &ids(&[1, 3])), ids(&[1, 2, 3, 4]));
        assert_eq!(merged(&ids(&[1, 2]), &ids(&[2, 1])), ids(&[2, 1]));
        assert_eq!(merged(&ids(&[1, 2]), &ids(&[3])), ids(&[3, 1, 2]));
    }

    #[test]
    fn a_bond_is_complete_when_all_have_said_something_who_are_there() {
        let mut bonds = Bonds::default();
        assert!(bonds.leave(MemberId(4)).is_none());
        let group = Arc::new(Group::new(1, ids(&[1, 2, 3, 4])));
        grouped(&mut bonds, 2, 1, &group);
        assert!(bonds.take(MemberId(9), message(1, None)).is_some(), "of no bond");
        grouped(&mut bonds, 1, 1, &group);
        assert!(bonds.take_complete(MemberId(1)).is_none());
        assert_eq!(bonds.leave(MemberId(3)), Some(MemberId(1)));
        let mut bond = bonds.take_complete(MemberId(1)).expect("nobody is missing");
        assert_eq!(bond.members, ids(&[1, 2]));
        let order: Vec<_> = bond.take_arrived().into_iter().map(|arrival| arrival.member).collect();
        assert_eq!(order, ids(&[1, 2]));
    }

    #[test]
    fn groups_that_share_a_member_wait_for_each_other() {
        let mut bonds = Bonds::default();
        let first = Arc::new(Group::new(1, ids(&[1, 2])));
        let second = Arc::new(Group::new(2, ids(&[2, 3])));
        grouped(&mut bonds, 2, 5, &first);
        grouped(&mut bonds, 2, 7, &second);
        grouped(&mut bonds, 3, 6, &second);
        assert!(bonds.take_complete(MemberId(3)).is_none(), "the first of them is missing");
        grouped(&mut bonds, 1, 8, &first);
        let mut bond = bonds.take_complete(MemberId(3)).expect("all have come");
        assert_eq!(bond.members, ids(&[1, 2, 3]));
        let arrived = bond.take_arrived();
        let through: Vec<_> = arrived.iter().map(|arrival| arrival.message.through.0).collect();
        assert_eq!(through, [8, 7, 6], "the later message of the second counts");
    }

    #[test]
    fn what_says_nothing_new_replaces_nothing_and_is_answered() {
        let mut bonds = Bonds::default();
        let group = Arc::new(Group::new(1, ids(&[1, 2])));
        grouped(&mut bonds, 1, 3, &group);
        assert!(bonds.take(MemberId(1), message(9, None)).is_none());
        let mut bond = bonds.leave(MemberId(2)).and_then(|it| bonds.take_complete(it)).expect("it");
        let message = bond.take_arrived().remove(0).message;
        assert_eq!((message.change, message.through), (Some(3), Ticket(9)));
    }
}
