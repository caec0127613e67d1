//! Signed releases in a database that anybody may write to. Rows D1, D2, D3, D8, D20, D23, D24 and SE-5.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hotswap_engine::delivery::{
    Contents, EXPIRY_DEFAULT, KeyPair, PublishErrorKind, Published, Release, ReleasedModules,
    Releases, Trust,
};
use hotswap_engine::sqlite::{
    CODE_BYTES_MAX, Code, DatabaseErrorKind, ModuleDatabase, Publication, REVISIONS_KEPT,
    SqliteReleases, SqliteSource,
};
use hotswap_engine::{
    ABI_NUMBER, Collection as _, ContentHash, Engine, EngineBuilder, Event, FetchErrorKind, Host,
    RUSTC, ReloadError, ReloadErrorKind, Source, TARGET,
};
use hotswap_system::clock::move_calendar;
use hotswap_tests::database_world::{DatabaseWorld, numbered};
use hotswap_tests::deadline::event;
use hotswap_tests::{again, is_isolated, isolated, prebuilt};
use rusqlite::params;

/// A database of releases that one key signs, and a host that believes it.
struct World {
    database: DatabaseWorld,
    key: KeyPair,
}

impl World {
    fn new() -> Self {
        let key = KeyPair::generate(None).expect("random");
        Self { database: DatabaseWorld::new(), key }
    }

    /// A release that this world's key signs, once more than it can be given away.
    fn signed(&self, release: Release) -> Release {
        let name = format!("key-{}", fs::read_dir(self.database.inside("")).expect("ours").count());
        let [secret, public] = ["secret", "public"].map(|kind| name.clone() + kind);
        let (secret, public) = (self.database.inside(&secret), self.database.inside(&public));
        self.key.write(&secret, &public).expect("writable");
        let release = release.remember_in(self.database.inside("published"));
        release.signed_by(KeyPair::read(&secret, None).expect("it was written"))
    }

    fn release(&mut self, number: u64) -> Published {
        self.publish(library("greet", number))
    }

    fn publish(&mut self, release: Release) -> Published {
        let release = self.signed(release);
        release.publish(&mut self.database.database).expect("published")
    }

    fn trust(&self) -> Trust {
        let trust = Trust::key(&self.key.public()).expect("a key");
        trust.remember_in(self.database.inside("trust")).cache_in(self.database.inside("cache"))
    }

    fn source(&self) -> Releases {
        let source = SqliteSource::new(self.database.path(), "greet").expect("a good name");
        source.trusting(self.trust()).expect("it can be asked for")
    }

    fn builder(&self) -> EngineBuilder {
        self.database.engine_of(self.source().into())
    }

    fn open(&self) -> Engine {
        self.builder().open().expect("released")
    }

    /// What is refused, which changes nothing, and keeps out no good release.
    fn refuses(&mut self, engine: &Engine, said: &[&str]) {
        let before = version(engine);
        let error = engine.sync().expect_err("it is not believed");
        let text = format!("{error:?}");
        assert!(said.iter().all(|said| text.contains(said)), "{text}");
        assert_eq!(version(engine), before);
    }

    /// What is published and damaged while nobody watches is what the next engine finds; it runs what served last.
    fn meanwhile(&mut self, engine: Engine, act: impl FnOnce(&mut Self)) -> Engine {
        let before = version(&engine);
        drop(engine);
        act(self);
        let engine = self.open();
        assert_eq!(version(&engine), before);
        engine
    }

    /// And the next good release is taken.
    fn goes_on(&mut self, engine: &Engine, number: u64) {
        self.release(number);
        assert!(engine.sync().expect("it is well signed").is_swapped());
        assert_eq!(version(engine), number);
    }

    /// The manifest that runs.
    fn manifest(&self) -> Vec<u8> {
        let (_, code) = self.database.database.code("greet", None).expect("there");
        code.bytes().to_vec()
    }
}

fn host() -> Host {
    Host::new(TARGET, ABI_NUMBER.to_string(), RUSTC)
}

