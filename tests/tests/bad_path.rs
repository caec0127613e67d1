//! Names that are hard to write down: spaces, quotes, line breaks, no text at all, very long. What can be built is built,
//! runs and is logged so that it reads back; what cannot says why.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hotswap_engine::{Engine, EngineBuilder};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{CrateFixture, build_directory, log_lines, prebuilt, versioned};

/// Names that a shell, a log line or a list of mappings could trip over.
const ODD: [&str; 3] =
    ["with spaces, it's \"quoted\"", "line\nbreak\ttab \u{2603}", "key=value \\ back"];
/// No text in any encoding that Rust knows.
const NO_TEXT: &[u8] = b"not\xffutf8\xfe";

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

fn builder(source: &Path) -> EngineBuilder {
    Engine::builder(source)
        .target_dir(build_directory().join("target"))
        .offline()
        .keep_versions(0)
        .poll_every(std::time::Duration::from_secs(3_600))
}

/// Whether the log, whose every line must read back, names this path as the source.
fn assert_logged(log: &Path, source: &Path) {
    let lines = log_lines(log);
    let start = lines.iter().find(|line| line.event == "engine.start").expect("it started");
    assert_eq!(start.field("path"), source.display().to_string());
    assert_eq!(lines.iter().filter(|line| line.event == "swap.commit").count(), 2);
    assert_eq!(lines.last().map(|line| line.event.as_str()), Some("engine.stop"));
}

/// A library is loaded, swapped, unmapped and logged, whatever its directory and the library are called.
#[test]
fn libraries_may_have_any_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let names = ODD.iter().map(|name| name.as_bytes()).chain([NO_TEXT]);
    for name in names.map(OsStr::from_bytes) {
        let home = directory.path().join(name);
        fs::create_dir(&home).expect("writable");
        let (path, log) = (home.join(name).with_extension("so"), home.join("hotswap.log"));
        fs::copy(prebuilt::numbered(1), &path).expect("writable");
        let engine = prebuilt::engine(&path).log_file(&log).open().expect("opens");
        fs::copy(prebuilt::numbered(2), &path).expect("writable");
        engine.sync().expect("it is a module");
        assert_eq!(version(&engine), 2, "{name:?}");
        let staged = log_lines(&log);
        let staged: Vec<_> = staged.iter().filter(|line| line.event == "stage.ok").collect();
        let kernel = |path: &str| path.replace('\n', "\\012");
        assert_eq!(executable_mappings(&kernel(staged[0].field("path"))), Vec::<String>::new());
        assert!(log_lines(&log).iter().any(|line| line.event == "version.unloaded"), "{name:?}");
        fs::write(&path, "garbage").expect("writable");
        let text = engine.sync().expect_err("garbage").to_string();
        assert!(text.contains("is not a whole library") && text.contains("v2 stays current"));
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert_eq!(version(&engine), 2, "{name:?}");
        drop(engine);
        assert_logged(&log, &path);
    }
}

/// The engine's own directories, where staged files are mapped from, may be called anything as well.
#[test]
fn a_target_directory_may_have_any_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let source = directory.path().join("source.rs");
    for name in ODD {
        let target = directory.path().join(name);
        let log = target.with_extension("log");
        fs::write(&source, hotswap_tests::fake_compiler::text_of(1)).expect("writable");
        let compiler = hotswap_tests::fake_compiler::FakeCompiler::new(&source, &target);
        let engine = builder(&source)
            .target_dir(&target)
            .backend(compiler)
            .log_file(&log)
            .open()
            .expect("opens");
        fs::write(&source, hotswap_tests::fake_compiler::text_of(2)).expect("writable");
        engine.sync().expect("it builds");
        assert_eq!(version(&engine), 2, "{name:?}");
        let lines = log_lines(&log);
        assert!(lines.iter().any(|line| line.event == "version.unloaded"), "{name:?}: {lines:#?}");
        drop(engine);
        assert_logged(&log, &source);
        assert!(!target.join("stage").join(std::process::id().to_string()).exists());
    }
}

