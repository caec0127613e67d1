//! Every event that there is, written by what it tells of, with all its keys: `log_lines` refuses a line that lacks one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hotswap_engine::audit::{EVENTS, verify};
use hotswap_engine::sqlite::{Code, ModuleDatabase, Publication, SqliteSource};
use hotswap_engine::{
    BuildBackend, BuildErrorKind, BuildJob, Built, CapPolicy, Engine, EngineBuilder, FetchError,
    Source, StopSignal, TornPolicy,
};
use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, Watching, watch};
use hotswap_tests::counted;
use hotswap_tests::deadline::until;
use hotswap_tests::fake_compiler::{FakeCompiler, text_of};
use hotswap_tests::fault_world::FaultWorld;
use hotswap_tests::members::Members;
use hotswap_tests::plugins::Plugins;
use hotswap_tests::prebuilt::{self, Kind, library};
use hotswap_tests::released::Released;
use hotswap_tests::{isolated, log_lines};
use rusqlite::Connection;

/// Only a defect that ends the monitor's thread for good causes it.
const NEVER: &str = "monitor.stop";

#[test]
fn every_event_is_written_with_its_keys() {
    isolated("every_event_is_written_with_its_keys", || {
        let mut seen = BTreeSet::new();
        let sessions = [
            sources,
            published,
            releases,
            pauses,
            offers,
            ways_back,
            images,
            restarts,
            refusals,
            defects,
            modules,
            states,
            files,
            a_hanging_log,
            late_calls,
            a_registry,
            groups,
        ];
        for session in sessions {
            let directory = tempfile::tempdir().expect("a temporary directory");
            for log in session(directory.path()) {
                seen.extend(log_lines(&log).into_iter().map(|line| line.event));
            }
        }
        let names = EVENTS.iter().map(|event| event.name.to_owned());
        let missing: Vec<_> = names.filter(|name| name != NEVER && !seen.contains(name)).collect();
        assert!(missing.is_empty(), "nobody wrote {missing:?}");
    });
}

fn look(engine: &Engine) {
    let _either = engine.sync();
    let _as_before = engine.sync();
}

/// All that state can go through.
fn states(directory: &Path) -> Vec<PathBuf> {
    let (log, path) = (directory.join("states.log"), directory.join("state"));
    let open = |schema| {
        let builder = counted::builder(&counted::counted(schema)).0;
        let builder = builder.log_file(&log).persist_state(&path);
        builder.torn_state(TornPolicy::Restore).open().expect("opens")
    };
    let engine = open(1);
    engine.call_with::<u64>("increment", ()).expect("exported");
    engine.offer(counted::counted(2)).expect("migrates");
    let no_step =
        |source: String| source.replace("#[migrate(from = 3", "#[cfg(any())]\n#[migrate(from = 3");
    let no_step = counted::counted_with("counted_no_fourth", 4, |source| {
        no_step(source).replace("fn back_to_3(", "#[allow(dead_code)]\nfn back_to_3(")
    });
    engine.offer(&no_step).expect_err("no step leads there");
    engine.call("tear").expect_err("it panics");
    drop(engine);
    let engine = open(2);
    // Nothing can be written in the place of a directory.
    fs::remove_file(&path).expect("ours");
    fs::create_dir_all(path.join("in the way")).expect("ours");
    engine.save_state().expect_err("there is a directory");
    vec![log]
}