fn library(module: &str, number: u64) -> Release {
    let contents = Contents::prebuilt(prebuilt::numbered(number), host()).expect("built");
    Release::new(module, contents)
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

fn kind_of(error: &ReloadError) -> FetchErrorKind {
    let ReloadErrorKind::Unreadable(error) = &error.kind else { panic!("{error:?}") };
    error.fetch_error().expect("the source said it").kind
}

#[test]
fn a_release_runs_from_a_database_and_the_next_wakes_who_runs_it() {
    let mut world = World::new();
    world.release(1);
    let (builder, events) = world.builder().poll_every(Duration::from_millis(100)).subscribe();
    let engine = builder.open().expect("released");
    assert_eq!((version(&engine), engine.versions()[0].release), (1, Some(1)));
    let told = world.database.lines("source.trust").remove(0);
    assert_eq!((told.field("src"), told.field("trust")), ("sqlite", "L2"));
    world.release(2);
    event(&events, "the next release", |event| {
        matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
    });
    assert_eq!((version(&engine), engine.versions()[1].release), (2, Some(2)));
}

#[test]
fn without_trust_a_release_is_believed_and_held_against_its_manifest() {
    let mut world = World::new();
    world.release(1);
    let engine = world.database.engine().open().expect("whoever writes there is believed");
    assert_eq!((version(&engine), engine.versions()[0].release), (1, Some(1)));
    drop(engine);
    world.release(2);
    world.database.sql("UPDATE file SET content = x'00'");
    let engine = world.database.engine().open().expect("what served last can run");
    let error = engine.sync().expect_err("it is not what the manifest says");
    assert!(format!("{error:?}").contains("numbered"), "{error:?}");
    assert_eq!(version(&engine), 1);
    world.release(3);
    engine.sync().expect("it is whole");
    assert_eq!(version(&engine), 3);
}

#[test]
fn d20_a_row_that_nobody_signed_is_refused_and_it_is_said_what_to_do() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    let Code::Library(bytes) = numbered(2) else { unreachable!("it is one") };
    world.database.overwrite("library", &bytes);
    world.refuses(&engine, &["greet", "is a library", "--sign"]);
    let refused = world.database.lines("fetch.refused");
    assert!(refused.iter().any(|line| line.field("msg").contains("--sign")), "{refused:?}");
    // Nothing of it lies anywhere.
    drop(engine);
    let error = world.open().sync().expect_err("it lies there still");
    assert_eq!(kind_of(&error), FetchErrorKind::Refused);
}

#[test]
fn d20_d1_a_forged_manifest_is_refused_byte_for_byte() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    let mut good = Vec::new();
    let engine = world.meanwhile(engine, |world| {
        world.release(2);
        good = world.manifest();
        world.database.overwrite("release", b"no manifest");
    });
    // One byte in each part: what is signed, the signature, the comment that it covers.
    for at in (0..good.len()).step_by(good.len() / 23) {
        let mut forged = good.clone();
        forged[at] ^= 1;
        world.database.overwrite("release", &forged);
        let error = engine.sync().expect_err("it is not what was signed");
        assert_eq!(kind_of(&error), FetchErrorKind::Refused, "byte {at}: {error:?}");
        assert_eq!(version(&engine), 1);
    }
    let thief = KeyPair::generate(None).expect("random");
    let forged =
        Release::new("greet", Contents::prebuilt(prebuilt::numbered(3), host()).expect("built"));
    let other = world.database.inside("other.db");
    let mut elsewhere = ModuleDatabase::create(&other).expect("ours");
    let forged = forged.remember_in(world.database.inside("thief"));
    forged.signed_by(thief).publish(&mut elsewhere).expect("published");
    let (_, code) = elsewhere.code("greet", None).expect("there");
    world.database.overwrite("release", code.bytes());
    world.refuses(&engine, &[]);
    world.database.overwrite("release", &good);
    engine.sync().expect("it is what was signed");
    assert_eq!(version(&engine), 2);
    world.goes_on(&engine, 3);
}

#[test]
fn d20_d2_a_lowered_revision_is_refused_after_a_restart_and_without_the_cache_too() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    world.goes_on(&engine, 2);
    world.database.sql("UPDATE module SET revision = 1");
    world.refuses(&engine, &["release 1", "release 2"]);
    drop(engine);
    let engine = world.open();
    assert_eq!(version(&engine), 2, "what served last");
    world.refuses(&engine, &["release 1"]);
    drop(engine);
    fs::remove_dir_all(world.database.inside("cache")).expect("it was made");
    let engine = world.open();
    world.refuses(&engine, &["release 1"]);
    world.database.sql("UPDATE module SET revision = 2");
    engine.sync().expect("it is what is known");
    world.goes_on(&engine, 3);
}

