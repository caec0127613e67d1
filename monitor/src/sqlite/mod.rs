//! Modules in an SQLite database: published by one process, run by many.
//!
//! A database holds modules by name; each has revisions, of which the last is the one that runs. A [`SqliteSource`] is what an
//! engine or a monitor goes by; a [`ModuleDatabase`] is for those who publish, list and restore.
//!
//! ```
//! use hotswap_monitor::sqlite::{Code, ModuleDatabase, Publication, SqliteSource};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let path = directory.path().join("modules.db");
//! let mut modules = ModuleDatabase::create(&path)?;
//! let text = Code::Text("pub fn greet() {}".to_owned());
//! let first = modules.publish(&Publication::new("greet", text.clone()).by("alice"))?;
//!
//! // Two who go by the same revision: the first one wins, the other is told.
//! let fix = Publication::new("greet", text).expecting(first.number).why("a fix");
//! modules.publish(&fix)?;
//! assert!(modules.publish(&fix).is_err());
//!
//! let source = SqliteSource::new(&path, "greet")?;
//! # drop(source);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - A publication is whole or is not there; a killed publisher leaves the revision before.
//! - What is fetched is what was published: its SHA-256 is compared. That is a guard against damage, not against people who may
//!   write to the database: whoever may write there decides what runs. Where that is not to be, releases are signed:
//!   [`SqliteSource::trusting`] takes nothing else, and a [`ModuleDatabase`] is published to as a directory of releases is.
//! - Readers never wait for a publisher (write-ahead log); publishers wait for each other for [`BUSY_MAX`].
//! - All sources of one database in a process share one connection. While nobody writes, a look reads no row; when somebody did,
//!   one query reads what is current of all modules, and only those that are another are fetched.
//! - A database that is locked, damaged, of a newer schema, deleted or replaced keeps what runs, and is asked again.
//!
//! # Limits
//!
//! - The database lies on a local file system: write-ahead logs need shared memory. *Source*: sqlite.org/wal.html.
//! - Code of more than [`CODE_BYTES_MAX`] bytes, and a crate of more than [`ARCHIVE_FILES_MAX`] files, is refused, both by who
//!   publishes and by who fetches.
//! - Whoever may write to a database cannot hold up or fill up a host by it: a question that takes longer than [`QUESTION_MAX`] is
//!   broken off, a text of more than [`TEXT_BYTES_MAX`] bytes is not read and concerns its own module alone, a database of more than
//!   [`MODULES_MAX`] modules is refused, and so is one whose tables were replaced by views.
//! - A crate is taken as it lies there: path dependencies outside of it, and what it inherits from a workspace, are not part of it.

mod archive;
mod bounded;
mod collection;
mod database;
mod error;
mod listing;
mod name;
mod place;
mod publication;
mod row;
mod schema;
mod shared;
#[cfg(feature = "publish")]
mod shelf;
mod source;

pub use archive::{ARCHIVE_FILES_MAX, ArchiveError, CrateArchive};
pub use bounded::{MODULES_MAX, QUESTION_MAX, TEXT_BYTES_MAX};
pub use collection::SqliteModules;
pub use database::{BUSY_MAX, CODE_BYTES_MAX, Module, ModuleDatabase, Revision};
pub use error::{DatabaseError, DatabaseErrorKind, SqliteFailure};
pub use name::{ModuleName, NAME_BYTES_MAX, NameError};
pub use place::SqliteReleases;
pub use publication::{Code, Publication, REVISIONS_KEPT};
pub use source::SqliteSource;
