//! What was built before is not built again, in another process either (BU-4, CD-9).
//! A monitor that starts anew knows no more than another process would.

use std::fs;
use std::path::{Path, PathBuf};

use hotswap_monitor::{BuildSettings, Monitor, Profile};

use crate::fake::{remembering, source};
use crate::harness::{Watched, contains, failed, offline, ready, saying, write, write_crate};

fn started(file: &Path) -> Watched {
    Watched::with(remembering(file, "recipe", Some("rustc 1")))
}

/// The steps of a monitor that has ended.
fn all_steps(watched: Watched) -> Vec<&'static str> {
    drop(watched.monitor);
    watched.observations.iter().map(|told| crate::harness::name(&told.step)).collect()
}

const CACHED: [&str; 4] = ["changed", "settled", "cached", "notified"];

#[test]
fn bu_4_the_same_input_is_built_once() {
    let (_directory, file) = source("one");
    let watched = started(&file);
    let one = ready(watched.next());
    fs::write(&file, "two").unwrap();
    let two = watched.ready();
    fs::write(&file, "one").unwrap();
    assert_eq!(watched.ready(), one, "taken back to what was handed over before the last");
    assert_eq!(watched.builds(), 2);
    drop(watched);
    for _ in 0..2 {
        fs::write(&file, "two").unwrap();
        let watched = started(&file);
        assert_eq!(ready(watched.next()), two);
        assert_eq!(all_steps(watched), CACHED);
    }
}

#[test]
fn bu_4_another_recipe_toolchain_or_file_is_built() {
    let (directory, file) = source("one");
    ready(started(&file).next());
    for (recipe, toolchain) in [("other", "rustc 1"), ("recipe", "rustc 2")] {
        let watched = Watched::with(remembering(&file, recipe, Some(toolchain)));
        ready(watched.next());
        assert_eq!(watched.builds(), 1, "{recipe}, {toolchain}");
    }
    // The second compiler's result took the place of the first one's.
    let watched = started(&file);
    ready(watched.next());
    assert_eq!(watched.builds(), 1);
    drop(watched);
    // Nobody can say which compiler there is: what was built before is good.
    let watched = Watched::with(remembering(&file, "recipe", None));
    ready(watched.next());
    assert_eq!(all_steps(watched), CACHED);
    drop(directory);
}

#[test]
fn bu_4_a_library_that_is_damaged_or_gone_is_built_again() {
    let (directory, file) = source("one");
    let first = ready(started(&file).next());
    let damages: [fn(&Path); 4] = [
        |path| fs::write(path, "o").unwrap(),
        |path| fs::write(path, "onE").unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| fs::remove_dir_all(path.parent().unwrap()).unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage(&first.path);
        let watched = started(&file);
        let again = ready(watched.next());
        assert_eq!(watched.builds(), 1, "damage {number}");
        assert_eq!((&again.path, again.content), (&first.path, first.content));
        assert_eq!(fs::read(&again.path).unwrap(), b"one", "healed");
    }
    // The same for the index: every byte that is cut, and garbage.
    let entry = only_entry(directory.path());
    let whole = fs::read(&entry).unwrap();
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&entry, &whole[..end]).unwrap();
        let watched = started(&file);
        ready(watched.next());
        assert_eq!(watched.builds(), 1, "cut at {end}");
    }
    let watched = started(&file);
    ready(watched.next());
    assert_eq!(watched.builds(), 0);
}

fn only_entry(root: &Path) -> PathBuf {
    let mut entries = fs::read_dir(root.join("target/store/index")).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "one entry, and nothing unfinished");
    entry
}

