//! Releases on their way into a database.

use std::collections::BTreeSet;
use std::path::Path;

use hotswap_artifact::ContentHash;
use hotswap_trust::{Signed, Trust};
use rusqlite::{Transaction, TransactionBehavior, params};

use super::bounded::QuestionTime;
use super::database::{number, revision_of, stored_in};
use super::place::content;
use super::publication::{Addition, RELEASE, add};
use super::{
    CODE_BYTES_MAX, Code, DatabaseError, DatabaseErrorKind, ModuleDatabase, ModuleName,
    REVISIONS_KEPT,
};
use crate::delivery::{Contents, Line, OpenLine, PublishErrorKind, Shelf};

/// A database takes releases, of one channel of each module: the manifest is a revision, [`REVISIONS_KEPT`] of which are kept, and each file lies
/// there once. All of it is one transaction.
impl Shelf for ModuleDatabase {
    fn name(&self) -> String {
        let absolute = std::path::absolute(&self.path);
        absolute.as_ref().unwrap_or(&self.path).display().to_string()
    }

    fn open<'a>(&'a mut self, line: Line<'_>) -> Result<Box<dyn OpenLine + 'a>, PublishErrorKind> {
        let Self { path, connection } = self;
        let time = connection.time();
        let transaction = connection
            .ask_mut()
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(path, error.into()))?;
        let place = path.as_path();
        let opened =
            ModuleName::new(line.module).map_err(DatabaseErrorKind::from).and_then(|module| {
                let current = manifest(&transaction, &module)?;
                if let Some(found) = current.as_deref().and_then(channel)
                    && found != line.channel
                {
                    let (name, wanted) = (module.to_string(), line.channel.to_owned());
                    return Err(DatabaseErrorKind::Channel { name, found, wanted });
                }
                let name = format!("{}#{module}", place.display());
                Ok(Opened { transaction: Some(transaction), time, place, module, name, current })
            });
        Ok(Box::new(opened.map_err(|kind| failed(place, kind))?))
    }
}

struct Opened<'a> {
    /// `None` when it is published.
    transaction: Option<Transaction<'a>>,
    time: QuestionTime,
    place: &'a Path,
    module: ModuleName,
    name: String,
    current: Option<Vec<u8>>,
}

impl OpenLine for Opened<'_> {
    fn current(&self) -> Option<(&str, &[u8])> {
        self.current.as_deref().map(|bytes| (&*self.name, bytes))
    }

    fn put(&mut self, contents: &Contents, manifest: &Signed) -> Result<(), PublishErrorKind> {
        // Dropped on any error, it leaves what was there.
        let Some(transaction) = self.transaction.take() else {
            return Err(PublishErrorKind::Busy { place: self.name.clone() });
        };
        let failed = |kind| failed(self.place, kind);
        let bytes = contents.files().iter().map(|file| file.bytes).sum();
        if bytes > CODE_BYTES_MAX {
            let (name, bytes_max) = (self.module.to_string(), CODE_BYTES_MAX);
            return Err(failed(DatabaseErrorKind::TooLarge { name, bytes, bytes_max }));
        }
        let revision = self.add_revision(&transaction, manifest).map_err(failed)?;
        let mut put = BTreeSet::new();
        for file in contents.files() {
            let sha256 = file.hash.to_string();
            if !put.insert(sha256.clone()) {
                continue;
            }
            let found = content(&transaction, &self.module, &sha256).map_err(failed)?;
            if found.is_none_or(|found| ContentHash::of(&found) != file.hash) {
                let mut bytes = Vec::new();
                let is_at_hand = contents.read(file, &mut |piece| {
                    bytes.extend_from_slice(piece);
                    Ok(())
                })?;
                if !is_at_hand {
                    let (path, place) = (file.path.as_str().to_owned(), self.name.clone());
                    return Err(PublishErrorKind::Missing { path, place });
                }
                self.add_file(&transaction, &sha256, &bytes).map_err(failed)?;
            }
            let row = params![self.module.as_str(), number(revision), sha256];
            let added = transaction.execute("INSERT INTO release_file VALUES (?1, ?2, ?3)", row);
            added.map_err(|error| failed(error.into()))?;
        }
        // How long it took to read the files is no matter of the database's.
        self.time.start();
        // Of releases that are not kept any more.
        transaction
            .execute(
                "DELETE FROM file WHERE module = ?1 AND sha256 NOT IN
                    (SELECT sha256 FROM release_file WHERE module = ?1)",
                params![self.module.as_str()],
            )
            .and_then(|_| transaction.commit())
            .map_err(|error| failed(error.into()))
    }
}

impl Opened<'_> {
    fn add_revision(
        &self,
        transaction: &Transaction<'_>,
        manifest: &Signed,
    ) -> Result<u64, DatabaseErrorKind> {
        let keys: Vec<String> = manifest.keys().map(|key| format!("key {key}")).collect();
        let bytes = manifest.to_bytes();
        let number =
            release(&bytes).map(|(number, channel)| format!("release {number} ({channel})"));
        let added = Addition {
            kind: RELEASE,
            bytes: &bytes,
            by: &keys.join(", "),
            why: &number.unwrap_or_default(),
            dependencies: "",
            keep: REVISIONS_KEPT,
        };
        add(transaction, &self.module, &added).map(|revision| revision.number)
    }

    fn add_file(
        &self,
        transaction: &Transaction<'_>,
        sha256: &str,
        bytes: &[u8],
    ) -> Result<(), DatabaseErrorKind> {
        transaction.execute(
            "INSERT INTO file (module, sha256, content) VALUES (?1, ?2, ?3)
             ON CONFLICT (module, sha256) DO UPDATE SET content = excluded.content",
            params![self.module.as_str(), sha256, bytes],
        )?;
        Ok(())
    }
}

/// The manifest that a module is at, if it is released.
fn manifest(
    transaction: &Transaction<'_>,
    module: &ModuleName,
) -> Result<Option<Vec<u8>>, DatabaseErrorKind> {
    match revision_of(transaction, module, None) {
        Ok(revision) if revision.kind == RELEASE => {}
        Ok(_) | Err(DatabaseErrorKind::NoModule { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    match stored_in(transaction, module, None)?.verify()?.1 {
        Code::Release(bytes) => Ok(Some(bytes)),
        _ => Ok(None),
    }
}

/// The number and the channel of a release, for people: whoever follows it checks more.
fn release(manifest: &[u8]) -> Option<(u64, String)> {
    let signed = Signed::read("", manifest).ok()?;
    let believed = Trust::anybody().verify(signed).ok()?;
    Some((believed.counter, believed.channel.clone()))
}

fn channel(manifest: &[u8]) -> Option<String> {
    release(manifest).map(|(_, channel)| channel)
}

fn failed(path: &Path, kind: DatabaseErrorKind) -> PublishErrorKind {
    if kind.is_locked() {
        return PublishErrorKind::Busy { place: path.display().to_string() };
    }
    PublishErrorKind::Shelf(Box::new(DatabaseError::new(path, kind)))
}
