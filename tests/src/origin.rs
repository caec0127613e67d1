//! Every kind of source, and what may be done to all of them: a version put there, a half of one, and all of it taken away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hotswap_engine::sqlite::{Code, CrateArchive, SqliteSource};
use hotswap_engine::{
    BuildBackend, BuildErrorKind, BuildJob, Built, EngineBuilder, Source, StopSignal, StringSource,
};

use crate::database_world::{DatabaseWorld, numbered};
use crate::fake_compiler::{FakeCompiler, text_of};
use crate::prebuilt;
use crate::release_world::{Carrier, ReleaseWorld, edition};

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A `.rs` file.
    File,
    /// The directory of a crate.
    Crate,
    /// The directory of one of two members of a workspace.
    Member,
    /// A library on disk.
    Library,
    /// A text in a database.
    SqliteText,
    /// A crate in a database.
    SqliteCrate,
    /// A library in a database.
    SqliteLibrary,
    /// A signed text on a web server.
    HttpText,
    /// A signed library on a web server.
    HttpLibrary,
    /// A signed library in a directory of releases.
    ReleasedLibrary,
    /// A chain whose first source, a database, has it.
    ChainFirst,
    /// A chain whose last source, a library on disk, has it.
    ChainLast,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Text,
        Self::File,
        Self::Crate,
        Self::Member,
        Self::Library,
        Self::SqliteText,
        Self::SqliteCrate,
        Self::SqliteLibrary,
        Self::HttpText,
        Self::HttpLibrary,
        Self::ReleasedLibrary,
        Self::ChainFirst,
        Self::ChainLast,
    ];

    /// Whether what lies there is to be compiled.
    #[must_use]
    pub fn is_compiled(self) -> bool {
        match self {
            Self::Text
            | Self::File
            | Self::Crate
            | Self::Member
            | Self::SqliteText
            | Self::SqliteCrate
            | Self::HttpText => true,
            Self::Library
            | Self::SqliteLibrary
            | Self::HttpLibrary
            | Self::ReleasedLibrary
            | Self::ChainFirst
            | Self::ChainLast => false,
        }
    }

    /// Releases that are signed, and what they lie on.
    fn carrier(self) -> Option<Carrier> {
        match self {
            Self::HttpText | Self::HttpLibrary => Some(Carrier::Http),
            Self::ReleasedLibrary => Some(Carrier::Directory),
            _ => None,
        }
    }
}

/// A source of some kind, with a database beside it.
#[derive(Debug)]
pub struct Origin {
    kind: Kind,
    /// The database, the place of everything, and the log.
    pub world: DatabaseWorld,
    string: StringSource,
    source: Source,
    /// Crates in one piece, by their text: packed before, so that no fault that a test injects is the publisher's.
    packed: BTreeMap<String, CrateArchive>,
    /// Where signed releases lie.
    releases: Option<ReleaseWorld>,
}

