//! Modules that share a crate, swapped together: from the edit to the callers, with a real compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::bounded;
use hotswap_engine::{ModuleErrorKind, Modules, ReloadErrorKind};
use hotswap_tests::deadline::PATIENCE;

use hotswap_tests::plugins::rarely;
use hotswap_tests::{CrateFixture, build_directory, log_lines, workspace_root};

const LEFT: &str = "
use hotswap_module::export;
hotswap_module::module!();

#[export]
pub fn generation() -> u64 { shared::generation() }
";

const RIGHT: &str = "
use hotswap_module::{CallError, engine_named, export, host};
hotswap_module::module!();

#[export]
pub fn generation() -> u64 { shared::generation() }

/// Its own generation, and that of the other module.
#[export]
pub fn pair() -> Result<(u64, u64), CallError> {
    Ok((shared::generation(), engine_named(\"left\")?.call_with(\"generation\", ())?))
}

/// As `pair`, and waits for the host in between.
#[export]
pub fn slow_pair() -> Result<(u64, u64), CallError> {
    host().call(\"gate\").expect(\"the host answers\");
    pair()
}
";

const APART: &str = "
use hotswap_module::export;
hotswap_module::module!();

#[export]
pub fn generation() -> u64 { 0 }
";

/// Three modules in a workspace. Two of them share a crate.
struct World {
    root: CrateFixture,
}

impl World {
    fn new(name: &str) -> Self {
        let root = CrateFixture::new(name, "");
        let world = Self { root };
        fs::remove_dir_all(world.path().join("src")).expect("ours");
        let members = "members = [\"shared\", \"modules/*\"]";
        let profile = "[profile.dev]\ndebug = false\nstrip = \"debuginfo\"";
        world
            .root
            .write("Cargo.toml", &format!("[workspace]\n{members}\nresolver = \"3\"\n{profile}\n"));
        world.root.write("shared/Cargo.toml", &manifest("shared", ""));
        world.share(1);
        let module = workspace_root().join("engine/module");
        let module =
            format!("hotswap-module = {{ path = {module:?}, default-features = false }}\n");
        let shared = format!("{module}shared = {{ path = \"../../shared\" }}\n");
        for (name, dependencies, text) in
            [("left", &shared, LEFT), ("right", &shared, RIGHT), ("apart", &module, APART)]
        {
            world.root.write(&format!("modules/{name}/Cargo.toml"), &manifest(name, dependencies));
            world.write(&format!("modules/{name}/src/lib.rs"), text);
        }
        world
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn log(&self) -> PathBuf {
        self.path().join("hotswap.log")
    }

    /// Writes this generation of the shared crate.
    fn share(&self, generation: u64) {
        let text = format!("pub fn generation() -> u64 {{\n    {generation}\n}}\n");
        self.write("shared/src/lib.rs", &text);
    }

    /// Writes source that no earlier run had: what one built is remembered.
    fn write(&self, file: &str, text: &str) {
        let run = fs::read_to_string(self.path().join("run")).expect("the fixture writes it");
        self.root.write(file, &format!("{text}// {run}\n"));
    }

    fn modules(&self, gate: impl Fn() + Clone + Send + Sync + 'static) -> Modules {
        let modules = rarely(Modules::builder(self.path().join("modules")))
            .log_file(self.log())
            .each(move |_, engine| {
                let gate = gate.clone();
                engine.target_dir(build_directory().join("target")).offline().provide("gate", gate)
            })
            .open()
            .expect("nothing is opened yet");
        for name in ["left", "right", "apart"] {
            modules.load(name).expect("it builds");
        }
        modules
    }

    /// How often something is in the log, of each module: left, right, apart.
    fn counts(&self, event: &str) -> [usize; 3] {
        let lines = log_lines(&self.log());
        ["left", "right", "apart"].map(|name| {
            let is_its = |engine: &str| engine == name;
            lines
                .iter()
                .filter(|line| {
                    line.event == event
                        && line.fields.get("engine").map(String::as_str).is_some_and(is_its)
                })
                .count()
        })
    }
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}"
    )
}

fn generation(modules: &Modules, name: &str) -> u64 {
    modules.get(name).expect("loaded").call_with("generation", ()).expect("exported")
}

#[test]
fn sw_1_modules_that_share_a_crate_are_never_seen_as_a_mixed_pair() {
    let world = World::new("groups_pair");
    let modules = world.modules(|| ());
    let is_over = AtomicBool::new(false);
    let seen = AtomicU64::new(1);
    thread::scope(|scope| {
        for by_guard in [true, false] {
            let (modules, is_over, seen) = (modules.clone(), &is_over, &seen);
            scope.spawn(move || {
                let right = modules.get("right").expect("loaded");
                while !is_over.load(Ordering::Relaxed) {
                    let (left, right): (u64, u64) = if by_guard {
                        let guard = modules.pin();
                        let one =
                            |name| guard.get(name).expect("loaded").call_with("generation", ());
                        (one("left").expect("exported"), one("right").expect("exported"))
                    } else {
                        right
                            .call_with::<Result<(u64, u64), hotswap_module::CallError>>("pair", ())
                            .expect("exported")
                            .expect("the other is loaded")
                    };
                    assert_eq!(left, right, "of one generation");
                    seen.fetch_max(left, Ordering::Relaxed);
                }
            });
        }
        for number in 2..=4 {
            world.share(number);
            for (name, verdict) in modules.reload_all() {
                let verdict = verdict.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(verdict.is_swapped(), name != "apart", "{name}");
            }
            while seen.load(Ordering::Relaxed) < number {
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(world.counts("build.intent"), [4, 4, 1], "exactly those that contain it, once each");
    assert_eq!(world.counts("group.intent"), [3, 3, 0]);
    assert_eq!(world.counts("swap.commit"), [4, 4, 1]);
}

#[test]
fn sw_1_a_call_under_way_meets_what_belongs_to_it() {
    let world = World::new("groups_call");
    let (enter, at_gate) = bounded(1);
    let (open, gate) = bounded::<()>(1);
    let modules = world.modules(move || {
        enter.send(()).expect("the test listens");
        gate.recv_timeout(PATIENCE).expect("the test opens");
    });
    let right = modules.get("right").expect("loaded");
    let under_way = thread::spawn(move || {
        right
            .call_with::<Result<(u64, u64), hotswap_module::CallError>>("slow_pair", ())
            .expect("exported")
            .expect("the other is loaded")
    });
    at_gate.recv_timeout(PATIENCE).expect("it is called");
    for number in [2, 3] {
        world.share(number);
        for (_, verdict) in modules.reload_all() {
            verdict.unwrap_or_else(|error| panic!("{error}"));
        }
    }
    assert_eq!(generation(&modules, "left"), 3);
    open.send(()).expect("it waits");
    assert_eq!(under_way.join().expect("no panic"), (1, 1), "both of before");
}

#[test]
fn sw_6_a_module_that_does_not_compile_keeps_back_what_shares_a_crate_with_it() {
    let world = World::new("groups_broken");
    let modules = world.modules(|| ());
    let all = || ["left", "right", "apart"].map(|name| generation(&modules, name));
    // `left` calls what is gone, `right` was edited for it.
    world.write("shared/src/lib.rs", "pub fn number() -> u64 {\n    2\n}\n");
    world.write("modules/right/src/lib.rs", &RIGHT.replace("shared::generation", "shared::number"));
    for (name, verdict) in modules.reload_all() {
        match (name.as_str(), verdict.map_err(|error| error.kind)) {
            ("apart", Ok(verdict)) => assert!(!verdict.is_swapped()),
            ("left", Err(ModuleErrorKind::Reload(error))) => {
                assert!(matches!(error.kind, ReloadErrorKind::Build(_)), "{error}");
                assert!(error.to_string().contains("generation"), "{error}");
            }
            ("right", Err(ModuleErrorKind::Reload(error))) => {
                assert!(
                    matches!(&error.kind, ReloadErrorKind::Group { member, .. } if member == "left"),
                    "{error}"
                );
            }
            (name, other) => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(all(), [1, 1, 0]);
    // The next good one installs, and what waited with it.
    world.write("modules/left/src/lib.rs", &LEFT.replace("shared::generation", "shared::number"));
    let verdict = modules.reload("left").unwrap_or_else(|error| panic!("{error}"));
    assert!(verdict.is_swapped());
    assert_eq!(all(), [2, 2, 0]);
    assert_eq!(world.counts("swap.commit"), [2, 2, 1]);
}
