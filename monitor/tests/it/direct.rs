//! Edits that go straight to the compiler, and those that must not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use hotswap_monitor::{BuildErrorKind, Monitor, Outcome, Step, Tool};

use crate::harness::{Watched, contains, offline, ready, saying, write, write_crate};

/// How many edits each schedule has.
const EDITS: u64 = 22;

/// What gave the last library, and how many warnings there were.
fn last_build(watched: &Watched) -> Option<(Tool, usize)> {
    let told = watched.observations.try_iter().filter_map(|told| match told.step {
        Step::BuildOk { by, warnings, .. } => Some((by, warnings)),
        _ => None,
    });
    told.last()
}

fn tool(watched: &Watched) -> Option<Tool> {
    last_build(watched).map(|(by, _)| by)
}

#[test]
fn an_edit_of_the_modules_own_sources_goes_straight_to_the_compiler() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    let watched = Watched::start(root);
    assert!(contains(&ready(watched.next()), "<one>"));
    assert_eq!(last_build(&watched), Some((Tool::Cargo, 0)));
    write(root, "src/lib.rs", saying("<two>") + "fn unused() {}\n");
    assert!(contains(&watched.ready(), "<two>"));
    assert_eq!(last_build(&watched), Some((Tool::Rustc, 1)));
    // A new file, and what it includes; afterwards a change of either.
    write(
        root,
        "src/more.rs",
        "#[unsafe(no_mangle)] pub static M: &[u8; 6] = include_bytes!(\"m.txt\");",
    );
    write(root, "src/m.txt", "<aaaa>");
    write(root, "src/lib.rs", saying("<two>") + "mod more;\n");
    assert!(contains(&watched.ready(), "<aaaa>"));
    write(root, "src/m.txt", "<bbbb>");
    assert!(contains(&watched.ready(), "<bbbb>"));
    assert_eq!(tool(&watched), Some(Tool::Rustc));
}

/// What the module reads elsewhere, the next process learns from cargo.
#[test]
fn a_file_outside_that_is_new_goes_to_cargo_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    write_crate(&root, "game", &saying("<one>"));
    write(directory.path(), "o.txt", "<aaaa>");
    let watched = Watched::start(&root);
    ready(watched.next());
    watched.observations.try_iter().for_each(drop);
    let include = "#[unsafe(no_mangle)] pub static O: &[u8; 6] = include_bytes!(\"../../o.txt\");";
    for (text, by) in [("<two>", Tool::Cargo), ("<three>", Tool::Cargo), ("<four>", Tool::Rustc)] {
        write(&root, "src/lib.rs", saying(text) + include);
        let artifact = watched.ready();
        assert!(contains(&artifact, text) && contains(&artifact, "<aaaa>"));
        assert_eq!(tool(&watched), Some(by), "{text}");
    }
    drop(watched);
    let watched = Watched::start(&root);
    ready(watched.next());
    assert_eq!(watched.builds(), 0, "it is known");
}

/// The errors are the same to the letter, whoever calls the compiler.
#[test]
fn an_error_reads_as_if_cargo_had_built() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    let mut settings = offline();
    settings.color = true;
    settings.reuse_builds = false;
    let watched = Watched::with(Monitor::builder(root).build(settings.clone()));
    ready(watched.next());
    write(root, "src/lib.rs", "fn unused() {}\npub fn f() -> u64 { missing() }\n");
    let error = watched.failed();
    // One that knows nothing of what cargo did before.
    let by_cargo = Watched::with(Monitor::builder(root).build(settings));
    let Outcome::Failed(expected) = by_cargo.next().outcome else { panic!("it does not compile") };
    let (direct, expected) = (error.diagnostics().unwrap(), expected.diagnostics().unwrap());
    assert_eq!(direct.rendered, expected.rendered);
    assert_eq!(direct.first_error, expected.first_error);
    assert_eq!(
        (direct.error_count, direct.warning_count),
        (expected.error_count, expected.warning_count)
    );
}

