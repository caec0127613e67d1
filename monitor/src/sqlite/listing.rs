//! What runs of each module, without its code: all that a look wants to know.

use std::collections::BTreeMap;

use hotswap_artifact::{Fingerprint, FingerprintHasher};
use rusqlite::Connection;

use super::database::{text, unsigned};
use super::{DatabaseErrorKind, ModuleName, Revision};

/// What a database says of the current revision of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// It is there, and this stands for it.
    Revision(Fingerprint),
    /// The module names this one, and it is not there.
    Missing(u64),
}

impl Listed {
    /// What stands for it; or that it is not there.
    pub(super) fn fingerprint(self, name: &ModuleName) -> Result<Fingerprint, DatabaseErrorKind> {
        match self {
            Self::Revision(fingerprint) => Ok(fingerprint),
            Self::Missing(revision) => {
                Err(DatabaseErrorKind::NoRevision { name: name.to_string(), revision })
            }
        }
    }
}

/// What runs, of all modules.
pub(super) fn listing(
    connection: &Connection,
) -> Result<BTreeMap<String, Listed>, DatabaseErrorKind> {
    let mut statement = connection.prepare(
        "SELECT module.name, module.revision, revision.revision, kind, sha256, dependencies
         FROM module LEFT JOIN revision
            ON revision.module = module.name AND revision.revision = module.revision",
    )?;
    let rows = statement.query_map([], |row| {
        let number = unsigned(row.get(1)?);
        let listed = match row.get::<_, Option<i64>>(2)? {
            Some(_) => {
                let dependencies = text(row, 5)?;
                Listed::Revision(fingerprint(
                    number,
                    &text(row, 3)?,
                    &text(row, 4)?,
                    dependencies.lines(),
                ))
            }
            None => Listed::Missing(number),
        };
        Ok((text(row, 0)?, listed))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Revision {
    /// What stands for it.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let dependencies = self.dependencies.iter().map(String::as_str);
        fingerprint(self.number, &self.kind, &self.sha256, dependencies)
    }
}

/// The revision decides, so that publishing the same again is seen, and what it holds, so that a database in the place of another
/// is noticed.
fn fingerprint<'a>(
    number: u64,
    kind: &str,
    sha256: &str,
    dependencies: impl Iterator<Item = &'a str>,
) -> Fingerprint {
    let mut hasher = FingerprintHasher::new();
    hasher.piece(&number.to_le_bytes());
    hasher.piece(kind.as_bytes());
    hasher.piece(sha256.as_bytes());
    dependencies.for_each(|line| hasher.piece(line.as_bytes()));
    hasher.finish()
}
