//! What sources that are no path cost: a look that finds nothing, and the way from a publication to the first call.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotswap_engine::sqlite::{Code, ModuleDatabase, Publication, SqliteSource};
use hotswap_engine::{Engine, Fetch as _, Source};
use hotswap_monitor::{RACY_WINDOW, Scanner};

use crate::build::BareCrate;
use crate::load::Libraries;
use crate::module_crate::{ModuleCrate, Size};
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// Only what is asked for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// How many modules a large database has.
const MODULES: usize = 1_000;

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
        to_live("publish, until it is called", source.into(), &target, || self.publish())
    }

    /// The same, with the database as the first of two sources.
    ///
    /// # Errors
    ///
    /// When what is published is refused.
    pub fn to_live_in_a_chain(&mut self) -> Outcome<Timed<'_>> {
        let source = SqliteSource::new(&self.path, MODULE)?;
        let source = Source::chain([source.into(), Source::from("nowhere.so")]);
        let target = self.path.with_file_name("target_of_chain");
        to_live("publish to a chain, until it is called", source.into(), &target, || self.publish())
    }

    /// Looks at each of a thousand modules of one database that nobody wrote to; one round is one module.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn idle_of_many(&self) -> Outcome<Timed<'static>> {
        let name = |number| format!("module{number}");
        let mut database = ModuleDatabase::create(self.path.with_file_name("many.db"))?;
        let is_made = database.modules()?.len() == MODULES;
        for number in 0..if is_made { 0 } else { MODULES } {
            let code = Code::Text(format!("// {number}"));
            database.publish(&Publication::new(name(number), code))?;
        }
        let path = self.path.with_file_name("many.db");
        let sources = (0..MODULES).map(|number| SqliteSource::new(&path, &name(number)));
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        Ok(Timed::new("sqlite, one of 1,000 modules", move |rounds| {
            let start = Instant::now();
            for source in sources.iter().cycle().take(usize::try_from(rounds)?) {
                source.fingerprint()?;
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

/// An engine on a source, and from before something is put there to after the first call. `put` gives the number that `version`
/// gives then.
fn to_live<'a>(
    name: &str,
    source: Source,
    target: &Path,
    mut put: impl FnMut() -> Outcome<u64> + 'a,
) -> Outcome<Timed<'a>> {
    let engine =
        Engine::builder(source).target_dir(target).without_log().poll_every(RARELY).open()?;
    Ok(Timed::new(name, move |rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            let expected = put()?;
            engine.sync()?;
            let found: u64 = engine.call_with("version", ())?;
            if found != expected {
                return Err(format!("version {found}, not {expected}").into());
            }
        }
        Ok(start.elapsed())
    }))
}

/// A library on disk that is replaced by another.
#[derive(Debug)]
pub struct Replaced {
    path: PathBuf,
    libraries: [PathBuf; 2],
    copies: usize,
}

impl Replaced {
    /// Puts the first library there.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn new(workshop: &Workshop, name: &str, libraries: &Libraries) -> Outcome<Self> {
        let path = workshop.directory(name)?.join("replaced.so");
        let mut replaced = Self { path, libraries: libraries.modules.clone(), copies: 0 };
        replaced.replace()?;
        Ok(replaced)
    }

    /// Puts the other one in its place; gives the number that its `version` gives.
    fn replace(&mut self) -> Outcome<u64> {
        let number = self.copies % 2;
        let new = self.path.with_extension("new");
        fs::copy(&self.libraries[number], &new)?;
        fs::rename(new, &self.path)?;
        self.copies += 1;
        Ok(u64::try_from(number)?)
    }

    /// The floor: the file is copied.
    pub fn alone(&mut self) -> Timed<'_> {
        Timed::new("copy alone", |rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                self.replace()?;
            }
            Ok(start.elapsed())
        })
    }

    /// From before it is copied to after the first call.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn to_live(&mut self) -> Outcome<Timed<'_>> {
        let (source, target) = (Source::from(&self.path), self.path.with_file_name("target"));
        to_live("copy, until it is called", source, &target, || self.replace())
    }
}

/// From before the text of a module of 48 lines is replaced to after the first call: the compiler is a part of it.
///
/// # Errors
///
/// When it does not compile.
pub fn string_to_live(workshop: &Workshop) -> Outcome<Timed<'static>> {
    let module = ModuleCrate::new(workshop, "string", Size::Small)?;
    let mut edits = 0;
    let text = Source::string(module.source(edits));
    let target = workshop.target("string");
    to_live("set a string, until it is called", (&text).into(), &target, move || {
        edits += 1;
        text.set(module.source(edits));
        Ok(edits)
    })
}

/// The floor: `cargo build` of the same edit.
///
/// # Errors
///
/// When it does not build.
pub fn cargo_build(workshop: &Workshop) -> Outcome<Timed<'static>> {
    let mut bare = BareCrate::open(workshop, Size::Small)?;
    Ok(Timed::new("cargo build of the edit", move |rounds| {
        (0..rounds).map(|_| bare.cargo_build()).sum()
    }))
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
    // What was written a moment ago is read at every look.
    std::thread::sleep(RACY_WINDOW + Duration::from_millis(100));
    scanner.scan()?;
    Ok(Timed::new("prebuilt", move |rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            scanner.scan()?;
        }
        Ok(start.elapsed())
    }))
}
