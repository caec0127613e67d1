//! Hosts that fork, that have no files left, that share a source with another process, that the kernel tells nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use hotswap_engine::{Engine, Event, LoadErrorKind, ReloadError, ReloadErrorKind};
use hotswap_tests::deadline::event;
use hotswap_tests::fake_compiler::{FakeCompiler, text_of};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::{
    CrateFixture, again, build_directory, is_isolated, isolated, isolated_under, log_lines,
    prebuilt, versioned,
};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

/// The files that versions of this log were loaded from, oldest first.
fn staged(log: &Path) -> Vec<PathBuf> {
    let lines = log_lines(log);
    let staged = lines.iter().filter(|line| line.event == "stage.ok");
    staged.map(|line| PathBuf::from(line.field("path"))).collect()
}

/// How long a forked child may take before the kernel ends it: only a hang takes that long.
const CHILD_SECONDS_MAX: u32 = 100;

/// Runs `work` in a forked child.
///
/// # Panics
///
/// When the child hangs, crashes or panics.
#[track_caller]
fn fork(work: impl FnOnce()) {
    // SAFETY: the child runs `work` and leaves by `_exit`; no lock of ours is held, since no swap is under way.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "the system has room for a process");
    if child == 0 {
        // SAFETY: a call without memory of ours.
        unsafe { libc::alarm(CHILD_SECONDS_MAX) };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let code = if ended.is_ok() { 0 } else { 101 };
        // SAFETY: as above; it does not return.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours for the length of the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "signal {}: it hung or crashed", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "101 is a panic");
}

/// What asks for a swap is an error in a child, at once; what is called runs; nothing of the parent's ends.
#[test]
fn a_forked_child_calls_and_does_not_swap() {
    isolated("a_forked_child_calls_and_does_not_swap", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
        let engine = prebuilt::engine(&libraries[0]).log_file(&log).open().expect("opens");
        let held = engine.pin();
        engine.offer(&libraries[1]).expect("swaps");
        engine.sync().expect("nothing is wrong");
        let handle = engine.function::<fn() -> u64>("version").expect("exported");
        let before = std::fs::read(&log).expect("readable");
        // What the child takes out of these, the parent still has.
        let (mut engine, mut held) = (Some(engine), Some(held));

        fork(|| {
            let engine = engine.take().expect("just put there");
            assert_eq!((version(&engine), handle.call()), (2, Ok(2)));
            for verdict in [engine.reload(), engine.sync(), engine.offer(&libraries[0])] {
                let error = verdict.expect_err("the swapper is not here");
                assert!(matches!(error.kind, ReloadErrorKind::Forked), "{error}");
                assert!(error.to_string().ends_with("can swap; v2 stays current"), "{error}");
            }
            let error = engine.call("reloads").expect_err("a call of the module asks");
            assert!(error.to_string().contains("can swap; v2 stays current"), "{error}");
            engine.pause();
            engine.resume();
            engine.wake();
            drop(engine.hold());
            // An engine of the child's own has threads, files and a directory of its own.
            let own = prebuilt::engine(&libraries[0]).open().expect("opens");
            own.offer(&libraries[1]).expect("swaps");
            assert_eq!(version(&own), 2);
            drop(own);
            assert_eq!(version(&engine), 2);
            // The last guard and the last handle that the child sees.
            drop(held.take());
            drop(engine);
        });

        assert_eq!(std::fs::read(&log).expect("readable"), before, "the child wrote nothing");
        for file in staged(&log) {
            assert!(file.exists(), "{} is the parent's", file.display());
        }
        let engine = engine.expect("only the child took it");
        assert_eq!(version(&engine), 2);
        assert_eq!(held.expect("only the child took it").call_with::<u64>("version", ()), Ok(1));
        engine.offer(&libraries[0]).expect("the parent swaps on");
        assert_eq!((version(&engine), handle.call()), (1, Ok(1)));
        drop((handle, engine));
        for file in staged(&log) {
            assert_eq!(executable_mappings(&file.to_string_lossy()), Vec::<String>::new());
            assert!(!file.exists(), "{} is left behind", file.display());
        }
    });
}

/// Opens files until the process may have no more.
fn use_up_files() -> Vec<File> {
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }
    open
}

