//! What is published, and how: one wins, the other is told.

use std::time::UNIX_EPOCH;

use hotswap_artifact::ContentHash;
use hotswap_system::clock;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::bounded::TEXT_BYTES_MAX;
use super::database::{CODE_BYTES_MAX, number, revision_of};
use super::{CrateArchive, DatabaseError, DatabaseErrorKind, ModuleDatabase, ModuleName, Revision};

/// How many revisions of a module a database keeps when nobody says otherwise.
///
/// 20: with libraries of 5 MB some 100 MB a module.
pub const REVISIONS_KEPT: u32 = 20;

/// The kind of a revision that is a release.
pub(super) const RELEASE: &str = "release";

/// The code of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// One file of Rust source.
    Text(String),
    /// All files of a crate.
    Crate(CrateArchive),
    /// A library that was built already: who runs it needs no compiler.
    Library(Vec<u8>),
    /// The signed manifest of a release, whose files lie beside it. It is published by who signs it.
    Release(Vec<u8>),
}

impl Code {
    /// The kind in one word: `text`, `crate`, `library` or `release`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Crate(_) => "crate",
            Self::Library(_) => "library",
            Self::Release(_) => RELEASE,
        }
    }

    /// The bytes that are stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Crate(archive) => archive.bytes(),
            Self::Library(bytes) | Self::Release(bytes) => bytes,
        }
    }
}

/// A new revision of a module.
#[derive(Debug, Clone)]
pub struct Publication {
    name: String,
    code: Code,
    dependencies: Vec<String>,
    by: String,
    why: String,
    expected: Option<u64>,
    keep: u32,
}

impl Publication {
    /// Code under a name; whatever is there is replaced, and [`REVISIONS_KEPT`] revisions are kept.
    #[must_use]
    pub fn new(name: impl Into<String>, code: Code) -> Self {
        Self {
            name: name.into(),
            code,
            dependencies: Vec::new(),
            by: String::new(),
            why: String::new(),
            expected: None,
            keep: REVISIONS_KEPT,
        }
    }

    /// Who publishes; for people, and not proved.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = who.into();
        self
    }

    /// Why; for people.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds a line of a `[dependencies]` table, for a single file: `serde = "1"`.
    #[must_use]
    pub fn dependency(mut self, line: impl Into<String>) -> Self {
        self.dependencies.push(line.into());
        self
    }

    /// Publishes only if the module is at this revision; 0: if there is none.
    #[must_use]
    pub fn expecting(mut self, revision: u64) -> Self {
        self.expected = Some(revision);
        self
    }

    /// How many revisions of the module are kept, this one included; older ones are removed with it.
    #[must_use]
    pub fn keep(mut self, revisions: u32) -> Self {
        self.keep = revisions.max(1);
        self
    }
}

impl ModuleDatabase {
    /// Publishes a revision, and gives it. Blocks while another publisher writes, for [`BUSY_MAX`](super::BUSY_MAX) at most.
    ///
    /// # Errors
    ///
    /// [`Conflict`](DatabaseErrorKind::Conflict) when somebody else was quicker; a name, a length or dependencies that are not
    /// taken; what SQLite says. The database is what it was.
    pub fn publish(&mut self, publication: &Publication) -> Result<Revision, DatabaseError> {
        publish(self.connection.ask_mut(), publication)
            .map_err(|kind| DatabaseError::new(&self.path, kind))
    }

    /// Publishes an earlier revision once more, as a new one. Blocks as [`publish`](Self::publish) does.
    ///
    /// # Errors
    ///
    /// Those of [`code`](Self::code) and [`publish`](Self::publish).
    pub fn restore(
        &mut self,
        name: &str,
        revision: u64,
        by: &str,
        why: &str,
    ) -> Result<Revision, DatabaseError> {
        let (earlier, code) = self.code(name, Some(revision))?;
        let mut publication = Publication::new(name, code).by(by).why(why);
        publication.dependencies = earlier.dependencies;
        self.publish(&publication)
    }
}

