//! Modules that call each other by name.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::bounded;
use hotswap_engine::{CallError, CallErrorKind, ModuleErrorKind, ModuleUser};
use hotswap_tests::deadline::{LONGER, PATIENCE, receive, until, within};
use hotswap_tests::plugins::Plugins;
use hotswap_tests::prebuilt;

#[test]
fn sw_6_a_module_calls_another() {
    let plugins = Plugins::new(&["caller", "greet"]);
    plugins.put("a/words", 7);
    let modules = plugins.modules();
    let caller = modules.get("caller").expect("loads");
    let asks = |module: &str, function: &str| -> Result<u64, CallError> {
        caller.call_with("asks", (module, function)).expect("it runs")
    };
    // Loaded by the call; then what is current, after a swap, too.
    assert_eq!(asks("a/words", "version"), Ok(7));
    assert_eq!(plugins.lines("module.load")[1].field("by"), "module caller");
    plugins.put("a/words", 8);
    modules.reload("a/words").expect("swaps");
    assert_eq!(asks("./a/words", "version"), Ok(8));
    // Memory of three sides.
    let echo: Result<String, CallError> =
        caller.call_with("echoes", ("greet", "hello".repeat(100))).expect("it runs");
    assert_eq!(echo.expect("it runs"), "hello".repeat(100) + "!");
    // Errors are the callee's, under its name.
    assert_eq!(
        asks("greet", "versio").expect_err("misspelt").to_string(),
        "greet::versio: not exported by v1; did you mean version?"
    );
    let panicked = asks("greet", "panics").expect_err("its result is no number");
    assert!(matches!(panicked.kind, CallErrorKind::Signature { .. }), "{panicked}");
    for (module, said) in [
        ("nobody", "the collection has no such module"),
        ("../caller", "it leads out of its directory"),
    ] {
        let error = asks(module, "version").expect_err(module);
        assert!(
            matches!(&error.kind, CallErrorKind::NoModule { message } if message.contains(said)),
            "{error}"
        );
    }
    // It knows itself.
    assert_eq!(asks("caller", "version"), Ok(1));
}

#[test]
fn a_module_without_a_registry_is_told_so() {
    let engine = prebuilt::engine(&prebuilt::sociable(1)).open().expect("opens");
    let found: Result<(), CallError> = engine.call_with("finds", ("greet",)).expect("it runs");
    let error = found.expect_err("there is no registry").to_string();
    assert!(error.contains("opened by itself and not by a registry"), "{error}");
}

/// A name that a static keeps keeps nothing alive: what was unloaded is loaded again by the next call.
#[test]
fn sw_6_a_kept_caller_holds_nothing_and_loads_again() {
    let plugins = Plugins::new(&["caller", "greet"]);
    let modules = plugins.modules();
    let caller = modules.get("caller").expect("loads");
    let asks =
        || -> Result<u64, CallError> { caller.call_with("asks_greet", ()).expect("it runs") };
    assert_eq!(asks(), Ok(1));
    modules.unload("greet").expect("a caller is no user");
    assert_eq!(modules.loaded(), ["caller"]);
    plugins.put("greet", 2);
    assert_eq!(asks(), Ok(2));
    assert_eq!(modules.loaded(), ["caller", "greet"]);
    // It lies elsewhere by now.
    modules.unload("greet").expect("a caller is no user");
    fs::remove_file(plugins.library("greet")).expect("ours");
    asks().expect_err("it is gone");
    fs::copy(prebuilt::sociable(3), plugins.directory().join("greet.so")).expect("ours");
    assert_eq!(asks(), Ok(3));
}

