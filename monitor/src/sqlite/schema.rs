//! The tables, and the way from any older version of them to this one.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::DatabaseErrorKind;
use super::database::text;

/// What says that a database is one of modules: "hsdb".
const APPLICATION_ID: i64 = 0x6873_6462;

/// What each version of the schema adds to the one before it. What stands here is never changed, only added to.
const MIGRATIONS: &[&str] = &[
    // 1: revisions, of which the module names the last.
    "CREATE TABLE module (
        name     TEXT PRIMARY KEY NOT NULL,
        revision INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE revision (
        module       TEXT NOT NULL REFERENCES module (name),
        revision     INTEGER NOT NULL,
        kind         TEXT NOT NULL,
        code         BLOB NOT NULL,
        sha256       TEXT NOT NULL,
        published_ms INTEGER NOT NULL,
        published_by TEXT NOT NULL,
        reason       TEXT NOT NULL,
        PRIMARY KEY (module, revision)
     ) STRICT;",
    // 2: what a single file depends on, one line each.
    "ALTER TABLE revision ADD COLUMN dependencies TEXT NOT NULL DEFAULT '';",
    // 3: the code stands last. What stands behind it is read through all of its pages, at every look that somebody wrote before.
    "CREATE TABLE revision_3 (
        module       TEXT NOT NULL REFERENCES module (name),
        revision     INTEGER NOT NULL,
        kind         TEXT NOT NULL,
        sha256       TEXT NOT NULL,
        published_ms INTEGER NOT NULL,
        published_by TEXT NOT NULL,
        reason       TEXT NOT NULL,
        dependencies TEXT NOT NULL DEFAULT '',
        code         BLOB NOT NULL,
        PRIMARY KEY (module, revision)
     ) STRICT;
     INSERT INTO revision_3
        SELECT module, revision, kind, sha256, published_ms, published_by, reason, dependencies, code FROM revision;
     DROP TABLE revision;
     ALTER TABLE revision_3 RENAME TO revision;",
    // 4: releases, whose files lie here by their hashes, each once; the code of such a revision is the signed manifest.
    "CREATE TABLE file (
        module  TEXT NOT NULL REFERENCES module (name),
        sha256  TEXT NOT NULL,
        content BLOB NOT NULL,
        PRIMARY KEY (module, sha256)
     ) STRICT;
     CREATE TABLE release_file (
        module   TEXT NOT NULL,
        revision INTEGER NOT NULL,
        sha256   TEXT NOT NULL,
        PRIMARY KEY (module, revision, sha256),
        FOREIGN KEY (module, sha256) REFERENCES file (module, sha256)
     ) STRICT, WITHOUT ROWID;",
];

/// The version that this program writes.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Whether all of this program's names are tables, which end: a view need not, and a virtual table is a program.
pub(super) fn must_be_tables(connection: &Connection) -> Result<(), DatabaseErrorKind> {
    let found = connection
        .query_row(
            "SELECT lower(name), type FROM sqlite_schema
             WHERE lower(name) IN ('module', 'revision', 'file', 'release_file')
                AND NOT (type = 'table' AND rootpage > 0)",
            [],
            |row| Ok((text(row, 0)?, text(row, 1)?)),
        )
        .optional()?;
    match found {
        None => Ok(()),
        Some((name, kind)) => {
            let found = if kind == "table" { "virtual table".to_owned() } else { kind };
            Err(DatabaseErrorKind::NoTable { name, found })
        }
    }
}

/// Whether the tables are what this program knows.
pub(super) fn is_newest(connection: &Connection) -> Result<bool, DatabaseErrorKind> {
    Ok(version(connection)? == newest())
}

/// Makes the tables what this program knows: all of it or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), DatabaseErrorKind> {
    // Another process may be at the same: who comes second finds it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let missing = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(missing) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", newest())?;
    transaction.commit()?;
    Ok(())
}

/// The version of a database of modules; 0 of an empty one.
fn version(connection: &Connection) -> Result<i64, DatabaseErrorKind> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION_ID {
        let is_used: bool =
            connection
                .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
        if application != 0 || version != 0 || is_used {
            return Err(DatabaseErrorKind::Foreign);
        }
    }
    if version > newest() {
        return Err(DatabaseErrorKind::Newer { found: version, known: newest() });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_older_schema_becomes_the_newest_and_keeps_what_it_holds() {
        for older in 1..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for migration in &MIGRATIONS[..older] {
                connection.execute_batch(migration).unwrap();
            }
            connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            connection.pragma_update(None, "user_version", i64::try_from(older).unwrap()).unwrap();
            connection
                .execute_batch(
                    "INSERT INTO module VALUES ('greet', 1);
                     INSERT INTO revision
                        (module, revision, kind, code, sha256, published_ms, published_by, reason)
                        VALUES ('greet', 1, 'text', x'00', '', 0, 'a', 'b');",
                )
                .unwrap();
            migrate(&mut connection).unwrap();
            assert_eq!(version(&connection).unwrap(), newest());
            let kept: (String, Vec<u8>, String) = connection
                .query_row("SELECT dependencies, code, reason FROM revision", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            assert_eq!(kept, (String::new(), vec![0], "b".to_owned()), "from {older}");
        }
    }

    #[test]
    fn other_databases_and_newer_ones_are_left_alone() {
        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE customer (name TEXT)").unwrap();
        assert!(matches!(migrate(&mut other), Err(DatabaseErrorKind::Foreign)));
        let mut newer = Connection::open_in_memory().unwrap();
        migrate(&mut newer).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut newer).unwrap_err();
        assert!(matches!(error, DatabaseErrorKind::Newer { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("update it"), "{error}");
    }
}
