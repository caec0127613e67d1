//! Modules in an SQLite database that is locked, damaged, foreign, full or gone, or holds what is no module: what runs goes on, and
//! the next good publication installs.

use std::fs;
use std::path::Path;
use std::process::Command;

use hotswap_engine::sqlite::{
    ARCHIVE_FILES_MAX, CODE_BYTES_MAX, Code, CrateArchive, DatabaseErrorKind, ModuleDatabase,
    Publication, SqliteModules, SqliteSource, TEXT_BYTES_MAX,
};
use hotswap_engine::{Collection as _, Engine};
use hotswap_tests::database_world::{DatabaseWorld, engine_on, numbered};
use hotswap_tests::isolated_under;
use rusqlite::Connection;

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("it is exported")
}

/// What is wrong, is said; what runs goes on; and what is published next installs.
#[track_caller]
fn survives(world: &mut DatabaseWorld, engine: &Engine, said: &[&str]) {
    let before = version(engine);
    for _ in 0..2 {
        let error = engine.sync().expect_err("it cannot be");
        let text = format!("{error:?}");
        assert!(said.iter().all(|said| text.contains(said)), "{said:?}: {text}");
        assert_eq!(version(engine), before);
    }
    let next = if before == 3 { 1 } else { 3 };
    world.publish(next);
    engine.sync().expect("it is good again");
    assert_eq!(version(engine), next);
}

#[test]
fn lo_3_sqlite_a_locked_database_is_waited_for() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    let other = world.connection();
    // Exclusive, and out of the write-ahead log: nobody can read.
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").expect("SQL");
    // Those who have it open keep a lock that the change of mode wants.
    world.database = ModuleDatabase::create(world.inside("other.db")).expect("created");
    drop(engine);
    other.pragma_update(None, "journal_mode", "DELETE").expect("SQL");
    other.execute_batch("BEGIN EXCLUSIVE").expect("SQL");
    let engine = engine_on(&world.path()).open().expect("what served last");
    let why = engine.status().fallback.expect("it is locked");
    assert!(format!("{why:?}").contains("locked by another process"), "{why:?}");
    drop((engine, other));
    let engine = engine_on(&world.path()).open().expect("it is free");
    assert_eq!(version(&engine), 1);
    // Locked while it runs.
    let other = Connection::open(world.inside("modules.db")).expect("there");
    other.execute_batch("BEGIN EXCLUSIVE").expect("SQL");
    // Whoever holds a database in this mode holds up who reads.
    let error = engine.sync().expect_err("it is locked");
    assert!(format!("{error:?}").contains("locked by another process"), "{error:?}");
    assert_eq!(version(&engine), 1);
    other.execute_batch("COMMIT").expect("SQL");
    let mut database = ModuleDatabase::open(world.inside("modules.db")).expect("there");
    database.publish(&Publication::new("greet", numbered(2))).expect("published");
    engine.sync().expect("it is free");
    assert_eq!(version(&engine), 2);
}

#[test]
fn lo_3_sqlite_a_damaged_database_keeps_what_runs() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    let whole = world.inside("whole.db");
    world.sql(&format!("VACUUM INTO '{}'", whole.display()));
    // As a disk might: in place, all pages but the first.
    world.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut bytes = fs::read(world.path()).expect("ours");
    bytes[100..].fill(0xff);
    fs::write(world.path(), bytes).expect("ours");
    let error = engine.sync().expect_err("it is damaged");
    assert!(format!("{error:?}").contains("damaged"), "{error:?}");
    // And one that is none at all.
    fs::write(world.path(), "no database, but long enough to be looked at ".repeat(20))
        .expect("ours");
    let error = engine.sync().expect_err("it is none");
    assert!(format!("{error:?}").contains("no SQLite database"), "{error:?}");
    assert_eq!(version(&engine), 1);
    // The backup is put in its place.
    replace_database(&world, &whole);
    world.database = ModuleDatabase::open(world.path()).expect("whole");
    world.publish(2);
    engine.sync().expect("it is whole");
    assert_eq!(version(&engine), 2);
}

/// Puts another file in the place of the database, with nothing left of its log.
fn replace_database(world: &DatabaseWorld, by: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut name = world.path().into_os_string();
        name.push(suffix);
        let _absent = fs::remove_file(name);
    }
    fs::rename(by, world.path()).expect("ours");
}

