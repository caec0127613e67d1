//! What a host decides about state.

use std::time::Duration;

/// What becomes of state when a version becomes current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StatePolicy {
    /// It is handed on, and migrated where its layout changed.
    #[default]
    Carry,
    /// Every version begins with first values.
    Fresh,
    /// It is handed on; a version that has it in another layout is refused.
    Refuse,
}

/// What becomes of calls that want state while it is being migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OldCalls {
    /// They wait until the new version is current, or refused.
    #[default]
    Quiesce,
    /// Those that want to write are ended at once, with
    /// [`StateSuperseded`](hotswap_module::CallErrorKind::StateSuperseded), also when the new version is refused then.
    Supersede,
}

/// What becomes of a cell that a panic left locked for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TornPolicy {
    /// It stays as the panic left it, and is marked.
    #[default]
    Continue,
    /// It becomes what it was when the current version became current. Costs a copy of all state at every swap.
    Restore,
}

/// All of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateSettings {
    pub(crate) policy: StatePolicy,
    pub(crate) old_calls: OldCalls,
    pub(crate) torn: TornPolicy,
    /// How long a migration may take: waiting for who uses the state, and all steps.
    pub(crate) deadline: Duration,
    /// How much heap the code of a migration may take.
    pub(crate) memory_bytes: u64,
    /// Whether steps are taken that none leads back from.
    pub(crate) allows_one_way: bool,
}

impl Default for StateSettings {
    /// 10 s: as for load hooks. 4 GiB: a step that runs away is ended before the machine is.
    fn default() -> Self {
        Self {
            policy: StatePolicy::default(),
            old_calls: OldCalls::default(),
            torn: TornPolicy::default(),
            deadline: Duration::from_secs(10),
            memory_bytes: 4 << 30,
            allows_one_way: false,
        }
    }
}