/// Whatever its time stamps say: cargo does not know of the last build.
#[test]
fn cargo_compiles_again_after_a_direct_build() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    let mut settings = offline();
    settings.reuse_builds = false;
    let watched = Watched::with(Monitor::builder(root).build(settings.clone()));
    ready(watched.next());
    write(root, "src/lib.rs", saying("<two>"));
    watched.ready();
    assert_eq!(tool(&watched), Some(Tool::Rustc));
    drop(watched);
    // As it was when cargo compiled it last, and as old.
    write(root, "src/lib.rs", saying("<one>"));
    let file = File::options().write(true).open(root.join("src/lib.rs")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let watched = Watched::with(Monitor::builder(root).build(settings));
    assert!(contains(&ready(watched.next()), "<one>"));
    assert_eq!(tool(&watched), Some(Tool::Cargo));
}

/// A crate that the module was compiled against is gone, or another: cargo knows what to do.
#[test]
fn a_dependency_that_is_not_as_it_was_goes_to_cargo() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(&root.join("game"), "game", "pub use dep::f;");
    let manifest = fs::read_to_string(root.join("game/Cargo.toml")).unwrap();
    write(root, "game/Cargo.toml", manifest + "[dependencies]\ndep = { path = \"../dep\" }\n");
    write_crate(&root.join("dep"), "dep", &saying("<dep>"));
    let watched = Watched::start(root.join("game"));
    ready(watched.next());
    write(root, "game/src/lib.rs", "pub use dep::f; // two");
    watched.ready();
    assert_eq!(tool(&watched), Some(Tool::Rustc));
    let compiled = root.join("game/target/hotswap/debug/deps");
    for entry in fs::read_dir(compiled).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("libdep-") {
            fs::remove_file(path).unwrap();
        }
    }
    write(root, "game/src/lib.rs", "pub use dep::f; // three");
    assert!(contains(&watched.ready(), "<dep>"));
    assert_eq!(tool(&watched), Some(Tool::Cargo));
}

/// A file of the module that a dependency includes, or a build script reads: cargo knows what follows.
#[test]
fn a_file_that_others_read_as_well_goes_to_cargo() {
    let directory = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(directory.path()).unwrap();
    let manifest = |root: &Path, more: &str| {
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        write(root, "Cargo.toml", manifest + more);
    };
    let include = |path: &str| {
        format!("#[unsafe(no_mangle)] pub static TEXT: &[u8; 5] = include_bytes!({path:?});")
    };
    let game = root.join("game");
    write_crate(&game, "game", &format!("pub use dep::*;\nmod one {{ {} }}", include("text.txt")));
    manifest(&game, "[dependencies]\ndep = { path = \"../dep\" }\n");
    let twice = include("../../game/src/text.txt").replace("TEXT", "TEXT_TOO");
    write_crate(&root.join("dep"), "dep", &twice);
    write(&game, "src/text.txt", "<aaa>");
    let watched = Watched::start(&game);
    ready(watched.next());
    for (text, library, by) in [("<bbb>", "// b", Tool::Cargo), ("<bbb>", "// c", Tool::Rustc)] {
        write(&game, "src/text.txt", text);
        let before = fs::read_to_string(game.join("src/lib.rs")).unwrap();
        write(&game, "src/lib.rs", before + library);
        let artifact = watched.ready();
        assert!(contains(&artifact, "<bbb>") && !contains(&artifact, "<aaa>"));
        assert_eq!(tool(&watched), Some(by), "{library}");
    }
    // Which files it reads it does not say: all of them may change what it writes.
    write(&game, "build.rs", "fn main() {}");
    for comment in ["// d", "// e"] {
        let before = fs::read_to_string(game.join("src/lib.rs")).unwrap();
        write(&game, "src/lib.rs", before + comment);
        watched.ready();
        assert_eq!(tool(&watched), Some(Tool::Cargo), "{comment}");
    }
}

