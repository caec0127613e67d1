//! What is no module that can run, written over a watched library or built from a crate: refused with a text that says
//! what is wrong, once in the log; what ran goes on, and the next good one is taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_engine::{Engine, RUSTC, ReloadError, TARGET};
use hotswap_tests::prebuilt::{self, Kind};
use hotswap_tests::{
    CrateFixture, LogLine, build_directory, is_isolated, isolated_under, log_lines, versioned,
};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

/// An error with its causes.
fn whole_text(error: &ReloadError) -> String {
    format!("{error:?}")
}

/// One file that cannot run.
struct Bad {
    what: &'static str,
    bytes: Vec<u8>,
    /// What the text must say.
    says: Vec<String>,
    code: &'static str,
}

/// Where the record of the module itself stands, and a text in it.
fn find(bytes: &[u8], wanted: &[u8], after: usize) -> usize {
    let windows = bytes[after..].windows(wanted.len());
    after + windows.into_iter().position(|window| window == wanted).expect("it is there")
}

/// A text of the root record replaced by one of the same length.
fn patched(whole: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let root = find(whole, b"HOTSROOT", 0);
    let place = find(whole, from.as_bytes(), root);
    let mut bytes = whole.to_vec();
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

fn bad_files() -> Vec<Bad> {
    let whole = fs::read(prebuilt::numbered(2)).expect("readable");
    let bad = |what, bytes: Vec<u8>, says: &[&str], code| Bad {
        what,
        bytes,
        says: says.iter().map(|text| (*text).to_owned()).collect(),
        code,
    };
    let mut files = vec![
        bad("empty", vec![], &["is not a whole library: the file is empty"], "load.damaged"),
        bad(
            "garbage",
            b"garbage".repeat(999),
            &["does not begin like an ELF file"],
            "load.damaged",
        ),
        bad("zeros", vec![0; whole.len()], &["does not begin like an ELF file"], "load.damaged"),
    ];
    for percent in [1, 10, 50, 90, 99] {
        let cut = whole[..whole.len() * percent / 100].to_vec();
        files.push(bad("cut", cut, &["is not a whole library"], "load.damaged"));
    }
    // Its own length with nothing in the second half, as a file system leaves it after a crash.
    let mut holes = whole.clone();
    holes[whole.len() / 2..].fill(0);
    files.push(bad("half zeros", holes, &["is not a whole library"], "load.damaged"));
    let mut machine = whole.clone();
    machine[18..20].copy_from_slice(&243_u16.to_le_bytes());
    let host = format!("this host is {}", std::env::consts::ARCH);
    files.push(bad("machine", machine, &["built for riscv64", &host], "load.architecture"));
    let other = RUSTC.replacen("rustc 1.", "rustc 9.", 1);
    let says = [&*format!("built by {other}"), &*format!("this host by {RUSTC}")];
    files.push(bad("toolchain", patched(&whole, RUSTC, &other), &says, "load.toolchain"));
    let other = TARGET.replacen("linux", "minix", 1);
    let says = [&*other, TARGET];
    files.push(bad("target", patched(&whole, TARGET, &other), &says, "load.toolchain"));
    let built = |name: &str, source: &str, kind| {
        fs::read(prebuilt::library(name, source, kind)).expect("readable")
    };
    let numbered = prebuilt::source("numbered.rs");
    let aborting = built("aborting", &numbered, Kind::PanicAbort);
    files.push(bad("abort", aborting, &["remove `panic = \"abort\"`"], "load.panic_abort"));
    let plain = "#[unsafe(no_mangle)] pub extern \"C\" fn f() {}";
    let plain = built("plain", plain, Kind::Plain);
    files.push(bad("plain", plain, &["hotswap_module::module!();"], "load.not_a_module"));
    let twice = "hotswap_module::module!();\n\
                 #[hotswap_module::export]\npub fn version() -> u64 { 2 }\n\
                 pub mod inner {\n#[hotswap_module::export]\npub fn version() -> u64 { 3 }\n}\n";
    let twice = built("exported_twice", twice, Kind::Module);
    let says = ["version is exported twice", "exported_twice::inner", "#[export(name = \"..\")]"];
    files.push(bad("twice", twice, &says, "load.duplicate"));
    files
}

fn refusals(log: &Path) -> Vec<LogLine> {
    let is_refusal = |line: &LogLine| line.event.ends_with(".refused");
    log_lines(log).into_iter().filter(is_refusal).collect()
}

/// Each is written over the file that an engine watches, and repaired, as a linker that fails and one that works do it.
#[test]
fn a_bad_file_over_a_good_one_changes_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, log) = (directory.path().join("module.so"), directory.path().join("hotswap.log"));
    let good = [1, 2].map(|number| fs::read(prebuilt::numbered(number)).expect("readable"));
    fs::write(&path, &good[0]).expect("writable");
    let engine = prebuilt::engine(&path).log_file(&log).open().expect("opens");
    let mut current = 1;
    for (index, bad) in bad_files().into_iter().enumerate() {
        let what = format!("{} ({} bytes)", bad.what, bad.bytes.len());
        fs::write(&path, &bad.bytes).expect("writable");
        let answers = version(&engine);
        // Asked twice: it is refused once, and remembered.
        for _ in 0..2 {
            let text = whole_text(&engine.sync().expect_err(&what));
            for says in &bad.says {
                assert!(text.contains(says), "{what}: {says}: {text}");
            }
            assert!(text.contains(&format!("; v{current} stays current")), "{what}: {text}");
            assert_eq!((version(&engine), engine.version().number()), (answers, current), "{what}");
        }
        let refused = refusals(&log);
        assert_eq!(refused.len(), index + 1, "{what}: {refused:#?}");
        let line = &refused[index];
        assert_eq!((line.event.as_str(), line.level.as_str()), ("verify.refused", "ERROR"));
        assert_eq!((line.field("err"), line.field("outcome")), (bad.code, "rejected"), "{what}");
        assert!(line.field("msg").contains(&bad.says[0]), "{what}: {line:?}");
        // The other good one, so that each repair is a swap.
        fs::write(&path, &good[(index + 1) % 2]).expect("writable");
        assert!(engine.sync().expect("it is good").is_swapped(), "{what}");
        current += 1;
        assert_eq!((version(&engine), engine.version().number()), (3 - answers, current), "{what}");
    }
}