#[test]
fn d20_an_edited_file_is_refused_by_name_and_asked_for_again() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    let whole: Vec<u8> = fs::read(prebuilt::numbered(2)).expect("built");
    let hash = ContentHash::of(&whole).to_string();
    let put = |world: &World, bytes: &[u8]| {
        let statement = "UPDATE file SET content = ?1 WHERE sha256 = ?2";
        let changed = world.database.connection().execute(statement, params![bytes, hash]);
        assert_eq!(changed.expect("SQL"), 1);
    };
    let engine = world.meanwhile(engine, |world| {
        world.release(2);
        put(world, b"");
    });
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let longer = [&whole[..], b"x"].concat();
    for bytes in [&flipped[..], &whole[..whole.len() - 1], &longer, b""] {
        put(&world, bytes);
        let error = format!("{:?}", engine.sync().expect_err("it is not what was signed"));
        assert!(error.contains(".so") && error.contains("signed by key"), "{error}");
        assert_eq!(version(&engine), 1);
    }
    world.database.sql("PRAGMA foreign_keys = OFF; DELETE FROM file");
    engine.sync().expect_err("it is not there");
    // The very same release, once it is whole.
    world.release(2);
    engine.sync().expect("it is whole");
    assert_eq!(version(&engine), 2);
}

#[test]
fn d20_a_row_that_is_removed_ends_nothing() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    world.database.sql("PRAGMA foreign_keys = OFF; UPDATE module SET name = 'gone'");
    world.refuses(&engine, &["release 1 was accepted"]);
    let engine = world.meanwhile(engine, |_| {});
    world.database.sql("PRAGMA foreign_keys = OFF; UPDATE module SET name = 'greet'");
    engine.sync().expect("it is there again");
    world.goes_on(&engine, 2);
    world.goes_on(&engine, 3);
}

/// A write says that something may be another, and nothing more.
#[test]
fn d20_a_forged_hint_changes_nothing() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    let manifest = world.manifest();
    for _ in 0..3 {
        // Another number and the same manifest.
        world.database.overwrite("release", &manifest);
        assert!(!engine.sync().expect("it is what runs").is_swapped());
    }
    world.database.sql("UPDATE revision SET published_by = 'mallory', reason = 'hotswap!'");
    assert!(!engine.sync().expect("it is what runs").is_swapped());
    assert_eq!(engine.versions().len(), 1);
    world.goes_on(&engine, 2);
}

#[test]
fn d8_a_release_of_another_module_channel_or_host_is_refused() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    let other = |target: &str, abi: &str, toolchain: &str| {
        let host = Host::new(target, abi, toolchain);
        Release::new("greet", Contents::prebuilt(prebuilt::numbered(2), host).expect("built"))
    };
    let abi = ABI_NUMBER.to_string();
    let wrong = [
        (library("farewell", 2), "farewell"),
        (library("greet", 2).channel("beta"), "beta"),
        (other("riscv64gc-unknown-none-elf", &abi, RUSTC), "riscv64gc"),
        (other(TARGET, "0", RUSTC), "boundary"),
        (other(TARGET, &abi, "rustc 1.0.0"), "rustc 1.0.0"),
    ];
    for (index, (release, said)) in wrong.into_iter().enumerate() {
        let path = world.database.inside(&format!("other-{index}.db"));
        let mut elsewhere = ModuleDatabase::create(&path).expect("ours");
        world.signed(release).publish(&mut elsewhere).expect("published");
        let modules = elsewhere.modules().expect("readable");
        let (_, code) = elsewhere.code(&modules[0].name, None).expect("there");
        world.database.overwrite("release", code.bytes());
        let error = format!("{:?}", engine.sync().expect_err("it is for another"));
        assert!(error.contains(said) || said == "boundary", "{said}: {error}");
        assert_eq!(version(&engine), 1);
    }
    drop(engine);
    assert_eq!(version(&world.open()), 1);
}

