//! What can be wrong with a database of modules.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use hotswap_artifact::FetchError;
use rusqlite::ErrorCode;

use super::bounded::{QUESTION_MAX, TEXT_BYTES_MAX};
use super::{ArchiveError, NameError};

/// Something was not done with a database; what it held before, it holds.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
#[non_exhaustive]
pub struct DatabaseError {
    /// The database.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: DatabaseErrorKind,
}

impl DatabaseError {
    pub(super) fn new(path: &Path, kind: impl Into<DatabaseErrorKind>) -> Self {
        Self { path: path.to_owned(), kind: kind.into() }
    }
}

/// What can be wrong with a database of modules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseErrorKind {
    /// There is no such file.
    #[error("no such database; `hotswap publish`, or ModuleDatabase::create, makes one")]
    Missing,
    /// The file cannot be looked at.
    #[error("it cannot be read ({0})")]
    Io(#[from] io::Error),
    /// SQLite says no.
    #[error("{0}")]
    Sqlite(#[from] SqliteFailure),
    /// It is a database of something else.
    #[error("it is a database of something else; modules want one of their own")]
    Foreign,
    /// It was written by a newer program.
    #[error(
        "its schema is version {found}, newer than {known}, which this program knows; update it"
    )]
    Newer {
        /// The version of the schema.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// A module cannot have this name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// There is no such module.
    #[error("it has no module {name}")]
    NoModule {
        /// Its name.
        name: String,
    },
    /// There is no such revision, or none any more.
    #[error(
        "it has no revision {revision} of {name}; the oldest are removed as new ones are published"
    )]
    NoRevision {
        /// The module.
        name: String,
        /// The revision.
        revision: u64,
    },
    /// Somebody else was quicker.
    #[error(
        "{name} is at revision {found}{}, not at {expected}; look at that one and publish again",
        by_whom(by)
    )]
    Conflict {
        /// The module.
        name: String,
        /// What was gone by; 0 for no module.
        expected: u64,
        /// What is there; 0 for no module.
        found: u64,
        /// Who published it, if they said so.
        by: String,
    },
    /// Dependencies are named for what has a manifest of its own, or is built already.
    #[error("{name} is a {kind}; only a single file is told what it depends on")]
    Dependencies {
        /// The module.
        name: String,
        /// What it is: `crate` or `library`.
        kind: &'static str,
    },
    /// Somebody put something else where a table was.
    #[error("its {name} is a {found}, not the table that this program made")]
    NoTable {
        /// The table.
        name: String,
        /// What there is: `view`.
        found: String,
    },
    /// It holds more modules than are looked through.
    #[error("it has more than {modules_max} modules")]
    TooMany {
        /// The most that are taken.
        modules_max: usize,
    },
    /// A text of a revision is too long.
    #[error(
        "revision {revision} of {name}: who published it, why, what it depends on, its kind and its SHA-256 may have \
         {TEXT_BYTES_MAX} bytes each, and one has more"
    )]
    LongText {
        /// The module.
        name: String,
        /// The revision.
        revision: u64,
    },
    /// The code is too long.
    #[error("the code of {name} has {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// The module.
        name: String,
        /// Its length.
        bytes: u64,
        /// The most that is taken.
        bytes_max: u64,
    },
    /// What the database holds of a revision is not what was published.
    #[error("revision {revision} of {name} is damaged: {what}")]
    Damaged {
        /// The module.
        name: String,
        /// The revision.
        revision: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A file of a release is not there.
    #[error("it has no file {sha256} of {name}, of which its releases consist")]
    NoFile {
        /// The module.
        name: String,
        /// SHA-256 of the file.
        sha256: String,
    },
    /// What is published is no release, where releases are.
    #[error(
        "{name} is released there: hosts may take nothing that is not signed; publish it with `hotswap publish --sign KEY`"
    )]
    Released {
        /// The module.
        name: String,
    },
    /// A release that lay there is to be published once more.
    #[error(
        "what was released of {name} is signed with its number, and no host goes back to a lower one: publish its code again with \
         `hotswap publish --sign KEY`"
    )]
    Numbered {
        /// The module.
        name: String,
    },
    /// A database has one channel of a module.
    #[error(
        "{name} is released there on the channel {found}, and a database has one of each module, not {wanted} as well"
    )]
    Channel {
        /// The module.
        name: String,
        /// The channel that is there.
        found: String,
        /// The channel that was asked for.
        wanted: String,
    },
    /// The crate cannot be packed or unpacked.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
}

fn by_whom(by: &str) -> String {
    if by.is_empty() { String::new() } else { format!(" by {by}") }
}

impl DatabaseErrorKind {
    /// Whether it is the database that cannot be used; else it is what was published.
    pub(super) fn is_about_the_database(&self) -> bool {
        match self {
            Self::Missing
            | Self::Io(_)
            | Self::Sqlite(_)
            | Self::Foreign
            | Self::Newer { .. }
            | Self::NoTable { .. }
            | Self::TooMany { .. } => true,
            Self::Name(_)
            | Self::NoModule { .. }
            | Self::NoRevision { .. }
            | Self::Conflict { .. }
            | Self::Dependencies { .. }
            | Self::LongText { .. }
            | Self::TooLarge { .. }
            | Self::Damaged { .. }
            | Self::NoFile { .. }
            | Self::Released { .. }
            | Self::Numbered { .. }
            | Self::Channel { .. }
            | Self::Archive(_) => false,
        }
    }

    /// Whether another connection has it locked.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self, Self::Sqlite(failure) if failure.is_locked())
    }
}

impl From<DatabaseErrorKind> for FetchError {
    /// Whoever tells it names the database and the module.
    fn from(kind: DatabaseErrorKind) -> Self {
        if kind.is_about_the_database() {
            Self::unavailable(kind.to_string())
        } else {
            Self::refused(kind.to_string())
        }
    }
}

impl From<rusqlite::Error> for DatabaseErrorKind {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(SqliteFailure(error))
    }
}

/// What SQLite says, in words of ours where it is one of the usual things.
#[derive(Debug)]
pub struct SqliteFailure(rusqlite::Error);

impl SqliteFailure {
    fn is_locked(&self) -> bool {
        let code = self.0.sqlite_error_code();
        matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }
}

impl fmt::Display for SqliteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.sqlite_error_code() {
            _ if self.is_locked() => write!(f, "it is locked by another process ({})", self.0),
            Some(ErrorCode::CannotOpen) => {
                write!(f, "it can neither be opened nor made; is its directory there? ({})", self.0)
            }
            Some(ErrorCode::NotADatabase) => write!(f, "it is no SQLite database ({})", self.0),
            Some(ErrorCode::DatabaseCorrupt) => write!(f, "it is damaged ({})", self.0),
            Some(ErrorCode::DiskFull) => write!(f, "there is no room on its disk ({})", self.0),
            Some(ErrorCode::ReadOnly) => write!(f, "it may not be written ({})", self.0),
            Some(ErrorCode::OperationInterrupted) => {
                let seconds = QUESTION_MAX.as_secs();
                write!(f, "it takes longer than {seconds} s to answer ({})", self.0)
            }
            Some(ErrorCode::TooBig) => {
                write!(f, "it holds something that is too large ({})", self.0)
            }
            _ => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for SqliteFailure {}
