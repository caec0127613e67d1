//! Sources that change together.

/// Identifies a source among those of one shared monitor; 0 where a source has a monitor to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberId(pub u64);

/// Sources that changed together, because of something that they share.
///
/// Each of them sends one [`Notification`](crate::Notification) with it, whatever became of the source; who receives them
/// puts all that is new to use, or nothing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Group {
    /// The monitor's number of it, counted from 1.
    pub number: u64,
    /// Dependencies before those that depend on them.
    pub members: Vec<MemberId>,
}

impl Group {
    /// A group of these, dependencies before dependents.
    #[must_use]
    pub const fn new(number: u64, members: Vec<MemberId>) -> Self {
        Self { number, members }
    }
}