/// All that a source can go through.
fn sources(_: &Path) -> Vec<PathBuf> {
    let world = FaultWorld::new();
    let engine = world.engine().open().expect("opens");
    look(&engine);
    let second = world.edit(2);
    look(&engine);
    for text in ["broken\n", &second, "also broken\n", "broken\n", &(second.clone() + "// more\n")]
    {
        world.edit_text(text);
        look(&engine);
    }
    fs::remove_file(world.path("source.rs")).expect("ours");
    look(&engine);
    world.edit(1);
    look(&engine);
    drop(engine);
    // Built before, by another engine; no events of the file system.
    let watching = watch();
    drop(world.engine().wake_on_events().open().expect("opens"));
    let site = site(&watching, Operation::Watch, "");
    watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });
    let engine = world.engine().wake_on_events().open().expect("polls");
    look(&engine);
    drop(engine);
    // The source changes while it is built.
    let source = world.path("restless.rs");
    fs::write(&source, text_of(1)).expect("ours");
    let compiler = FakeCompiler::new(&source, &world.path("restless"));
    let restless = Restless { compiler, source: source.clone(), is_edited: false };
    let log = world.path("restless.log");
    let engine = Engine::builder(&source).backend(restless).log_file(&log);
    drop(engine.target_dir(world.path("restless")).open().expect("opens"));
    let logs = [world.log(), log].map(|log| {
        let kept = hotswap_tests::build_directory().join(log.file_name().expect("a name"));
        fs::copy(&log, &kept).expect("readable");
        kept
    });
    logs.to_vec()
}

/// A module of a database that is not a module at first, else a file.
fn published(directory: &Path) -> Vec<PathBuf> {
    let (library, _) = watched(directory);
    let path = directory.join("modules.db");
    let mut database = ModuleDatabase::create(&path).expect("ours");
    let mut publish = |code| database.publish(&Publication::new("greet", code)).expect("published");
    publish(Code::Library(fs::read(&library).expect("ours")));
    let source = SqliteSource::new(&path, "greet").expect("a good name");
    let chain = Source::chain([Source::from(source), Source::from(&library)]);
    let log = directory.join("published.log");
    let engine = Engine::builder(chain).target_dir(directory.join("target")).log_file(&log);
    let engine = engine.open().expect("published");
    Connection::open(&path)
        .and_then(|other| other.execute_batch("UPDATE revision SET kind = 'poem', sha256 = ''"))
        .expect("SQL");
    engine.sync().expect_err("no poem is a module");
    vec![log]
}

/// Releases of others: one that is old, and one below the floor.
fn releases(directory: &Path) -> Vec<PathBuf> {
    let released = Released::new(1, prebuilt::numbered(1));
    let log = directory.join("releases.log");
    let engine = Engine::builder(Source::from(&released)).target_dir(directory.join("target"));
    let engine = engine.log_file(&log).open().expect("opens");
    released.release(2, prebuilt::numbered(2));
    look(&engine);
    released.say(FetchError::stale("it expired"));
    look(&engine);
    released.raise_floor(2);
    engine.rollback().expect_err("below the floor");
    vec![log]
}

/// Edits the source under the compiler's hands, once.
#[derive(Debug)]
struct Restless {
    compiler: FakeCompiler,
    source: PathBuf,
    is_edited: bool,
}

impl BuildBackend for Restless {
    fn build(&mut self, job: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        if !std::mem::replace(&mut self.is_edited, true) {
            fs::write(&self.source, text_of(2)).expect("ours");
        }
        self.compiler.build(job, stop)
    }
}

/// What is left to the next process, and what it makes of that.
fn restarts(directory: &Path) -> Vec<PathBuf> {
    let open = || {
        let (library, engine) = watched(directory);
        (library, engine.target_dir(directory.join("target")))
    };
    let (library, engine) = open();
    let watching = watch();
    let engine = engine.open().expect("opens");
    // It serves, and cannot be noted.
    let site = site(&watching, Operation::Create, "monitor/src/store/records.rs");
    watching.inject(Fault { site, times: Times::Once(0), manner: Manner::Error });
    replace(&library, &prebuilt::numbered(2));
    look(&engine);
    watching.heal();
    drop(engine);
    let (library, engine) = open();
    fs::remove_file(library).expect("ours");
    drop(engine.open().expect("something served"));
    vec![directory.join("hotswap.log")]
}