/// A crate whose directory has this name, inside one that is the test's alone.
fn crate_in(fixture: &CrateFixture, name: &OsStr) -> PathBuf {
    let inner = fixture.path().join(name);
    fs::create_dir_all(inner.join("src")).expect("ours");
    for file in ["Cargo.toml", "Cargo.lock", "src/lib.rs", "run"] {
        fs::copy(fixture.path().join(file), inner.join(file)).expect("ours");
    }
    inner
}

/// Crates and single files in directories with odd names are built by the real compiler.
#[test]
fn sources_may_have_odd_names() {
    let fixture = CrateFixture::new("odd_names", &versioned(1));
    for name in ODD {
        let module = crate_in(&fixture, OsStr::new(name));
        let log = fixture.path().join(name).with_extension("log");
        let engine = builder(&module).log_file(&log).open().unwrap_or_else(|error| {
            panic!("{name:?}: {error:?}");
        });
        fs::write(module.join("src/lib.rs"), versioned(2)).expect("ours");
        engine.sync().expect("it builds");
        assert_eq!(version(&engine), 2, "{name:?}");
        fs::write(module.join("src/lib.rs"), "broken").expect("ours");
        let text = engine.sync().expect_err("it does not compile").to_string();
        assert!(text.contains("src/lib.rs:1") && text.ends_with("v2 stays current"), "{text}");
        assert_eq!(version(&engine), 2, "{name:?}");
        drop(engine);
        assert_logged(&log, &module);
    }
}

#[test]
fn a_single_file_may_have_an_odd_name() {
    let fixture = CrateFixture::new("odd_files", "");
    for name in ODD {
        let (file, log) =
            (fixture.path().join(format!("{name}.rs")), fixture.path().join(format!("{name}.log")));
        // Of this run and of this file: what the same text built before is in the store.
        let text =
            |number| format!("{}\n// {:?} {name:?}\n", versioned(number), std::process::id());
        fs::write(&file, text(1)).expect("ours");
        let engine = builder(&file).log_file(&log).open().unwrap_or_else(|error| {
            panic!("{name:?}: {error:?}");
        });
        fs::write(&file, text(2)).expect("ours");
        engine.sync().expect("it builds");
        assert_eq!(version(&engine), 2, "{name:?}");
        drop(engine);
        assert_logged(&log, &file);
    }
}

/// Cargo writes paths down as text: where a path is none, the text says so and names it.
#[test]
fn what_is_no_text_cannot_be_built_and_says_so() {
    let fixture = CrateFixture::new("no_text", &versioned(1));
    let name = OsStr::from_bytes(NO_TEXT);
    let file = fixture.path().join(name).with_extension("rs");
    fs::write(&file, versioned(1)).expect("ours");
    let error = builder(&file).without_log().open().expect_err("a manifest cannot name it");
    let text = format!("{error:?}");
    assert!(text.contains("could not write a manifest for "), "{text}");
    assert!(text.contains("a manifest cannot name a path that is not UTF-8"), "{text}");
    assert!(text.contains(&file.display().to_string()), "{text}");

    let module = crate_in(&fixture, name);
    let log = fixture.path().join("hotswap.log");
    let error = builder(&module).log_file(&log).open().expect_err("cargo takes no such path");
    let why = "cargo takes no path that is not UTF-8: ";
    assert!(format!("{error:?}").contains(&format!("{why}{}", module.display())), "{error:?}");
    let lines = log_lines(&log);
    let line = lines.iter().rfind(|line| line.event == "build.fail").expect("it failed");
    assert!(line.field("msg").contains(why), "{line:?}");

    let target = fixture.path().join(name);
    let error = fixture.engine().target_dir(&target).open().expect_err("nor such an argument");
    assert!(format!("{error:?}").contains("UTF-8"), "{error:?}");

    // An engine that runs goes on when its file is replaced by one that cannot be named: there is none any more.
    let running = fixture.engine().open().expect("opens");
    fs::rename(fixture.path().join("src"), fixture.path().join(name).join("src2")).expect("ours");
    let text = running.sync().expect_err("nothing is left to build").to_string();
    assert!(text.ends_with("v1 stays current"), "{text}");
    assert_eq!(version(&running), 1);
}

