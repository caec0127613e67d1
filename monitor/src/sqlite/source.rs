//! A module of a database, as a monitor sees it.

use std::path::Path;
use std::sync::Arc;

use hotswap_artifact::{Fetch, FetchError, Fetched, Fingerprint, Pause, Source, Woken};
use hotswap_system::fs;
use hotswap_trust::Trust;

use super::database::stored;
use super::place::SqlitePlace;
use super::row::Row;
#[cfg(test)]
use super::shared::SharedDatabase;
use super::{Code, ModuleName, NameError};
use crate::delivery::{Place, Releases, ReleasesError, fetch_believed};

/// One module of a database: a source like a directory.
///
/// The database need not be there yet. All sources of one database in a process share a connection, and what it says: while
/// nobody writes, which `PRAGMA data_version` tells cheaply, no row is read for any of them.
///
/// By itself it takes whatever lies there, a release too, and holds its files against its manifest: whoever may write to the
/// database decides what runs. [`trusting`](Self::trusting) takes signed releases alone.
#[derive(Debug)]
pub struct SqliteSource {
    row: Row,
}

impl SqliteSource {
    /// The module of this name in this database. A relative path is taken from the working directory of now. Reads nothing.
    ///
    /// # Errors
    ///
    /// When no module can have that name.
    pub fn new(path: impl AsRef<Path>, module: &str) -> Result<Self, NameError> {
        Ok(Self { row: Row::new(path.as_ref(), ModuleName::new(module)?) })
    }

    /// The same module as signed releases, by whom the host trusts: what is not signed is refused. The database is not
    /// believed in anything.
    ///
    /// # Errors
    ///
    /// Those of [`Releases::new`].
    pub fn trusting(self, trust: Trust) -> Result<Releases, ReleasesError> {
        let module = self.row.module.to_string();
        let place: Arc<dyn Place> = Arc::new(SqlitePlace::new(self.row));
        Releases::new(module, [place], trust)
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &SharedDatabase {
        &self.row.database
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
        &self.row.name
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        let listed = self.row.listed()?;
        Ok(listed.map(|listed| listed.fingerprint(&self.row.module)).transpose()?)
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let Row { database, module, .. } = &self.row;
        let stored = database.ask(|connection| stored(connection, module, None))?;
        // The others need not wait for this.
        let (revision, code) = stored.verify()?;
        let place = directory.join(module.as_str());
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
            Code::Release(manifest) => {
                let place = SqlitePlace::new(self.row.clone());
                let mut fetched =
                    fetch_believed(&place, manifest.clone(), module.as_str(), directory)?;
                fetched.fingerprint = revision.fingerprint();
                return Ok(fetched);
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
        self.row.wait(pause)
    }
}