#[test]
fn lo_3_sqlite_a_newer_schema_is_left_alone() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    let known: i64 =
        world.connection().pragma_query_value(None, "user_version", |row| row.get(0)).expect("SQL");
    world.sql("PRAGMA user_version = 99");
    // Who has it open goes on: its tables are there. Whoever opens it is told.
    let error = ModuleDatabase::open(world.path()).expect_err("it is newer");
    assert!(matches!(error.kind, DatabaseErrorKind::Newer { found: 99, .. }), "{error}");
    drop(engine);
    let engine = world.engine().open().expect("what served last");
    let why = engine.status().fallback.expect("it is newer");
    assert!(format!("{why:?}").contains("newer than"), "{why:?}");
    assert_eq!(version(&engine), 1);
    drop(engine);
    world.sql(&format!("PRAGMA user_version = {known}"));
    let engine = world.engine().open().expect("it is known");
    assert_eq!(version(&engine), 1);
}

#[test]
fn lo_3_sqlite_a_database_of_something_else_is_left_alone() {
    let place = tempfile::tempdir().expect("ours");
    let path = place.path().join("customers.db");
    let other = Connection::open(&path).expect("created");
    other.execute_batch("CREATE TABLE customer (name TEXT)").expect("SQL");
    let error = ModuleDatabase::create(&path).expect_err("it is not ours");
    assert!(matches!(error.kind, DatabaseErrorKind::Foreign), "{error}");
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("SQL");
    assert_eq!(tables, 1);
}

#[test]
fn lo_3_sqlite_a_database_may_be_deleted_and_replaced() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    fs::remove_file(world.path()).expect("ours");
    let error = engine.sync().expect_err("it is gone");
    assert!(format!("{error:?}").contains("no such database"), "{error:?}");
    assert_eq!(version(&engine), 1);
    assert!(!world.path().exists(), "looking makes none");
    // Made anew: revision 1 again, and another.
    for suffix in ["-wal", "-shm"] {
        let _absent = fs::remove_file(format!("{}{suffix}", world.path().display()));
    }
    world.database = ModuleDatabase::create(world.path()).expect("created");
    let error = engine.sync().expect_err("it is empty");
    assert!(format!("{error:?}").contains("no such module"), "{error:?}");
    world.publish(2);
    engine.sync().expect("it is there");
    assert_eq!(version(&engine), 2);
    // Another in its place, under the feet of who has it open.
    let mut other = ModuleDatabase::create(world.inside("other.db")).expect("created");
    other.publish(&Publication::new("greet", numbered(3))).expect("published");
    drop(other);
    replace_database(&world, &world.inside("other.db"));
    engine.sync().expect("it is there");
    assert_eq!(version(&engine), 3);
}

#[test]
fn lo_3_sqlite_what_is_no_module_is_refused() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    world.overwrite("text", b"pub fn f1() {} // \xff\xfe");
    survives(&mut world, &engine, &["is not UTF-8"]);
    world.overwrite("poem", b"roses");
    survives(&mut world, &engine, &["neither a text, nor a crate, nor a library"]);
    world.overwrite("crate", b"no archive");
    survives(&mut world, &engine, &["no tar archive"]);
    world.overwrite("library", b"\x7fELF and no more");
    survives(&mut world, &engine, &[]);
    // What lies there is not what was published.
    world.publish(2);
    world.sql("UPDATE revision SET code = x'00', revision = revision + 1 WHERE revision = (SELECT revision FROM module); UPDATE module SET revision = revision + 1");
    survives(&mut world, &engine, &["another SHA-256"]);
    // 100 MB.
    world.sql("UPDATE revision SET code = zeroblob(100000000), revision = revision + 1 WHERE revision = (SELECT revision FROM module); UPDATE module SET revision = revision + 1");
    survives(&mut world, &engine, &["100000000 bytes, more than"]);
    // A module whose revision is not there.
    world.sql("PRAGMA foreign_keys = off; UPDATE module SET revision = 4000");
    let error = engine.sync().expect_err("it is not there");
    assert!(format!("{error:?}").contains("no revision 4000"), "{error:?}");
    world.publish(2);
    engine.sync().expect("it is good");
    assert_eq!(version(&engine), 2);
    assert!(world.lines("fetch.refused").iter().all(|line| line.field("err") == "fetch"));
}