impl Origin {
    /// A source that holds version 1.
    ///
    /// # Panics
    ///
    /// When the target directory cannot be written.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let world = DatabaseWorld::new();
        let string = Source::string(text_of(1));
        let database =
            || Source::from(SqliteSource::new(world.path(), "greet").expect("a good name"));
        let on_disk = world.inside("greet.so");
        let releases = kind.carrier().map(ReleaseWorld::new);
        let released = || releases.as_ref().expect("they are signed").source();
        let source = match kind {
            Kind::Text => Source::from(&string),
            Kind::File => world.inside("greet.rs").into(),
            Kind::Crate => world.inside("greet").into(),
            Kind::Member => world.inside("workspace/greet").into(),
            Kind::Library => on_disk.into(),
            Kind::SqliteText | Kind::SqliteCrate | Kind::SqliteLibrary => database(),
            Kind::HttpText | Kind::HttpLibrary | Kind::ReleasedLibrary => released(),
            Kind::ChainFirst => Source::chain([database(), "nowhere.so".into()]).into(),
            Kind::ChainLast => Source::chain([database(), on_disk.into()]).into(),
        };
        let packed = BTreeMap::new();
        let mut origin = Self { kind, world, string, source, packed, releases };
        match kind {
            Kind::Crate => write_crate(&origin.world.inside("greet"), "[workspace]"),
            Kind::SqliteCrate => {
                let package = origin.world.inside("packed");
                write_crate(&package, "[workspace]");
                for text in [1, 2, 3].map(text_of) {
                    write(&package.join("src/lib.rs"), &text);
                    origin.packed.insert(text, CrateArchive::pack(&package).expect("a crate"));
                }
            }
            Kind::Member => {
                let root = origin.world.inside("workspace");
                write(
                    &root.join("Cargo.toml"),
                    "[workspace]\nmembers = [\"greet\", \"other\"]\nresolver = \"3\"\n[workspace.package]\nversion = \"1.2.3\"\n",
                );
                write_crate(&root.join("greet"), "");
                write(&root.join("other/Cargo.toml"), &manifest("other", ""));
                write(&root.join("other/src/lib.rs"), "");
            }
            _ => {}
        }
        origin.put(1);
        origin
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source.clone()
    }

    /// Puts version 1, 2 or 3 there.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put(&mut self, number: u64) {
        if self.kind.is_compiled() {
            self.put_text(&text_of(number));
        } else {
            self.put_library(&fs::read(prebuilt::numbered(number)).expect("built"));
        }
    }

    /// Puts so much of a version there that it is none.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put_part_of(&mut self, number: u64, percent: usize) {
        if self.kind == Kind::SqliteCrate {
            // A publisher of its own cannot pack half of a crate.
            self.put_text(&text_of(number));
            let (_, code) = self.world.database.code("greet", None).expect("just published");
            let half = code.bytes().len() * percent / 100;
            return self.world.overwrite("crate", &code.bytes()[..half]);
        }
        if self.kind.is_compiled() {
            let text = "version".repeat(10);
            return self.put_text(&text[..text.len() * percent / 100]);
        }
        let Code::Library(bytes) = numbered(number) else { unreachable!("it is one") };
        self.put_library(&bytes[..bytes.len() * percent / 100]);
    }

    /// Takes all of it away. A string stays: it is a part of the program.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn remove(&self) {
        match self.kind {
            Kind::Text => {}
            Kind::File => fs::remove_file(self.world.inside("greet.rs")).expect("there"),
            Kind::Crate => fs::remove_dir_all(self.world.inside("greet")).expect("there"),
            Kind::Member => fs::remove_dir_all(self.world.inside("workspace")).expect("there"),
            Kind::Library => fs::remove_file(self.world.inside("greet.so")).expect("there"),
            Kind::HttpText | Kind::HttpLibrary | Kind::ReleasedLibrary => self.released().vanish(),
            Kind::SqliteText | Kind::SqliteCrate | Kind::SqliteLibrary | Kind::ChainFirst => {
                fs::remove_file(self.world.path()).expect("there");
            }
            Kind::ChainLast => {
                fs::remove_file(self.world.path()).expect("there");
                fs::remove_file(self.world.inside("greet.so")).expect("there");
            }
        }
    }

    /// An engine on it, with a log. What is to be compiled is not: a library with the number in the text is taken.
    pub fn engine(&self) -> EngineBuilder {
        let target = self.world.inside("target");
        let text = match self.kind {
            Kind::File => self.world.inside("greet.rs"),
            Kind::Crate => self.world.inside("greet"),
            Kind::Member => self.world.inside("workspace/greet"),
            _ => target.join("sources"),
        };
        self.plain_engine().backend_if(self.kind.is_compiled(), FakeCompiler::new(&text, &target))
    }

    /// An engine on it where nothing can be compiled.
    pub fn engine_without_compiler(&self) -> EngineBuilder {
        self.plain_engine().backend_if(self.kind.is_compiled(), NoCompiler)
    }

    fn plain_engine(&self) -> EngineBuilder {
        self.world.engine_of(self.source()).offline()
    }

    fn released(&self) -> &ReleaseWorld {
        self.releases.as_ref().expect("a kind whose releases are signed")
    }

    fn released_mut(&mut self) -> &mut ReleaseWorld {
        self.releases.as_mut().expect("a kind whose releases are signed")
    }

    fn put_text(&mut self, text: &str) {
        match self.kind {
            Kind::Text => self.string.set(text),
            Kind::File => write(&self.world.inside("greet.rs"), text),
            Kind::Crate => write(&self.world.inside("greet/src/lib.rs"), text),
            Kind::Member => write(&self.world.inside("workspace/greet/src/lib.rs"), text),
            Kind::HttpText => {
                let text = format!("{text}// {}\n", edition());
                self.released_mut().publish_text(&text);
            }
            Kind::SqliteText => drop(self.world.publish_code(Code::Text(text.to_owned()))),
            _ => {
                let archive = self.packed.get(text).expect("versions 1 to 3 are packed").clone();
                self.world.publish_code(Code::Crate(archive));
            }
        }
    }

    fn put_library(&mut self, bytes: &[u8]) {
        match self.kind {
            Kind::SqliteLibrary | Kind::ChainFirst => {
                self.world.publish_code(Code::Library(bytes.to_vec()));
            }
            Kind::HttpLibrary | Kind::ReleasedLibrary => {
                let bytes = [bytes, &edition().to_le_bytes()].concat();
                self.released_mut().publish_library(bytes);
            }
            // In place, as a careless copy does it.
            _ => fs::write(self.world.inside("greet.so"), bytes).expect("ours"),
        }
    }
}

/// A compiler that is not installed.
#[derive(Debug)]
struct NoCompiler;

impl BuildBackend for NoCompiler {
    fn build(&mut self, _job: &BuildJob, _stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        Err(BuildErrorKind::Spawn { program: PathBuf::from("cargo"), error: error.into() })
    }
}

/// A backend for what needs one.
trait BackendIf {
    fn backend_if(self, is_wanted: bool, backend: impl BuildBackend + 'static) -> Self;
}

impl BackendIf for EngineBuilder {
    fn backend_if(self, is_wanted: bool, backend: impl BuildBackend + 'static) -> Self {
        if is_wanted { self.backend(backend) } else { self }
    }
}

fn manifest(name: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}\n")
}

fn write_crate(directory: &Path, more: &str) {
    write(&directory.join("Cargo.toml"), &manifest("greet", more));
    write(&directory.join("src/lib.rs"), "");
}

fn write(path: &Path, text: &str) {
    let parent = path.parent().expect("a file has a directory");
    fs::create_dir_all(parent).expect("the target directory is writable");
    fs::write(path, text).expect("the target directory is writable");
}
