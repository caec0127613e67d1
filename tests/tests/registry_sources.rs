//! A registry on a database, on a database or else files, and on a collection of one's own.

use std::fs;

use hotswap_engine::sqlite::{Code, Publication, SqliteModules};
use hotswap_engine::{
    CallError, Collection, Directory, FetchError, ModuleErrorKind, ModuleName, Modules,
    ModulesBuilder, Source,
};
use hotswap_tests::database_world::DatabaseWorld;
use hotswap_tests::plugins::{Plugins, rarely};
use hotswap_tests::prebuilt;

/// A registry of this, which builds beside the database.
fn registry(world: &DatabaseWorld, collection: impl Into<Box<dyn Collection>>) -> ModulesBuilder {
    let target = world.inside("target");
    let builder = rarely(Modules::builder(collection)).log_file(world.inside("hotswap.log"));
    builder.each(move |_, engine| engine.target_dir(&target))
}

fn publish(world: &mut DatabaseWorld, name: &str, code: Code) {
    world.database.publish(&Publication::new(name, code)).expect("published");
}

fn version(modules: &Modules, name: &str) -> u64 {
    modules.get(name).expect("loads").call_with("version", ()).expect("exported")
}

#[test]
fn sw_6_modules_of_a_database_are_loaded_by_name() {
    let mut world = DatabaseWorld::new();
    let modules = registry(&world, SqliteModules::new(world.path())).open().expect("opens");
    assert_eq!(modules.names().expect("readable"), [""; 0]);
    let error = modules.get("greet").expect_err("nobody published it");
    assert!(matches!(error.kind, ModuleErrorKind::Missing), "{error}");
    world.publish(1);
    publish(&mut world, "words", Code::Library(fs::read(prebuilt::sociable(7)).expect("built")));
    assert_eq!(modules.names().expect("readable"), ["greet", "words"]);
    assert_eq!((version(&modules, "greet"), version(&modules, "words")), (1, 7));
    let words = modules.get("words").expect("loaded");
    let asked: Result<u64, CallError> =
        words.call_with("asks", ("greet", "version")).expect("it runs");
    assert_eq!(asked, Ok(1));
    world.publish(2);
    modules.reload("greet").expect("swaps");
    assert_eq!((version(&modules, "greet"), version(&modules, "words")), (2, 7));
    // What cannot be asked is told, and what runs goes on.
    world.sql("PRAGMA user_version = 99");
    let error = modules.names().expect_err("it is of a newer schema");
    assert!(matches!(error.kind, ModuleErrorKind::Collection(_)), "{error}");
    assert_eq!(version(&modules, "greet"), 2);
}

/// What is published later displaces the file, and what is removed from the database gives way to it.
#[test]
fn sw_6_the_database_else_files() {
    let mut world = DatabaseWorld::new();
    let files = Plugins::new(&["greet", "a/words"]);
    let collection = SqliteModules::new(world.path()).or_else(Directory::new(files.directory()));
    let modules = registry(&world, collection).open().expect("opens");
    assert_eq!(modules.names().expect("readable"), ["a/words", "greet"]);
    assert_eq!((version(&modules, "greet"), version(&modules, "a/words")), (1, 1));
    world.publish(5);
    modules.reload("greet").expect("swaps");
    assert_eq!(version(&modules, "greet"), 5);
    let chosen = world.lines("source.chosen");
    let kinds: Vec<_> = chosen
        .iter()
        .filter(|line| line.field("engine") == "greet")
        .map(|line| line.field("src"))
        .collect();
    assert_eq!(kinds, ["prebuilt", "sqlite"]);
    world.sql("DELETE FROM revision; DELETE FROM module");
    modules.reload("greet").expect("swaps");
    assert_eq!(version(&modules, "greet"), 1);
    // A database that cannot be asked holds up no module that lies in a file.
    world.sql("PRAGMA user_version = 99");
    files.put("late", 3);
    assert_eq!(version(&modules, "late"), 3);
}

/// Its modules, and those of nobody else.
#[derive(Debug)]
struct Two([(&'static str, Source); 2]);

impl Collection for Two {
    fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
        Ok(self.0.iter().filter_map(|(name, _)| ModuleName::new(name).ok()).collect())
    }

    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
        let found = self.0.iter().find(|(known, _)| *known == name.as_str());
        Ok(found.map(|(_, source)| source.clone()))
    }
}

#[test]
fn sw_6_a_collection_of_ones_own() {
    let world = DatabaseWorld::new();
    let same = Source::from(prebuilt::sociable(1));
    let two = Two([("one", same.clone()), ("other", same)]);
    let modules = registry(&world, two).open().expect("opens");
    assert_eq!(modules.names().expect("two"), ["one", "other"]);
    assert_eq!((version(&modules, "one"), version(&modules, "other")), (1, 1));
    assert_eq!(modules.loaded(), ["one"], "they are one module");
}
