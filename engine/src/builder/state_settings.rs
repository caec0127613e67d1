//! Settings of state.

use std::path::Path;
use std::time::Duration;

use super::EngineBuilder;
use crate::state::{OldCalls, StatePolicy, TornPolicy};

impl EngineBuilder {
    /// What becomes of state when a version becomes current; [`StatePolicy::Carry`] by default.
    pub fn state(mut self, policy: StatePolicy) -> Self {
        self.state.policy = policy;
        self
    }

    /// What becomes of calls that want state while it is migrated; [`OldCalls::Quiesce`] by default: they wait.
    pub fn old_calls(mut self, policy: OldCalls) -> Self {
        self.state.old_calls = policy;
        self
    }

    /// What becomes of state that a panic left locked for writing; [`TornPolicy::Continue`] by default.
    pub fn torn_state(mut self, policy: TornPolicy) -> Self {
        self.state.torn = policy;
        self
    }

    /// How long a migration may take before the version is refused, waiting for who uses the state and all steps
    /// together; 10 s by default.
    pub fn migration_deadline(mut self, deadline: Duration) -> Self {
        self.state.deadline = deadline;
        self
    }

    /// How much heap memory a migration may take, in bytes beyond what it gives back, before the version is refused; 4 GiB by default.
    /// The thread that takes more is stopped for good and holds its version.
    pub fn migration_memory(mut self, bytes: u64) -> Self {
        self.state.memory_bytes = bytes;
        self
    }

    /// Allows migrations that none leads back from. A rollback then gives the state as it was before them; what was
    /// written since is lost, and counted in the log. Without it a version that comes with such a step is refused.
    pub fn allow_one_way_migrations(mut self) -> Self {
        self.state.allows_one_way = true;
        self
    }

    /// Saves state in this file when the engine ends, and starts with what was saved there, by the same migrations
    /// that a swap goes by. [`Engine::save_state`](crate::Engine::save_state) saves it at other times.
    ///
    /// A file that is damaged is an error of [`open`](Self::open). Cells that several engines share are not saved.
    pub fn persist_state(mut self, path: impl AsRef<Path>) -> Self {
        self.state_path = Some(path.as_ref().into());
        self
    }
}