#[test]
fn d3_what_expired_in_a_database_is_stale_and_what_runs_goes_on() {
    // The calendar is one for the whole process.
    isolated("d3_what_expired_in_a_database_is_stale_and_what_runs_goes_on", || {
        let calendar = move_calendar();
        let mut world = World::new();
        world.release(1);
        let engine = world.open();
        calendar.ahead(EXPIRY_DEFAULT + Duration::from_secs(1));
        for _ in 0..2 {
            let error = engine.sync().expect_err("nobody knows what is the newest");
            assert_eq!(kind_of(&error), FetchErrorKind::Stale, "{error:?}");
        }
        assert_eq!((version(&engine), world.database.lines("detect.stale").len()), (1, 1));
        assert!(engine.status().unreadable.is_some());
        world.goes_on(&engine, 2);
        assert!(engine.status().unreadable.is_none());
    });
}

#[test]
fn d23_the_floor_of_a_release_in_a_database_is_where_rollbacks_end() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    world.goes_on(&engine, 2);
    world.publish(library("greet", 3).floor(2));
    engine.sync().expect("released");
    engine.rollback().expect("release 2 may run");
    assert_eq!(version(&engine), 2);
    let error = engine.rollback().expect_err("release 1 is below the floor");
    assert!(error.to_string().contains("none below 2"), "{error}");
}

/// What ran when anybody was believed is not what a host that believes a key begins with.
#[test]
fn d20_what_served_unsigned_is_not_gone_back_to() {
    let mut world = World::new();
    world.database.publish(1);
    drop(world.database.engine().open().expect("unsigned"));
    let error = world.builder().open().expect_err("nobody signed it");
    assert!(format!("{error:?}").contains("--sign"), "{error:?}");
    world.release(2);
    assert_eq!(version(&world.open()), 2);
}

#[test]
fn what_is_not_signed_is_not_published_over_what_is() {
    let mut world = World::new();
    world.release(1);
    world.release(2);
    let database = &mut world.database.database;
    let error = database.publish(&Publication::new("greet", numbered(3))).expect_err("unsigned");
    assert!(matches!(error.kind, DatabaseErrorKind::Released { .. }), "{error}");
    let error = database.restore("greet", 1, "alice", "back").expect_err("a lower number");
    assert!(matches!(error.kind, DatabaseErrorKind::Numbered { .. }), "{error}");
    let error = library("greet", 3).channel("beta").publish(database).expect_err("one channel");
    assert!(error.to_string().contains("channel stable"), "{error}");
    let listed = database.modules().expect("readable").remove(0).current;
    assert_eq!((listed.kind.as_str(), listed.why.as_str()), ("release", "release 2 (stable)"));
    assert!(listed.by.starts_with("key "), "{listed:?}");
    // Unsigned revisions of before are followed by a release.
    let other = Publication::new("other", numbered(1));
    database.publish(&other).expect("unsigned");
    library("other", 2).publish(database).expect("the first release");
    assert_eq!(database.revisions("other").expect("two").len(), 2);
}

#[test]
fn what_another_module_has_or_had_before_is_not_followed_in_a_database() {
    let mut world = World::new();
    world.release(1);
    let first = world.manifest();
    world.release(2);
    let mut elsewhere = ModuleDatabase::create(world.database.inside("other.db")).expect("ours");
    world.signed(library("admin", 1)).publish(&mut elsewhere).expect("published");
    let (_, code) = elsewhere.code("admin", None).expect("there");
    world.database.overwrite("release", code.bytes());
    let renewed = world.signed(Release::renew("greet"));
    let error = renewed.publish(&mut world.database.database).expect_err("another module");
    assert!(matches!(error.kind, PublishErrorKind::Foreign { .. }), "{error}");
    world.database.overwrite("release", &first);
    let renewed = world.signed(Release::renew("greet"));
    let error = renewed.publish(&mut world.database.database).expect_err("an older one");
    assert!(matches!(error.kind, PublishErrorKind::Behind { published: 2, .. }), "{error}");
    assert_eq!(world.manifest(), first, "it is as it was");
}

