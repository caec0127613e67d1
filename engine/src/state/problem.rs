//! Why a version cannot have the state that there is.

/// Why a version was refused on account of state. The cells are what they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateProblem {
    /// No steps lead from the version that there is to the one that is wanted.
    #[error(
        "there is version {from} of it, the module wants version {to}, and no #[migrate] leads there\n{difference}{}",
        to_paste("write the step:", skeleton)
    )]
    NoPath {
        /// What there is.
        from: u16,
        /// What is wanted.
        to: u16,
        /// Both layouts, line by line.
        difference: String,
        /// Code to begin with; empty where nobody knows the old type any more.
        skeleton: String,
    },
    /// The layout is another under the same version number.
    #[error(
        "its layout changed, and its version is {version} as before\n{difference}{}",
        to_paste(&format!("raise the version to {}, and write the step:", version + 1), skeleton)
    )]
    SameVersion {
        /// The number.
        version: u16,
        /// Both layouts, line by line.
        difference: String,
        /// Code to begin with; empty where nobody knows the old type any more.
        skeleton: String,
    },
    /// A step failed.
    #[error("the step from version {from} to {to} failed: {message}")]
    Step {
        /// From which version.
        from: u16,
        /// To which.
        to: u16,
        /// What it said, or what it panicked with.
        message: String,
    },
    /// The value could not be copied or made, or its check said no.
    #[error("{message}")]
    Value {
        /// Why.
        message: String,
    },
    /// A step has no way back, and the host did not say that it wants such steps.
    #[error(
        "the step from version {from} to {to} has no `down`, so that a rollback would lose what happens after it: write one, or allow it by `allow_one_way_migrations()`"
    )]
    OneWay {
        /// From which version.
        from: u16,
        /// To which.
        to: u16,
    },
    /// Calls have it locked for longer than the deadline.
    #[error(
        "it is in use for longer than {deadline_ms} ms, the deadline; tried again when asked, or with the next change"
    )]
    Busy {
        /// The deadline, in milliseconds.
        deadline_ms: u128,
    },
    /// The steps took longer than the deadline. The thread that runs them is a pin of its version.
    #[error("the migration took longer than {deadline_ms} ms, the deadline")]
    Deadline {
        /// The deadline, in milliseconds.
        deadline_ms: u128,
    },
    /// The steps took more memory than they may. The thread that runs them stands still for good, and is a pin of its version.
    #[error("the migration took more than {limit_bytes} bytes of memory, the limit")]
    Memory {
        /// The limit.
        limit_bytes: u64,
    },
    /// The host wants no migrations.
    #[error(
        "the module wants version {to} of it, there is version {from}, and the host has said `StatePolicy::Refuse`"
    )]
    Refused {
        /// What there is.
        from: u16,
        /// What is wanted.
        to: u16,
    },
    /// Other engines use it as it is.
    #[error(
        "the module wants version {to} of it, and other engines of this process use version {from}"
    )]
    InUse {
        /// What there is.
        from: u16,
        /// What is wanted.
        to: u16,
    },
    /// Two types of the module say that they are the same version of it.
    #[error("two types of the module are version {version} of it")]
    Ambiguous {
        /// The version.
        version: u16,
    },
}

fn to_paste(advice: &str, skeleton: &str) -> String {
    match skeleton {
        "" => String::new(),
        skeleton => format!("\n{advice}\n\n{skeleton}"),
    }
}

impl StateProblem {
    /// Whether the same library may be accepted later.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::InUse { .. })
    }

    /// A short stable code for the log.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NoPath { .. } => "state_no_path",
            Self::SameVersion { .. } => "state_same_version",
            Self::Step { .. } => "state_step",
            Self::Value { .. } => "state_value",
            Self::OneWay { .. } => "state_one_way",
            Self::Busy { .. } => "state_busy",
            Self::Deadline { .. } => "state_deadline",
            Self::Memory { .. } => "state_memory",
            Self::Refused { .. } => "state_refused",
            Self::InUse { .. } => "state_in_use",
            Self::Ambiguous { .. } => "state_ambiguous",
        }
    }
}
