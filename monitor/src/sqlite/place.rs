//! Releases in a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{FetchError, ModuleName as Name, Pause, Woken};
use hotswap_trust::{FileEntry, SIGNED_BYTES_MAX};
use parking_lot::Mutex;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::database::{stored, unsigned};
use super::listing::Listed;
use super::publication::RELEASE;
use super::row::Row;
use super::{CODE_BYTES_MAX, Code, DatabaseErrorKind, ModuleDatabase, ModuleName, SqliteModules};
use crate::delivery::{Answer, Base, Place};

/// The most bytes that are given away at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Modules that others released into a database, for [`ReleasedModules`](crate::delivery::ReleasedModules). A database has one channel of each.
#[derive(Debug, Clone)]
pub struct SqliteReleases(PathBuf);

impl SqliteReleases {
    /// The releases in this database, which need not be there yet. A relative path is taken from the working directory of now. Reads
    /// nothing.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

impl Base for SqliteReleases {
    fn place(&self, module: &str, _channel: &str) -> Arc<dyn Place> {
        match ModuleName::new(module) {
            Ok(module) => Arc::new(SqlitePlace::new(Row::new(&self.0, module))),
            Err(_) => Arc::new(Nowhere(format!("{}#{module}", self.0.display()))),
        }
    }

    fn names(&self, _channel: &str) -> Result<Vec<Name>, FetchError> {
        if SqliteModules::new(&self.0).is_missing() {
            return Ok(Vec::new());
        }
        let names =
            ModuleDatabase::open(&self.0).and_then(|database| database.names(Some(RELEASE)));
        let names = names
            .map_err(|error| FetchError::unavailable("cannot list the modules").caused_by(error))?;
        Ok(names.iter().filter_map(|name| Name::new(name).ok()).collect())
    }
}

/// The releases of one module in a database.
#[derive(Debug)]
pub(super) struct SqlitePlace {
    row: Row,
    /// Which revision was given away last.
    given: Mutex<Option<Listed>>,
}

impl SqlitePlace {
    pub(super) fn new(row: Row) -> Self {
        Self { row, given: Mutex::default() }
    }
}

impl Place for SqlitePlace {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn name(&self) -> &str {
        &self.row.name
    }

    fn manifest(&self) -> Result<Answer, FetchError> {
        let Some(listed) = self.row.listed()? else { return Ok(Answer::Absent) };
        let mut given = self.given.lock();
        if *given == Some(listed) {
            return Ok(Answer::Same);
        }
        *given = None;
        let Row { database, module, name, .. } = &self.row;
        let stored = database.ask(|connection| stored(connection, module, None))?;
        match stored.verify()? {
            (_, Code::Release(bytes)) if bytes.len() > SIGNED_BYTES_MAX => {
                Err(FetchError::refused(format!(
                    "{name}: what is to be its manifest has {} bytes, more than {SIGNED_BYTES_MAX}",
                    bytes.len()
                )))
            }
            (_, Code::Release(bytes)) => {
                *given = Some(listed);
                Ok(Answer::Manifest(bytes))
            }
            (revision, _) => Err(FetchError::refused(format!(
                "{name}: {revision} is a {}, and nobody signed it: publish it with `hotswap publish --sign KEY`",
                revision.kind
            ))),
        }
    }

    fn file(
        &self,
        file: &FileEntry,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let Row { database, module, .. } = &self.row;
        let hash = file.hash.to_string();
        let found = database.ask(|connection| {
            // One snapshot: what is read is as long as what was looked at.
            let transaction = connection.unchecked_transaction()?;
            content(&transaction, module, &hash)?.ok_or_else(|| DatabaseErrorKind::NoFile {
                name: module.to_string(),
                sha256: hash.clone(),
            })
        });
        // It may be there at the next attempt; a refusal would be for good.
        let bytes = found.map_err(|kind| FetchError::unavailable(kind.to_string()))?;
        // The others need not wait for this.
        bytes.chunks(PIECE_BYTES).try_for_each(receive)
    }

    fn wait(&self, pause: &Pause<'_>) -> Woken {
        self.row.wait(pause)
    }
}

/// A file of a module; `None` where it is not.
pub(super) fn content(
    transaction: &Transaction<'_>,
    module: &ModuleName,
    sha256: &str,
) -> Result<Option<Vec<u8>>, DatabaseErrorKind> {
    let row = params![module.as_str(), sha256];
    let query = "SELECT octet_length(content) FROM file WHERE module = ?1 AND sha256 = ?2";
    let length = transaction.query_row(query, row, |row| row.get(0)).optional()?;
    let Some(bytes) = length.map(unsigned) else { return Ok(None) };
    if bytes > CODE_BYTES_MAX {
        let name = module.to_string();
        return Err(DatabaseErrorKind::TooLarge { name, bytes, bytes_max: CODE_BYTES_MAX });
    }
    let query = "SELECT content FROM file WHERE module = ?1 AND sha256 = ?2";
    let bytes = transaction.query_row(query, row, |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
    })?;
    Ok(Some(bytes))
}

/// Where no module can be.
#[derive(Debug)]
struct Nowhere(String);

impl Place for Nowhere {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn name(&self) -> &str {
        &self.0
    }

    fn manifest(&self) -> Result<Answer, FetchError> {
        Ok(Answer::Absent)
    }

    fn file(
        &self,
        _file: &FileEntry,
        _receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        Err(FetchError::unavailable("there is none"))
    }
}