#[test]
fn files_of_releases_that_are_not_kept_any_more_are_removed_and_equal_ones_lie_there_once() {
    let mut world = World::new();
    let place = world.database.inside("text.rs");
    let count = |world: &World| -> i64 {
        let query = "SELECT count(*) FROM file";
        world.database.connection().query_row(query, [], |row| row.get(0)).expect("SQL")
    };
    let put = |world: &mut World, text: &str| {
        fs::write(&place, text).expect("ours");
        world.publish(Release::new("greet", Contents::file(&place).expect("readable")))
    };
    put(&mut world, "// one");
    put(&mut world, "// two");
    world.publish(Release::renew("greet"));
    assert_eq!(count(&world), 2);
    for _ in 0..REVISIONS_KEPT {
        put(&mut world, "// three");
    }
    assert_eq!(count(&world), 1);
}

#[test]
fn what_is_too_large_is_neither_published_nor_fetched() {
    let mut world = World::new();
    world.release(1);
    let engine = world.open();
    let path = world.database.inside("large.so");
    let large = fs::File::create(&path).expect("ours");
    large.set_len(CODE_BYTES_MAX + 1).expect("sparse");
    let release = Release::new("greet", Contents::prebuilt(&path, host()).expect("readable"));
    let release = world.signed(release);
    let error = release.publish(&mut world.database.database).expect_err("too large");
    assert!(error.to_string().contains(&CODE_BYTES_MAX.to_string()), "{error}");
    assert_eq!(world.database.database.revisions("greet").expect("whole").len(), 1);
    let engine = world.meanwhile(engine, |world| {
        world.release(2);
        let large = CODE_BYTES_MAX + 1;
        world.database.sql(&format!("UPDATE file SET content = zeroblob({large})"));
    });
    world.refuses(&engine, &["greet", &CODE_BYTES_MAX.to_string()]);
    world.goes_on(&engine, 3);
}

#[test]
fn released_modules_of_a_database_are_found_by_name() {
    let mut world = World::new();
    world.release(1);
    world.database.database.publish(&Publication::new("plain", numbered(2))).expect("unsigned");
    let base = std::sync::Arc::new(SqliteReleases::new(world.database.path()));
    let modules = ReleasedModules::new([base as _], world.trust());
    let names = modules.names().expect("readable");
    assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["greet"]);
    let source = modules.source(&names[0]).expect("readable").expect("it is there");
    let engine = world.database.engine_of(source).open().expect("released");
    assert_eq!(version(&engine), 1);
}

/// One publishes, two run it, each a process of its own.
#[test]
fn three_processes_share_a_database_of_releases() {
    const NAME: &str = "three_processes_share_a_database_of_releases";
    const PLACE: &str = "HOTSWAP_TESTS_PLACE";
    const KEY: &str = "HOTSWAP_TESTS_KEY";
    if is_isolated(NAME) {
        let place = std::env::var(PLACE).expect("the first process names it");
        let key = std::env::var(KEY).expect("the first process names it");
        let own = Path::new(&place).join(std::process::id().to_string());
        let trust = Trust::key(&key).expect("a key");
        let trust = trust.remember_in(own.join("trust")).cache_in(own.join("cache"));
        let database = Path::new(&place).join("modules.db");
        let source = SqliteSource::new(database, "greet").expect("a good name");
        let source: Source = source.trusting(trust).expect("it can be asked for").into();
        let engine = Engine::builder(source).target_dir(own.join("target")).without_log();
        let (builder, events) = engine.poll_every(Duration::from_millis(50)).subscribe();
        let engine = builder.open().expect("released");
        fs::write(own.join("runs"), "").expect("ours");
        event(&events, "release 2", |_| (version(&engine) == 2).then_some(()));
        return;
    }
    let mut world = World::new();
    world.release(1);
    let place = world.database.inside("");
    let run = || {
        let mut command = again(NAME, &[]);
        command.env(PLACE, &place).env(KEY, world.key.public()).stdout(std::process::Stdio::null());
        command.spawn().expect("it starts")
    };
    let mut processes = [run(), run()];
    hotswap_tests::deadline::until("both run release 1", || {
        let runs =
            |process: &std::process::Child| place.join(process.id().to_string()).join("runs");
        processes.iter().all(|process| runs(process).exists())
    });
    world.release(2);
    for process in &mut processes {
        assert!(process.wait().expect("it ends").success());
    }
}
