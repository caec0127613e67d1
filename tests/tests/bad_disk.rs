//! Disks that are full or cannot be written: what runs goes on, the text names the file and the reason, and as soon as
//! there is room the same source is taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hotswap_engine::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Engine, OpenErrorKind, StopSignal,
};
use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, Watching, watch};
use hotswap_tests::database_world::DatabaseWorld;
use hotswap_tests::deadline::event;
use hotswap_tests::prebuilt::numbered;
use hotswap_tests::{is_isolated, isolated, isolated_under, log_lines, prebuilt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

/// A compiler whose output lies on another file system than its target directory, so that storing is copying.
#[derive(Debug)]
struct Elsewhere {
    source: PathBuf,
    target_dir: PathBuf,
}

impl BuildBackend for Elsewhere {
    fn build(&mut self, _job: &BuildJob, _stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        let text = fs::read_to_string(&self.source).unwrap_or_default();
        let number = text.trim().parse().expect("the test writes numbers");
        Ok(Built::new(numbered(number), &self.target_dir))
    }
}

/// A source with a number, and an engine on it whose store and stage lie in `disk`.
struct OnDisk {
    engine: Engine,
    source: PathBuf,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl OnDisk {
    fn open(disk: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (source, log) =
            (directory.path().join("source.rs"), directory.path().join("hotswap.log"));
        fs::write(&source, "1").expect("writable");
        let target_dir = disk.join("target");
        let backend = Elsewhere { source: source.clone(), target_dir: target_dir.clone() };
        let engine = Engine::builder(&source)
            .backend(backend)
            .target_dir(target_dir)
            .poll_every(Duration::from_secs(3_600))
            .log_file(&log)
            .open()
            .expect("opens");
        Self { engine, source, log, _directory: directory }
    }

    fn write(&self, number: u64) {
        fs::write(&self.source, number.to_string()).expect("writable");
    }

    /// The next look is refused with these words, and version 1 goes on.
    fn refused(&self, words: &[&str]) {
        let text = format!("{:?}", self.engine.sync().expect_err("there is no room"));
        for word in words.iter().chain(&["; v1 stays current"]) {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!((version(&self.engine), self.engine.version().number()), (1, 1));
    }

    /// There is room again: the same source is taken, though nobody edited it.
    fn taken(&self, number: u64) {
        assert!(self.engine.sync().expect("there is room").is_swapped());
        assert_eq!(version(&self.engine), number);
    }

    fn assert_logged(&self, name: &str, code: &str, words: &[&str]) {
        let lines = log_lines(&self.log);
        let line = lines.iter().rfind(|line| line.event == name);
        let line = line.unwrap_or_else(|| panic!("no {name}: {lines:#?}"));
        assert_eq!((line.level.as_str(), line.field("err")), ("ERROR", code));
        for word in words {
            assert!(line.field("msg").contains(word), "{line:?}");
        }
    }
}

/// The one step of this operation in this file that was taken.
fn site(watching: &Watching, operation: Operation, file: &str) -> Site {
    let passed = watching.passed();
    let mut sites =
        passed.keys().filter(|site| site.operation == operation && site.file.ends_with(file));
    *sites.next().unwrap_or_else(|| panic!("no {operation:?} in {file}: {passed:#?}"))
}

const NO_SPACE: &str = "No space left on device";

/// A limit on the size of files, as a quota sets it: neither the copy into the store nor that of a foreign library fits.
#[test]
fn a_file_that_may_not_grow_changes_nothing() {
    // Without the signal that would end the process, a write beyond the limit is an error.
    let launcher = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    isolated_under("a_file_that_may_not_grow_changes_nothing", &launcher, || {
        let libraries = [1, 2, 3].map(numbered);
        let home = build_home();
        let disk = OnDisk::open(home.path());
        let limits = getrlimit(Resource::Fsize);
        let half = fs::metadata(&libraries[1]).expect("there").len() / 2;
        let set = |limit| setrlimit(Resource::Fsize, limit).expect("a soft limit may be changed");

        set(Rlimit { current: Some(half), ..limits });
        let text = format!("{:?}", disk.engine.offer(&libraries[2]).expect_err("it is copied"));
        assert!(text.contains("cannot copy the library to ") && text.contains("File too large"));
        assert!(text.contains("; v1 stays current"), "{text}");
        disk.assert_logged("stage.refused", "load.file", &["cannot copy", "File too large"]);
        disk.write(2);
        disk.refused(&["could not store", "File too large"]);
        disk.assert_logged("build.fail", "build", &["could not store", "File too large"]);
        assert_no_halves(home.path());

        set(limits);
        disk.taken(2);
        disk.engine.offer(&libraries[2]).expect("there is room");
        assert_eq!(version(&disk.engine), 3);
    });
}

/// A directory on another file system than the tests' libraries, where there is one; otherwise links are made
/// impossible by the caller.
fn build_home() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a temporary directory")
}

/// What could not be finished is not left behind.
fn assert_no_halves(disk: &Path) {
    let store = disk.join("target/store");
    let names: Vec<_> = fs::read_dir(&store)
        .expect("there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.') && !name.starts_with(".lock"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}

/// Whether a program can be started that way here.
fn is_possible(launcher: &[&str]) -> bool {
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg("true").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Where a file system of the test's own is mounted, in a namespace that ends with the test.
const MOUNT: &str = "/mnt";

/// A real disk of 2 MiB, room for two libraries. Where none may be mounted, steps that fail stand for it, and the test says so.
#[test]
fn a_full_disk_changes_nothing() {
    const NAME: &str = "a_full_disk_changes_nothing";
    let script = format!("mount -t tmpfs -o size=2m none {MOUNT} && exec \"$0\" \"$@\"");
    let launcher = ["unshare", "-rm", "sh", "-c", &script];
    let launcher = if is_isolated(NAME) || is_possible(&launcher) {
        &launcher[..]
    } else {
        &["env", "HOTSWAP_TESTS_NO_MOUNT=1"]
    };
    isolated_under(NAME, launcher, || {
        let libraries = [1, 2].map(numbered);
        if std::env::var_os("HOTSWAP_TESTS_NO_MOUNT").is_some() {
            eprintln!("not tried: a real disk; steps that fail stand for it");
            return full_by_faults();
        }
        let disk = Path::new(MOUNT);
        let on_disk = OnDisk::open(disk);
        let bytes = |library: &Path| fs::metadata(library).expect("there").len();
        // Room for half of the second one: its copy ends there.
        let filler = (2 << 20) - bytes(&libraries[0]) - bytes(&libraries[1]) / 2;
        let filler = vec![0; usize::try_from(filler).expect("small")];
        fs::write(disk.join("filler"), filler).expect("fits");
        on_disk.write(2);
        on_disk.refused(&["could not store", NO_SPACE]);
        on_disk.assert_logged("build.fail", "build", &["could not store", NO_SPACE]);
        assert_no_halves(disk);
        // Not a byte: not even a directory can be made.
        let mut number = 0;
        while fs::write(disk.join(format!("filler{number}")), vec![0; 4_096]).is_ok() {
            number += 1;
        }
        on_disk.refused(&["could not store", NO_SPACE]);

        for entry in fs::read_dir(disk).expect("there") {
            let path = entry.expect("readable").path();
            if path.is_file() {
                fs::remove_file(path).expect("ours");
            }
        }
        on_disk.taken(2);
    });
}

/// Each step of storing and staging that writes, failing as on a full disk.
fn full_by_faults() {
    let home = build_home();
    let watching = watch();
    let on_disk = OnDisk::open(home.path());
    let mut sites = vec![site(&watching, Operation::Create, "monitor/src/store/mod.rs")];
    let passed = watching.passed();
    sites.extend(passed.keys().filter(|site| {
        site.operation == Operation::Write && site.file.ends_with("monitor/src/store/mod.rs")
    }));
    on_disk.write(2);
    for site in sites {
        watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });
        on_disk.refused(&["could not", NO_SPACE]);
        assert!(watching.heal() > 0, "{site}");
        assert_no_halves(home.path());
    }
    on_disk.taken(2);
}

/// A real disk of 2 MiB below which a module of a database is fetched, and the database elsewhere.
#[test]
fn a_full_disk_while_fetching_changes_nothing() {
    const NAME: &str = "a_full_disk_while_fetching_changes_nothing";
    let script = format!("mount -t tmpfs -o size=2m none {MOUNT} && exec \"$0\" \"$@\"");
    let launcher = ["unshare", "-rm", "sh", "-c", &script];
    if !is_isolated(NAME) && !is_possible(&launcher) {
        // Each step of fetching fails in every_source.rs.
        eprintln!("not tried: a real disk");
        return;
    }
    isolated_under(NAME, &launcher, || {
        let mut world = DatabaseWorld::new();
        world.publish(1);
        let disk = Path::new(MOUNT);
        let engine = world.engine().target_dir(disk.join("target")).open().expect("there is room");
        // What was fetched before is there, and in the store once more.
        let filler = disk.join("filler");
        let fill = || {
            let mut file = fs::File::create(&filler).expect("there is room");
            while std::io::Write::write(&mut file, &[0; 4_096]).is_ok_and(|written| written > 0) {}
        };
        fill();
        world.publish(2);
        for _ in 0..2 {
            let text = format!("{:?}", engine.sync().expect_err("there is no room"));
            assert!(text.contains(NO_SPACE) && text.contains("/mnt/target/sources/"), "{text}");
            assert_eq!((version(&engine), engine.version().number()), (1, 1));
        }
        fs::remove_file(&filler).expect("ours");
        assert!(engine.sync().expect("there is room").is_swapped());
        assert_eq!(version(&engine), 2);
    });
}

/// The steps stand for a disk everywhere, also where a real one is tried.
#[test]
fn every_write_that_fails_changes_nothing() {
    isolated("every_write_that_fails_changes_nothing", || {
        let _built = [1, 2].map(numbered);
        full_by_faults();
    });
}

/// Directories that cannot be written: the target directory at the start, store and stage later, that of the log.
#[test]
fn a_read_only_disk_changes_nothing() {
    const NAME: &str = "a_read_only_disk_changes_nothing";
    // Root is bound by no permissions, but by a mount that is read-only.
    let script = format!("mount -t tmpfs -o size=64m none {MOUNT} && exec \"$0\" \"$@\"");
    let launcher = ["unshare", "-rm", "sh", "-c", &script];
    let launcher = if is_isolated(NAME) || is_possible(&launcher) {
        &launcher[..]
    } else {
        &["env", "HOTSWAP_TESTS_NO_MOUNT=1"]
    };
    isolated_under(NAME, launcher, || {
        let libraries = [1, 2].map(numbered);
        let directory = tempfile::tempdir().expect("a temporary directory");
        // What lies below a file can be written by nobody, on every machine.
        let file = directory.path().join("file");
        fs::write(&file, "").expect("writable");
        assert_not_opened(&file.join("target"), "Not a directory");
        if std::env::var_os("HOTSWAP_TESTS_NO_MOUNT").is_some() {
            eprintln!("not tried: a read-only mount");
            return;
        }
        let disk = Path::new(MOUNT);
        let on_disk = OnDisk::open(disk);
        let other = disk.join("other");
        fs::create_dir(&other).expect("writable");
        cover(&other);
        assert_not_opened(&other.join("target"), READ_ONLY);
        let error = prebuilt::engine(&libraries[0])
            .log_file(other.join("hotswap.log"))
            .open()
            .expect_err("the log cannot be written");
        assert!(matches!(error.kind, OpenErrorKind::Log { .. }), "{error}");
        assert!(format!("{error:?}").contains(READ_ONLY), "{error:?}");

        let (store, stage) = (disk.join("target/store"), disk.join("target/stage"));
        on_disk.write(2);
        cover(&store);
        on_disk.refused(&["could not store", READ_ONLY]);
        on_disk.assert_logged("build.fail", "build", &["could not store", READ_ONLY]);
        uncover(&store);
        cover(&stage);
        on_disk.refused(&["cannot create ", "stage", READ_ONLY]);
        on_disk.assert_logged("stage.refused", "load.file", &["cannot create", READ_ONLY]);
        // What somebody offers is staged in the directory for temporary files.
        on_disk.engine.offer(&libraries[0]).expect("that one can be written");
        assert_eq!((version(&on_disk.engine), on_disk.engine.version().number()), (1, 2));
        uncover(&stage);
        on_disk.taken(2);
        // Files that cannot be removed are no reason not to end.
        cover(&stage);
        let events = on_disk.engine.subscribe();
        drop(on_disk.engine);
        event(&events, "the end", |event| {
            matches!(event, hotswap_engine::Event::Stopped).then_some(())
        });
    });
}

const READ_ONLY: &str = "Read-only file system";

/// Puts an empty file system that nobody can write over a directory.
fn cover(directory: &Path) {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "ro", "none"]).arg(directory);
    assert!(mount.status().expect("it runs").success(), "{}", directory.display());
}

fn uncover(directory: &Path) {
    let mut umount = Command::new("umount");
    umount.arg(directory);
    assert!(umount.status().expect("it runs").success(), "{}", directory.display());
}

/// Opening with a target directory that cannot be made fails, and names it.
fn assert_not_opened(target_dir: &Path, reason: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let source = directory.path().join("source.rs");
    fs::write(&source, "1").expect("writable");
    let backend = Elsewhere { source: source.clone(), target_dir: target_dir.to_owned() };
    let error = Engine::builder(&source)
        .backend(backend)
        .target_dir(target_dir)
        .without_log()
        .open()
        .expect_err("nothing can be stored");
    let text = format!("{error:?}");
    assert!(text.contains(&target_dir.display().to_string()), "{text}");
    assert!(text.contains(reason), "{text}");
    // And by the real compiler's way.
    fs::write(&source, hotswap_tests::versioned(1)).expect("writable");
    let error = Engine::builder(&source).target_dir(target_dir).offline().without_log().open();
    let text = format!("{:?}", error.expect_err("nothing can be built"));
    assert!(text.contains(&target_dir.display().to_string()), "{text}");
    assert!(text.contains(reason), "{text}");
}
