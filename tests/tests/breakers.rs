//! What could keep a version mapped, or run in it after it is gone: each either ends and lets it go, or holds it and is
//! named. Rows UN-3, UN-4 and UN-8; `docs::unload` goes through them one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hotswap_engine::{Engine, Guard, Pin, PinKind, UnloadOutcome, VersionState};
use hotswap_tests::deadline::{PATIENCE, receive, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::prebuilt::{self, Kind, Recipe};
use hotswap_tests::{again, is_isolated, isolated, log_lines};

/// An engine on a module that breaks things, and what the module tells its host.
struct Breaking {
    engine: Engine,
    told: Receiver<String>,
    /// Lets `wait` go on.
    go_on: Sender<()>,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Breaking {
    fn open(library: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let (tell, told) = unbounded();
        let (go_on, wait) = bounded::<()>(0);
        let engine = prebuilt::engine(library)
            .log_file(&log)
            .provide("tell", move |name: String| {
                let waits = name == "wait";
                // Nobody listens when the test is over.
                let _ = tell.send(name);
                if waits {
                    receive(&wait, "the word to go on");
                }
            })
            .open()
            .expect("opens");
        Self { engine, told, go_on, log, _directory: directory }
    }

    /// Replaces version 1, and says who holds it.
    fn swap(&self) -> Vec<Pin> {
        self.engine.offer(prebuilt::numbered(2)).expect("swaps");
        self.engine.versions().remove(0).pins
    }

    fn is_gone(&self) -> bool {
        self.engine.versions()[0].state == VersionState::Unloaded
    }

    /// Waits for the end of version 1, calling meanwhile as any thread does.
    #[track_caller]
    fn assert_gone(&self) {
        until("version 1 is gone", || {
            assert_eq!(self.engine.call_with::<u64>("version", ()), Ok(2));
            self.is_gone()
        });
        assert!(!self.is_mapped());
    }

    fn is_mapped(&self) -> bool {
        let lines = log_lines(&self.log);
        let staged = lines.iter().find(|line| line.event == "stage.ok").expect("it was loaded");
        !executable_mappings(staged.field("path")).is_empty()
    }

    fn told(&self) -> Vec<String> {
        self.told.try_iter().collect()
    }
}

fn breakers() -> Breaking {
    Breaking::open(&prebuilt::named("breakers.rs"))
}

fn pools() -> PathBuf {
    let mut recipe = Recipe::of(Kind::Module);
    "rayon = \"1\"\n".clone_into(&mut recipe.dependencies);
    recipe.library("pools", &prebuilt::source("pools.rs"))
}

/// The sum of the squares below 1,000.
const SUM: u64 = 332_833_500;

#[test]
fn a_rayon_pool_that_ends_lets_its_version_go() {
    let breaking = Breaking::open(&pools());
    assert_eq!(breaking.engine.call_with::<u64>("sums_on_its_own", (1_000_u64,)), Ok(SUM));
    breaking.swap();
    breaking.assert_gone();
}

/// Its threads never end: they hold the version, by their names, and nothing of it is unmapped.
#[test]
fn the_global_rayon_pool_holds_its_version_and_is_named() {
    let breaking = Breaking::open(&pools());
    assert_eq!(breaking.engine.call_with::<u64>("sums_on_the_global_one", (1_000_u64,)), Ok(SUM));
    let first = breaking.engine.version();
    breaking.swap();
    // A thread gives itself its name when it begins.
    for name in ["global-0, started by ", "global-1, started by "] {
        let is_named = |pin: &Pin| pin.kind == PinKind::Thread && pin.origin.starts_with(name);
        until(name, || breaking.engine.versions()[0].pins.iter().any(is_named));
    }
    let ticket = breaking.engine.unload(first).expect("it was replaced");
    assert!(matches!(ticket.wait(Duration::ZERO), UnloadOutcome::HeldBy(_)));
    assert!(breaking.is_mapped());
}

/// A thread that waits for a message holds its version; when the sender is gone, so is the version.
#[test]
fn a_thread_that_waits_for_a_message_holds_its_version() {
    let breaking = breakers();
    breaking.engine.call("waits_for_a_message").expect("exported");
    let mut told = [(); 2].map(|()| receive(&breaking.told, "the threads"));
    told.sort();
    assert_eq!(told, ["wait", "waits"]);
    let pins = breaking.swap();
    for name in ["waiter", "holder"] {
        let is_named = |pin: &Pin| pin.kind == PinKind::Thread && pin.origin.starts_with(name);
        assert!(pins.iter().any(is_named), "{name}: {pins:?}");
    }
    assert!(breaking.is_mapped());
    breaking.go_on.send(()).expect("the thread waits");
    assert_eq!(receive(&breaking.told, "the thread that waited"), "the sender is gone");
    breaking.assert_gone();
}

/// A scope returns before its threads have ended: unloading waits for their very last act.
#[test]
fn threads_of_a_scope_let_go_after_their_last_act() {
    isolated("threads_of_a_scope_let_go_after_their_last_act", || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let own = directory.path().join("with_scopes.so");
        fs::copy(prebuilt::named("breakers.rs"), &own).expect("writable");
        let engine = prebuilt::engine(&own).provide("tell", |_: String| {}).open().expect("opens");
        for _ in 0..200 {
            assert_eq!(engine.call_with::<u64>("scoped", (4_u64,)), Ok(6));
            engine.offer(&own).expect("swaps");
        }
        until("all are gone but the current one", || {
            engine.call("version").expect("exported");
            executable_mappings("-with_scopes.so").len() == 1
        });
    });
}

/// What a destructor starts when the version is gone already is waited for as well.
#[test]
fn a_thread_that_a_destructor_starts_is_waited_for() {
    let breaking = breakers();
    breaking.engine.call("keeps_starter").expect("exported");
    breaking.swap();
    until("a call has destroyed the value", || {
        assert_eq!(breaking.engine.call_with::<u64>("version", ()), Ok(2));
        !breaking.told.is_empty()
    });
    assert_eq!(breaking.told(), ["wait"]);
    let pins = breaking.engine.versions().remove(0).pins;
    assert!(pins.iter().any(|pin| pin.kind == PinKind::Thread), "{pins:?}");
    assert!(breaking.is_mapped() && !breaking.is_gone());
    breaking.go_on.send(()).expect("the thread waits");
    breaking.assert_gone();
    assert_eq!(breaking.told(), ["the thread of a destructor"]);
}

/// Code that runs when its version is gone may borrow what it has on its thread, and call the engine meanwhile: nothing is
/// destroyed under it, though the swapper asks the thread to destroy everything.
#[test]
fn nothing_is_destroyed_under_code_that_runs_when_its_version_is_gone() {
    for leaves in ["keeps_looker", "keeps_starter_of_looker"] {
        let breaking = breakers();
        let (end, ends) = bounded::<()>(0);
        let (left, leaving) = bounded(0);
        thread::scope(|scope| {
            let engine = &breaking.engine;
            scope.spawn(move || {
                engine.call(leaves).expect("exported");
                left.send(()).expect("the test listens");
                receive(&ends, "the swap");
                // Comes by, and destroys what is left on this thread.
                until("version 1 is gone", || {
                    engine.call("version").expect("exported");
                    engine.versions()[0].state == VersionState::Unloaded
                });
            });
            receive(&leaving, "the thread");
            breaking.swap();
            end.send(()).expect("the thread waits");
            assert_eq!(receive(&breaking.told, "who looks"), "wait");
            // Has the swapper ask all threads that have something of a version on its way out.
            engine.offer(prebuilt::numbered(1)).expect("swaps");
            breaking.go_on.send(()).expect("who looks waits");
        });
        assert_eq!(breaking.told(), ["whole", "destroyed"], "{leaves}");
    }
}

/// The standard library ends the process when a thread-local's destructor panics, in a module as anywhere.
#[test]
fn a_destructor_that_panics_ends_the_process() {
    const NAME: &str = "a_destructor_that_panics_ends_the_process";
    if is_isolated(NAME) {
        let breaking = breakers();
        breaking.engine.call("keeps_panicker").expect("exported");
        breaking.swap();
        breaking.assert_gone();
        return;
    }
    use std::os::unix::process::ExitStatusExt as _;
    let output = again(NAME, &[]).output().expect("this program starts again");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{text}");
    assert!(text.contains("thread local panicked on drop"), "{text}");
}

/// A call may ask for the end of the version that it runs in, and is what holds it.
#[test]
fn a_call_may_ask_for_the_end_of_its_own_version() {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let asked = || {
        let engine = ENGINE.get().expect("set before the call");
        let first = engine.version();
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        let ticket = engine.unload(first).expect("it was replaced");
        let UnloadOutcome::HeldBy(pins) = ticket.wait(Duration::ZERO) else {
            panic!("its own call is in it")
        };
        let is_this =
            |pin: &Pin| pin.kind == PinKind::Call && pin.origin.contains("a_call_may_ask");
        assert!(pins.iter().any(is_this), "{pins:?}");
    };
    let engine = prebuilt::engine(&prebuilt::numbered(1)).provide("asks", asked).open();
    let engine = ENGINE.get_or_init(|| engine.expect("opens"));
    let first = engine.version();
    assert_eq!(engine.call_with::<u64>("after", ("asks",)), Ok(1), "it goes on where it began");
    let ticket = engine.unload(first).expect("known");
    assert_eq!(ticket.wait(PATIENCE), UnloadOutcome::Unloaded);
}

/// What a module registered with `atexit` runs before its code goes, the last first, while everything is there that it may use;
/// and what that leaves on its thread is destroyed.
#[test]
fn what_is_registered_for_the_end_runs_before_the_code_goes() {
    let breaking = breakers();
    breaking.engine.call("registers_handlers").expect("exported");
    breaking.engine.call("keeps_starter").expect("exported");
    breaking.swap();
    until("a call has destroyed the value", || {
        assert_eq!(breaking.engine.call_with::<u64>("version", ()), Ok(2));
        !breaking.told.is_empty()
    });
    assert_eq!(breaking.told(), ["wait"], "the handlers come after all destructors and threads");
    breaking.go_on.send(()).expect("the thread waits");
    breaking.assert_gone();
    let expected = ["the thread of a destructor", "second", "first", "what a handler left"];
    assert_eq!(breaking.told(), expected);
}

/// What those functions start is waited for, and the code goes after it.
#[test]
fn a_thread_that_is_started_at_the_end_is_waited_for() {
    let breaking = breakers();
    breaking.engine.call("registers_starter").expect("exported");
    breaking.swap();
    assert_eq!(receive(&breaking.told, "the thread"), "wait");
    until("the swapper has looked", || {
        let pins = breaking.engine.versions().remove(0).pins;
        pins.iter().any(|pin| pin.kind == PinKind::Thread)
    });
    assert!(breaking.is_mapped() && !breaking.is_gone());
    breaking.go_on.send(()).expect("the thread waits");
    breaking.assert_gone();
    assert_eq!(breaking.told(), ["the thread of a destructor"], "once");
}

const REGISTERS_EARLY: &str = "
#[used]
#[unsafe(link_section = \".init_array\")]
static START: extern \"C\" fn() = registers_handlers_early;

extern \"C\" fn registers_handlers_early() {
    // SAFETY: it takes nothing and may run at any time.
    assert_eq!(unsafe { atexit(first) }, 0);
}
";