/// Whoever may write to a database has it answer for ever, where SQLite lets them.
#[test]
fn d20_a_view_in_the_place_of_a_table_is_refused_and_the_table_is_good_again() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    world.sql(
        "PRAGMA legacy_alter_table = on; ALTER TABLE module RENAME TO kept;
         CREATE VIEW module AS
            WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
            SELECT 'greet' AS name, max(n) AS revision FROM n",
    );
    // By the connection that is open, and by one that is opened.
    for _ in 0..2 {
        let error = engine.sync().expect_err("it would not end");
        assert!(format!("{error:?}").contains("its module is a view, not the table"), "{error:?}");
        assert_eq!(version(&engine), 1);
    }
    let error = ModuleDatabase::open(world.path()).expect_err("it would not end");
    assert!(matches!(error.kind, DatabaseErrorKind::NoTable { .. }), "{error}");
    world
        .sql("DROP VIEW module; PRAGMA legacy_alter_table = on; ALTER TABLE kept RENAME TO module");
    engine.sync().expect("it is as it was");
    world.publish(2);
    engine.sync().expect("it is as good as before");
    assert_eq!(version(&engine), 2);
    world.sql("ALTER TABLE file RENAME TO kept; CREATE VIRTUAL TABLE file USING fts5 (content)");
    let error = ModuleDatabase::open(world.path()).expect_err("a program");
    assert!(error.to_string().contains("its file is a virtual table"), "{error}");
}

#[test]
fn d20_texts_without_end_are_not_read_and_concern_their_own_module_alone() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let other = Publication::new("other", numbered(1));
    world.database.publish(&other).expect("published");
    let engine = world.engine().open().expect("published");
    for column in ["kind", "sha256", "published_by", "reason", "dependencies"] {
        // 70 MB: more than SQLite is let hold at a time.
        world.sql(&format!(
            "UPDATE revision SET {column} = CAST(zeroblob(70000000) AS TEXT) WHERE module = 'other'"
        ));
        let next = 3 - version(&engine);
        world.publish(next);
        engine.sync().expect("it is another module's");
        assert_eq!(version(&engine), next);
        let error = world.database.revisions("other").expect_err("too long");
        assert!(matches!(error.kind, DatabaseErrorKind::LongText { .. }), "{error}");
        world.sql(
            "DELETE FROM revision WHERE module = 'other'; DELETE FROM module WHERE name = 'other'",
        );
        world.database.publish(&other).expect("published");
        // One more than is taken, of what runs here.
        world.sql(&format!(
            "UPDATE revision SET {column} = CAST(zeroblob({TEXT_BYTES_MAX} + 1) AS TEXT)
             WHERE module = 'greet' AND revision = (SELECT revision FROM module WHERE name = 'greet')"
        ));
        survives(&mut world, &engine, &["may have 65536 bytes each"]);
    }
    // Just as much as is taken.
    let long = "x".repeat(usize::try_from(TEXT_BYTES_MAX).expect("64 bits"));
    let publication = Publication::new("other", numbered(1)).why(&long);
    world.database.publish(&publication).expect("published");
    assert_eq!(world.database.revisions("other").expect("readable")[0].why, long);
    let publication = Publication::new("other", numbered(1)).why(long + "x");
    let error = world.database.publish(&publication).expect_err("too long");
    assert!(matches!(error.kind, DatabaseErrorKind::LongText { .. }), "{error}");
}

/// `length` counts a text to its first NUL.
#[test]
fn d20_what_is_too_large_is_seen_in_a_table_without_types_too() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    world.sql(&format!(
        "CREATE TABLE loose AS SELECT * FROM revision; DROP TABLE revision;
         ALTER TABLE loose RENAME TO revision;
         UPDATE revision SET code = CAST(zeroblob({CODE_BYTES_MAX} + 1) AS TEXT), sha256 = 'another'"
    ));
    survives(&mut world, &engine, &["67108865 bytes, more than 67108864"]);
    // Numbers that are none are nobody else's either.
    world.sql("PRAGMA foreign_keys = off; CREATE TABLE names AS SELECT * FROM module; DROP TABLE module; ALTER TABLE names RENAME TO module");
    world.sql("PRAGMA foreign_keys = off; INSERT INTO module VALUES ('other', 'many'), (CAST(zeroblob(70000000) AS TEXT), 1)");
    engine.sync().expect("it is another module's");
    let names = SqliteModules::new(world.path()).names().expect("readable");
    assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["greet", "other"]);
}