/// Round in a circle, from many threads, while both are swapped.
#[test]
fn sw_6_modules_that_call_each_other_in_a_circle() {
    let plugins = Plugins::new(&["a", "b"]);
    let modules = plugins.modules();
    let a = modules.get("a").expect("loads");
    let tosses = |depth: u64| -> Result<u64, CallError> {
        a.call_with("tosses", ("a", "b", depth)).expect("it runs")
    };
    assert_eq!(tosses(20), Ok(21));
    let rounds = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let sum = tosses(9).expect("no call fails");
                    // Each of ten is 1 or 2.
                    assert!((10..=20).contains(&sum), "{sum}");
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in (0..20).map(|number| number % 2 + 1) {
            for name in ["a", "b"] {
                plugins.put(name, 3 - number);
                modules.reload(name).expect("swaps");
            }
            let before = rounds.load(Ordering::SeqCst);
            until("calls go on", || rounds.load(Ordering::SeqCst) > before + 4);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let calls = modules.calls();
    let [to, fro] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((to.caller.as_str(), to.callee.as_str()), ("a", "b"));
    assert_eq!((fro.caller.as_str(), fro.callee.as_str()), ("b", "a"));
    // Of ten, five went each way but for the last, which came from `b`; twenty at first.
    let rounds = rounds.load(Ordering::SeqCst) as u64;
    assert_eq!((to.count, fro.count), (10 + 5 * rounds, 10 + 4 * rounds));
    assert_eq!((to.under_way, fro.under_way), (0, 0));
}

/// A call of another module is a user, by name.
#[test]
fn sw_6_a_module_that_is_being_called_is_not_unloaded() {
    let plugins = Plugins::new(&["caller", "greet"]);
    let (enter, entered) = bounded::<()>(1);
    let (go, went) = bounded::<()>(0);
    let modules = plugins.builder().each(move |_, engine| {
        let (enter, went) = (enter.clone(), went.clone());
        engine.provide("block", move || {
            enter.send(()).expect("the test waits");
            // Until the test lets go.
            let _ = went.recv();
        })
    });
    let modules = modules.open().expect("opens");
    let caller = modules.get("caller").expect("loads");
    let calling = thread::spawn(move || {
        caller.call_with::<Result<u64, CallError>>("waits_in", ("greet", "block"))
    });
    receive(&entered, "the call");
    let error = modules.unload("greet").expect_err("it is being called");
    let ModuleErrorKind::InUse { users } = &error.kind else { panic!("{error}") };
    assert_eq!(*users, [ModuleUser::Calls { of: "caller".to_owned(), count: 1 }]);
    assert_eq!(error.to_string(), "module greet: it is in use: a call of caller");
    assert_eq!(modules.calls()[0].under_way, 1);
    let waiting = thread::spawn({
        let modules = modules.clone();
        move || modules.unload_when_free("greet", LONGER)
    });
    drop(go);
    let unloaded = within(PATIENCE, "the unload", move || waiting.join());
    unloaded.expect("no panic").expect("the call ended");
    assert_eq!(calling.join().expect("no panic"), Ok(Ok(1)));
    assert_eq!(modules.loaded(), ["caller"]);
    assert_eq!(modules.calls()[0].under_way, 0);
}

/// Loaded and unloaded while others call it: each call is answered by a whole module.
#[test]
fn sw_6_a_module_comes_and_goes_under_calls() {
    let plugins = Plugins::new(&["caller", "greet"]);
    let modules = plugins.builder().without_log().open().expect("opens");
    let caller = modules.get("caller").expect("loads");
    let calls = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let mut unloaded = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let answer: Result<u64, CallError> =
                        caller.call_with("asks", ("greet", "version")).expect("it runs");
                    assert_eq!(answer, Ok(1));
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        while unloaded < 20 {
            let before = calls.load(Ordering::SeqCst);
            match modules.unload_when_free("greet", LONGER) {
                Ok(()) => unloaded += 1,
                Err(error) => assert!(
                    matches!(
                        error.kind,
                        ModuleErrorKind::NotLoaded | ModuleErrorKind::InUse { .. }
                    ),
                    "{error}"
                ),
            }
            until("calls go on", || calls.load(Ordering::SeqCst) > before);
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

/// From where the engine may wait for the answer, it is refused at once, with words.
#[test]
fn sw_6_a_load_hook_asks_for_no_module() {
    let plugins = Plugins::new(&["greet"]);
    let hook = "\n#[hotswap_module::on_load]\nfn asks_first() -> Result<(), String> {\n    \
                engine_named(\"greet\").map(drop).map_err(|error| error.to_string())\n}\n";
    let source = prebuilt::source("sociable.rs") + hook;
    plugins.put_library(
        "early",
        &prebuilt::library("sociable_early", &source, prebuilt::Kind::Module),
    );
    let modules = plugins.modules();
    let error = modules.get("early").expect_err("its hook asks");
    assert!(error.to_string().contains("this hook cannot call the engine"), "{error}");
    assert_eq!(modules.loaded(), [""; 0]);
}

/// What a module hands to another leaves its account, and what it gets is put there: nothing is left of what came and went.
#[test]
fn memory_that_modules_hand_to_each_other_is_on_one_account() {
    let plugins = Plugins::new(&["caller", "greet"]);
    let modules = plugins.modules();
    let engines = ["caller", "greet"].map(|name| modules.get(name).expect("loads"));
    let echo = || {
        let text = "x".repeat(1_000);
        let echo: Result<String, CallError> =
            engines[0].call_with("echoes", ("greet", text.clone())).expect("it runs");
        assert_eq!(echo.expect("it runs"), text + "!");
    };
    echo();
    let heap = || engines.each_ref().map(|engine| engine.versions()[0].heap_bytes);
    let before = heap();
    (0..100).for_each(|_| echo());
    assert_eq!(heap(), before);
}