/// A watched library in this directory.
fn watched(directory: &Path) -> (PathBuf, EngineBuilder) {
    let library = directory.join("library.so");
    fs::copy(prebuilt::numbered(1), &library).expect("ours");
    let engine = prebuilt::engine(&library).log_file(directory.join("hotswap.log"));
    (library, engine)
}

/// Replaces a library as a compiler does: by another file.
fn replace(library: &Path, by: &Path) {
    let new = library.with_extension("new");
    fs::copy(by, &new).expect("ours");
    fs::rename(new, library).expect("ours");
}

fn pauses(directory: &Path) -> Vec<PathBuf> {
    let (library, engine) = watched(directory);
    let engine = engine.open().expect("opens");
    engine.pause();
    replace(&library, &prebuilt::numbered(2));
    engine.sync().expect_err("swaps are paused");
    let guard = engine.pin();
    engine.resume();
    drop(guard);
    engine.call("starts_panicking_thread").expect("starts");
    let clinging = prebuilt::neighbourly("told_clinging", &["-Wl,-z,nodelete"]);
    engine.offer(clinging).expect("swaps");
    let log = directory.join("hotswap.log");
    let is_told = || log_lines(&log).iter().any(|line| line.event == "module.panic");
    until("the panic is told", is_told);
    drop(engine);
    vec![log]
}

/// Enough of them for a checkpoint.
fn offers(directory: &Path) -> Vec<PathBuf> {
    let (_, engine) = watched(directory);
    let engine = engine.open().expect("opens");
    for number in (0..14).map(|number| number % 2 + 1) {
        engine.offer(prebuilt::numbered(number)).expect("swaps");
    }
    drop(engine);
    vec![directory.join("hotswap.log")]
}

fn ways_back(directory: &Path) -> Vec<PathBuf> {
    let (library, engine) = watched(directory);
    let socket = directory.join("control.sock");
    let engine = engine.keep_versions(1).drain_deadline(Duration::ZERO).control(&socket);
    let engine = engine.open().expect("opens");
    let first = engine.version();
    engine.rollback().expect_err("it is the first");
    let guard = engine.pin();
    replace(&library, &prebuilt::numbered(2));
    look(&engine);
    let log = directory.join("hotswap.log");
    let is_told = || log_lines(&log).iter().any(|line| line.event == "version.overdue");
    until("somebody is told that the guard is there", is_told);
    drop(guard);
    engine.rollback().expect("it is kept");
    engine.clear_quarantine();
    look(&engine);
    engine.stay_on(first).expect("it is kept");
    engine.resume();
    for number in [1, 2] {
        engine.offer(prebuilt::numbered(number)).expect("swaps");
    }
    let mut stream = UnixStream::connect(&socket).expect("it listens");
    stream.write_all(b"{\"command\": \"freeze\"}\n").expect("it reads");
    stream.read_to_end(&mut Vec::new()).expect("it answers");
    engine.offer(prebuilt::numbered(1)).expect_err("it is frozen");
    drop(engine);
    vec![log]
}

/// A version that is loaded again while a thread has something of its earlier image.
fn images(directory: &Path) -> Vec<PathBuf> {
    let log = directory.join("hotswap.log");
    let engine = prebuilt::engine(&prebuilt::named("leftovers.rs")).log_file(&log);
    let watching = watch();
    let engine = engine.provide("tell", |_: String| {}).open().expect("opens");
    let first = engine.version();
    for event in ["image.unloaded", "image.pinned"] {
        engine.call("keeps_value").expect("exported");
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        engine.rollback_to(first).expect("its library lies there");
        until("the earlier image is gone", || {
            engine.call("version").expect("exported");
            log_lines(&log).iter().any(|line| line.event == event)
        });
        let site = site(&watching, Operation::Unload, "engine/src/image.rs");
        watching.inject(Fault { site, times: Times::Once(1), manner: Manner::Error });
    }
    watching.heal();
    drop(engine);
    vec![log]
}