/// Without a file left nothing is swapped; calls go on; with files again the next look swaps.
#[test]
fn too_many_open_files_change_nothing() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    isolated("too_many_open_files_change_nothing", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let source = directory.path().join("source.rs");
        std::fs::write(&source, text_of(1)).expect("writable");
        let libraries = [1, 2, 3].map(prebuilt::numbered);
        let engine = Engine::builder(&source)
            .backend(FakeCompiler::new(&source, &directory.path().join("target")))
            .target_dir(directory.path().join("target"))
            .poll_every(Duration::from_secs(3_600))
            .log_file(&log)
            .open()
            .expect("opens");
        let limits = getrlimit(Resource::Nofile);
        let few = Rlimit { current: Some(64), ..limits };
        setrlimit(Resource::Nofile, few).expect("a soft limit may be lowered");
        std::fs::write(&source, text_of(2)).expect("writable");

        let open = use_up_files();
        let error = engine.offer(&libraries[1]).expect_err("it cannot be read");
        let ReloadErrorKind::Load(load) = &error.kind else { panic!("{error}") };
        assert!(matches!(load.kind, LoadErrorKind::File { action: "read", .. }), "{error}");
        let text = format!("{error:?}");
        assert!(text.contains("; v1 stays current") && text.contains("Too many open"), "{text}");
        let error = engine.sync().expect_err("nothing can be read");
        let text = format!("{error:?}");
        assert!(text.contains("; v1 stays current") && text.contains("Too many open"), "{text}");
        assert_eq!(version(&engine), 1);
        // Calls that end a version need no file either.
        engine.call_with::<u64>("count", ()).expect("exported");

        drop(open);
        assert!(engine.sync().expect("it can be read again").is_swapped());
        assert_eq!(version(&engine), 2);
        engine.offer(&libraries[2]).expect("swaps");
        assert_eq!(version(&engine), 3);
        drop(engine);
        let lines = log_lines(&log);
        let refused = lines.iter().find(|line| line.event == "verify.refused").expect("a refusal");
        assert_eq!((refused.field("err"), refused.level.as_str()), ("load.file", "ERROR"));
        assert!(refused.field("msg").contains("Too many open files"), "{refused:?}");
        assert!(lines.iter().any(|line| line.event == "detect.unreadable"), "{lines:#?}");
    });
}

/// Where the kernel gives no watcher, the log says so once, and polling finds the edit.
#[test]
fn without_a_watcher_the_source_is_polled() {
    const NAME: &str = "without_a_watcher_the_source_is_polled";
    // In a namespace of its own the limit is this test's alone; the user's real one is everybody's.
    let script = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let launcher = ["unshare", "-rm", "sh", "-c", script];
    let is_possible = is_isolated(NAME) || is_possible(&launcher);
    let launcher = if is_possible { &launcher[..] } else { &["env", "NO_NAMESPACE=1"] };
    isolated_under(NAME, launcher, || {
        use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, watch};

        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let source = directory.path().join("source.rs");
        let target = directory.path().join("target");
        std::fs::write(&source, text_of(1)).expect("writable");
        let libraries = [1, 2].map(prebuilt::numbered);
        let open = || {
            Engine::builder(&source)
                .backend(FakeCompiler::new(&source, &target))
                .target_dir(&target)
                .poll_every(Duration::from_millis(5))
                .log_file(&log)
                .wake_on_events()
                .open()
                .expect("opens")
        };
        let watching = watch();
        if std::env::var_os("NO_NAMESPACE").is_some() {
            eprintln!("not tried: the kernel's own limit; a step that fails stands for it");
            drop(open());
            let passed = watching.passed();
            let mut sites = passed.keys().filter(|site| site.operation == Operation::Watch);
            let site: Site = *sites.next().expect("a watcher is asked for");
            watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });
            std::fs::remove_file(&log).expect("ours");
        }
        let engine = open();
        let events = engine.subscribe();
        std::fs::write(&source, text_of(2)).expect("writable");
        event(&events, "a swap", |event| matches!(event, Event::Swapped { .. }).then_some(()));
        assert_eq!(version(&engine), 2);
        drop((engine, libraries));
        let lines = log_lines(&log);
        let told: Vec<_> = lines.iter().filter(|line| line.event == "detect.events").collect();
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert_eq!((told[0].level.as_str(), told[0].field("err")), ("WARN", "events"));
        assert!(told[0].field("msg").contains("polled"), "{told:?}");
        if std::env::var_os("NO_NAMESPACE").is_none() {
            let text = told[0].field("msg");
            assert!(
                text.contains("fs.inotify.max_user_instances"),
                "it says what to raise: {text}"
            );
        }
    });
}

