//! Opening and closing: several engines in one process, clean ends, and errors that name the reason.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use hotswap_engine::{
    BuildErrorKind, Engine, Event, OpenError, OpenErrorKind, ReloadErrorKind, Verdict,
};
use hotswap_tests::deadline::{PATIENCE, event, until, within};
use hotswap_tests::maps::{executable_mappings, thread_names};
use hotswap_tests::prebuilt::cargo;
use hotswap_tests::{
    CrateFixture, build_directory, isolated, log_lines, prebuilt, versioned, workspace_root,
};

/// Engines on the same source have versions, statics and swaps of their own.
#[test]
fn one_source_may_be_opened_several_times() {
    let source = prebuilt::source("numbered.rs");
    let module = CrateFixture::new("opened_twice", &source);
    let engines = [(); 3].map(|()| module.engine().open().expect("opens"));
    for (engine, calls) in engines.iter().zip(1..) {
        for call in 1..=calls {
            assert_eq!(engine.call_with::<u64>("count", ()), Ok(call), "statics of its own");
        }
    }
    module.edit(&source.replace("const VERSION: u64 = 1;", "const VERSION: u64 = 2;"));
    assert!(engines[0].sync().expect("it builds").is_swapped());
    assert_eq!(engines[0].call_with::<u64>("version", ()), Ok(2));
    assert_eq!(engines[1].call_with::<u64>("version", ()), Ok(1), "nobody asked it yet");
    for engine in &engines[1..] {
        assert!(engine.sync().expect("it is built already").is_swapped());
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
    }
}

/// The host goes on while the first version is built; what came of that arrives when it asks.
#[test]
fn the_first_build_runs_while_the_host_starts() {
    let module = CrateFixture::new("started", &versioned(1));
    let (builder, events) = module.engine().subscribe();
    let opening = builder.start().expect("nothing is wrong with the settings");
    // Nobody waits for it.
    event(&events, "the first version", |event| {
        matches!(event, Event::Swapped { .. }).then_some(())
    });
    until("the answer", || opening.is_decided());
    let engine = opening.wait().expect("it builds");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
    drop(engine);
    module.edit("missing!();");
    let opening = module.engine().start().expect("the source is none of its business");
    let error = opening.wait().expect_err("it does not compile");
    assert!(error.to_string().contains("missing"), "{error}");
    // Given up: whether the build has begun or not, it ends.
    module.edit(&versioned(2));
    drop(module.engine().start().expect("as above"));
    assert_eq!(module.engine().open().expect("opens").call_with::<u64>("version", ()), Ok(2));
}

#[test]
fn different_sources_are_different_engines() {
    let first = CrateFixture::new("opened_first", &versioned(1));
    let second = CrateFixture::new("opened_second", &versioned(2));
    let engines = [first.engine(), second.engine()].map(|builder| builder.open().expect("opens"));
    let third = prebuilt::engine(&prebuilt::numbered(3)).open().expect("opens");
    let versions = |engine: &Engine| engine.call_with::<u64>("version", ()).expect("exported");
    assert_eq!([versions(&engines[0]), versions(&engines[1]), versions(&third)], [1, 2, 3]);
    assert_eq!(engines[0].name(), "opened_first");
    first.edit(&versioned(4));
    engines[0].sync().expect("it builds");
    assert_eq!([versions(&engines[0]), versions(&engines[1]), versions(&third)], [4, 2, 3]);
}

/// All clones are one engine; it ends with the last.
#[test]
fn clones_are_one_engine() {
    fn assert_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    assert_shareable(&engine);
    let events = engine.subscribe();
    let clone = engine.clone();
    drop(engine);
    clone.offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!(clone.call_with::<u64>("version", ()), Ok(2));
    drop(clone);
    assert!(matches!(events.iter().last(), Some(Event::Stopped)));
}