fn refusals(directory: &Path) -> Vec<PathBuf> {
    let (path, engine) = watched(directory);
    let watching = watch();
    let engine = engine.open().expect("opens");
    // No module; and again, after something else.
    let plain =
        library("told_plain", "#[unsafe(no_mangle)]\npub extern \"C\" fn f() {}\n", Kind::Plain);
    let bad = fs::read(plain).expect("readable");
    for text in [&bad, &fs::read(prebuilt::numbered(2)).expect("readable"), &bad] {
        fs::write(directory.join("next"), text).expect("ours");
        replace(&path, &directory.join("next"));
        look(&engine);
    }
    // A load hook that refuses.
    let hooked = prebuilt::source("hooked.rs").replace("BODY", "Err(\"not today\".to_owned())");
    engine.offer(library("told_hooked", &hooked, Kind::Module)).expect_err("its hook refuses it");
    // No room for a copy of it.
    let makes = [Operation::Create, Operation::Write, Operation::Link];
    let is_of_stage = |site: &Site| site.file.ends_with("engine/src/stage.rs");
    let steps = watching.passed().into_keys();
    let steps = steps.filter(|site| is_of_stage(site) && makes.contains(&site.operation));
    let fails = |site| Fault { site, times: Times::From(0), manner: Manner::Error };
    watching.inject_all(steps.map(fails).collect());
    engine.offer(prebuilt::numbered(1)).expect_err("there is no room");
    // The sixth line of an offer is what announces the swap.
    let write = site(&watching, Operation::Write, "engine/src/audit/writer.rs");
    watching.inject(Fault { site: write, times: Times::Once(5), manner: Manner::Error });
    engine.offer(prebuilt::numbered(1)).expect_err("it is not announced");
    watching.heal();
    // The head cannot be written.
    fs::create_dir(directory.join("hotswap.log.head.new")).expect("ours");
    engine.offer(prebuilt::numbered(1)).expect("swaps");
    drop(engine);
    vec![directory.join("hotswap.log")]
}

fn defects(directory: &Path) -> Vec<PathBuf> {
    let (path, engine) = watched(directory);
    let watching = watch();
    let engine = engine.open().expect("opens");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let panics = |operation, file: &str| {
        let site = site(&watching, operation, file);
        watching.inject(Fault { site, times: Times::Once(0), manner: Manner::Panic });
    };
    panics(Operation::Unload, "engine/src/image.rs");
    engine.offer(prebuilt::numbered(1)).expect("swaps");
    panics(Operation::Open, "engine/src/stage.rs");
    engine.offer(prebuilt::numbered(2)).expect_err("it panicked");
    look(&engine);
    panics(Operation::Stat, "monitor/src/");
    replace(&path, &prebuilt::numbered(2));
    engine.sync().expect_err("it panicked");
    watching.heal();
    drop(engine);
    vec![directory.join("hotswap.log")]
}

/// A call that takes until it was told that it takes long.
fn late_calls(directory: &Path) -> Vec<PathBuf> {
    let (_, engine) = watched(directory);
    let log = directory.join("hotswap.log");
    let read = log.clone();
    let is_told = move || log_lines(&read).iter().any(|line| line.event == "call.overdue");
    let engine = engine
        .provide("wait", move || until("it is told", &is_told))
        .call_deadline("after", Duration::from_millis(1));
    let engine = engine.open().expect("opens");
    assert_eq!(engine.call_with::<u64>("after", ("wait",)), Ok(1));
    vec![log]
}

/// A module that fails to clean up, while there is no room for another.
fn groups(directory: &Path) -> Vec<PathBuf> {
    let mut members = Members::open(2);
    assert!(members.change_all(2).iter().all(Result::is_ok));
    let log = directory.join("groups.log");
    fs::copy(members.log(), &log).expect("ours");
    vec![log]
}