/// One entry of a tar archive, as no decent program writes it.
fn entry(path: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().div_ceil(512) * 512, 0);
    header
}

#[test]
fn lo_3_sqlite_an_archive_that_leads_elsewhere_is_refused() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    let manifest = entry("Cargo.toml", b'0', "", b"[package]\nname = \"greet\"\n");
    let canary = world.inside("canary");
    let absolute = canary.display().to_string();
    for (bad, said) in [
        (entry(&absolute, b'0', "", b"x"), "leads out of the crate"),
        (entry("../../../canary", b'0', "", b"x"), "leads out of the crate"),
        (entry("src/../../canary", b'0', "", b"x"), "leads out of the crate"),
        (entry("src/lib.rs", b'2', "/etc/passwd", b""), "a link"),
        (entry("src/lib.rs", b'1', "/etc/passwd", b""), "a link"),
        (entry("src/lib.rs", b'3', "", b""), "a device"),
        (entry("src/lib.rs", b'4', "", b""), "a device"),
        (entry("src/lib.rs", b'6', "", b""), "a device or a pipe"),
        (entry("src/lib.rs", b'Z', "", b""), "unknown kind"),
        (entry("Cargo.toml", b'0', "", b"again"), "twice"),
        (entry(".", b'0', "", b"x"), "leads out of the crate"),
        (entry("Cargo.toml/x", b'0', "", b"x"), "is a file and a directory"),
    ] {
        world.overwrite("crate", &[&manifest[..], &bad, &[0; 1024]].concat());
        survives(&mut world, &engine, &[said]);
        assert!(!canary.exists(), "{said}");
    }
    world.overwrite("crate", &[&entry("src/lib.rs", b'0', "", b"")[..], &[0; 1024]].concat());
    survives(&mut world, &engine, &["no Cargo.toml"]);
    let mut many = manifest.clone();
    for number in 0..10_000 {
        many.extend(entry(&format!("src/{number}.rs"), b'0', "", b""));
    }
    world.overwrite("crate", &many);
    survives(&mut world, &engine, &["more than 4096 files"]);
    let mut cut = entry("src/lib.rs", b'0', "", &[b'x'; 2_000]);
    cut.truncate(1_000);
    world.overwrite("crate", &[&manifest[..], &cut].concat());
    survives(&mut world, &engine, &["no tar archive"]);
    // Cut between two files, as if it had no more.
    world.overwrite("crate", &manifest);
    survives(&mut world, &engine, &["no tar archive", "its end is missing"]);
}

#[test]
fn what_is_packed_is_the_crate_and_nothing_else() {
    let place = tempfile::tempdir().expect("ours");
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().expect("inside")).expect("ours");
        fs::write(path, text).expect("ours");
    };
    let error = CrateArchive::pack(place.path()).expect_err("it is empty");
    assert!(error.to_string().contains("no Cargo.toml"), "{error}");
    write("Cargo.toml", "[package]");
    write("src/lib.rs", "// library");
    write("target/debug/big", "left out");
    write(".git/config", "left out");
    write(".cargo/config.toml", "# part of it");
    let long = format!("src/{}/mod.rs", "deep".repeat(40));
    write(&long, "// long name");
    let archive = CrateArchive::pack(place.path()).expect("packed");
    let names: Vec<_> = archive.files().map(|(name, _)| name.display().to_string()).collect();
    assert_eq!(names, [".cargo/config.toml", "Cargo.toml", &long, "src/lib.rs"]);
    let read = CrateArchive::read(archive.bytes().to_vec()).expect("it is ours");
    assert_eq!(read, archive);
    assert_eq!(CrateArchive::pack(place.path()).expect("again"), archive, "the same bytes");
    std::os::unix::fs::symlink("/etc/passwd", place.path().join("link")).expect("ours");
    let error = CrateArchive::pack(place.path()).expect_err("a link");
    assert!(error.to_string().contains("\"link\" is a link"), "{error}");
    fs::remove_file(place.path().join("link")).expect("ours");
    let huge = fs::File::create(place.path().join("huge")).expect("ours");
    huge.set_len(CODE_BYTES_MAX + 1).expect("a file with a hole");
    let error = CrateArchive::pack(place.path()).expect_err("too much");
    assert!(error.to_string().contains("more than 67108864 bytes"), "{error}");
    fs::remove_file(place.path().join("huge")).expect("ours");
    for number in 0..=ARCHIVE_FILES_MAX {
        write(&format!("many/{number}"), "");
    }
    let error = CrateArchive::pack(place.path()).expect_err("too many");
    assert!(error.to_string().contains("more than 4096 files"), "{error}");
}

