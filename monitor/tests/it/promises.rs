//! What is built is what was fingerprinted: with a writer that works against it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hotswap_monitor::{Fingerprint, Monitor, SETTLE_MIN, Scanner, Source};

use crate::fake::{builder, source};
use crate::harness::{Watched, contains, offline, ready, saying, write, write_crate};

/// The fingerprint that a file `a.rs` with these bytes has.
fn fingerprint_of(bytes: &[u8]) -> Fingerprint {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.rs");
    fs::write(&file, bytes).unwrap();
    Scanner::new(&Source::from(&file)).scan().unwrap().fingerprint
}

/// What the writer does during one build, before and after the compiler reads.
fn disturb(file: &Path, build: u64, plan: &mut (u64, String)) {
    let (plan, kept) = plan;
    if build > 0 {
        *plan = build.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61;
        *kept = fs::read_to_string(file).unwrap();
    }
    let edit = |text: &str| fs::write(file, text).unwrap();
    match (*plan, build > 0) {
        // Before the compiler reads; of the same length.
        (0, true) => edit(&format!("{build:08}")),
        // After it has read.
        (1, false) => edit(&format!("{}!", &kept[..7])),
        // Changed for the compiler, then changed back.
        (2 | 3, true) => edit("changed!"),
        (2, false) => edit(kept),
        (3, false) => {
            let other = file.with_extension("other");
            fs::write(&other, &kept).unwrap();
            fs::rename(other, file).unwrap();
        }
        _ => {}
    }
}

#[test]
fn cd_5_a_writer_never_gets_a_build_of_other_bytes() {
    const BUILDS: usize = 200;
    let (_directory, file) = source("00000000");
    let mut plan = (0, String::new());
    let disturbed = move |file: &Path, build: u64, _: &_| disturb(file, build, &mut plan);
    let watched = Watched::with(builder(&file, disturbed).settle(SETTLE_MIN));
    let mut artifact = ready(watched.next());
    let mut steps = Vec::new();
    for number in 0.. {
        let bytes = fs::read(&artifact.path).unwrap();
        assert_eq!(artifact.fingerprint, fingerprint_of(&bytes), "version {number}");
        steps.extend(watched.steps());
        if steps.iter().filter(|step| **step == "started").count() >= BUILDS {
            break;
        }
        fs::write(&file, format!("{:08}", 10_000_000 + number)).unwrap();
        artifact = watched.ready();
    }
    let discarded = steps.iter().filter(|step| **step == "discarded").count();
    assert!(discarded >= BUILDS / 4, "{discarded} of {BUILDS}: the writer was idle");
}

#[test]
fn cd_5_with_a_real_compiler() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.rs");
    let text = |number: u32| saying(&format!("<{number:06}>"));
    fs::write(&file, text(0)).unwrap();
    let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
    let (step, stepped) = crossbeam_channel::bounded::<()>(0);
    let written = file.clone();
    let writer = std::thread::spawn(move || {
        // A burst of edits whenever the test says so, some within a build.
        let mut number = 0;
        while stepped.recv().is_ok() {
            for pause in [1, 35, 60] {
                number += 1;
                fs::write(&written, text(number)).unwrap();
                // The rhythm of the writer, nothing is waited for.
                let _stopped = stopped.recv_timeout(Duration::from_millis(pause));
            }
        }
        number
    });
    let watched = Watched::with(Monitor::builder(&file).build(offline()));
    ready(watched.next());
    for _ in 0..8 {
        step.send(()).unwrap();
        if let hotswap_monitor::Outcome::Ready(artifact) = watched.scan().outcome {
            let number = (0..100)
                .find(|number| contains(&artifact, &format!("<{number:06}>")))
                .expect("one of the texts was compiled");
            assert_eq!(artifact.fingerprint, fingerprint_of(text(number).as_bytes()));
        }
    }
    drop((stop, step));
    let last = writer.join().unwrap();
    let is_last = |artifact: &_| contains(artifact, &format!("<{last:06}>"));
    match watched.scan().outcome {
        hotswap_monitor::Outcome::Ready(artifact) => assert!(is_last(&artifact)),
        hotswap_monitor::Outcome::Unchanged(fingerprint) => {
            assert_eq!(fingerprint, fingerprint_of(text(last).as_bytes()));
        }
        other => panic!("{other:?}"),
    }
}