/// Whether a program can be started that way here.
fn is_possible(launcher: &[&str]) -> bool {
    let mut command = std::process::Command::new(launcher[0]);
    command.args(&launcher[1..]).arg("true").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A process of its own with an engine on the crate that [`CRATE`] names; it answers lines.
struct Other {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// Names the crate that another process opens.
const CRATE: &str = "HOTSWAP_TESTS_CRATE";
const TWO_PROCESSES: &str = "two_processes_share_a_source";

impl Other {
    fn start(module: &Path) -> Self {
        let mut process = again(TWO_PROCESSES, &[])
            .env(CRATE, module)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, lines }
    }

    fn ask(&mut self, question: &str) {
        let input = self.process.stdin.as_mut().expect("piped");
        writeln!(input, "{question}").expect("it reads");
    }

    fn answer(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("it answers before it ends").expect("text");
            // The test harness writes to the same place.
            if let Some((_, answer)) = line.split_once("answer: ") {
                return answer.to_owned();
            }
        }
    }
}

/// What [`Other`] runs: opens, and after every line of input looks and tells which version answers.
fn answer_lines(module: &Path) {
    let engine = Engine::builder(module)
        .target_dir(build_directory().join("target"))
        .offline()
        .poll_every(Duration::from_secs(3_600))
        .log_file(module.join("hotswap.log"))
        .open()
        .expect("opens");
    println!("answer: {}", version(&engine));
    for _ in std::io::stdin().lock().lines() {
        // What a compiler says has many lines; the last tells what is still true.
        let last = |error: ReloadError| error.to_string().lines().last().unwrap_or("").to_owned();
        let verdict = engine.sync().map(|verdict| verdict.is_swapped()).map_err(last);
        println!("answer: {verdict:?} {}", version(&engine));
    }
}

/// Two processes look at one crate at once, build it at once and log beside each other; both end up with the last text.
#[test]
fn two_processes_share_a_source() {
    if is_isolated(TWO_PROCESSES) {
        let module = std::env::var_os(CRATE).expect("the first process names it");
        return answer_lines(Path::new(&module));
    }
    let module = CrateFixture::new("shared_by_processes", &versioned(1));
    let mut others = [(); 2].map(|()| Other::start(module.path()));
    for other in &mut others {
        assert_eq!(other.answer(), "1");
    }
    for number in 2..=3 {
        module.edit(&versioned(number));
        for other in &mut others {
            other.ask("look");
        }
        for other in &mut others {
            assert_eq!(other.answer(), format!("Ok(true) {number}"));
        }
    }
    let broken = versioned(4).replace("4", "\"four\"");
    module.edit(&broken);
    for other in &mut others {
        other.ask("look");
    }
    for other in &mut others {
        let answer = other.answer();
        assert_eq!(answer, "Err(\"v3 stays current\") 3");
    }
    let ids: Vec<u32> = others.iter().map(|other| other.process.id()).collect();
    for mut other in others {
        drop(other.process.stdin.take());
        let status = other.process.wait().expect("ours");
        assert!(status.success(), "{status}");
    }
    // One has the log, the other wrote beside it and says so; no line of one is in the other.
    let beside: Vec<PathBuf> = ids
        .iter()
        .map(|id| module.path().join(format!("hotswap-{id}.log")))
        .filter(|path| path.exists())
        .collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    for log in [&beside[0], &module.path().join("hotswap.log")] {
        let lines = log_lines(log);
        let commits = lines.iter().filter(|line| line.event == "swap.commit").count();
        assert_eq!(commits, 3, "{}", log.display());
        assert!(
            lines.iter().any(|line| line.event == "build.fail" || line.event == "detect.known_bad")
        );
    }
}
