//! Sources of one shared monitor that change together.

/// Identifies a source among those of one shared monitor.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// Sources that changed together, because of something that they share.
///
/// Every member sends exactly one notification with it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Counted from 1, for each shared monitor.
    pub number: u64,
    /// In order: what others depend on stands before them.
    pub members: Vec<MemberId>,
}

impl Group {
    /// A group of these members.
    #[must_use]
    pub const fn new(number: u64, members: Vec<MemberId>) -> Self {
        Self { number, members }
    }
}
