//! What runs of each module, without its code: all that a look wants to know.

use std::collections::BTreeMap;

use hotswap_artifact::{Fingerprint, FingerprintHasher};
use rusqlite::Connection;

use super::bounded::MODULES_MAX;
use super::database::{is_long_text, short, text, unsigned};
use super::{DatabaseErrorKind, ModuleName, NAME_BYTES_MAX, Revision};

/// What a database says of the current revision of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// It is there, and this stands for it.
    Revision(Fingerprint),
    /// The module names this one, and it is not there.
    Missing(u64),
    /// This one, and a text of it is longer than is taken.
    LongText(u64),
}

impl Listed {
    /// What stands for it; or that it is not there.
    pub(super) fn fingerprint(self, name: &ModuleName) -> Result<Fingerprint, DatabaseErrorKind> {
        match self {
            Self::Revision(fingerprint) => Ok(fingerprint),
            Self::Missing(revision) => {
                Err(DatabaseErrorKind::NoRevision { name: name.to_string(), revision })
            }
            Self::LongText(revision) => {
                Err(DatabaseErrorKind::LongText { name: name.to_string(), revision })
            }
        }
    }
}

/// What runs, of all modules.
pub(super) fn listing(
    connection: &Connection,
) -> Result<BTreeMap<String, Listed>, DatabaseErrorKind> {
    let [kind, sha256, dependencies] = ["kind", "sha256", "dependencies"].map(short);
    let is_long = is_long_text();
    // What one module is told has no bearing on the others, whatever it is.
    let mut statement = connection.prepare(&format!(
        "SELECT module.name, module.revision, revision.revision IS NOT NULL, {kind}, {sha256}, {dependencies}, ifnull({is_long}, 0)
         FROM module LEFT JOIN revision
            ON revision.module = module.name AND revision.revision = module.revision
         WHERE octet_length(module.name) <= {NAME_BYTES_MAX} AND typeof(module.revision) = 'integer'",
    ))?;
    let mut rows = statement.query([])?;
    let mut listing = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let number = unsigned(row.get(1)?);
        let listed = if !row.get(2)? {
            Listed::Missing(number)
        } else if row.get(6)? {
            Listed::LongText(number)
        } else {
            let dependencies = text(row, 5)?;
            let (kind, sha256) = (text(row, 3)?, text(row, 4)?);
            Listed::Revision(fingerprint(number, &kind, &sha256, dependencies.lines()))
        };
        if listing.len() == MODULES_MAX {
            return Err(DatabaseErrorKind::TooMany { modules_max: MODULES_MAX });
        }
        listing.insert(text(row, 0)?, listed);
    }
    Ok(listing)
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
