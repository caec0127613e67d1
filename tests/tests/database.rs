//! Modules in an SQLite database: published, and run. What can be wrong with one is in `bad_database.rs`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use hotswap_engine::sqlite::{
    Code, CrateArchive, DatabaseError, DatabaseErrorKind, ModuleDatabase, Publication, SqliteSource,
};
use hotswap_engine::{Engine, Event, Source, Verdict};
use hotswap_tests::database_world::{DatabaseWorld, engine_on, numbered};
use hotswap_tests::deadline::event;
use hotswap_tests::{
    CrateFixture, again, build_directory, is_isolated, isolated_under, prebuilt, versioned,
};

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("it is exported")
}

fn swapped(event: &Event) -> Option<()> {
    matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
}

#[test]
fn cd_2_sqlite_what_was_published_before_sync_is_considered() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    for number in [2, 3, 1, 2, 3, 1] {
        let revision = world.publish(number);
        engine.sync().expect("it is good");
        assert_eq!(version(&engine), number);
        let fetched = world.lines("fetch.ok");
        let last = fetched.last().expect("it was fetched");
        assert_eq!(last.field("msg"), format!("revision {revision} by alice: a test"));
        assert_eq!(last.field("src"), "sqlite");
    }
}

#[test]
fn cd_3_sqlite_a_publication_by_another_process_is_found_within_a_period() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let builder = world.engine().poll_every(Duration::from_millis(50));
    let (builder, events) = builder.subscribe();
    let engine = builder.open().expect("published");
    for number in [2, 3] {
        world.publish(number);
        event(&events, "a swap", swapped);
        assert_eq!(version(&engine), number);
    }
}

#[test]
fn cd_3_sqlite_data_version_wakes_before_the_period_is_over() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    // A look by itself comes after an hour.
    let (builder, events) = world.engine().subscribe();
    let engine = builder.open().expect("published");
    world.publish(2);
    event(&events, "a swap", swapped);
    assert_eq!(version(&engine), 2);
    assert_eq!(world.lines("detect.change").last().expect("two").field("trig"), "event");
}

#[test]
fn an_idle_look_at_a_database_fetches_nothing() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().open().expect("published");
    // Another module is none of its business, though the database was written to.
    world.database.publish(&Publication::new("other", numbered(2))).expect("published");
    for _ in 0..3 {
        assert!(matches!(engine.sync(), Ok(Verdict::Unchanged { .. })));
    }
    assert_eq!(world.lines("fetch.intent").len(), 1);
}

#[test]
fn cd_10_sqlite_all_of_a_crate_is_one_revision() {
    let fixture = CrateFixture::new("cd_10_sqlite", "");
    fixture.write("data/number.txt", "4");
    fixture.edit(
        "use hotswap_module::export;\nhotswap_module::module!();\n\
         #[export]\npub fn version() -> u64 {\n    include_str!(\"../data/number.txt\").parse().unwrap_or(0)\n}\n",
    );
    let pack = || Code::Crate(CrateArchive::pack(fixture.path()).expect("packed"));
    let mut world = DatabaseWorld::new();
    world.publish_code(pack());
    let target = build_directory().join("target");
    let engine = world.engine().target_dir(target).offline().open().expect("it compiles");
    assert_eq!(version(&engine), 4);
    // Nothing but what the crate includes is another; then back again.
    for number in [5, 4] {
        fixture.write("data/number.txt", &number.to_string());
        world.publish_code(pack());
        engine.sync().expect("it compiles");
        assert_eq!(version(&engine), number);
    }
}

#[test]
fn a_text_runs_with_what_it_depends_on() {
    let mut world = DatabaseWorld::new();
    let interface = hotswap_tests::workspace_root().join("sample-engine/interface");
    let text = versioned(7) + "use sample_interface as _;\n";
    let publication = Publication::new("greet", Code::Text(text))
        .dependency(format!("sample-interface = {{ path = {interface:?} }}"));
    world.database.publish(&publication).expect("published");
    let target = build_directory().join("target");
    let engine = world.engine().target_dir(target).offline().open().expect("it compiles");
    assert_eq!(version(&engine), 7);
    // A library in the place of a text: the compiler is not asked.
    world.publish(2);
    engine.sync().expect("it is good");
    assert_eq!(version(&engine), 2);
}

