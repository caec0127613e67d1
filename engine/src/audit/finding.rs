//! What can be wrong with a log.

use std::fmt;
use std::path::PathBuf;

/// How much a [`Finding`] says against a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know, and nothing is wrong.
    Note,
    /// The log is as it was written, as far as that can be told; but it does not tell everything.
    Unproven,
    /// The log is not as it was written.
    Broken,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Unproven => "unproven",
            Self::Broken => "broken",
        })
    }
}

/// Something that [`verify`](super::verify()) found in a log, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Which line of the file, from 1.
    pub line: u64,
    /// The number that the line has in the log, if it is a line of it.
    pub seq: Option<u64>,
    /// What it is.
    pub kind: FindingKind,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.path.display(), self.line)?;
        match self.seq {
            Some(seq) => write!(f, "line {seq:06} {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// What can be wrong with a log. Each is told where it is seen: what is missing, at the line behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindingKind {
    /// A line says something else than when it was written.
    #[error("was changed: its hash is not that of its text")]
    Changed,
    /// A line is whole, and was not written behind the one before it.
    #[error("does not follow the line before it: one of the two was replaced")]
    Unlinked,
    /// Lines are not there.
    #[error("follows a gap: {}", gap(*first, *last))]
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// A line stands behind one with a higher number.
    #[error("stands behind line {behind:06}: it was moved")]
    Moved {
        /// The line that it stands behind.
        behind: u64,
    },
    /// A line is there more than once.
    #[error("is there twice: it was copied")]
    Copied,
    /// Something that is no line of the log.
    #[error("this is no line of the log: {reason}")]
    Foreign {
        /// Why it is none.
        reason: String,
    },
    /// A file does not begin as files of the log do.
    #[error("is the first of its file, which must be log.open: the beginning was cut off")]
    BeginsInside,
    /// Too many lines without one that tells the end of the chain.
    #[error("is the {lines}th line without a checkpoint")]
    NoCheckpoint {
        /// How many lines there are since the last one.
        lines: u64,
    },
    /// The head names a line that is not there any more.
    #[error("is the last one, and the head names line {head:06}: the end was cut off")]
    CutOff {
        /// The line that was the last.
        head: u64,
    },
    /// The head names another line.
    #[error("is not the one that the head names: one of the two was replaced")]
    HeadDiffers,
    /// The engine itself found that the log was tampered with.
    #[error("says that the log was tampered with: {message}")]
    Alert {
        /// What it says.
        message: String,
    },
    /// There is no head, so that nobody can tell whether lines were cut off at the end.
    #[error("is the last one here: end unproven, there is no head beside the log")]
    NoHead,
    /// The head was not brought up to date: the process runs, or was killed.
    #[error("is the last that the head proves: end unproven, {lines} more follow")]
    BehindHead {
        /// How many lines follow.
        lines: u64,
    },
    /// The file ends inside a line: a process is writing, was killed, or lost its disk.
    #[error("end unproven: the file ends inside this line")]
    TornEnd,
    /// Something was about to be done, and what became of it is not told.
    #[error("{event} of {tx} has no outcome: {}", if *is_over { "its process ended before" } else { "it is under way, or its process was killed" })]
    Unfinished {
        /// What was about to be done.
        event: String,
        /// The change that it belongs to.
        tx: String,
        /// Whether another process wrote the log since.
        is_over: bool,
    },
    /// Lines could not be written.
    #[error("tells that {lines} lines before it could not be written")]
    Lost {
        /// How many.
        lines: u64,
    },
    /// The rest of a line that was being written when its process ended; the line behind it says so.
    #[error("the rest of a line that a crash tore, {bytes} bytes")]
    Torn {
        /// How long it is.
        bytes: u64,
    },
    /// The log begins with a later line: what was before is not beside it any more.
    #[error("is the first one here; those before it were put aside, and are not beside the log")]
    BeginsLate,
}

fn gap(first: u64, last: u64) -> String {
    if first == last {
        format!("line {first:06} is missing")
    } else {
        format!("lines {first:06} to {last:06} are missing")
    }
}

impl FindingKind {
    /// How much it says against the log.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Changed
            | Self::Unlinked
            | Self::Missing { .. }
            | Self::Moved { .. }
            | Self::Copied
            | Self::Foreign { .. }
            | Self::BeginsInside
            | Self::NoCheckpoint { .. }
            | Self::CutOff { .. }
            | Self::HeadDiffers
            | Self::Alert { .. } => Severity::Broken,
            Self::NoHead
            | Self::BehindHead { .. }
            | Self::TornEnd
            | Self::Unfinished { .. }
            | Self::Lost { .. } => Severity::Unproven,
            Self::Torn { .. } | Self::BeginsLate => Severity::Note,
        }
    }

    /// A short stable code for scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unlinked => "unlinked",
            Self::Missing { .. } => "missing",
            Self::Moved { .. } => "moved",
            Self::Copied => "copied",
            Self::Foreign { .. } => "foreign",
            Self::BeginsInside => "begins_inside",
            Self::NoCheckpoint { .. } => "no_checkpoint",
            Self::CutOff { .. } => "cut_off",
            Self::HeadDiffers => "head_differs",
            Self::Alert { .. } => "alert",
            Self::NoHead => "no_head",
            Self::BehindHead { .. } => "behind_head",
            Self::TornEnd => "torn_end",
            Self::Unfinished { .. } => "unfinished",
            Self::Lost { .. } => "lost",
            Self::Torn { .. } => "torn",
            Self::BeginsLate => "begins_late",
        }
    }
}