/// A cargo that somebody runs in the target directory is waited for.
#[test]
fn a_direct_build_waits_for_cargos_lock() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    let mut settings = offline();
    settings.deadline = Duration::from_secs(8);
    let watched = Watched::with(Monitor::builder(root).build(settings));
    ready(watched.next());
    let lock = File::open(root.join("target/hotswap/debug/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    write(root, "src/lib.rs", saying("<two>"));
    watched.monitor.scan(hotswap_monitor::Trigger::Manual);
    let error = crate::harness::failed(watched.next());
    assert!(matches!(error.kind, BuildErrorKind::TimedOut { .. }), "{error}");
    lock.unlock().unwrap();
    assert!(contains(&watched.ready(), "<two>"));
}

/// Somebody's own wrapper goes on working: nothing is recorded.
#[test]
fn a_wrapper_of_the_users_runs_every_time() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    // Beside the package: what it writes is no input.
    let beside = tempfile::tempdir().unwrap();
    let wrapper = beside.path().join("wrapper.sh");
    write(beside.path(), "wrapper.sh", "#!/bin/sh\necho \"$*\" >>\"$0.calls\"\nexec \"$@\"\n");
    let mut mode = fs::metadata(&wrapper).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&wrapper, mode).unwrap();
    let configuration = format!("[build]\nrustc-workspace-wrapper = {wrapper:?}\n");
    write(root, ".cargo/config.toml", configuration);
    let calls = || {
        let calls = fs::read_to_string(beside.path().join("wrapper.sh.calls")).unwrap();
        calls.lines().filter(|line| line.contains("--crate-name game")).count()
    };
    let watched = Watched::start(root);
    ready(watched.next());
    let before = calls();
    write(root, "src/lib.rs", saying("<two>"));
    assert!(contains(&watched.ready(), "<two>"));
    assert_eq!(tool(&watched), Some(Tool::Cargo));
    assert_eq!(calls(), before + 1);
}

macro_rules! schedules {
    ($($name:ident = $seed:literal;)*) => {$(
        #[test]
        fn $name() {
            schedule($seed, EDITS);
        }
    )*};
}

schedules! {
    never_a_stale_result_0x01 = 0x01;
    never_a_stale_result_0x2b = 0x2b;
    never_a_stale_result_0xc0 = 0xc0;
}

/// The schedule of `HOTSWAP_SEED` with `HOTSWAP_ACTIONS` edits, and as many seeds after it as `HOTSWAP_SCHEDULES` says;
/// a short one when nobody says anything.
#[test]
fn never_a_stale_result_by_hand() {
    let number = |variable, default| match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => default,
    };
    let (seed, edits) = (number("HOTSWAP_SEED", 7), number("HOTSWAP_ACTIONS", 4));
    for seed in seed..seed + number("HOTSWAP_SCHEDULES", 1) {
        schedule(seed, edits);
    }
}

/// Edits of all kinds, at random. After each the library says of every part of its source which one it was compiled
/// from; in the end it says the same as one that a plain cargo builds of a copy.
fn schedule(seed: u64, edits: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(directory.path(), seed);
    world.write_all();
    let watched = Watched::start(world.root.join("game"));
    let mut last = ready(watched.next());
    assert_eq!(said_by(&last.path), world.expected(), "seed {seed}, first build");
    let mut by_cargo = world.known_to_cargo();
    let mut direct_builds = 0;
    for number in 0..edits {
        let edit = world.edit();
        let context = format!("seed {seed}, edit {number}: {edit:?}");
        match (world.is_broken, watched.scan().outcome) {
            (true, Outcome::Failed(error)) => {
                let first = error.diagnostics().unwrap().first_error.clone().unwrap_or_default();
                assert!(first.starts_with("game/src/lib.rs:"), "{context}: {first}");
                continue;
            }
            (false, Outcome::Ready(artifact)) => last = artifact,
            (false, Outcome::Unchanged(_)) => {}
            (_, other) => panic!("{context}: {other:?}"),
        }
        assert_eq!(said_by(&last.path), world.expected(), "{context}");
        match tool(&watched) {
            Some(Tool::Rustc) => {
                assert_eq!(by_cargo, world.known_to_cargo(), "{context}");
                direct_builds += 1;
            }
            Some(_) => by_cargo = world.known_to_cargo(),
            // It was built before.
            None => {}
        }
    }
    assert!(direct_builds > 0 || edits < EDITS, "seed {seed}: all went to cargo");
    if world.is_broken {
        return;
    }
    assert_eq!(said_by(&last.path), world.built_by_plain_cargo(), "seed {seed}, in the end");
}

/// What the library says: the marks in its bytes.
fn said_by(library: &Path) -> Vec<String> {
    let bytes = fs::read(library).unwrap();
    let mut said = Vec::new();
    for (at, _) in bytes.windows(2).enumerate().filter(|(_, window)| *window == b"<@") {
        let rest = &bytes[at + 2..(at + 64).min(bytes.len())];
        if let Some(end) = rest.iter().position(|&byte| byte == b'>')
            && let Ok(text) = std::str::from_utf8(&rest[..end])
        {
            said.push(text.to_owned());
        }
    }
    said.sort();
    said.dedup();
    said
}

