//! Single files and prebuilt libraries.

use std::fs;

use hotswap_monitor::{Monitor, Origin, Source};

use crate::harness::{Watched, contains, offline, ready, saying, write, write_crate};

#[test]
fn a_single_file_is_built_by_rustc() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "my rules.rs", "mod part;\n".to_owned() + &saying("<one>"));
    write(root, "part.rs", "// one");
    let watched = Watched::start(root.join("my rules.rs"));
    let first = ready(watched.next());
    assert!(contains(&first, "<one>"));
    assert!(first.path.starts_with(root.join("target/hotswap/store")));
    watched.unchanged();
    write(root, "part.rs", "pub fn broken( {}");
    let error = watched.failed();
    let diagnostics = error.diagnostics().unwrap();
    assert_eq!(diagnostics.error_count, 1, "{}", diagnostics.rendered);
    assert!(diagnostics.first_error.as_deref().unwrap().contains("part.rs:1:"));
    write(root, "part.rs", "// two");
    watched.ready();
    assert!(contains(&first, "<one>"), "the store's file is not written again");
}

#[test]
fn a_single_file_with_dependencies_is_built_by_cargo() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(&root.join("helper"), "helper", "pub const TEXT: &[u8] = b\"<one>\";");
    let rules =
        "#[unsafe(no_mangle)] pub extern \"C\" fn f() -> *const u8 { helper::TEXT.as_ptr() }";
    write(root, "rules.rs", rules);
    let mut settings = offline();
    settings.file_dependencies = vec![format!("helper = {{ path = {:?} }}", root.join("helper"))];
    let watched = Watched::with(Monitor::builder(root.join("rules.rs")).build(settings));
    assert!(contains(&ready(watched.next()), "<one>"));
    watched.unchanged();
    assert_eq!(watched.builds(), 1);
    write(&root.join("helper"), "src/lib.rs", "pub const TEXT: &[u8] = b\"<two>\";");
    assert!(contains(&watched.ready(), "<two>"));
    write(root, "rules.rs", rules.replace("TEXT", "TEXT[1..]"));
    watched.ready();
    watched.unchanged();
}

#[test]
fn a_prebuilt_library_is_handed_over_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "libgame.so", "one");
    let watched = Watched::start(Source::from(root.join("libgame.so")));
    let artifact = ready(watched.next());
    assert_eq!(artifact.path, root.join("libgame.so"));
    assert_eq!(artifact.origin, Origin::Foreign);
    assert_eq!(artifact.bytes, 3);
    assert!(artifact.build_time.is_zero());
    assert!(artifact.home.starts_with(std::env::temp_dir()));
    fs::rename(root.join("libgame.so"), root.join("old.so")).unwrap();
    write(root, "libgame.so", "two");
    let second = watched.ready();
    assert_ne!(second.content, artifact.content);
}