fn publish(
    connection: &mut Connection,
    publication: &Publication,
) -> Result<Revision, DatabaseErrorKind> {
    let name = ModuleName::new(&publication.name)?;
    let bytes = publication.code.bytes();
    let length = bytes.len() as u64;
    if length > CODE_BYTES_MAX {
        return Err(DatabaseErrorKind::TooLarge {
            name: name.to_string(),
            bytes: length,
            bytes_max: CODE_BYTES_MAX,
        });
    }
    if let Code::Release(_) = publication.code {
        return Err(DatabaseErrorKind::Numbered { name: name.to_string() });
    }
    let kind = publication.code.kind();
    if !publication.dependencies.is_empty() && !matches!(publication.code, Code::Text(_)) {
        return Err(DatabaseErrorKind::Dependencies { name: name.to_string(), kind });
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let current = current(&transaction, &name)?;
    if let Some(expected) = publication.expected
        && expected != current
    {
        return Err(conflict(&transaction, &name, expected, current));
    }
    let running = revision_of(&transaction, &name, Some(current));
    if running.is_ok_and(|running| running.kind == RELEASE) {
        return Err(DatabaseErrorKind::Released { name: name.to_string() });
    }
    let dependencies = publication.dependencies.join("\n");
    let Publication { by, why, keep, .. } = publication;
    let added = Addition { kind, bytes, by, why, dependencies: &dependencies, keep: *keep };
    let revision = add(&transaction, &name, &added)?;
    transaction.commit()?;
    Ok(revision)
}

/// What a revision is made of.
pub(super) struct Addition<'a> {
    pub(super) kind: &'static str,
    pub(super) bytes: &'a [u8],
    pub(super) by: &'a str,
    pub(super) why: &'a str,
    pub(super) dependencies: &'a str,
    pub(super) keep: u32,
}

/// Adds a revision, which runs from then on, and removes those that are not kept.
pub(super) fn add(
    transaction: &Transaction<'_>,
    name: &ModuleName,
    added: &Addition<'_>,
) -> Result<Revision, DatabaseErrorKind> {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let published_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let new = current(transaction, name)?.saturating_add(1);
    if [added.by, added.why, added.dependencies]
        .iter()
        .any(|text| text.len() as u64 > TEXT_BYTES_MAX)
    {
        return Err(DatabaseErrorKind::LongText { name: name.to_string(), revision: new });
    }
    transaction.execute(
        "INSERT INTO module (name, revision) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET revision = excluded.revision",
        params![name.as_str(), number(new)],
    )?;
    transaction.execute(
        "INSERT INTO revision
            (module, revision, kind, code, sha256, published_ms, published_by, reason, dependencies)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            name.as_str(),
            number(new),
            added.kind,
            added.bytes,
            ContentHash::of(added.bytes).to_string(),
            published_ms,
            added.by,
            added.why,
            added.dependencies,
        ],
    )?;
    let oldest = number(new.saturating_sub(added.keep.into()));
    for table in ["revision", "release_file"] {
        let statement = format!("DELETE FROM {table} WHERE module = ?1 AND revision <= ?2");
        transaction.execute(&statement, params![name.as_str(), oldest])?;
    }
    revision_of(transaction, name, Some(new))
}

/// The revision that a module is at; 0 when there is none.
pub(super) fn current(
    transaction: &Transaction<'_>,
    name: &ModuleName,
) -> Result<u64, DatabaseErrorKind> {
    let found: Option<i64> = transaction
        .query_row("SELECT revision FROM module WHERE name = ?1", [name.as_str()], |row| row.get(0))
        .optional()?;
    Ok(found.map_or(0, |found| u64::try_from(found).unwrap_or(0)))
}

fn conflict(
    transaction: &Transaction<'_>,
    name: &ModuleName,
    expected: u64,
    found: u64,
) -> DatabaseErrorKind {
    let by = revision_of(transaction, name, Some(found)).map(|revision| revision.by);
    let by = by.unwrap_or_default();
    DatabaseErrorKind::Conflict { name: name.to_string(), expected, found, by }
}