/// What a constructor registers, as C++ does for its statics, runs then too.
#[test]
fn what_a_constructor_registers_runs_before_the_code_goes() {
    let source = prebuilt::source("breakers.rs") + REGISTERS_EARLY;
    let breaking = Breaking::open(&prebuilt::library("early_handler", &source, Kind::Module));
    breaking.engine.call("registers_handlers").expect("exported");
    breaking.swap();
    breaking.assert_gone();
    assert_eq!(breaking.told(), ["second", "first", "first", "what a handler left"]);
}

/// Where the child writes what it was told.
const TOLD: &str = "HOTSWAP_TESTS_TOLD";

/// A process that ends runs them too, for versions that are mapped still.
#[test]
fn what_is_registered_for_the_end_runs_at_the_end_of_the_process() {
    const NAME: &str = "what_is_registered_for_the_end_runs_at_the_end_of_the_process";
    if is_isolated(NAME) {
        let told = std::env::var_os(TOLD).expect("the first process names it");
        let tell = move |name: String| {
            use std::io::Write as _;
            let file = fs::File::options().append(true).create(true).open(&told);
            writeln!(file.expect("writable"), "{name}").expect("writable");
        };
        let engine = prebuilt::engine(&prebuilt::named("breakers.rs")).provide("tell", tell);
        let engine = engine.open().expect("opens");
        engine.call("registers_handlers").expect("exported");
        // Neither is dropped: the process ends.
        let _guard = engine.pin();
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        std::process::exit(7);
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let told = directory.path().join("told");
    let output = again(NAME, &[]).env(TOLD, &told).output().expect("this program starts again");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let text = fs::read_to_string(&told).expect("the handlers ran");
    assert!(text.starts_with("second\nfirst\n"), "{text}");
}

/// While such a function runs, because the process ends, its version stays, though nobody else holds it.
#[test]
fn the_end_of_the_process_holds_the_version_whose_code_it_runs() {
    const NAME: &str = "the_end_of_the_process_holds_the_version_whose_code_it_runs";
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    static GUARD: Mutex<Option<Guard>> = Mutex::new(None);
    if is_isolated(NAME) {
        let told = std::env::var_os(TOLD).expect("the first process names it");
        let tell = move |name: String| {
            if name == "second" {
                let engine = ENGINE.get().expect("set before the end");
                drop(GUARD.lock().expect("nobody panicked").take());
                let first = engine.versions()[0].id;
                // The swapper has looked at it when this returns.
                let ticket = engine.unload(first).expect("it was replaced");
                let outcome = format!("{:?}", ticket.wait(Duration::ZERO));
                let mapped = executable_mappings("-libbreakers.so").len();
                fs::write(&told, format!("{mapped} {outcome}")).expect("writable");
            }
        };
        let engine = prebuilt::engine(&prebuilt::named("breakers.rs")).provide("tell", tell);
        let engine = ENGINE.get_or_init(|| engine.open().expect("opens"));
        engine.call("registers_handlers").expect("exported");
        *GUARD.lock().expect("nobody panicked") = Some(engine.pin());
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        std::process::exit(7);
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let told = directory.path().join("told");
    let output = again(NAME, &[]).env(TOLD, &told).output().expect("this program starts again");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let text = fs::read_to_string(&told).expect("the handler ran");
    assert!(text.starts_with("1 HeldBy") && text.contains("atexit on "), "{text}");
}

/// A process may end at any point of a swap, an unload, a call or a destructor: by its own status, and no signal.
#[test]
fn a_process_may_end_during_a_swap() {
    const NAME: &str = "a_process_may_end_during_a_swap";
    const ROUNDS: u64 = 25;
    const SWAPS: &str = "HOTSWAP_TESTS_SWAPS";
    if is_isolated(NAME) {
        let swaps: u64 = std::env::var(SWAPS).expect("given").parse().expect("a number");
        let breakers = prebuilt::named("breakers.rs");
        let engine = prebuilt::engine(&breakers).provide("tell", |_: String| {}).open();
        let engine = engine.expect("opens");
        let (swapped, is_swapped) = bounded(0);
        let (calling, swapping) = (engine.clone(), engine);
        thread::spawn(move || {
            loop {
                calling.call("registers_handlers").expect("exported");
                assert_eq!(calling.call_with::<u64>("scoped", (2_u64,)), Ok(1));
            }
        });
        thread::spawn(move || {
            loop {
                swapping.offer(&breakers).expect("swaps");
                // Nobody listens while the process ends.
                let _ = swapped.try_send(());
            }
        });
        for _ in 0..swaps {
            receive(&is_swapped, "a swap");
        }
        std::process::exit(7);
    }
    drop(prebuilt::named("breakers.rs"));
    for round in 0..ROUNDS {
        let mut child = again(NAME, &[]);
        let output = child.env(SWAPS, round.to_string()).output().expect("starts again");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "round {round}: {}\n{text}", output.status);
    }
}