fn modules(directory: &Path) -> Vec<PathBuf> {
    let log = directory.join("hotswap.log");
    let hook = "\n#[hotswap_module::before_unload]\nfn cleans_up() {\n    std::mem::forget(vec![1_u8; 100]);\n    \
                panic!(\"it cannot\");\n}\n";
    let careless =
        library("told_careless", &(prebuilt::source("numbered.rs") + hook), Kind::Module);
    let engine = prebuilt::engine(&careless).log_file(&log);
    let engine = engine.max_extra_versions(1, CapPolicy::Queue).open().expect("opens");
    let guard = engine.pin();
    engine.offer(prebuilt::numbered(2)).expect("there is room");
    engine.offer(prebuilt::numbered(1)).expect_err("there is no room");
    drop(guard);
    let is_told = || log_lines(&log).iter().any(|line| line.event == "version.leaked");
    until("the careless one is gone", is_told);
    drop(engine);
    vec![log]
}

/// Modules by name.
fn a_registry(_: &Path) -> Vec<PathBuf> {
    let plugins = Plugins::new(&["greet"]);
    let modules = plugins.modules();
    let greet = modules.get("greet").expect("loads");
    modules.unload("greet").expect_err("it is in use");
    drop(greet);
    modules.unload("greet").expect("nobody uses it");
    let kept = hotswap_tests::build_directory().join("registry.log");
    fs::copy(plugins.log(), &kept).expect("readable");
    vec![kept]
}

/// What may become of the file itself.
fn files(directory: &Path) -> Vec<PathBuf> {
    let (library, engine) = watched(directory);
    let log = directory.join("hotswap.log");
    // A copy that is a directory.
    let engine = engine.log_bytes_max(3_000).log_json(directory).open().expect("opens");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    engine.offer(prebuilt::numbered(1)).expect("swaps");
    drop(engine);
    let text = fs::read_to_string(&log).expect("readable");
    fs::write(&log, text.replace("engine.stop mono_us=", "engine.stop mono_us=1")).expect("ours");
    drop(prebuilt::engine(&library).log_file(&log).open().expect("opens"));
    let cut = directory.join("cut.log");
    let engine = prebuilt::engine(&library).log_file(&cut).open().expect("opens");
    fs::File::options().write(true).open(&cut).and_then(|file| file.set_len(0)).expect("cut");
    drop(engine);
    let mut files = verify(&log).expect("readable").files;
    files.push(cut);
    files
}

/// A pipe that nobody reads stands for a disk that does not answer: nothing becomes current meanwhile.
fn a_hanging_log(directory: &Path) -> Vec<PathBuf> {
    let (_, engine) = watched(directory);
    let pipe = directory.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let engine = engine.log_json(&pipe).open().expect("opens");
    let mut swapped = 1;
    let error = loop {
        match engine.offer(prebuilt::numbered(swapped % 2 + 1)) {
            Ok(_) => swapped += 1,
            Err(error) => break error,
        }
        assert!(swapped < 1_000, "a pipe takes 64 KiB");
    };
    assert!(error.to_string().contains("cannot write the log"), "{error}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok((swapped - 1) % 2 + 1), "as before");
    let reader = fs::File::open(&pipe).expect("it is there");
    let drained = std::thread::spawn(move || {
        let mut reader = reader;
        // Until the log is closed.
        let _bytes = reader.read_to_end(&mut Vec::new());
    });
    let log = directory.join("hotswap.log");
    let is_told = || log_lines(&log).iter().any(|line| line.event == "log.stalled");
    until("the log answers", is_told);
    engine.offer(prebuilt::numbered(swapped % 2 + 1)).expect("it can be announced");
    drop(engine);
    drained.join().expect("it ends with the log");
    vec![log]
}

/// A step that was taken.
fn site(watching: &Watching, operation: Operation, file: &str) -> Site {
    let mut passed = watching.passed().into_keys();
    let found = passed.rfind(|site| site.operation == operation && site.file.contains(file));
    found.unwrap_or_else(|| panic!("no {operation:?} in {file}: {:#?}", watching.passed()))
}
