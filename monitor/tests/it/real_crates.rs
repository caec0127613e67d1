//! Crates built by a real cargo.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use hotswap_monitor::{BuildErrorKind, Monitor, Outcome, Profile, Step};

use crate::harness::{Watched, contains, failed, offline, ready, saying, write, write_crate};

fn append(root: &Path, name: &str, text: &str) {
    let before = fs::read_to_string(root.join(name)).unwrap();
    fs::write(root.join(name), before + text).unwrap();
}

#[test]
fn a_crate_without_a_lock_file_is_built_exactly_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("with spaces/my game");
    write_crate(&root, "my-game", &saying("<one>"));
    let strange = OsStr::from_bytes(b"src/not-utf-8-\xff.txt");
    fs::write(root.join(strange), "x").unwrap();
    let watched = Watched::start(&root);
    let artifact = ready(watched.next());
    assert!(contains(&artifact, "<one>"));
    assert!(root.join("Cargo.lock").exists());
    assert!(artifact.path.starts_with(root.join("target/hotswap/store")));
    watched.unchanged();
    watched.unchanged();
    // cd_7: everything is touched, nothing is built.
    for name in ["Cargo.toml", "Cargo.lock", "src/lib.rs"] {
        let file = File::options().write(true).open(root.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
    }
    watched.unchanged();
    assert_eq!(watched.builds(), 1);
    fs::write(root.join(strange), "y").unwrap();
    watched.ready();
}

#[test]
fn a_broken_edit_names_the_place_and_a_repair_builds() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    let mut settings = offline();
    settings.color = true;
    let watched = Watched::with(Monitor::builder(root).build(settings));
    ready(watched.next());
    write(root, "src/lib.rs", "fn unused() {}\nfn f() { missing() }\n");
    let error = watched.failed();
    let diagnostics = error.diagnostics().unwrap();
    assert_eq!(diagnostics.error_count, 1);
    assert!(diagnostics.rendered.contains('\u{1b}'), "colours were asked for");
    assert!(diagnostics.plain().contains("cannot find function `missing`"));
    let first = diagnostics.first_error.as_deref().unwrap();
    assert!(first.starts_with("src/lib.rs:2:10: cannot find function"), "{first}");
    write(root, "src/lib.rs", saying("<two>") + "fn unused() {}\n");
    assert!(contains(&watched.ready(), "<two>"));
    let ok = watched.observations.try_iter().filter_map(|told| match told.step {
        Step::BuildOk { warnings, fresh, .. } => Some((warnings, fresh)),
        _ => None,
    });
    assert_eq!(ok.last(), Some((1, false)));
}

#[test]
fn cd_10_a_path_dependency_and_its_own_are_part_of_the_build() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(&root.join("game"), "game", &saying("<one>"));
    append(&root.join("game"), "Cargo.toml", "[dependencies]\nmiddle = { path = \"../middle\" }\n");
    write_crate(&root.join("middle"), "middle", "pub use far::*;");
    append(&root.join("middle"), "Cargo.toml", "[dependencies]\nfar = { path = \"../far\" }\n");
    write_crate(&root.join("far"), "far", "pub const LIMIT: u64 = 1;");
    let watched = Watched::start(root.join("game"));
    ready(watched.next());
    watched.steps();
    write(&root.join("far"), "src/lib.rs", "pub const LIMIT: u64 = 2;");
    let notification = watched.scan();
    let far = root.join("far/src/lib.rs");
    assert_eq!(notification.cause.first.as_deref(), Some(far.as_path()));
    ready(notification);
    assert_eq!(watched.builds(), 1);
    // No longer used: its files are none of this module's business.
    write(&root.join("middle"), "src/lib.rs", "");
    write_crate(&root.join("middle"), "middle", "");
    watched.ready();
    write(&root.join("far"), "src/lib.rs", "pub const LIMIT: u64 = 3;");
    watched.unchanged();
}

#[test]
fn cd_10_a_path_dependency_that_appears_later_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(&root.join("game"), "game", "");
    append(&root.join("game"), "Cargo.toml", "[dependencies]\nlate = { path = \"../late\" }\n");
    let watched = Watched::start(root.join("game"));
    let error = failed(watched.next());
    assert!(matches!(error.kind, BuildErrorKind::Manifest { .. }), "{error}");
    write_crate(&root.join("late"), "late", "");
    watched.ready();
}

