//! A database of modules, as publishers see it.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotswap_artifact::ContentHash;
use hotswap_system::fs;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction, params};

use super::bounded::{Bounded, MODULES_MAX, TEXT_BYTES_MAX};
use super::publication::RELEASE;
use super::{Code, CrateArchive, DatabaseError, DatabaseErrorKind, ModuleName, NAME_BYTES_MAX};
use crate::scan::walk::is_absent;

/// How long is waited for who has the database locked.
///
/// 2 s: a publication takes milliseconds; a monitor that waits must still end soon.
pub const BUSY_MAX: Duration = Duration::from_secs(2);

/// The longest code of a module, in bytes: 64 MiB.
///
/// A debug library with a large dependency tree is about half of it. It is held in memory when it is published and fetched.
pub const CODE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A module of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Module {
    /// Its name.
    pub name: String,
    /// What runs.
    pub current: Revision,
    /// How many revisions are kept.
    pub revisions: u64,
}

/// A revision of a module, without its code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revision {
    /// Its number, from 1.
    pub number: u64,
    /// What the code is: `text`, `crate`, `library` or `release`.
    pub kind: String,
    /// The length of the code.
    pub bytes: u64,
    /// SHA-256 of the code, in hexadecimal.
    pub sha256: String,
    /// When it was published, by the publisher's clock.
    pub published: SystemTime,
    /// Who published it, by what they say.
    pub by: String,
    /// Why.
    pub why: String,
    /// Lines of a `[dependencies]` table, for a text.
    pub dependencies: Vec<String>,
}

impl fmt::Display for Revision {
    /// `revision 12 by alice: a fix`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {}", self.number)?;
        if !self.by.is_empty() {
            write!(f, " by {}", self.by)?;
        }
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

/// An open database. Several processes may have it open, and publish.
#[derive(Debug)]
pub struct ModuleDatabase {
    pub(super) path: PathBuf,
    pub(super) connection: Bounded,
}

impl ModuleDatabase {
    /// Opens a database; an older schema is brought up to date.
    ///
    /// # Errors
    ///
    /// When it is not there, or is none that this program knows.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        let path = path.as_ref();
        open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map(|connection| Self { path: path.to_owned(), connection })
            .map_err(|kind| DatabaseError::new(path, kind))
    }

    /// Opens a database, and makes one where there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); and when it cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        let path = path.as_ref();
        open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
            .map(|connection| Self { path: path.to_owned(), connection })
            .map_err(|kind| DatabaseError::new(path, kind))
    }

    /// All modules, by name.
    ///
    /// # Errors
    ///
    /// What SQLite says.
    pub fn modules(&self) -> Result<Vec<Module>, DatabaseError> {
        self.ask(|connection| {
            let mut statement = connection.prepare(
                "SELECT name, (SELECT count(*) FROM revision WHERE module = name) FROM module ORDER BY name",
            )?;
            let rows = statement.query_map([], |row| Ok((text(row, 0)?, row.get::<_, i64>(1)?)))?;
            let mut modules = Vec::new();
            for row in rows {
                let (name, revisions) = row?;
                let current = revision_of(connection, &ModuleName::new(&name)?, None)?;
                let revisions = u64::try_from(revisions).unwrap_or(0);
                modules.push(Module { name, current, revisions });
            }
            Ok(modules)
        })
    }

    /// All revisions of a module that are kept, the newest first.
    ///
    /// # Errors
    ///
    /// When there is no such module; what SQLite says.
    pub fn revisions(&self, name: &str) -> Result<Vec<Revision>, DatabaseError> {
        self.ask(|connection| {
            let name = ModuleName::new(name)?;
            let columns = columns();
            let mut statement = connection.prepare(&format!(
                "SELECT {columns} FROM revision WHERE module = ?1 ORDER BY revision DESC"
            ))?;
            let mut rows = statement.query([name.as_str()])?;
            let mut revisions = Vec::new();
            while let Some(row) = rows.next()? {
                revisions.push(revision(row, &name)?);
            }
            if revisions.is_empty() {
                return Err(DatabaseErrorKind::NoModule { name: name.to_string() });
            }
            Ok(revisions)
        })
    }

    /// A revision of a module with its code, by default the one that runs.
    ///
    /// # Errors
    ///
    /// When there is none; when what is stored is not what was published.
    pub fn code(
        &self,
        name: &str,
        revision: Option<u64>,
    ) -> Result<(Revision, Code), DatabaseError> {
        self.ask(|connection| stored(connection, &ModuleName::new(name)?, revision)?.verify())
    }

    /// The names of all modules, or of those that a revision of this kind runs of.
    pub(super) fn names(&self, kind: Option<&str>) -> Result<Vec<String>, DatabaseError> {
        self.ask(|connection| {
            let mut statement = connection.prepare(&format!(
                "SELECT name FROM module
                 WHERE octet_length(name) <= {NAME_BYTES_MAX} AND (?1 IS NULL OR EXISTS
                    (SELECT 1 FROM revision WHERE revision.module = module.name
                        AND revision.revision = module.revision AND revision.kind = ?1))
                 ORDER BY name"
            ))?;
            let mut rows = statement.query([kind])?;
            let mut names = Vec::new();
            while let Some(row) = rows.next()? {
                if names.len() == MODULES_MAX {
                    return Err(DatabaseErrorKind::TooMany { modules_max: MODULES_MAX });
                }
                names.push(text(row, 0)?);
            }
            Ok(names)
        })
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, DatabaseErrorKind>,
    ) -> Result<T, DatabaseError> {
        question(self.connection.ask()).map_err(|kind| DatabaseError::new(&self.path, kind))
    }
}

