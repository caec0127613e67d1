//! A database as all monitors of this process see it: by one connection, however many modules of it they watch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use super::bounded::Bounded;
use super::database::{BUSY_MAX, identity};
use super::listing::{Listed, listing};
use super::{DatabaseErrorKind, ModuleName, schema};

/// The databases that are watched, by their absolute paths.
static WATCHED: Mutex<BTreeMap<PathBuf, Weak<SharedDatabase>>> = Mutex::new(BTreeMap::new());

/// One database; its connection is closed with the last source that goes by it.
#[derive(Debug)]
pub(super) struct SharedDatabase {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// Whether it was locked when it was last asked. Nobody else waits for that, or a thousand modules would, one after the other.
    is_locked: bool,
}

/// A connection, and what it said.
#[derive(Debug)]
struct Open {
    connection: Bounded,
    /// Device and inode of the file.
    identity: (u64, u64),
    /// All that run; `None` before the first answer.
    listed: Option<(DataVersion, BTreeMap<String, Listed>)>,
}

/// Differs when another connection has written. *Source*: sqlite.org/pragma.html#pragma_data_version.
type DataVersion = i64;

impl SharedDatabase {
    /// The database at this path, which is absolute. Reads nothing.
    pub(super) fn of(path: &Path) -> Arc<Self> {
        let mut watched = WATCHED.lock();
        if let Some(database) = watched.get(path).and_then(Weak::upgrade) {
            return database;
        }
        watched.retain(|_, database| database.strong_count() > 0);
        let database = Arc::new(Self { path: path.to_owned(), state: Mutex::default() });
        watched.insert(path.to_owned(), Arc::downgrade(&database));
        database
    }

    /// What runs of a module; `None` when there is no such module. While nobody writes, it is known: to look whether anybody did
    /// takes some microseconds, and then all modules are read at once.
    pub(super) fn listed(&self, module: &ModuleName) -> Result<Option<Listed>, DatabaseErrorKind> {
        self.ask_open(|open| {
            let query = |row: &rusqlite::Row<'_>| row.get(0);
            let connection = open.connection.ask();
            let data_version = connection.pragma_query_value(None, "data_version", query)?;
            let listed = match open.listed.take() {
                Some((known, listed)) if known == data_version => listed,
                _ => {
                    schema::must_be_tables(connection)?;
                    listing(connection)?
                }
            };
            // The version is of before the answer: what was written since is asked about again.
            let (_, listed) = open.listed.insert((data_version, listed));
            Ok(listed.get(module.as_str()).copied())
        })
    }