#[derive(Debug, Clone, Copy)]
enum Edit {
    Library,
    LibraryWithAnOldTime,
    Module,
    ModuleComesOrGoes,
    IncludedText,
    TextOutside,
    Dependency,
    DefaultFeature,
    PackageVersion,
    ScriptInput,
    Script,
    Flag,
    Break,
}

const EDITS_ALL: [Edit; 13] = [
    Edit::Library,
    Edit::LibraryWithAnOldTime,
    Edit::Module,
    Edit::ModuleComesOrGoes,
    Edit::IncludedText,
    Edit::TextOutside,
    Edit::Dependency,
    Edit::DefaultFeature,
    Edit::PackageVersion,
    Edit::ScriptInput,
    Edit::Script,
    Edit::Flag,
    Edit::Break,
];

impl Edit {
    /// Whether only the compiler of the module can tell the difference.
    fn is_own(self) -> bool {
        matches!(
            self,
            Self::Library
                | Self::LibraryWithAnOldTime
                | Self::Module
                | Self::ModuleComesOrGoes
                | Self::IncludedText
        )
    }
}

/// A workspace with a module, a dependency, a build script, and what they include.
struct World {
    root: PathBuf,
    random: u64,
    numbers: BTreeMap<&'static str, u64>,
    has_module: bool,
    has_feature: bool,
    has_flag: bool,
    is_broken: bool,
}

impl World {
    fn new(root: &Path, seed: u64) -> Self {
        let names =
            ["lib", "part", "extra", "text", "outside", "dep", "version", "input", "script"];
        let root = fs::canonicalize(root).unwrap();
        Self {
            root,
            random: seed,
            numbers: names.into_iter().map(|name| (name, 0)).collect(),
            has_module: false,
            has_feature: false,
            has_flag: false,
            is_broken: false,
        }
    }

    /// Splitmix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One edit; two in three are of the module's own sources.
    fn edit(&mut self) -> Edit {
        let mut edit = EDITS_ALL[(self.random() % EDITS_ALL.len() as u64) as usize];
        if !edit.is_own() && self.random().is_multiple_of(2) {
            edit = [Edit::Library, Edit::Module, Edit::IncludedText][(self.random() % 3) as usize];
        }
        // Small numbers: what was before may come back.
        let number = self.random() % 5;
        let mut set = |name| {
            self.numbers.insert(name, number);
        };
        self.is_broken = false;
        match edit {
            Edit::Library | Edit::LibraryWithAnOldTime => set("lib"),
            Edit::Module => set("part"),
            Edit::ModuleComesOrGoes => self.has_module = !self.has_module,
            Edit::IncludedText => set("text"),
            Edit::TextOutside => set("outside"),
            Edit::Dependency => set("dep"),
            Edit::DefaultFeature => self.has_feature = !self.has_feature,
            Edit::PackageVersion => set("version"),
            Edit::ScriptInput => set("input"),
            Edit::Script => set("script"),
            Edit::Flag => self.has_flag = !self.has_flag,
            Edit::Break => self.is_broken = true,
        }
        self.write_all();
        if let Edit::LibraryWithAnOldTime = edit {
            let file = File::options().write(true).open(self.root.join("game/src/lib.rs")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(36_000)).unwrap();
        }
        edit
    }

    fn number(&self, name: &str) -> u64 {
        self.numbers[name]
    }

    /// What a library of this says.
    fn expected(&self) -> Vec<String> {
        let mut said: Vec<String> = ["lib", "part", "text", "outside", "dep", "input", "script"]
            .into_iter()
            .map(|name| format!("{name}={}", self.number(name)))
            .collect();
        said.push(format!("version=0.1.{}", self.number("version")));
        said.push(format!("feature={}", self.has_feature));
        said.push(format!("flag={}", self.has_flag));
        if self.has_module {
            said.push("extra=0".to_owned());
        }
        said.sort();
        said
    }

    /// What goes past the compiler of the module.
    fn known_to_cargo(&self) -> (Vec<u64>, bool, bool) {
        let names = ["outside", "dep", "version", "input", "script"];
        let numbers = names.into_iter().map(|name| self.number(name)).collect();
        (numbers, self.has_feature, self.has_flag)
    }