/// After the end there is no thread, no mapping, no staged file and no file that the log holds open.
#[test]
fn an_engine_ends_cleanly() {
    isolated("an_engine_ends_cleanly", || {
        let module = CrateFixture::new("ends_cleanly", &versioned(1));
        let log = module.path().join("hotswap.log");
        let descriptors = || fs::read_dir("/proc/self/fd").expect("Linux tells").count();
        let (threads_before, descriptors_before) = (thread_names().len(), descriptors());
        let engine = module
            .engine()
            .poll_every(Duration::from_millis(1))
            .log_file(&log)
            .open()
            .expect("opens");
        module.edit(&versioned(2));
        engine.sync().expect("it builds");
        engine.offer(prebuilt::numbered(3)).expect("swaps");
        assert!(thread_names().len() > threads_before);
        drop(engine);
        until("all threads ended", || thread_names().len() == threads_before);
        assert_eq!(descriptors(), descriptors_before);
        let files: Vec<PathBuf> = log_lines(&log)
            .iter()
            .filter(|line| line.event == "stage.ok")
            .map(|line| PathBuf::from(line.field("path")))
            .collect();
        assert_eq!(files.len(), 3);
        for file in files {
            assert_eq!(executable_mappings(&file.to_string_lossy()), Vec::<String>::new());
            let home = file.parent().expect("a file has a directory");
            assert!(!home.exists(), "{} is left behind", home.display());
        }
        // Another process may have the log now.
        fs::File::open(&log).and_then(|file| Ok(file.try_lock()?)).expect("nobody holds it");
    });
}

/// Dropping an engine while a build runs ends the build, and does not wait for it.
#[test]
fn an_engine_may_end_during_a_build() {
    let module = CrateFixture::new("ends_in_build", &versioned(1));
    let engine = module.engine().open().expect("opens");
    let events = engine.subscribe();
    // Reading a pipe that nobody writes lasts until somebody ends it.
    module.write(
        "build.rs",
        "fn main() { let (read, _write) = std::io::pipe().expect(\"a pipe\"); std::io::Read::read(&mut &read, &mut [0]).expect(\"never\"); }",
    );
    engine.wake();
    event(&events, "a build", |event| matches!(event, Event::BuildStarted { .. }).then_some(()));
    within(PATIENCE, "the end of an engine that builds", move || drop(engine));
    assert!(matches!(events.iter().last(), Some(Event::Stopped)));
}

/// The texts of an error and of what caused it.
fn chain(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn refused(builder: hotswap_engine::EngineBuilder) -> (OpenErrorKind, String) {
    let error = builder.open().expect_err("it cannot open");
    let text = chain(&error);
    assert!(text.starts_with("cannot open "), "{text}");
    (error.kind, text)
}

#[test]
fn errors_of_open_name_the_reason() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).expect("writable");
    let quiet = |path: &Path| Engine::builder(path).without_log();

    let (_, text) = refused(quiet(&directory.path().join("absent")));
    assert!(text.contains("absent"), "{text}");
    let (_, text) = refused(quiet(&empty));
    assert!(text.contains("Cargo.toml"), "{text}");
    let (_, text) = refused(quiet(&directory.path().join("absent.rs")));
    assert!(text.contains("absent.rs"), "{text}");
    let (_, text) = refused(quiet(&directory.path().join("absent.so")));
    assert!(text.contains("absent.so"), "{text}");
    let (_, text) = refused(quiet(Path::new("")));
    assert_eq!(text, "cannot open \"\": the path of the source is empty");

    let module = CrateFixture::new("open_errors", "fn broken(");
    let error = module.engine().open().expect_err("it does not compile");
    assert!(
        error
            .diagnostics()
            .is_some_and(|diagnostics| diagnostics.to_string().contains("src/lib.rs:1"))
    );
    let OpenErrorKind::First(first) = &error.kind else { panic!("{error}") };
    assert_eq!(first.current, None);
    assert!(matches!(first.kind, ReloadErrorKind::Build(_)), "{error}");
    module.edit(&versioned(1));

    let (kind, text) = refused(module.engine().cargo(empty.join("no-cargo")));
    let OpenErrorKind::First(first) = &kind else { panic!("{text}") };
    let ReloadErrorKind::Build(build) = &first.kind else { panic!("{text}") };
    assert!(
        matches!(build.kind, BuildErrorKind::Spawn { .. } | BuildErrorKind::Manifest { .. }),
        "{text}"
    );
    assert!(text.contains("no-cargo"), "{text}");

    let (kind, text) = refused(module.engine().log_file(empty.join("absent/hotswap.log")));
    assert!(matches!(kind, OpenErrorKind::Log { .. }), "{text}");
    assert!(text.contains("without_log()") && text.contains("No such file"), "{text}");

    for period in [Duration::ZERO, Duration::from_secs(25 * 3_600)] {
        let (kind, text) = refused(module.engine().poll_every(period));
        assert!(matches!(kind, OpenErrorKind::Setting { .. }), "{text}");
    }
}

/// With `wait_for_repair` opening lasts until the source builds.
#[test]
fn open_may_wait_for_a_repair() {
    let module = CrateFixture::new("repair", "broken");
    let builder = module.engine().poll_every(Duration::from_millis(10)).wait_for_repair();
    let (builder, events) = builder.subscribe();
    let opening = thread::spawn(|| builder.open());
    event(&events, "a refusal", |event| matches!(event, Event::Refused { .. }).then_some(()));
    module.edit(&versioned(1));
    let engine =
        within(PATIENCE, "opening", || opening.join().expect("no panic")).expect("repaired");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
}