#[test]
fn a_library_needs_no_compiler_in_a_file_or_a_row() {
    const NAME: &str = "a_library_needs_no_compiler_in_a_file_or_a_row";
    // Built and published out here, where there is a compiler.
    let prepared = (!is_isolated(NAME)).then(|| {
        let mut world = DatabaseWorld::new();
        world.publish(1);
        world
    });
    let variables = prepared.as_ref().map(|world| {
        let second = prebuilt::numbered(2);
        ["DATABASE", "LIBRARY"]
            .map(|name| format!("HOTSWAP_TEST_{name}="))
            .iter()
            .zip([world.path(), second])
            .map(|(name, path)| format!("{name}{}", path.display()))
            .collect::<Vec<_>>()
    });
    let mut launcher = vec!["/usr/bin/env", "PATH=", "CARGO=", "RUSTC="];
    launcher.extend(variables.iter().flatten().map(String::as_str));
    isolated_under(NAME, &launcher, || {
        assert_eq!(std::env::var_os("PATH").as_deref(), Some(OsStr::new("")));
        let path = PathBuf::from(std::env::var_os("HOTSWAP_TEST_DATABASE").expect("set above"));
        let library = std::env::var_os("HOTSWAP_TEST_LIBRARY").expect("set above");
        let second = fs::read(library).expect("built");
        let mut database = ModuleDatabase::open(&path).expect("it is there");
        let (_, first) = database.code("greet", None).expect("published");
        let file = path.with_file_name("greet.so");
        fs::write(&file, first.bytes()).expect("ours");
        let row = SqliteSource::new(&path, "greet").expect("a good name");
        let target = path.with_extension("target");
        let open = |source: Source| {
            let engine = Engine::builder(source).target_dir(&target).without_log();
            engine.poll_every(RARELY).open().expect("no compiler is needed")
        };
        let engines = [open(row.into()), open(Source::from(&file))];
        for engine in &engines {
            assert_eq!(version(engine), 1);
        }
        fs::write(&file, &second).expect("ours");
        let code = Code::Library(second);
        database.publish(&Publication::new("greet", code)).expect("published");
        for engine in engines {
            engine.sync().expect("nor for the next one");
            assert_eq!(version(&engine), 2);
            engine.rollback().expect("nor for the way back");
            assert_eq!(version(&engine), 1);
        }
    });
}

#[test]
fn rb_7_sqlite_an_earlier_version_needs_no_database() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let engine = world.engine().keep_versions(0).open().expect("published");
    let first = engine.version();
    for number in [2, 3] {
        world.publish(number);
        engine.sync().expect("it is good");
    }
    fs::remove_file(world.path()).expect("ours");
    engine.rollback_to(first).expect("it is in the store");
    assert_eq!(version(&engine), 1);
}

#[test]
fn what_is_restored_is_a_new_revision_and_runs() {
    let mut world = DatabaseWorld::new();
    let first = world.publish(1);
    world.publish(2);
    let engine = world.engine().open().expect("published");
    let restored =
        world.database.restore("greet", first, "bob", "2 was wrong").expect("it is kept");
    assert_eq!((restored.number, restored.by.as_str()), (3, "bob"));
    engine.sync().expect("it is good");
    assert_eq!(version(&engine), 1);
}

#[test]
fn a_database_that_is_made_later_is_waited_for() {
    let place = tempfile::tempdir_in(build_directory()).expect("ours");
    let path = place.path().join("modules.db");
    let (builder, events) =
        engine_on(&place.path().join("modules.db")).wait_for_repair().subscribe();
    let opening = builder.start().expect("starts");
    event(&events, "that it is missing", |event| {
        matches!(event, Event::Unreadable { .. }).then_some(())
    });
    let mut database = ModuleDatabase::create(path).expect("created");
    database.publish(&Publication::new("greet", numbered(1))).expect("published");
    assert_eq!(version(&opening.wait().expect("it is there")), 1);
}

#[test]
fn of_two_publishers_one_wins_and_the_other_is_told() {
    let mut world = DatabaseWorld::new();
    let first = world.publish(1);
    let (barrier, path) = (Barrier::new(2), world.path());
    let publish = |who: &str| -> Result<u64, DatabaseError> {
        let mut database = ModuleDatabase::open(&path)?;
        let publication =
            Publication::new("greet", Code::Text(format!("// {who}"))).by(who).expecting(first);
        barrier.wait();
        database.publish(&publication).map(|revision| revision.number)
    };
    let results = thread::scope(|scope| {
        let bob = scope.spawn(|| publish("bob"));
        let carol = scope.spawn(|| publish("carol"));
        [bob.join().expect("no panic"), carol.join().expect("no panic")]
    });
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    let error = lost.into_iter().next().expect("one of two").expect_err("it lost").to_string();
    let winner = world.database.revisions("greet").expect("there").remove(0).by;
    assert!(error.contains(&format!("is at revision 2 by {winner}, not at 1")), "{error}");
    // And of a module that nobody is to have published.
    let new = Publication::new("greet", numbered(2)).expecting(0);
    assert!(matches!(
        world.database.publish(&new).expect_err("it is there").kind,
        DatabaseErrorKind::Conflict { expected: 0, found: 2, .. }
    ));
}

#[test]
fn publishers_without_a_plan_come_one_after_the_other() {
    let world = DatabaseWorld::new();
    thread::scope(|scope| {
        for who in 0..4 {
            let path = world.path();
            scope.spawn(move || {
                let mut database = ModuleDatabase::open(path).expect("there");
                for number in 0..10 {
                    let text = format!("// {who} {number}");
                    let publication = Publication::new("greet", Code::Text(text)).keep(100);
                    database.publish(&publication).expect("it waits its turn");
                }
            });
        }
    });
    let revisions = world.database.revisions("greet").expect("there");
    let numbers: Vec<_> = revisions.iter().rev().map(|revision| revision.number).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
}