#[test]
fn a_manifest_that_cannot_be_read_is_a_failure_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", &saying("<one>"));
    let good = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let watched = Watched::start(root);
    ready(watched.next());
    write(root, "Cargo.toml", "[package");
    let error = watched.failed();
    assert!(matches!(error.kind, BuildErrorKind::Manifest { .. }), "{error}");
    fs::remove_file(root.join("Cargo.toml")).unwrap();
    let error = watched.failed();
    assert!(error.to_string().contains("no Cargo.toml in /"), "{error}");
    write(root, "Cargo.toml", good);
    let outcome = watched.scan().outcome;
    assert!(matches!(outcome, Outcome::Unchanged(_)), "taken back: {outcome:?}");
}

#[test]
fn cd_10_a_file_included_from_outside_is_part_of_the_build() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let library =
        "#[unsafe(no_mangle)] pub static TEXT: &[u8; 5] = include_bytes!(\"../../out side.txt\");";
    write_crate(&root.join("game"), "game", library);
    let watched = Watched::start(root.join("game"));
    let error = failed(watched.next());
    assert!(error.to_string().contains("couldn't read"), "{error}");
    // It appears: only the compiler's message told where.
    write(root, "out side.txt", "<one>");
    assert!(contains(&watched.ready(), "<one>"));
    watched.unchanged();
    write(root, "out side.txt", "<two>");
    assert!(contains(&watched.ready(), "<two>"));
    watched.unchanged();
    drop(watched);
    // A new process knows it from the `.d` file, so that it finds what was built.
    let watched = Watched::start(root.join("game"));
    assert!(contains(&ready(watched.next()), "<two>"));
    watched.unchanged();
    assert_eq!(watched.steps(), ["changed", "settled", "cached", "notified"]);
    drop(watched);
    // Without the store there is one build, and it is fresh.
    fs::remove_dir_all(root.join("game/target/hotswap/store")).unwrap();
    let watched = Watched::start(root.join("game"));
    ready(watched.next());
    watched.unchanged();
    let steps: Vec<_> = watched.observations.try_iter().map(|told| told.step).collect();
    let fresh = steps.iter().find_map(|step| match step {
        Step::BuildOk { fresh, .. } => Some(*fresh),
        _ => None,
    });
    assert_eq!(fresh, Some(true));
    assert!(!steps.iter().any(|step| matches!(step, Step::BuildDiscarded { .. })));
}

#[test]
fn generated_code_is_no_input_and_a_script_that_writes_sources_comes_to_rest() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let library = "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));";
    write_crate(root, "game", library);
    let script = "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap();\
         std::fs::write(out + \"/generated.rs\", \"pub fn g() {}\").unwrap(); }";
    write(root, "build.rs", script);
    let watched = Watched::start(root);
    ready(watched.next());
    watched.unchanged();
    assert_eq!(watched.builds(), 1);
    // Without `rerun-if-changed` it runs at every build, and always writes.
    write(
        root,
        "build.rs",
        "fn main() { std::fs::write(\"src/lib.rs\", \"// generated\").unwrap(); }",
    );
    watched.ready();
    watched.unchanged();
}

#[test]
fn a_workspace_member_builds_in_the_workspace_through_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(
        root,
        "work/Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"game\"]\n[profile.fast]\ninherits = \"release\"\n",
    );
    write_crate(&root.join("work/game"), "game", &saying("<one>"));
    std::os::unix::fs::symlink("work", root.join("link")).unwrap();
    let mut settings = offline();
    settings.profile = Profile::Named("fast".to_owned());
    let watched = Watched::with(Monitor::builder(root.join("link/game")).build(settings));
    ready(watched.next());
    let target = root.join("work/target/hotswap");
    assert!(target.join("fast/libgame.so").exists());
    assert!(!root.join("work/game/target").exists());
    assert_eq!(watched.builds(), 1);
    append(&root.join("work"), "Cargo.toml", "opt-level = 1\n");
    watched.ready();
    write(root, "work/rust-toolchain.toml", "");
    let cause = watched.scan().cause;
    assert_eq!(cause.count, 1, "{cause}");
}

#[test]
fn a_crate_without_a_library_and_one_with_features() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", "");
    fs::rename(root.join("src/lib.rs"), root.join("src/main.rs")).unwrap();
    write(root, "src/main.rs", "fn main() {}");
    append(root, "Cargo.toml", "[features]\nextra = []\n");
    let mut settings = offline();
    settings.features = vec!["extra".to_owned()];
    settings.rustc_args = ["--cfg", "hot", "--check-cfg", "cfg(hot)"].map(str::to_owned).to_vec();
    let watched = Watched::with(Monitor::builder(root).build(settings));
    let error = failed(watched.next());
    assert!(matches!(error.kind, BuildErrorKind::NoLibrary { .. }), "{error}");
    let library = "#[cfg(not(all(hot, feature = \"extra\")))] compile_error!(\"missing\");";
    write(root, "src/lib.rs", library);
    watched.ready();
}
