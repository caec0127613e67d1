//! How a library is linked decides whether it can be unmapped: what it brings along, what it imports, what it asks of
//! the loader. Rows UN-3, UN-5 and UN-8.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, unbounded};
use hotswap_engine::{
    ContentHash, Engine, Inspection, LoadErrorKind, PinKind, UnloadOutcome, VersionState,
};
use hotswap_tests::deadline::{receive, until};
use hotswap_tests::maps::executable_mappings;
use hotswap_tests::prebuilt::{self, Kind, Recipe, compiled};
use hotswap_tests::{CrateFixture, LogLine, elf, isolated, log_lines, versioned};

fn lines(log: &Path, event: &str) -> Vec<LogLine> {
    log_lines(log).into_iter().filter(|line| line.event == event).collect()
}

fn is_gone(engine: &Engine) -> bool {
    engine.versions()[0].state == VersionState::Unloaded
}

/// `tests/modules/numbered.rs`, linked with more arguments.
fn linked(name: &str, link_args: &[String], appended: &str) -> PathBuf {
    let mut recipe = Recipe::of(Kind::Module);
    recipe.link_args = link_args.to_vec();
    recipe.library(name, &(prebuilt::source("numbered.rs") + appended))
}

/// What a module links comes with it and stays, and what that links: threads may have something of it, of which nobody knows.
#[test]
fn a_library_that_a_module_links_stays_and_is_told() {
    isolated("a_library_that_a_module_links_stays_and_is_told", || {
        static DESTROYED: AtomicI32 = AtomicI32::new(0);
        let module = prebuilt::neighbourly("neighbourly", &[]);
        let inspection = Inspection::of_file(&module).expect("whole");
        assert!(inspection.libraries.iter().any(|name| name == "libneighbour.so"));
        assert!(inspection.kept_by.is_empty() && !inspection.is_nodelete, "{inspection:?}");

        let own = tempfile::tempdir().expect("a temporary directory");
        let log = own.path().join("hotswap.log");
        let engine = prebuilt::engine(&module).log_file(&log).open().expect("opens");
        let (touched, touches) = bounded(0);
        let (end, ends) = bounded::<()>(0);
        let caller = engine.clone();
        let toucher = thread::spawn(move || {
            let count = (&raw const DESTROYED).addr() as u64;
            caller.call_with::<()>("touches_neighbour", (count,)).expect("exported");
            touched.send(()).expect("the test listens");
            receive(&ends, "the end");
        });
        receive(&touches, "the thread");
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        until("the module is gone", || is_gone(&engine));
        assert_eq!(executable_mappings("-libneighbourly.so"), Vec::<String>::new());
        for library in ["/libneighbour.so", "/libdistant.so"] {
            assert!(!executable_mappings(library).is_empty(), "{library}");
        }
        end.send(()).expect("the thread waits");
        toucher.join().expect("no panic");
        assert_eq!(DESTROYED.load(Ordering::SeqCst), 1, "its destructor ran, where it always was");

        // It is there now, so that nothing comes with the next.
        engine.offer(&module).expect("swaps");
        let told = lines(&log, "load.libraries");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].field("libraries"), "libneighbour.so");
    });
}

