//! What the fault loop does and what it makes fail meanwhile.

use std::fmt;

use hotswap_system::fault::{Fault, Manner, Operation, Site, Times};

/// What is done while a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The first version is opened.
    Open,
    /// The source is edited, and the new version becomes current.
    Edit,
    /// The same, and somebody holds the version before until then.
    EditHeld,
    /// The source is edited where nothing can be linked: libraries are copied.
    EditCopied,
    /// The source is edited to another text that compiles to a library that was built before.
    EditAlike,
    /// The source is edited to what does not compile.
    Break,
    /// The source is edited back to what was built before.
    TakeBack,
    /// Nothing is edited.
    Look,
    /// The engine is dropped.
    Close,
}

/// All of it.
pub const WORKS: [Work; 9] = [
    Work::Open,
    Work::Edit,
    Work::EditHeld,
    Work::EditAlike,
    Work::EditCopied,
    Work::Break,
    Work::TakeBack,
    Work::Look,
    Work::Close,
];

impl Work {
    /// The files whose steps are made to fail during this: those that it has not in common with another, or in which
    /// it is another step.
    #[must_use]
    pub fn is_told_apart_by(self, site: &Site) -> bool {
        match self {
            Self::Open | Self::Edit | Self::Look | Self::Close => true,
            Self::EditHeld => site.file.starts_with("engine/"),
            Self::EditCopied => {
                site.operation != Operation::Link
                    && (site.file.contains("/store/") || site.file.ends_with("/stage.rs"))
            }
            Self::EditAlike => site.file.contains("/store/"),
            Self::Break | Self::TakeBack => !site.file.contains("/scan/"),
        }
    }

    /// Whether another version ran before the one that is current when it begins.
    #[must_use]
    pub fn is_second(self) -> bool {
        matches!(self, Self::EditAlike | Self::TakeBack)
    }
}

/// One run: what is done, and what fails meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What is done.
    pub work: Work,
    /// What fails; `None` for a clean run.
    pub fault: Option<Fault>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            None => write!(f, "{:?} without a fault", self.work),
            Some(Fault { site, times, manner }) => {
                write!(f, "{:?} with {manner:?} {times:?}: {site}", self.work)
            }
        }
    }
}

impl Case {
    /// Whether what fails is one of these operations, in this file.
    #[must_use]
    pub fn is_at(&self, operations: &[Operation], file: &str) -> bool {
        self.fault.is_some_and(|Fault { site, .. }| {
            operations.contains(&site.operation) && site.file.ends_with(file)
        })
    }

    /// Whether a file may stay until the step can be taken again.
    #[must_use]
    pub fn may_leave_files(&self) -> bool {
        self.is_at(&[Operation::Remove, Operation::List], "")
    }

    /// Whether the loader may keep a library: it was not asked to let go, or nobody can tell whether it did.
    #[must_use]
    pub fn may_keep_library(&self) -> bool {
        self.is_at(&[Operation::Unload, Operation::Read], "engine/src/image.rs")
    }

    /// Whether a thread is ended by it, which starts over in its own time.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.fault.is_some_and(|fault| fault.manner == Manner::Panic)
    }

    /// Whether the step fails again and again.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        self.fault.is_some_and(|fault| matches!(fault.times, Times::From(_)))
    }

    /// Whether the first line of the log cannot be written.
    #[must_use]
    pub fn is_first_line(&self) -> bool {
        let is_first = self.fault.is_some_and(|fault| fault.times == Times::Once(0));
        is_first && self.is_at(&[Operation::Write], "engine/src/audit/writer.rs")
    }

    /// Whether a line of the log is lost.
    #[must_use]
    pub fn is_of_the_log(&self) -> bool {
        // Where a line begins is only asked so that half of it can be taken back: an error there loses nothing.
        let operations: &[_] = if self.is_panic() {
            &[Operation::Write, Operation::Stat]
        } else {
            &[Operation::Write]
        };
        self.is_at(operations, "engine/src/audit/writer.rs")
    }
}