/// Which file it is, so that it is noticed when there is another under the same name.
pub(super) fn identity(path: &Path) -> Result<(u64, u64), DatabaseErrorKind> {
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino())),
        Err(error) if is_absent(&error) => Err(DatabaseErrorKind::Missing),
        Err(error) => Err(error.into()),
    }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Bounded, DatabaseErrorKind> {
    Bounded::open(path, flags, BUSY_MAX)
}

/// A number as SQLite has it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as SQLite gives it back.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The texts of a revision, of any length.
const TEXTS: [&str; 5] = ["kind", "sha256", "published_by", "reason", "dependencies"];

/// Whether a text of a revision is longer than is taken. SQLite knows the lengths without reading what is so long.
pub(super) fn is_long_text() -> String {
    TEXTS.map(|text| format!("octet_length({text}) > {TEXT_BYTES_MAX}")).join(" OR ")
}

/// A text, unless it is longer than is taken.
pub(super) fn short(text: &str) -> String {
    format!("iif(octet_length({text}) <= {TEXT_BYTES_MAX}, {text}, NULL)")
}

/// What `revision` reads.
fn columns() -> String {
    let [kind, sha256, by, why, dependencies] = TEXTS.map(short);
    let is_long = is_long_text();
    format!(
        "revision, {kind}, octet_length(code), {sha256}, published_ms, {by}, {why}, {dependencies}, ifnull({is_long}, 0)"
    )
}

fn revision(row: &Row<'_>, name: &ModuleName) -> Result<Revision, DatabaseErrorKind> {
    let number = unsigned(row.get(0)?);
    if row.get(8)? {
        return Err(DatabaseErrorKind::LongText { name: name.to_string(), revision: number });
    }
    Ok(Revision {
        number,
        kind: text(row, 1)?,
        bytes: unsigned(row.get(2)?),
        sha256: text(row, 3)?,
        published: UNIX_EPOCH + Duration::from_millis(unsigned(row.get(4)?)),
        by: text(row, 5)?,
        why: text(row, 6)?,
        dependencies: text(row, 7)?.lines().map(str::to_owned).collect(),
    })
}

/// A text for people, whatever its bytes are.
pub(super) fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    })
}

/// A revision without its code; the current one by default.
pub(super) fn revision_of(
    connection: &Connection,
    name: &ModuleName,
    number: Option<u64>,
) -> Result<Revision, DatabaseErrorKind> {
    let current: Option<i64> = connection
        .query_row("SELECT revision FROM module WHERE name = ?1", [name.as_str()], |row| row.get(0))
        .optional()?;
    let Some(current) = current else {
        return Err(DatabaseErrorKind::NoModule { name: name.to_string() });
    };
    let wanted = number.map_or(current, self::number);
    let columns = columns();
    let query = format!("SELECT {columns} FROM revision WHERE module = ?1 AND revision = ?2");
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query(params![name.as_str(), wanted])?;
    match rows.next()? {
        Some(row) => revision(row, name),
        None => {
            let revision = unsigned(wanted);
            Err(DatabaseErrorKind::NoRevision { name: name.to_string(), revision })
        }
    }
}

/// A revision and the bytes that are stored as its code, by default the one that runs.
pub(super) fn stored(
    connection: &Connection,
    name: &ModuleName,
    number: Option<u64>,
) -> Result<Stored, DatabaseErrorKind> {
    // One snapshot: length, digest and code are of the same revision.
    stored_in(&connection.unchecked_transaction()?, name, number)
}

/// As `stored`, inside a transaction.
pub(super) fn stored_in(
    transaction: &Transaction<'_>,
    name: &ModuleName,
    number: Option<u64>,
) -> Result<Stored, DatabaseErrorKind> {
    let revision = revision_of(transaction, name, number)?;
    if revision.bytes > CODE_BYTES_MAX {
        return Err(DatabaseErrorKind::TooLarge {
            name: name.to_string(),
            bytes: revision.bytes,
            bytes_max: CODE_BYTES_MAX,
        });
    }
    let bytes = transaction.query_row(
        "SELECT code FROM revision WHERE module = ?1 AND revision = ?2",
        params![name.as_str(), self::number(revision.number)],
        |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                _ => Vec::new(),
            })
        },
    )?;
    Ok(Stored { name: name.clone(), revision, bytes })
}

/// What a database holds of a revision; what it is worth is not known yet.
pub(super) struct Stored {
    name: ModuleName,
    revision: Revision,
    bytes: Vec<u8>,
}

impl Stored {
    /// The code, if it is what was published. Takes a while for large code, and no connection.
    pub(super) fn verify(self) -> Result<(Revision, Code), DatabaseErrorKind> {
        let Self { name, revision, bytes } = self;
        let damaged = |what| DatabaseErrorKind::Damaged {
            name: name.to_string(),
            revision: revision.number,
            what,
        };
        if ContentHash::of(&bytes).to_string() != revision.sha256 {
            return Err(damaged("its code has another SHA-256 than what was published"));
        }
        let code = match revision.kind.as_str() {
            "text" => {
                Code::Text(String::from_utf8(bytes).map_err(|_| damaged("its text is not UTF-8"))?)
            }
            "crate" => Code::Crate(CrateArchive::read(bytes)?),
            "library" => Code::Library(bytes),
            RELEASE => Code::Release(bytes),
            _ => return Err(damaged("it is neither a text, nor a crate, nor a library")),
        };
        Ok((revision, code))
    }
}