    fn write_all(&self) {
        let mark = |name: &str| format!("<@{name}={}>", self.number(name));
        let item = |name: &str, text: &str| {
            let name = name.to_uppercase();
            format!("#[unsafe(no_mangle)] pub static MARK_{name}: &str = {text};\n")
        };
        let literal = |name: &str| item(name, &format!("{:?}", mark(name)));
        let switch = |name: &str, condition: &str| {
            let with = |value: bool| item(name, &format!("\"<@{name}={value}>\""));
            format!("#[cfg({condition})] {}#[cfg(not({condition}))] {}", with(true), with(false))
        };
        let mut library = literal("lib")
            + "mod part;\n"
            + if self.has_module { "mod extra;\n" } else { "" }
            + &item("text", "include_str!(\"text.txt\")")
            + &item("outside", "include_str!(\"../../outside.txt\")")
            + &item("dep", "dep::MARK")
            + &item("version", "concat!(\"<@version=\", env!(\"CARGO_PKG_VERSION\"), \">\")")
            + &switch("feature", "feature = \"loud\"")
            + &switch("flag", "flag")
            + "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));\n";
        if self.is_broken {
            library += "pub fn broken() -> u64 { missing() }\n";
        }
        let script = format!(
            "fn main() {{\n\
             println!(\"cargo::rerun-if-changed=input.txt\");\n\
             println!(\"cargo::rerun-if-changed=build.rs\");\n\
             let input = std::fs::read_to_string(\"input.txt\").unwrap();\n\
             let text = format!(\"{{}}{{}}\", input, {:?});\n\
             let out = std::env::var(\"OUT_DIR\").unwrap() + \"/generated.rs\";\n\
             std::fs::write(out, text).unwrap();\n}}\n",
            literal("script"),
        );
        let default = if self.has_feature { "default = [\"loud\"]\n" } else { "" };
        let manifest = format!(
            "[package]\nname = \"game\"\nversion = \"0.1.{}\"\nedition = \"2024\"\n\
             [features]\nloud = []\n{default}[dependencies]\ndep = {{ path = \"../dep\" }}\n\
             [lints.rust]\nunexpected_cfgs = \"allow\"\n",
            self.number("version"),
        );
        let files = [
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"game\", \"dep\"]\nresolver = \"3\"\n".to_owned(),
            ),
            ("game/Cargo.toml", manifest),
            ("game/build.rs", script),
            ("game/input.txt", literal("input")),
            ("game/src/lib.rs", library),
            ("game/src/part.rs", literal("part")),
            ("game/src/text.txt", mark("text")),
            ("outside.txt", mark("outside")),
            ("dep/Cargo.toml", "[package]\nname = \"dep\"\nedition = \"2024\"\n".to_owned()),
            ("dep/src/lib.rs", format!("pub const MARK: &str = {:?};\n", mark("dep"))),
        ];
        for (name, text) in files {
            self.write_if_changed(name, &text);
        }
        self.write_or_remove("game/src/extra.rs", self.has_module, &literal("extra"));
        let flags = "[build]\nrustflags = [\"--cfg\", \"flag\"]\n";
        self.write_or_remove(".cargo/config.toml", self.has_flag, flags);
    }

    fn write_if_changed(&self, name: &str, text: &str) {
        if !fs::read_to_string(self.root.join(name)).is_ok_and(|present| present == text) {
            write(&self.root, name, text);
        }
    }

    fn write_or_remove(&self, name: &str, is_there: bool, text: &str) {
        if is_there {
            self.write_if_changed(name, text);
        } else {
            let _absent = fs::remove_file(self.root.join(name));
        }
    }

    /// What a library of this says that a cargo which never saw anything else builds.
    fn built_by_plain_cargo(&self) -> Vec<String> {
        let copy = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(copy.path()).unwrap();
        let world = Self { root, numbers: self.numbers.clone(), ..*self };
        world.write_all();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" {
                cargo.env_remove(name);
            }
        }
        cargo.args(["rustc", "--offline", "--lib", "--crate-type", "cdylib", "--package", "game"]);
        cargo.current_dir(&world.root).env_remove("RUSTFLAGS");
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said_by(&world.root.join("target/debug/libgame.so"))
    }
}
