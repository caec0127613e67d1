//! What runs of one module of a database, watched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{Pause, Woken};
use parking_lot::Mutex;

use super::listing::Listed;
use super::shared::SharedDatabase;
use super::{DatabaseErrorKind, ModuleName};

/// Into how many parts the pause between two looks is divided, at whose ends is asked whether the database was written to.
///
/// 20: with a period of a second, a publication is seen after 25 ms at the median, and to ask takes some microseconds.
const PAUSE_PARTS: u32 = 20;

/// The shortest and the longest of these parts.
const PART_MIN: Duration = Duration::from_millis(2);
const PART_MAX: Duration = Duration::from_millis(100);

/// The row of one module, by the connection that all share.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) database: Arc<SharedDatabase>,
    pub(super) module: ModuleName,
    /// `modules.db#greet`, with an absolute path.
    pub(super) name: String,
    /// What was said last; `None` before.
    answered: Arc<Mutex<Option<Option<Listed>>>>,
}

impl Row {
    /// The row of this module in this database. A relative path is taken from the working directory of now. Reads nothing.
    pub(super) fn new(path: &Path, module: ModuleName) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = format!("{}#{module}", path.display());
        let database = SharedDatabase::of(&path);
        Self { database, module, name, answered: Arc::default() }
    }

    /// What runs; `None` when there is no such module.
    pub(super) fn listed(&self) -> Result<Option<Listed>, DatabaseErrorKind> {
        let listed = self.database.listed(&self.module)?;
        *self.answered.lock() = Some(listed);
        Ok(listed)
    }

    /// Whether the module is another than what was said last. Of others nobody is woken.
    fn is_published(&self) -> bool {
        let Some(answered) = *self.answered.lock() else { return false };
        self.database.listed(&self.module).is_ok_and(|listed| listed != answered)
    }

    /// Waits between two looks; a publication of this module ends it.
    pub(super) fn wait(&self, pause: &Pause<'_>) -> Woken {
        let part = (pause.period() / PAUSE_PARTS).clamp(PART_MIN, PART_MAX);
        let mut left = pause.period();
        while !left.is_zero() {
            let time = part.min(left);
            match pause.sleep(time) {
                Woken::ByTime => left -= time,
                woken => return woken,
            }
            if self.is_published() {
                return Woken::ByChange;
            }
        }
        Woken::ByTime
    }
}