const KEEPS_STATIC: &str = "
static __thread int number __attribute__((tls_model(\"initial-exec\")));
int static_number(void) { return ++number; }
";

const CALLS_STATIC: &str = "
unsafe extern \"C\" {
    fn static_number() -> i32;
}

#[export]
pub fn static_thread_local() -> i32 {
    // SAFETY: it takes nothing and may be called at any time.
    unsafe { static_number() }
}
";

/// Room for static thread-local storage runs out: what needs it is refused before anything of it is loaded, and told why.
#[test]
fn static_thread_local_storage_is_refused_by_name() {
    let object = compiled("static_number.o", KEEPS_STATIC, &["-c", "-fPIC"]);
    let module = linked("static_storage", &[object.display().to_string()], CALLS_STATIC);
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let text = engine.offer(&module).expect_err("it would run out").to_string();
    for says in ["DF_STATIC_TLS", "run out after a few versions", "-ftls-model", "v1 stays"] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let error = Inspection::of_file(&module).expect_err("the same");
    assert!(matches!(error.kind, LoadErrorKind::Unsupported { .. }), "{error}");
    assert_eq!(executable_mappings("-libstatic_storage.so"), Vec::<String>::new());
}

/// A library that asks the loader to keep it is loaded from a copy that does not, and is unmapped.
#[test]
fn a_library_that_asks_to_stay_is_unmapped() {
    let module = linked("clinging", &["-Wl,-z,nodelete".to_owned()], "");
    assert!(Inspection::of_file(&module).expect("whole").is_nodelete);
    let before = fs::read(&module).expect("readable");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (watched, log) = (directory.path().join("clings.so"), directory.path().join("hotswap.log"));
    fs::copy(&module, &watched).expect("ours");
    let engine = prebuilt::engine(&watched).log_file(&log).open().expect("opens");
    let staged = lines(&log, "stage.ok").remove(0).field("path").to_owned();
    assert!(!executable_mappings(&staged).is_empty());
    let edited = lines(&log, "stage.edited").remove(0);
    let own = ContentHash::of_file(&module).expect("readable").to_string();
    assert_eq!(edited.field("sha256"), own);
    let loaded = ContentHash::of_file(Path::new(&staged)).expect("readable").to_string();
    assert_eq!(edited.field("loaded_sha256"), loaded);
    assert_ne!(own, loaded);
    let info = engine.versions().remove(0);
    assert_eq!(info.content.map(|content| content.to_string()), Some(own));
    // The flag is all that differs.
    let after = fs::read(&staged).expect("readable");
    assert_eq!(after.len(), before.len());
    let differs = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert_eq!(differs.map(|(before, after)| before ^ after).collect::<Vec<_>>(), [8]);

    // The same code under another build id is no other version, though what is loaded is neither.
    let mut other = before.clone();
    let note = elf::section(&before, ".note.gnu.build-id").range;
    other[note.end - 1] ^= 1;
    fs::write(directory.path().join("next"), &other).expect("ours");
    fs::rename(directory.path().join("next"), &watched).expect("ours");
    assert!(!engine.sync().expect("it is a module").is_swapped());
    assert_eq!(lines(&log, "build.same").len(), 1);

    engine.offer(prebuilt::numbered(2)).expect("swaps");
    until("it is gone", || is_gone(&engine));
    assert_eq!(executable_mappings(&staged), Vec::<String>::new());
    assert_eq!(fs::read(&module).expect("readable"), before, "the artifact is as it was");
}

/// What the engine builds is linked and not copied when it is loaded: the store keeps its bytes all the same.
#[test]
fn a_built_library_that_asks_to_stay_is_unmapped_too() {
    let module = CrateFixture::new("asks_to_stay", &versioned(1));
    let asks = "fn main() {\n    println!(\"cargo:rustc-link-arg=-Wl,-z,nodelete\");\n}\n";
    module.write("build.rs", asks);
    let log = module.path().join("hotswap.log");
    let engine = module.engine().keep_versions(0).log_file(&log).open().expect("opens");
    for (number, event) in [(2, "build.ok"), (1, "build.cached")] {
        let before = lines(&log, event).len();
        module.edit(&versioned(number));
        assert!(engine.sync().expect("it builds").is_swapped());
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(number));
        assert_eq!(lines(&log, event).len(), before + 1);
    }
    let (edited, staged) = (lines(&log, "stage.edited"), lines(&log, "stage.ok"));
    assert_eq!((edited.len(), staged.len()), (3, 3));
    assert_eq!(edited[0].field("sha256"), edited[2].field("sha256"), "as it was built");
    assert_eq!(edited[0].field("loaded_sha256"), edited[2].field("loaded_sha256"));
    for old in &staged[..2] {
        assert_eq!(executable_mappings(old.field("path")), Vec::<String>::new());
    }
    assert!(!executable_mappings(staged[2].field("path")).is_empty());
}

/// Functions that take an address and keep it, and nothing that the host could do about it.
const KEEPING: [&str; 23] = [
    "__sigaction",
    "__sysv_signal",
    "aio_fsync",
    "aio_fsync64",
    "aio_read",
    "aio_read64",
    "aio_write",
    "aio_write64",
    "bsd_signal",
    "clone",
    "getaddrinfo_a",
    "lio_listio",
    "lio_listio64",
    "mq_notify",
    "on_exit",
    "register_printf_function",
    "register_printf_modifier",
    "register_printf_specifier",
    "register_printf_type",
    "sigset",
    "ssignal",
    "sysv_signal",
    "timer_create",
];

/// Each of them keeps a module that imports it: it is told at load, and named as the holder.
#[test]
fn un_5_what_may_be_run_at_any_time_stays_mapped_and_is_named() {
    let declared = KEEPING.map(|name| format!("    fn {name}();\n")).concat();
    let used = KEEPING.map(|name| format!("{name} as *const () as usize, ")).concat();
    let source = format!(
        "\nunsafe extern \"C\" {{\n{declared}}}\n\n#[export]\npub fn addresses() -> u64 {{\n    [{used}].iter().map(|address| *address as u64).fold(0, u64::wrapping_add)\n}}\n"
    );
    let module = linked("keeping", &[], &source);
    let inspection = Inspection::of_file(&module).expect("whole");
    let mut names = inspection.kept_by;
    names.sort();
    assert_eq!(names, KEEPING);

    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = prebuilt::engine(&module).log_file(&log).open().expect("opens");
    let kept_by = lines(&log, "load.ok").remove(0).field("kept_by").to_owned();
    assert!(KEEPING.iter().all(|name| kept_by.split(", ").any(|kept| kept == *name)), "{kept_by}");
    let first = engine.version();
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let ticket = engine.unload(first).expect("it was replaced");
    let UnloadOutcome::HeldBy(pins) = ticket.wait(Duration::ZERO) else { panic!("it is kept") };
    assert_eq!(pins.len(), 1, "{pins:?}");
    assert_eq!((pins[0].kind, &pins[0].origin), (PinKind::Import, &kept_by));
    assert_eq!(engine.versions()[0].state, VersionState::Pinned);
    assert!(!executable_mappings("-libkeeping.so").is_empty());
    let pinned = lines(&log, "version.pinned").remove(0);
    assert!(pinned.field("msg").contains("it imports"), "{pinned:?}");
}

const SETS_TIMER: &str = "
unsafe extern \"C\" {
    fn timer_create(clock: i32, event: *mut [usize; 8], timer: *mut usize) -> i32;
    fn timer_settime(timer: usize, flags: i32, new: *const [i64; 4], old: usize) -> i32;
    fn on_exit(handler: extern \"C\" fn(i32, usize), argument: usize) -> i32;
}

extern \"C\" fn rings(_: usize) {
    let _ = host().call_with::<()>(\"tell\", (\"timer\".to_owned(),));
}

extern \"C\" fn exits(status: i32, _: usize) {
    let _ = host().call_with::<()>(\"tell\", (format!(\"exit {status}\"),));
}

/// Has a function of this module run on a thread of the C library's, again and again, and one at the end.
#[export]
pub fn sets_timer() {
    const SIGEV_THREAD: usize = 2;
    // A value, the signal (none) and how to tell; then the function.
    let mut event = [0, SIGEV_THREAD << 32, rings as *const () as usize, 0, 0, 0, 0, 0];
    let mut timer = 0;
    // SAFETY: room for a timer, and what it is to do.
    assert_eq!(unsafe { timer_create(1, &raw mut event, &raw mut timer) }, 0);
    let every = [0, 1_000_000, 0, 1_000_000];
    // SAFETY: just made.
    assert_eq!(unsafe { timer_settime(timer, 0, &raw const every, 0) }, 0);
    // SAFETY: it takes what it gets.
    assert_eq!(unsafe { on_exit(exits, 0) }, 0);
}
";

/// A timer goes on ringing in a version that was replaced; so nothing that it has is destroyed before its thread ends.
#[test]
fn a_timer_rings_in_a_version_that_was_replaced() {
    isolated("a_timer_rings_in_a_version_that_was_replaced", || {
        let (tell, told) = unbounded();
        let module = linked("ringing", &[], SETS_TIMER);
        let (drops, dropped) = bounded(1);
        let engine = prebuilt::engine(&module)
            .provide("tell", move |name: String| {
                // Nobody listens when the test is over.
                let _ = tell.send(name);
            })
            .provide("local_dropped", move || drops.send(()).expect("the test listens"));
        let engine = engine.open().expect("opens");
        engine.call("sets_timer").expect("exported");
        let (kept, keeps) = bounded(0);
        let (end, ends) = bounded::<()>(0);
        let caller = engine.clone();
        let keeper = thread::spawn(move || {
            caller.call("keeps_local").expect("exported");
            kept.send(()).expect("the test listens");
            receive(&ends, "the end");
            assert_eq!(caller.call_with::<u64>("version", ()), Ok(2));
        });
        receive(&keeps, "the thread");
        engine.offer(prebuilt::numbered(2)).expect("swaps");
        assert_eq!(engine.versions()[0].state, VersionState::Pinned);
        assert!(dropped.is_empty());
        end.send(()).expect("the thread waits");
        keeper.join().expect("no panic");
        receive(&dropped, "the value's drop, with its thread");
        while told.try_recv().is_ok() {}
        for _ in 0..20 {
            assert_eq!(receive(&told, "the timer"), "timer");
        }
    });
}

/// Threads and keys of C11 are followed as those of POSIX are.
#[test]
fn threads_and_keys_of_c11_hold_their_version_until_they_end() {
    let (tell, told) = unbounded();
    let (go_on, wait) = bounded::<()>(0);
    let builder = prebuilt::engine(&prebuilt::named("c11.rs"));
    let engine = builder.provide("tell", move |name: String| {
        let waits = name == "wait";
        // Nobody listens when the test is over.
        let _ = tell.send(name);
        if waits {
            receive(&wait, "the word to go on");
        }
    });
    let engine = engine.open().expect("opens");
    assert_eq!(engine.call_with::<i32>("joins", (7_u64,)), Ok(-7));
    assert_eq!(engine.call_with::<u64>("keeps_key", (5_u64,)), Ok(5));
    engine.call("deletes_key").expect("exported");
    assert_eq!(engine.call_with::<u64>("keeps_key", (6_u64,)), Ok(6));
    engine.call("detaches").expect("exported");
    assert_eq!(receive(&told, "the thread"), "wait");
    engine.offer(prebuilt::numbered(2)).expect("swaps");
    let kinds: Vec<_> = engine.versions()[0].pins.iter().map(|pin| pin.kind).collect();
    assert!(kinds.contains(&PinKind::Thread) && kinds.contains(&PinKind::ThreadLocal), "{kinds:?}");
    assert!(!executable_mappings("-libc11.so").is_empty());
    go_on.send(()).expect("the thread waits");
    until("it is gone", || {
        assert_eq!(engine.call_with::<u64>("version", ()), Ok(2));
        is_gone(&engine)
    });
    assert_eq!(executable_mappings("-libc11.so"), Vec::<String>::new());
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["key"], "of the key that was not deleted");
}