#[test]
fn what_cannot_be_published_changes_nothing() {
    let mut world = DatabaseWorld::new();
    let revision = world.publish(1);
    let long = "a".repeat(300);
    for name in ["../greet", "a/b", "a\nb", "", long.as_str(), "a#b"] {
        let error = world.database.publish(&Publication::new(name, numbered(2))).expect_err(name);
        assert!(matches!(error.kind, DatabaseErrorKind::Name(_)), "{error}");
        assert!(SqliteSource::new(world.path(), name).is_err(), "{name:?}");
    }
    let library = Publication::new("greet", numbered(2)).dependency("log = \"0.4\"");
    let error = world.database.publish(&library).expect_err("it is built already");
    assert!(error.to_string().contains("greet is a library"), "{error}");
    let length = usize::try_from(CODE_BYTES_MAX).expect("64 bits") + 1;
    let huge = Publication::new("greet", Code::Library(vec![0; length]));
    let error = world.database.publish(&huge).expect_err("too long");
    assert!(matches!(error.kind, DatabaseErrorKind::TooLarge { .. }), "{error}");
    let modules = world.database.modules().expect("there");
    assert_eq!((modules.len(), modules[0].current.number), (1, revision));
}

/// A file size limit stands for a full disk where nothing can be mounted: SQLite's write fails in the same way.
#[test]
fn a_full_disk_publishes_nothing_and_room_is_enough() {
    const NAME: &str = "a_full_disk_publishes_nothing_and_room_is_enough";
    let script = "trap '' XFSZ; ulimit -f 64 && exec \"$0\" \"$@\"";
    isolated_under(NAME, &["/bin/bash", "-c", script], || {
        let place = tempfile::tempdir().expect("ours");
        let path = place.path().join("modules.db");
        let mut database = ModuleDatabase::create(&path).expect("small");
        let small = Publication::new("greet", Code::Text("// small".to_owned()));
        database.publish(&small).expect("it fits");
        let large = Publication::new("greet", Code::Library(vec![1; 1_000_000]));
        let error = database.publish(&large).expect_err("it does not fit");
        assert!(matches!(error.kind, DatabaseErrorKind::Sqlite(_)), "{error}");
        let revisions = database.revisions("greet").expect("it is whole");
        assert_eq!(revisions.len(), 1, "nothing, or all of it");
        database.publish(&small).expect("it is as good as before");
    });
}

#[test]
fn what_has_no_room_to_be_fetched_into_is_tried_again() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    // A file where the directory is wanted: nothing can be fetched.
    let sources = world.inside("target/sources");
    let slot =
        fs::read_dir(&sources).expect("there").next().expect("one").expect("readable").path();
    let incoming = slot.join("0/incoming");
    fs::remove_dir_all(&incoming).expect("ours");
    fs::write(&incoming, "in the way").expect("ours");
    world.publish(2);
    let error = engine.sync().expect_err("it cannot be written");
    assert!(format!("{error:?}").contains("incoming"), "{error:?}");
    assert_eq!(version(&engine), 1);
    fs::remove_file(&incoming).expect("ours");
    engine.sync().expect("there is room");
    assert_eq!(version(&engine), 2);
}

#[test]
fn a_publisher_that_is_killed_leaves_the_revision_before() {
    const NAME: &str = "a_publisher_that_is_killed_leaves_the_revision_before";
    const VARIABLE: &str = "HOTSWAP_TEST_KILLED";
    if let Some(path) = std::env::var_os(VARIABLE) {
        let connection = Connection::open(path).expect("there");
        connection
            .execute_batch("BEGIN IMMEDIATE; UPDATE module SET revision = 77; DELETE FROM revision")
            .expect("SQL");
        // In the middle of it.
        std::process::abort();
    }
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let program = std::env::current_exe().expect("it runs");
    let status = Command::new(program)
        .args([NAME, "--exact", "--nocapture"])
        .env(VARIABLE, world.path())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("it starts");
    assert!(!status.success());
    let engine = world.engine().open().expect("revision 1 is there");
    assert_eq!(version(&engine), 1);
    world.publish(2);
    engine.sync().expect("nobody holds the lock");
    assert_eq!(version(&engine), 2);
}