#[test]
fn cd_9_what_is_known_bad_is_not_built_by_the_next_process() {
    let (_directory, file) = source("broken at a place");
    let first = failed(started(&file).next());
    let watched = started(&file);
    let again = failed(watched.next());
    assert_eq!(again.fingerprint, first.fingerprint);
    assert_eq!(again.to_string(), first.to_string());
    assert_eq!(watched.steps(), ["changed", "settled", "known bad"]);
    fs::write(&file, "one").unwrap();
    watched.ready();
    drop(watched);
    // Another compiler may think otherwise, and a failure that names no place may
    // lie outside the source.
    fs::write(&file, "broken at a place").unwrap();
    let watched = Watched::with(remembering(&file, "recipe", Some("rustc 2")));
    failed(watched.next());
    assert_eq!(watched.builds(), 1);
    drop(watched);
    fs::write(&file, "broken").unwrap();
    for _ in 0..2 {
        let watched = started(&file);
        failed(watched.next());
        assert_eq!(watched.builds(), 1);
    }
}

#[test]
fn cd_9_a_file_that_was_missing_and_appears_between_two_processes_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let library = "#[unsafe(no_mangle)] pub static T: &[u8; 5] = include_bytes!(\"../../t.txt\");";
    write_crate(&root.join("game"), "game", library);
    let error = failed(Watched::start(root.join("game")).next());
    assert!(error.to_string().contains("couldn't read"), "{error}");
    let watched = Watched::start(root.join("game"));
    failed(watched.next());
    assert_eq!(watched.builds(), 0);
    drop(watched);
    write(root, "t.txt", "<one>");
    let watched = Watched::start(root.join("game"));
    assert!(contains(&ready(watched.next()), "<one>"));
}

#[test]
fn bu_4_with_real_compilers() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(&root.join("game"), "game", &saying("<one>"));
    write(root, "rules.rs", saying("<one>"));
    for source in ["game", "rules.rs"] {
        let source = root.join(source);
        let start = |settings: BuildSettings| {
            Watched::with(Monitor::builder(source.clone()).build(settings))
        };
        let watched = start(offline());
        let one = ready(watched.next());
        let file = if source.is_dir() { source.join("src/lib.rs") } else { source.clone() };
        fs::write(&file, saying("<two>")).unwrap();
        let two = watched.ready();
        assert!(contains(&two, "<two>"));
        fs::write(&file, saying("<one>")).unwrap();
        assert_eq!(watched.ready(), one);
        drop(watched);
        // What only limits a build is no part of the recipe; a profile is.
        let mut settings = offline();
        settings.deadline *= 2;
        let watched = start(settings.clone());
        assert_eq!(ready(watched.next()), one);
        assert_eq!(all_steps(watched), CACHED);
        settings.profile = Profile::Release;
        let watched = start(settings.clone());
        ready(watched.next());
        assert_eq!(watched.builds(), 1);
        drop(watched);
        // Unless it is told not to.
        settings.profile = Profile::Dev;
        settings.reuse_builds = false;
        let watched = start(settings);
        ready(watched.next());
        assert_eq!(watched.builds(), 1);
        drop(watched);
        // The same inode is cargo's output, which is fresh for all that cargo knows.
        fs::write(&file, saying("<two>")).unwrap();
        fs::write(&two.path, "damaged").unwrap();
        let watched = start(offline());
        assert!(contains(&ready(watched.next()), "<two>"));
        drop(watched);
        // Cargo's own output is of the second text; the next edit is compiled.
        fs::write(&file, saying("<six>")).unwrap();
        let watched = start(offline());
        assert!(contains(&ready(watched.next()), "<six>"));
    }
}

#[test]
fn bu_4_two_that_share_a_store_do_not_disturb_each_other() {
    let (_directory, file) = source("one");
    let watched: Vec<Watched> = (0..4).map(|_| started(&file)).collect();
    let first: Vec<_> = watched.iter().map(|watched| ready(watched.next()).content).collect();
    for number in 0..10 {
        fs::write(&file, format!("text {}", number % 3)).unwrap();
        for watched in &watched {
            let artifact = watched.ready();
            assert_eq!(fs::read(&artifact.path).unwrap(), fs::read(&file).unwrap());
        }
    }
    assert!(first.windows(2).all(|pair| pair[0] == pair[1]));
}