/// A name of 255 bytes, and paths as long as the system takes and longer.
#[test]
fn very_long_paths_work_or_say_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The longest name of one file.
    let longest = directory.path().join(format!("{}.so", "n".repeat(252)));
    fs::copy(prebuilt::numbered(1), &longest).expect("writable");
    let log = directory.path().join("hotswap.log");
    let engine = prebuilt::engine(&longest).log_file(&log).open().expect("opens");
    assert_eq!(version(&engine), 1);
    let too_long = directory.path().join(format!("{}.so", "n".repeat(253)));
    let error = engine.offer(&too_long).expect_err("no file has such a name");
    let text = format!("{error:?}");
    assert!(text.contains("cannot read ") && text.contains("File name too long"), "{text}");
    assert!(text.contains("; v1 stays current"), "{text}");

    // The longest path that the system takes, 4,095 bytes.
    let mut home = directory.path().to_owned();
    while home.as_os_str().len() < 3_700 {
        home.push("d".repeat(200));
    }
    fs::create_dir_all(&home).expect("it is short enough");
    // Two parts more: a directory of 40 bytes, and a file that takes the rest.
    home.push("x".repeat(40));
    let rest = 4_095 - home.as_os_str().len() - 1;
    assert!((100..=255).contains(&rest), "{rest}");
    fs::create_dir(&home).expect("it is short enough");
    let deep = home.join(format!("{}.so", "f".repeat(rest - 3)));
    assert_eq!(deep.as_os_str().len(), 4_095);
    fs::copy(prebuilt::numbered(2), &deep).expect("the system takes it");
    engine.offer(&deep).expect("it is copied before it is loaded");
    assert_eq!(version(&engine), 2);
    let own = prebuilt::engine(&deep).open().expect("opens");
    assert_eq!(version(&own), 2);
    let deeper = home.join(format!("x{}", deep.file_name().expect("given").display()));
    let text = format!("{:?}", engine.offer(&deeper).expect_err("too long"));
    assert!(text.contains("File name too long") && text.contains("; v2 stays current"), "{text}");
    // What lies there has no room for what an engine puts beside it.
    let error = prebuilt::engine(&prebuilt::numbered(1)).log_file(deeper).open();
    let text = format!("{:?}", error.expect_err("the log has no name"));
    assert!(text.contains("cannot write the log") && text.contains("File name too long"), "{text}");
    drop(engine);
    let lines = log_lines(&log);
    let refused: Vec<_> = lines.iter().filter(|line| line.event == "verify.refused").collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|line| line.field("err") == "load.file"), "{refused:?}");
}

/// A member is built in its workspace, found broken and repaired there, and other members do not matter to it.
#[test]
fn a_workspace_member_is_a_source() {
    let fixture = CrateFixture::new("member_inside", &versioned(1));
    let root = fixture.path().join("workspace");
    let member = crate_in(&fixture, OsStr::new("workspace/member"));
    let manifest = fs::read_to_string(member.join("Cargo.toml")).expect("ours");
    let (package, _) = manifest.split_once("# Small libraries").expect("the fixture's manifest");
    fs::write(member.join("Cargo.toml"), package).expect("ours");
    fs::rename(member.join("Cargo.lock"), root.join("Cargo.lock")).expect("ours");
    fs::write(
        root.join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\"]\n",
    )
    .expect("ours");
    let other = root.join("other");
    fs::create_dir_all(other.join("src")).expect("ours");
    fs::write(
        other.join("Cargo.toml"),
        "[package]\nname = \"other\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )
    .expect("ours");
    fs::write(other.join("src/lib.rs"), "this does not compile").expect("ours");
    let log = fixture.path().join("hotswap.log");
    let engine = builder(&member).log_file(&log).open().expect("opens");
    assert_eq!(version(&engine), 1);
    fs::write(other.join("src/lib.rs"), "nor does this").expect("ours");
    assert!(!engine.sync().expect("it is no part of it").is_swapped());
    fs::write(member.join("src/lib.rs"), versioned(2)).expect("ours");
    assert!(engine.sync().expect("it builds").is_swapped());
    fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"other\"]\n").expect("ours");
    let text = format!("{:?}", engine.sync().expect_err("it is no member any more"));
    assert!(text.contains("workspace") && text.contains("v2 stays current"), "{text}");
    assert_eq!(version(&engine), 2);
    drop(engine);
    let lines = log_lines(&log);
    assert!(lines.iter().any(|line| line.event == "build.fail"), "{lines:#?}");
}
