//! A module of a database, as a monitor sees it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{Fetch, FetchError, Fetched, Fingerprint, Pause, Source, Woken};
use hotswap_system::fs;
use parking_lot::Mutex;

use super::database::stored;
use super::listing::Listed;
use super::shared::SharedDatabase;
use super::{Code, ModuleName, NameError};

/// Into how many parts the pause between two looks is divided, at whose ends is asked whether the database was written to.
///
/// 20: with a period of a second, a publication is seen after 25 ms at the median, and to ask takes some microseconds.
const PAUSE_PARTS: u32 = 20;

/// The shortest and the longest of these parts.
const PART_MIN: Duration = Duration::from_millis(2);
const PART_MAX: Duration = Duration::from_millis(100);

/// One module of a database: a source like a directory.
///
/// The database need not be there yet. All sources of one database in a process share a connection, and what it says: while
/// nobody writes, which `PRAGMA data_version` tells cheaply, no row is read for any of them.
#[derive(Debug)]
pub struct SqliteSource {
    database: Arc<SharedDatabase>,
    module: ModuleName,
    /// `modules.db#greet`, with an absolute path.
    name: String,
    /// What was said last; `None` before.
    answered: Mutex<Option<Option<Listed>>>,
}

impl SqliteSource {
    /// The module of this name in this database. A relative path is taken from the working directory of now. Reads nothing.
    ///
    /// # Errors
    ///
    /// When no module can have that name.
    pub fn new(path: impl AsRef<Path>, module: &str) -> Result<Self, NameError> {
        let module = ModuleName::new(module)?;
        let path = path.as_ref();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = format!("{}#{module}", path.display());
        let database = SharedDatabase::of(&path);
        Ok(Self { database, module, name, answered: Mutex::default() })
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &SharedDatabase {
        &self.database
    }

    /// Whether the module is another than what was said last. Of others nobody is woken.
    fn is_published(&self) -> bool {
        let Some(answered) = *self.answered.lock() else { return false };
        self.database.listed(&self.module).is_ok_and(|listed| listed != answered)
    }
}

impl From<SqliteSource> for Source {
    fn from(source: SqliteSource) -> Self {
        Self::fetched(source)
    }
}

impl Fetch for SqliteSource {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        let listed = self.database.listed(&self.module)?;
        *self.answered.lock() = Some(listed);
        Ok(listed.map(|listed| listed.fingerprint(&self.module)).transpose()?)
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let stored = self.database.ask(|connection| stored(connection, &self.module, None))?;
        // The others need not wait for this.
        let (revision, code) = stored.verify()?;
        let place = directory.join(self.module.as_str());
        let (source, written) = match &code {
            Code::Text(text) => {
                let file = place.with_extension("rs");
                let written = fs::write(&file, text);
                (Source::File(file), written)
            }
            Code::Library(bytes) => {
                let file = place.with_extension("so");
                let written = fs::write(&file, bytes);
                (Source::Prebuilt(file), written)
            }
            Code::Crate(archive) => {
                let written = fs::create_dir_all(&place).and_then(|()| archive.unpack(&place));
                (Source::Crate(place), written)
            }
        };
        written.map_err(|error| {
            FetchError::unavailable(format!("cannot write {}", directory.display()))
                .caused_by(error)
        })?;
        let mut fetched = Fetched::new(revision.fingerprint(), source);
        fetched.note = revision.to_string();
        fetched.dependencies = revision.dependencies;
        Ok(fetched)
    }

    fn wait(&self, pause: &Pause<'_>) -> Woken {
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