#[test]
fn history_is_bounded_and_what_runs_is_kept() {
    let mut world = DatabaseWorld::new();
    for number in 1..=5 {
        let code = Code::Text(format!("// {number}"));
        world.database.publish(&Publication::new("greet", code).keep(2)).expect("published");
    }
    let kept: Vec<_> = world
        .database
        .revisions("greet")
        .expect("there")
        .iter()
        .map(|revision| revision.number)
        .collect();
    assert_eq!(kept, [5, 4]);
    let error = world.database.restore("greet", 1, "", "").expect_err("it is gone");
    assert!(matches!(error.kind, DatabaseErrorKind::NoRevision { revision: 1, .. }), "{error}");
    let none = Publication::new("greet", Code::Text("// 6".to_owned())).keep(0);
    world.database.publish(&none).expect("one is kept in any case");
    let modules = world.database.modules().expect("there");
    assert_eq!((modules[0].current.number, modules[0].revisions), (6, 1));
}

#[test]
fn many_engines_follow_one_database() {
    let mut world = DatabaseWorld::new();
    world.publish(1);
    let open = || engine_on(&world.path()).open().expect("published");
    let engines: Vec<Engine> = (0..4).map(|_| open()).collect();
    world.publish(2);
    for engine in &engines {
        engine.sync().expect("it is good");
        assert_eq!(version(engine), 2);
    }
}

/// Engines and publishers, each in a process of its own, on one file.
#[test]
fn many_processes_run_and_publish_at_once() {
    const NAME: &str = "many_processes_run_and_publish_at_once";
    const LAST: u64 = 4;
    const EACH: u64 = 6;
    let variable = |name: &str| std::env::var(format!("HOTSWAP_TEST_{name}"));
    if is_isolated(NAME) {
        let path = variable("DATABASE").expect("set below");
        if variable("ROLE").is_ok_and(|role| role == "publisher") {
            let mut database = ModuleDatabase::open(path).expect("it is there");
            for number in 0..EACH {
                let publication = Publication::new("greet", numbered(1 + number % 3)).keep(100);
                database.publish(&publication).expect("it waits its turn");
            }
            return;
        }
        let (builder, events) = engine_on(Path::new(&path)).subscribe();
        let engine = builder.open().expect("published");
        println!("it runs");
        while version(&engine) != LAST {
            event(&events, "a swap", swapped);
        }
        return;
    }
    let mut world = DatabaseWorld::new();
    world.publish(1);
    for number in 2..=LAST {
        let _built_before = prebuilt::numbered(number);
    }
    let start = |role: &str| {
        let mut command = again(NAME, &[]);
        command.env("HOTSWAP_TEST_DATABASE", world.path()).env("HOTSWAP_TEST_ROLE", role);
        command.stdout(Stdio::piped()).spawn().expect("it starts")
    };
    let end = |mut process: Child| {
        let mut text = String::new();
        let stdout = process.stdout.as_mut().expect("it is a pipe");
        stdout.read_to_string(&mut text).expect("it is text");
        assert!(process.wait().expect("ours").success(), "{text}");
    };
    let mut engines = [(); 3].map(|()| start("engine"));
    for engine in &mut engines {
        let lines = BufReader::new(engine.stdout.as_mut().expect("it is a pipe")).lines();
        let mut lines = lines.map(|line| line.expect("it is text"));
        assert!(lines.any(|line| line.contains("it runs")));
    }
    let publishers = [(); 3].map(|()| start("publisher"));
    publishers.into_iter().for_each(end);
    world.publish(LAST);
    engines.into_iter().for_each(end);
    let revisions = world.database.revisions("greet").expect("there");
    assert_eq!(revisions[0].number, 1 + 3 * EACH + 1, "each publication is a revision");
}

#[test]
fn the_database_goes_before_files_and_files_stand_in_for_it() {
    let mut world = DatabaseWorld::new();
    let file = world.inside("greet.so");
    fs::copy(prebuilt::numbered(1), &file).expect("ours");
    let database = SqliteSource::new(world.path(), "greet").expect("a good name");
    let chain = Source::chain([Source::from(database), Source::from(&file)]);
    let engine = Engine::builder(chain).target_dir(world.inside("target"));
    let engine = engine.log_file(world.inside("hotswap.log")).poll_every(RARELY);
    let engine = engine.open().expect("the file is there");
    assert_eq!(version(&engine), 1);
    world.publish(2);
    engine.sync().expect("the database has it");
    assert_eq!(version(&engine), 2);
    let chosen = world.lines("source.chosen");
    let kinds: Vec<_> = chosen.iter().map(|line| line.field("src")).collect();
    assert_eq!(kinds, ["prebuilt", "sqlite"]);
    let changes = world.lines("detect.change");
    let kinds: Vec<_> = changes.iter().map(|line| line.field("src")).collect();
    assert_eq!(kinds, ["prebuilt", "sqlite"]);
}
