//! A connection to a database that anybody may have written to: no question takes more time or memory than it is worth.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotswap_system::clock;
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::database::identity;
use super::{CODE_BYTES_MAX, DatabaseErrorKind, schema};

/// How long one question to a database may take.
///
/// 5 s: a question takes milliseconds, 64 MiB of code from a slow disk take a second; all who share the connection wait for it.
pub const QUESTION_MAX: Duration = Duration::from_secs(5);

/// How long it may take to bring an older schema up to date: all revisions are copied.
const MIGRATION_MAX: Duration = Duration::from_secs(30);

/// The longest text of a revision, in bytes: who published it, why, what it depends on.
pub const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// The most modules that a database is looked through for.
pub const MODULES_MAX: usize = 100_000;

/// What a row holds besides its code.
const ROOM_BYTES: u64 = 1024 * 1024;

/// How many steps SQLite takes between two looks at the clock: about a millisecond.
const STEPS: i32 = 10_000;

/// A connection by which every question has its time.
#[derive(Debug)]
pub(super) struct Bounded {
    connection: Connection,
    time: QuestionTime,
}

/// The time that is left to the question of now.
#[derive(Debug, Clone)]
pub(super) struct QuestionTime(Arc<Mutex<(Instant, Duration)>>);

impl QuestionTime {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((clock::now(), QUESTION_MAX))))
    }

    /// Another question begins.
    pub(super) fn start(&self) {
        self.allow(QUESTION_MAX);
    }

    fn allow(&self, time: Duration) {
        *self.0.lock() = (clock::now(), time);
    }

    fn is_over(&self) -> bool {
        let (start, time) = *self.0.lock();
        clock::since(start) > time
    }
}

impl Bounded {
    /// Opens a database; who has it locked is waited for, for this long.
    pub(super) fn open(
        path: &Path,
        flags: OpenFlags,
        busy_max: Duration,
    ) -> Result<Self, DatabaseErrorKind> {
        let is_new = match identity(path) {
            Err(DatabaseErrorKind::Missing) if flags.contains(OpenFlags::SQLITE_OPEN_CREATE) => {
                true
            }
            found => found.map(|_| false)?,
        };
        // No name with a meaning of its own, and each connection is used by one thread at a time.
        let mut connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        let time = QuestionTime::new();
        bound(&mut connection, &time)?;
        connection.busy_timeout(busy_max)?;
        // A publication that was told is not lost to a power failure, and a constraint is one.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let is_newest = schema::is_newest(&connection)?;
        schema::must_be_tables(&connection)?;
        if !is_newest {
            time.allow(MIGRATION_MAX);
            schema::migrate(&mut connection)?;
        }
        if is_new {
            connection.pragma_update(None, "journal_mode", "WAL")?;
        }
        Ok(Self { connection, time })
    }

    /// The connection, for one question.
    pub(super) fn ask(&self) -> &Connection {
        self.time.start();
        &self.connection
    }

    /// The same, for one publication.
    pub(super) fn ask_mut(&mut self) -> &mut Connection {
        self.time.start();
        &mut self.connection
    }

    /// Its time, for a publication that asks more than once.
    #[cfg(feature = "publish")]
    pub(super) fn time(&self) -> QuestionTime {
        self.time.clone()
    }
}

/// What lies in the file was written by anybody. *Source*: sqlite.org/security.html, untrusted database files.
fn bound(connection: &mut Connection, time: &QuestionTime) -> rusqlite::Result<()> {
    let bytes_max = i32::try_from(CODE_BYTES_MAX + ROOM_BYTES).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes_max)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    let time = time.clone();
    connection.progress_handler(STEPS, Some(move || time.is_over()))
}

#[cfg(test)]
mod tests {
    use rusqlite::ErrorCode;

    use super::super::{BUSY_MAX, DatabaseErrorKind};
    use super::*;

    fn opened(directory: &Path) -> Bounded {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Bounded::open(&directory.join("modules.db"), flags, BUSY_MAX).unwrap()
    }

    #[test]
    fn d20_a_question_that_takes_too_long_is_broken_off_and_the_next_has_its_own_time() {
        let place = tempfile::tempdir().unwrap();
        let bounded = opened(place.path());
        let count = |connection: &Connection, to: u64| {
            let query = format!(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {to})
                 SELECT count(*) FROM n"
            );
            connection.query_row(&query, [], |row| row.get::<_, i64>(0))
        };
        let connection = bounded.ask();
        bounded.time.allow(Duration::ZERO);
        // Not endless, so that this test ends whatever happens.
        let error = count(connection, 3_000_000).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted));
        let kind = DatabaseErrorKind::from(error);
        assert!(kind.is_about_the_database(), "it is opened anew");
        assert!(kind.to_string().contains("longer than 5 s"), "{kind}");
        assert_eq!(count(bounded.ask(), 30_000).unwrap(), 30_000);
    }

    #[test]
    fn d20_no_value_is_longer_than_the_longest_code_and_some_room() {
        let place = tempfile::tempdir().unwrap();
        let bounded = opened(place.path());
        let length = |bytes: u64| {
            let query = format!("SELECT length(randomblob({bytes}))");
            bounded.ask().query_row(&query, [], |row| row.get::<_, i64>(0))
        };
        assert!(length(1_000).is_ok());
        let error = length(CODE_BYTES_MAX + ROOM_BYTES + 1).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::TooBig));
    }
}