/// Cargo goes by time stamps and would say that all is fresh.
#[test]
fn cd_5_an_edit_with_an_old_time_is_compiled() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(&root.join("game"), "game", &saying("<one>"));
    let manifest = fs::read_to_string(root.join("game/Cargo.toml")).unwrap();
    let dependency = "[dependencies]\npart = { path = \"../part\" }\n";
    write(&root.join("game"), "Cargo.toml", manifest + dependency);
    write_crate(&root.join("part"), "part", "pub const N: &str = \"<a>\";");
    let game = "#[unsafe(no_mangle)] pub static F: &str = part::N;\n".to_owned();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let write_old = |name: &str, text: &str| {
        write(root, name, text);
        File::options().write(true).open(root.join(name)).unwrap().set_modified(old).unwrap();
    };
    let watched = Watched::start(root.join("game"));
    ready(watched.next());
    write_old("game/src/lib.rs", &(game + &saying("<two>")));
    let second = watched.ready();
    assert!(contains(&second, "<two>") && contains(&second, "<a>"));
    write_old("part/src/lib.rs", "pub const N: &str = \"<b>\";");
    assert!(contains(&watched.ready(), "<b>"));
    // A process that was not there when it was compiled.
    drop(watched);
    write_old("part/src/lib.rs", "pub const N: &str = \"<c>\";");
    let watched = Watched::start(root.join("game"));
    assert!(contains(&ready(watched.next()), "<c>"));
}

/// Compiled in one state, discarded, and back in the state before with its old
/// time: what cargo has is not what it says.
#[test]
fn cd_5_what_was_compiled_for_a_discarded_build_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    write_crate(&root, "game", &saying("<one>"));
    let library = root.join("src/lib.rs");
    let kept = root.join(".kept");
    fs::rename(&library, &kept).unwrap();
    fs::copy(&kept, &library).unwrap();
    // A wrapper of the compiler is the writer: it changes the source, compiles it,
    // and puts it back as it was, its time included.
    let wrapper = directory.path().join("rustc");
    let once = directory.path().join("once");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--crate-name\\ game*)\n\
         if [ ! -e {once:?} ]; then : > {once:?}\n\
         cp -p {library:?} {kept:?}; sed -i s/one/two/ {library:?}\n\
         rustc \"$@\"; status=$?\n\
         cp -p {kept:?} {library:?}; exit $status; fi;; esac\nexec rustc \"$@\"\n"
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    write(&root, ".cargo/config.toml", format!("[build]\nrustc = {wrapper:?}\n"));
    let watched = Watched::start(&root);
    let artifact = ready(watched.next());
    assert!(watched.steps().contains(&"discarded"));
    assert!(contains(&artifact, "<one>") && !contains(&artifact, "<two>"));
}

#[test]
fn crates_and_libraries_of_one_name_may_share_a_target_directory() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = offline();
    settings.target_dir = Some(directory.path().join("shared"));
    let watch = |text: &str, package: &str| {
        let root = directory.path().join(text);
        write_crate(&root, package, &saying(&format!("<{text}>")));
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        write(&root, "Cargo.toml", manifest + "[lib]\nname = \"same\"\n");
        Watched::with(Monitor::builder(root).build(settings.clone()))
    };
    let (one, two) = (watch("one", "same"), watch("two", "same"));
    let other = watch("other", "other");
    assert!(contains(&ready(one.next()), "<one>"));
    assert!(contains(&ready(two.next()), "<two>"));
    assert!(contains(&ready(other.next()), "<other>"));
    write(directory.path(), "one/src/lib.rs", saying("<three>"));
    assert!(contains(&one.ready(), "<three>"));
    write(directory.path(), "two/src/lib.rs", saying("<four>"));
    assert!(contains(&two.ready(), "<four>"));
    // Nothing differs for cargo, but the file was given to others meanwhile.
    drop(other);
    let other =
        Watched::with(Monitor::builder(directory.path().join("other")).build(settings.clone()));
    assert!(contains(&ready(other.next()), "<other>"));
}