    /// Asks the database; who asks as well waits.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, DatabaseErrorKind>,
    ) -> Result<T, DatabaseErrorKind> {
        self.ask_open(|open| question(open.connection.ask()))
    }

    /// Asks the database; after a failure it is opened anew the next time.
    fn ask_open<T>(
        &self,
        question: impl FnOnce(&mut Open) -> Result<T, DatabaseErrorKind>,
    ) -> Result<T, DatabaseErrorKind> {
        let mut state = self.state.lock();
        let answer = self.opened(&mut state).and_then(|open| question(state.open.insert(open)));
        match &answer {
            Err(kind) if kind.is_about_the_database() => {
                *state = State { open: None, is_locked: kind.is_locked() };
            }
            _ if state.is_locked => {
                let open = state.open.as_ref();
                let patient =
                    open.map_or(Ok(()), |open| open.connection.ask().busy_timeout(BUSY_MAX));
                // Cannot fail, and one that did not wait would be opened anew.
                state.is_locked = patient.is_err();
            }
            _ => {}
        }
        answer
    }

    fn opened(&self, state: &mut State) -> Result<Open, DatabaseErrorKind> {
        let identity = identity(&self.path)?;
        match state.open.take() {
            // Replaced, or removed and made again: the old one is not what lies there.
            Some(open) if open.identity == identity => Ok(open),
            _ => {
                let patience = if state.is_locked { Duration::ZERO } else { BUSY_MAX };
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
                let connection = Bounded::open(&self.path, flags, patience)?;
                Ok(Open { connection, identity, listed: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hotswap_artifact::{Fetch as _, Pause, Woken};

    use super::super::{Code, ModuleDatabase, Publication, SqliteSource};
    use super::*;

    /// How many modules there are.
    const MODULES: usize = 1_000;

    struct Place {
        path: PathBuf,
        database: ModuleDatabase,
        _directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("modules.db");
            Self { database: ModuleDatabase::create(&path).unwrap(), path, _directory: directory }
        }

        fn publish(&mut self, name: &str, text: &str) {
            let code = Code::Text(text.to_owned());
            self.database.publish(&Publication::new(name, code)).unwrap();
        }

        fn source(&self, name: &str) -> SqliteSource {
            SqliteSource::new(&self.path, name).unwrap()
        }

        /// How often this process has the database open.
        #[cfg(target_os = "linux")]
        fn connections(&self) -> usize {
            let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == self.path))
                .count()
        }
    }

    /// The place of what was read of all modules: another when it was read again.
    fn reading(database: &SharedDatabase) -> Option<*const Listed> {
        let state = database.state.lock();
        let (_, listed) = state.open.as_ref()?.listed.as_ref()?;
        listed.values().next().map(std::ptr::from_ref)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thousand_modules_share_a_connection_and_what_it_says() {
        let mut place = Place::new();
        let names: Vec<String> = (0..MODULES).map(|number| format!("m{number}")).collect();
        // Past the publisher, who waits for the disk a thousand times.
        place
            .database
            .connection
            .ask()
            .execute_batch(
                "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
                 INSERT INTO module SELECT 'm' || n, 1 FROM n;
                 INSERT INTO revision SELECT name, 1, 'text', '', 0, '', '', '', x'00' FROM module;",
            )
            .unwrap();
        let before = place.connections();
        let sources: Vec<_> = names.iter().map(|name| place.source(name)).collect();
        let look = || {
            let answers = sources.iter().map(|source| source.fingerprint().unwrap().unwrap());
            answers.collect::<Vec<_>>()
        };
        let first = look();
        assert_eq!(place.connections(), before + 1);
        let shared = SharedDatabase::of(&place.path);
        let read = reading(&shared).unwrap();
        assert_eq!(look(), first);
        assert_eq!(reading(&shared), Some(read), "nobody wrote");
        // One is published: it is another, and no other is.
        place.publish("m500", "// two");
        let second = look();
        let changed: Vec<_> = (0..MODULES).filter(|at| first[*at] != second[*at]).collect();
        assert_eq!(changed, [500]);
        assert_eq!(place.connections(), before + 1);
        drop((sources, shared));
        // SQLite closes the file with the last of all that have it open.
        drop(std::mem::replace(&mut place.database, Place::new().database));
        assert_eq!(place.connections(), 0);
    }

    #[test]
    fn a_publication_wakes_who_watches_this_module_and_nobody_else() {
        let mut place = Place::new();
        place.publish("one", "// 1");
        place.publish("other", "// 1");
        let (one, other) = (place.source("one"), place.source("other"));
        assert_ne!(one.fingerprint().unwrap(), None);
        assert_ne!(other.fingerprint().unwrap(), None);
        place.publish("one", "// 2");
        let period = Duration::from_millis(40);
        let sleep = |_| Woken::ByTime;
        assert_eq!(other.wait(&Pause::new(period, &sleep)), Woken::ByTime);
        // Though the other one has read it already.
        assert_eq!(one.wait(&Pause::new(period, &sleep)), Woken::ByChange);
    }

    /// A thousand modules of a locked database wait once.
    #[test]
    fn of_those_who_find_it_locked_the_first_one_waits() {
        let mut place = Place::new();
        place.publish("one", "// 1");
        // In this mode a reader needs the lock that a writer keeps others from.
        place.database.connection.ask().pragma_update(None, "journal_mode", "DELETE").unwrap();
        let source = place.source("one");
        place.database.connection.ask().execute_batch("BEGIN EXCLUSIVE").unwrap();
        assert!(source.fingerprint().is_err());
        assert!(source.database().state.lock().is_locked);
        for _ in 0..MODULES {
            let error = source.fingerprint().unwrap_err().to_string();
            assert!(error.contains("locked by another process"), "{error}");
        }
        place.database.connection.ask().execute_batch("COMMIT").unwrap();
        assert!(source.fingerprint().unwrap().is_some());
        let state = source.database().state.lock();
        let busy: i64 = state
            .open
            .as_ref()
            .unwrap()
            .connection
            .ask()
            .pragma_query_value(None, "busy_timeout", |row| row.get(0))
            .unwrap();
        assert_eq!(Duration::from_millis(u64::try_from(busy).unwrap()), BUSY_MAX);
    }
}
