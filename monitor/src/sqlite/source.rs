//! A module of a database, as a monitor sees it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_artifact::{
    Fetch, FetchError, Fetched, Fingerprint, FingerprintHasher, Pause, Source, Woken,
};
use hotswap_system::fs;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use super::database::{code_of, identity, open, revision_of};
use super::{Code, DatabaseError, DatabaseErrorKind, ModuleName, NameError, Revision};

/// Into how many parts the pause between two looks is divided, at whose ends is asked whether the database was written to.
///
/// 20: with a period of a second, a publication is seen after 25 ms at the median, and to ask takes some microseconds.
const PAUSE_PARTS: u32 = 20;

/// The shortest and the longest of these parts.
const PART_MIN: Duration = Duration::from_millis(2);
const PART_MAX: Duration = Duration::from_millis(100);

/// One module of a database: a source like a directory.
///
/// The database need not be there yet. What is said about it is cheap while nobody writes to it: `PRAGMA data_version` tells
/// whether anybody did, and then the revision decides.
#[derive(Debug)]
pub struct SqliteSource {
    path: PathBuf,
    module: ModuleName,
    /// `modules.db#greet`, with an absolute path.
    name: String,
    state: Mutex<Option<Open>>,
}

/// A connection, and what it said.
#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Device and inode of the file.
    identity: (u64, u64),
    /// Whose answer that is.
    data_version: i64,
    /// `None` before the first answer.
    answer: Option<Option<Fingerprint>>,
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
        Ok(Self { path, module, name, state: Mutex::default() })
    }

    /// Asks the database; after a failure it is opened anew the next time.
    fn ask<T>(
        &self,
        question: impl FnOnce(&mut Open) -> Result<T, DatabaseErrorKind>,
    ) -> Result<T, DatabaseError> {
        let mut state = self.state.lock();
        let answer = || {
            let identity = identity(&self.path)?;
            let open = match state.take() {
                // Replaced, or removed and made again: the old one is not what lies there.
                Some(open) if open.identity == identity => open,
                _ => Open {
                    connection: open(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?,
                    identity,
                    data_version: 0,
                    answer: None,
                },
            };
            question(state.insert(open))
        };
        let answer = answer();
        if answer.as_ref().is_err_and(is_about_the_database) {
            *state = None;
        }
        answer.map_err(|kind| DatabaseError::new(&self.path, kind))
    }

    /// Whether anybody wrote to the database since it was last asked.
    fn is_written(&self) -> bool {
        let state = self.state.lock();
        state.as_ref().is_some_and(|open| {
            open.answer.is_some()
                && data_version(&open.connection).is_ok_and(|found| found != open.data_version)
        })
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
        self.ask(|open| {
            let data_version = data_version(&open.connection)?;
            if let Some(answer) = open.answer
                && data_version == open.data_version
            {
                return Ok(answer);
            }
            let answer = match revision_of(&open.connection, &self.module, None) {
                Ok(revision) => Some(fingerprint(&revision)),
                Err(DatabaseErrorKind::NoModule { .. }) => None,
                Err(kind) => return Err(kind),
            };
            // Of before the answer: what was written since is asked about again.
            (open.data_version, open.answer) = (data_version, Some(answer));
            Ok(answer)
        })
        .map_err(|error| self.failed(error))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let (revision, code) = self
            .ask(|open| code_of(&open.connection, &self.module, None))
            .map_err(|error| self.failed(error))?;
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
        let mut fetched = Fetched::new(fingerprint(&revision), source);
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
            if self.is_written() {
                return Woken::ByChange;
            }
        }
        Woken::ByTime
    }
}

impl SqliteSource {
    fn failed(&self, error: DatabaseError) -> FetchError {
        let message = format!("no code of {}", self.module);
        if is_about_the_database(&error.kind) {
            FetchError::unavailable(message).caused_by(error)
        } else {
            FetchError::refused(message).caused_by(error)
        }
    }
}

/// Whether it is the database that cannot be used; else it is what was published.
fn is_about_the_database(kind: &DatabaseErrorKind) -> bool {
    !matches!(
        kind,
        DatabaseErrorKind::Damaged { .. }
            | DatabaseErrorKind::TooLarge { .. }
            | DatabaseErrorKind::Archive(_)
            | DatabaseErrorKind::NoModule { .. }
            | DatabaseErrorKind::NoRevision { .. }
            | DatabaseErrorKind::Conflict { .. }
            | DatabaseErrorKind::Name(_)
    )
}

/// The revision decides, so that publishing the same again is seen, and what it holds, so that a database in the place of another
/// is noticed.
fn fingerprint(revision: &Revision) -> Fingerprint {
    let mut hasher = FingerprintHasher::new();
    hasher.piece(&revision.number.to_le_bytes());
    hasher.piece(revision.kind.as_bytes());
    hasher.piece(revision.sha256.as_bytes());
    revision.dependencies.iter().for_each(|line| hasher.piece(line.as_bytes()));
    hasher.finish()
}

/// A number that differs when another connection has written. *Source*: sqlite.org/pragma.html#pragma_data_version.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}
