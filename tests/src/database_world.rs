//! A database of modules with everything around it, in one directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_engine::sqlite::{Code, ModuleDatabase, Publication, SqliteSource};
use hotswap_engine::{ContentHash, Engine, EngineBuilder, Source};
use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::log_lines::{LogLine, log_lines};
use crate::prebuilt;
use crate::workspace::build_directory;

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// A database in a directory of its own, with an engine on its module `greet`.
#[derive(Debug)]
pub struct DatabaseWorld {
    place: TempDir,
    /// The database.
    pub database: ModuleDatabase,
}

impl DatabaseWorld {
    /// A database without modules.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn new() -> Self {
        // Beside the libraries: they can be linked.
        let place = tempfile::tempdir_in(build_directory()).expect("ours");
        let database = ModuleDatabase::create(place.path().join("modules.db")).expect("created");
        Self { place, database }
    }

    /// A path inside.
    #[must_use]
    pub fn inside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.inside("modules.db")
    }

    /// Publishes a library whose `version` gives this number; gives the revision.
    pub fn publish(&mut self, number: u64) -> u64 {
        self.publish_code(numbered(number))
    }

    /// Publishes code; gives the revision.
    ///
    /// # Panics
    ///
    /// When it is not taken.
    pub fn publish_code(&mut self, code: Code) -> u64 {
        let publication = Publication::new("greet", code).by("alice").why("a test");
        self.database.publish(&publication).expect("published").number
    }

    /// An engine on it, with a log. Only what the test asks for, or the database itself, has it look.
    pub fn engine(&self) -> EngineBuilder {
        engine_on(&self.path()).log_file(self.inside("hotswap.log"))
    }

    /// The same, on another source.
    pub fn engine_of(&self, source: Source) -> EngineBuilder {
        let builder = Engine::builder(source).target_dir(self.inside("target"));
        builder.log_file(self.inside("hotswap.log")).poll_every(RARELY)
    }

    /// Past the API, as another program might.
    ///
    /// # Panics
    ///
    /// When SQLite says no.
    pub fn sql(&self, statement: &str) {
        self.connection().execute_batch(statement).expect("SQL");
    }

    /// Another program's connection.
    ///
    /// # Panics
    ///
    /// When SQLite says no.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection::open(self.path()).expect("it is there")
    }

    /// Makes the last revision another, which holds these bytes, digest and all.
    ///
    /// # Panics
    ///
    /// When SQLite says no.
    pub fn overwrite(&self, kind: &str, bytes: &[u8]) {
        let connection = self.connection();
        connection
            .execute(
                "UPDATE revision SET kind = ?1, code = ?2, sha256 = ?3, revision = revision + 1
                 WHERE revision = (SELECT revision FROM module)",
                params![kind, bytes, ContentHash::of(bytes).to_string()],
            )
            .expect("SQL");
        connection.execute_batch("UPDATE module SET revision = revision + 1").expect("SQL");
    }

    /// The lines of an event in the log of the engine.
    #[must_use]
    pub fn lines(&self, wanted: &str) -> Vec<LogLine> {
        let mut lines = log_lines(&self.inside("hotswap.log"));
        lines.retain(|line| line.event == wanted);
        lines
    }
}

impl Default for DatabaseWorld {
    fn default() -> Self {
        Self::new()
    }
}

/// An engine on the module `greet` of a database, with no log.
///
/// # Panics
///
/// Never: it is a good name.
pub fn engine_on(database: &Path) -> EngineBuilder {
    let source = SqliteSource::new(database, "greet").expect("a good name");
    let target = database.with_file_name("target");
    Engine::builder(source).target_dir(target).without_log().poll_every(RARELY)
}

/// A library whose `version` gives this number.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn numbered(number: u64) -> Code {
    Code::Library(fs::read(prebuilt::numbered(number)).expect("built"))
}
