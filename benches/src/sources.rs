//! What sources that are no path cost: a look that finds nothing, and the way from a publication to the first call.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotswap_engine::sqlite::{Code, ModuleDatabase, Publication, SqliteSource};
use hotswap_engine::{Engine, Fetch as _, Source};
use hotswap_monitor::Scanner;

use crate::load::Libraries;
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// Only what is asked for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// The module's name in the database.
const MODULE: &str = "loaded";

/// A database with a module in it.
#[derive(Debug)]
pub struct Published {
    path: PathBuf,
    database: ModuleDatabase,
    libraries: [Vec<u8>; 2],
    revision: u64,
}

impl Published {
    /// Makes it anew, with the first library in it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn new(workshop: &Workshop, name: &str, libraries: &Libraries) -> Outcome<Self> {
        let directory = workshop.directory(name)?;
        let path = directory.join("modules.db");
        for suffix in ["", "-wal", "-shm"] {
            let _absent = fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let [first, second] = &libraries.modules;
        let libraries = [fs::read(first)?, fs::read(second)?];
        let database = ModuleDatabase::create(&path)?;
        let mut published = Self { path, database, libraries, revision: 0 };
        published.publish()?;
        Ok(published)
    }

    /// Publishes the other library; gives the number that its `version` gives.
    fn publish(&mut self) -> Outcome<u64> {
        let bytes = &self.libraries[usize::try_from(self.revision % 2)?];
        let publication = Publication::new(MODULE, Code::Library(bytes.clone()));
        self.revision = self.database.publish(&publication)?.number;
        Ok((self.revision - 1) % 2)
    }

    /// The floor of a publication: the row is written, and on the disk.
    pub fn alone(&mut self) -> Timed<'_> {
        Timed::new("publish alone", |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                self.publish()?;
            }
            Ok(start.elapsed())
        })
    }

    /// From before the publication to after the first call.
    ///
    /// # Errors
    ///
    /// When what is published is refused.
    pub fn to_live(&mut self) -> Outcome<Timed<'_>> {
        let source = SqliteSource::new(&self.path, MODULE)?;
        let target = self.path.with_file_name("target");
        let engine =
            Engine::builder(source).target_dir(target).without_log().poll_every(RARELY).open()?;
        Ok(Timed::new("publish, until it is called", move |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                let expected = self.publish()?;
                engine.sync()?;
                let found: u64 = engine.call_with("version", ())?;
                if found != expected {
                    return Err(format!("version {found}, not {expected}").into());
                }
            }
            Ok(start.elapsed())
        }))
    }

    /// A look at a database that nobody wrote to.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn idle(&self) -> Outcome<Timed<'static>> {
        let source = SqliteSource::new(&self.path, MODULE)?;
        source.fingerprint()?;
        Ok(Timed::new("sqlite", move |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                source.fingerprint()?;
            }
            Ok(start.elapsed())
        }))
    }

    /// The floor of all looks: the times of one file.
    #[must_use]
    pub fn stat(&self) -> Timed<'_> {
        Timed::new("statx of one path", |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                fs::metadata(&self.path)?;
            }
            Ok(start.elapsed())
        })
    }
}

/// A look at a string that is the same.
#[must_use]
pub fn idle_string() -> Timed<'static> {
    let source = Source::string("pub fn f1() {}\n".repeat(1_000));
    Timed::new("string", move |rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            source.fingerprint()?;
        }
        Ok(start.elapsed())
    })
}

/// A look at a prebuilt library that is the same.
///
/// # Errors
///
/// When it cannot be read.
pub fn idle_library(library: &Path) -> Outcome<Timed<'static>> {
    let mut scanner = Scanner::new(&Source::from(library));
    scanner.scan()?;
    Ok(Timed::new("prebuilt", move |rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            scanner.scan()?;
        }
        Ok(start.elapsed())
    }))
}