#[test]
fn opening_may_be_cancelled() {
    let module = CrateFixture::new("cancelled", "broken");
    let (cancel, cancelled) = bounded(1);
    let builder = module.engine().wait_for_repair().cancel_on(cancelled);
    let (builder, events) = builder.subscribe();
    let opening = thread::spawn(|| builder.open());
    event(&events, "a refusal", |event| matches!(event, Event::Refused { .. }).then_some(()));
    cancel.send(()).expect("it waits");
    let error = within(PATIENCE, "cancelling", || opening.join().expect("no panic"))
        .expect_err("cancelled");
    assert!(matches!(error.kind, OpenErrorKind::Cancelled), "{error}");
}

/// Every way to name a source that `open` takes.
#[test]
fn a_source_is_a_text_or_a_path() {
    let library = prebuilt::numbered(1);
    let text = library.to_str().expect("UTF-8");
    let engines = [
        Engine::builder(text),
        Engine::builder(text.to_owned()),
        Engine::builder(library.as_path()),
        Engine::builder(&library),
        Engine::builder(library.clone()),
        Engine::builder(hotswap_engine::Source::Prebuilt(library.clone())),
    ];
    for builder in engines {
        builder.without_log().open().expect("opens").call("version").expect("exported");
    }
}

/// The text of a prebuilt library's engine goes on with what is written to its path.
#[test]
fn a_prebuilt_library_is_watched() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("module.so");
    fs::copy(prebuilt::numbered(1), &path).expect("writable");
    let engine = prebuilt::engine(&path).open().expect("opens");
    fs::copy(prebuilt::numbered(2), &path).expect("writable");
    let verdict = engine.sync().expect("it is a module");
    assert!(matches!(verdict, Verdict::Swapped { .. }), "{verdict}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
}

/// A host of three lines, in a crate outside the workspace, by path dependency; and a module with nothing but
/// its default settings.
#[test]
fn a_host_outside_the_workspace_works() {
    let root = workspace_root();
    let host = CrateFixture::new("outside", "");
    let dependency =
        |name: &str, path: &str| format!("{name} = {{ path = {:?} }}\n", root.join(path));
    host.write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n[workspace]\nexclude = [\"my-module\"]\n",
            dependency("hotswap-engine", "engine")
        ),
    );
    host.write(
        "src/main.rs",
        "fn main() -> Result<(), Box<dyn std::error::Error>> {\n    let engine = hotswap_engine::Engine::open(\"my-module\")?;\n    engine.call(\"f1\")?;\n    Ok(())\n}\n",
    );
    host.write(
        "my-module/Cargo.toml",
        &format!(
            "[package]\nname = \"my-module\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n[workspace]\n",
            dependency("hotswap-module", "engine/module")
        ),
    );
    host.write(
        "my-module/src/lib.rs",
        "use hotswap_module::export;\nhotswap_module::module!();\n\n#[export]\npub fn f1() {\n    println!(\"call to f1\");\n}\n",
    );
    fs::copy(root.join("Cargo.lock"), host.path().join("my-module/Cargo.lock")).expect("writable");
    let output = cargo()
        .args(["run", "--quiet", "--offline", "--target-dir"])
        .arg(build_directory().join("target"))
        .current_dir(host.path())
        .output()
        .expect("cargo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "call to f1\n");
    let lines = log_lines(&host.path().join("hotswap.log"));
    assert_eq!(lines.first().map(|line| line.event.as_str()), Some("log.open"));
    assert_eq!(lines.last().map(|line| line.event.as_str()), Some("engine.stop"));
    let target = host.path().join("my-module/target/hotswap");
    assert!(target.join("debug").is_dir(), "builds go to target/hotswap beside the lock file");
}

/// Builds may go to a directory inside the crate: what is built is no part of what is looked at.
#[test]
fn builds_may_go_inside_the_crate() {
    let module = CrateFixture::new("out_inside", &versioned(1));
    let engine = module.engine().target_dir(module.path().join("out")).open().expect("opens");
    let events = engine.subscribe();
    for _ in 0..3 {
        assert!(!engine.sync().expect("nothing is wrong").is_swapped());
    }
    let builds = events.try_iter().filter(|event| matches!(event, Event::BuildStarted { .. }));
    assert_eq!(builds.count(), 0);
}