/// A crate whose library target goes away while its engine runs.
#[test]
fn a_crate_without_a_library_says_so() {
    let module = CrateFixture::new("library_goes_away", &versioned(1));
    let log = module.path().join("hotswap.log");
    let engine = module.engine().log_file(&log).open().expect("opens");
    let library = module.path().join("src/lib.rs");
    fs::rename(&library, module.path().join("src/main.rs")).expect("ours");
    let text = whole_text(&engine.sync().expect_err("no library"));
    assert!(text.contains("a module crate needs a library target (src/lib.rs)"), "{text}");
    assert!(text.contains("v1 stays current"), "{text}");
    assert_eq!(version(&engine), 1);
    let lines = log_lines(&log);
    let line = lines.iter().rfind(|line| line.event == "build.fail").expect("it failed");
    assert!(line.field("msg").contains("no library targets found"), "{line:?}");
    module.edit(&versioned(2));
    assert!(engine.sync().expect("it has one again").is_swapped());
    assert_eq!(version(&engine), 2);
}

/// The compiler is gone while an engine runs: what is new cannot be built and says why, what was built before is taken
/// from the store.
#[test]
fn a_compiler_that_goes_away_is_named_and_the_store_serves() {
    use std::os::unix::fs::PermissionsExt as _;

    let module = CrateFixture::new("compiler_goes_away", &versioned(1));
    let log = module.path().join("hotswap.log");
    let cargo = module.path().join("target").join("cargo");
    fs::create_dir_all(cargo.parent().expect("joined")).expect("ours");
    let install = || {
        fs::write(&cargo, "#!/bin/sh\nexec cargo \"$@\"\n").expect("ours");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    install();
    let engine = module.engine().cargo(&cargo).log_file(&log).open().expect("opens");
    module.edit(&versioned(2));
    engine.sync().expect("it builds");
    fs::remove_file(&cargo).expect("ours");

    // What needs cargo: of an edit of the source alone, the compiler would do.
    let manifest = fs::read_to_string(module.path().join("Cargo.toml")).expect("ours");
    module.write("Cargo.toml", &(manifest.clone() + "# edited\n"));
    module.edit(&versioned(3));
    let text = whole_text(&engine.sync().expect_err("nothing builds it"));
    assert!(text.contains(&format!("could not start {}", cargo.display())), "{text}");
    assert!(text.contains("is Rust installed and on PATH?; v2 stays current"), "{text}");
    assert_eq!(version(&engine), 2);
    let lines = log_lines(&log);
    let line = lines.iter().rfind(|line| line.event == "build.fail").expect("it failed");
    assert!(line.field("msg").contains("could not start"), "{line:?}");

    module.write("Cargo.toml", &manifest);
    module.edit(&versioned(1));
    assert!(engine.sync().expect("it was built before").is_swapped());
    assert_eq!(version(&engine), 1);
    let lines = log_lines(&log);
    assert!(lines.iter().any(|line| line.event == "build.cached"), "{lines:#?}");

    install();
    module.edit(&versioned(3));
    assert!(engine.sync().expect("it builds again").is_swapped());
    assert_eq!(version(&engine), 3);
}

/// Names the crate that the process without a PATH opens.
const CRATE: &str = "HOTSWAP_TESTS_CRATE";

/// A host that finds no compiler cannot open a crate, and says what is missing.
#[test]
fn without_a_path_the_missing_compiler_is_named() {
    const NAME: &str = "without_a_path_the_missing_compiler_is_named";
    let module = (!is_isolated(NAME)).then(|| CrateFixture::new("no_path", &versioned(1)));
    let variable = module.as_ref().map(|module| format!("{CRATE}={}", module.path().display()));
    let launcher = ["env", "-u", "CARGO", "PATH=/nowhere", variable.as_deref().unwrap_or_default()];
    isolated_under(NAME, &launcher, || {
        let module = PathBuf::from(std::env::var_os(CRATE).expect("the first process names it"));
        let log = module.join("hotswap.log");
        let error = Engine::builder(&module).log_file(&log).open().expect_err("no compiler");
        let text = format!("{error:?}");
        assert!(text.contains("could not start cargo; is Rust installed and on PATH?"), "{text}");
        assert!(text.contains("No such file or directory"), "{text}");
        let lines = log_lines(&log);
        let line = lines.iter().rfind(|line| line.event == "build.fail").expect("it failed");
        assert!(line.field("msg").contains("could not start cargo"), "{line:?}");
    });
}

/// Nor with a cargo that finds no compiler: it is the compiler that is named, and not the manifest.
#[test]
fn a_cargo_without_a_compiler_names_the_compiler() {
    const NAME: &str = "a_cargo_without_a_compiler_names_the_compiler";
    let module = (!is_isolated(NAME)).then(|| CrateFixture::new("no_rustc", &versioned(1)));
    let variable = module.as_ref().map(|module| format!("{CRATE}={}", module.path().display()));
    // The variable CARGO stays: it is the cargo that runs this test, by its whole path.
    let launcher = ["env", "PATH=/nowhere", variable.as_deref().unwrap_or_default()];
    isolated_under(NAME, &launcher, || {
        let module = PathBuf::from(std::env::var_os(CRATE).expect("the first process names it"));
        let error = Engine::builder(&module).without_log().open().expect_err("no compiler");
        let text = format!("{error:?}");
        assert!(text.contains("could not start rustc; is Rust installed and on PATH?"), "{text}");
    });
}

/// What was built before needs no compiler, in a new process either: cargo's own answer is remembered, for as long as the
/// manifests are what they were.
#[test]
fn bu_4_without_a_path_what_was_built_before_is_loaded() {
    const NAME: &str = "bu_4_without_a_path_what_was_built_before_is_loaded";
    let opened = |module: &Path| {
        let target_dir = build_directory().join("target");
        let builder = Engine::builder(module).target_dir(target_dir).offline().without_log();
        builder.poll_every(Duration::from_secs(3_600)).open()
    };
    let module = (!is_isolated(NAME)).then(|| {
        let module = CrateFixture::new("built_before", &versioned(1));
        drop(opened(module.path()).expect("it builds"));
        module
    });
    let variable = module.as_ref().map(|module| format!("{CRATE}={}", module.path().display()));
    let launcher = ["env", "-u", "CARGO", "PATH=/nowhere", variable.as_deref().unwrap_or_default()];
    isolated_under(NAME, &launcher, || {
        let module = PathBuf::from(std::env::var_os(CRATE).expect("the first process names it"));
        let engine = opened(&module).expect("it was built before");
        assert_eq!(version(&engine), 1);
        let source = module.join("src/lib.rs");
        fs::write(&source, versioned(2)).expect("writable");
        let error = engine.sync().expect_err("nothing builds it");
        assert!(error.to_string().contains("could not start cargo"), "{error}");
        assert_eq!(version(&engine), 1);
        fs::write(&source, versioned(1)).expect("writable");
        engine.sync().expect("it was built before");
        drop(engine);
        // Another manifest may mean anything.
        let manifest = module.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("readable");
        fs::write(&manifest, format!("{text}\n# edited\n")).expect("writable");
        let engine = opened(&module).expect("something served");
        let fallback = engine.status().fallback.expect("cargo is not there to read it");
        assert!(fallback.to_string().contains("could not start cargo"), "{fallback}");
        assert_eq!(version(&engine), 1);
    });
}
