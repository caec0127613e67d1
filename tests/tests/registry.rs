//! Modules by name: loaded when they are asked for, listed, reloaded and unloaded.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use hotswap_engine::{
    CallError, CallErrorKind, Directory, Engine, ModuleErrorKind, ModuleUser, Modules, PinKind,
    Verdict,
};
use hotswap_tests::deadline::{LONGER, PATIENCE, receive, within};
use hotswap_tests::plugins::{Plugins, rarely};
use hotswap_tests::{CrateFixture, build_directory, prebuilt, versioned};

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("exported")
}

#[test]
fn sw_6_a_module_is_loaded_when_it_is_asked_for() {
    let plugins = Plugins::new(&["greet", "a/greet", "words"]);
    let modules = plugins.modules();
    assert_eq!(modules.names().expect("readable"), ["a/greet", "greet", "words"]);
    assert_eq!(modules.loaded(), [""; 0]);
    let greet = modules.get("greet").expect("loads");
    assert_eq!((greet.name(), version(&greet)), ("greet", 1));
    modules.load("a/greet").expect("loads");
    assert_eq!(modules.loaded(), ["greet", "a/greet"]);
    let names: Vec<_> = modules.status().iter().map(|module| module.engine.name.clone()).collect();
    assert_eq!(names, ["greet", "a/greet"]);
    // One log for all, in which each has its name, and who asked for it.
    let loads = plugins.lines("module.load");
    let told: Vec<_> = loads.iter().map(|line| line.field("engine")).collect();
    assert_eq!(told, ["greet", "a/greet"]);
    assert!(loads[0].field("by").contains("registry.rs:"), "{:?}", loads[0]);
}

#[test]
fn sw_6_names_of_one_source_are_one_engine() {
    let plugins = Plugins::new(&["greet"]);
    symlink(plugins.library("greet"), plugins.library("link")).expect("ours");
    let modules = plugins.modules();
    let greet = modules.get("greet").expect("loads");
    greet.offer(prebuilt::sociable(2)).expect("swaps");
    for other in ["./greet", "link", "././link"] {
        assert_eq!(version(&modules.get(other).expect("the same")), 2, "{other}");
    }
    let inside = plugins.directory().join("../plugins/libgreet.so");
    assert_eq!(version(&modules.get_from(inside).expect("the same")), 2);
    assert_eq!(modules.loaded(), ["greet"]);
}

/// Both are called `greet`, and neither knows of the other: not by name, nor by state, nor where they are built.
#[test]
fn sw_6_two_directories_may_both_hold_greet() {
    let (here, there) = (Plugins::new(&["greet"]), Plugins::new(&[]));
    there.put("greet", 2);
    let modules = here.modules();
    let other = there.library("greet");
    let (greet, foreign) =
        (modules.get("greet").expect("loads"), modules.get_from(&other).expect("loads"));
    assert_eq!((version(&greet), version(&foreign)), (1, 2));
    let name = fs::canonicalize(&other).expect("it is there").display().to_string();
    assert_eq!(modules.loaded(), ["greet", &name]);
    here.put("greet", 3);
    modules.reload("greet").expect("swaps");
    assert_eq!((version(&greet), version(&foreign)), (3, 2));
    drop(foreign);
    modules.unload(&name).expect("nobody uses it");
    assert_eq!(modules.loaded(), ["greet"]);
}

/// With a compiler: two packages of the same name, built into the same place.
#[test]
fn sw_6_two_packages_of_one_name_are_built_apart() {
    let (one, other) = (
        CrateFixture::new("registry_one", &versioned(1)),
        CrateFixture::new("registry_other", &versioned(2)),
    );
    let manifest = fs::read_to_string(one.path().join("Cargo.toml")).expect("ours");
    for fixture in [&one, &other] {
        let name = format!("name = {:?}", fixture.path().file_name().expect("it has one"));
        let named = fs::read_to_string(fixture.path().join("Cargo.toml")).expect("ours");
        fixture.write("Cargo.toml", &named.replace(&name, "name = \"greet\""));
    }
    assert!(manifest.contains("registry_one"));
    let modules = rarely(Modules::builder("nowhere"))
        .without_log()
        .each(|_, engine| engine.target_dir(build_directory().join("target")).offline())
        .open()
        .expect("opens");
    let engines = [one.path(), other.path()].map(|path| modules.get_from(path).expect("it builds"));
    assert_eq!(engines.each_ref().map(version), [1, 2]);
    one.edit(&versioned(3));
    let verdicts = modules.reload_all();
    assert!(verdicts[0].1.as_ref().expect("builds").is_swapped());
    assert!(!verdicts[1].1.as_ref().expect("builds").is_swapped());
    assert_eq!(engines.each_ref().map(version), [3, 2]);
}

#[test]
fn sw_6_names_that_are_none_are_told() {
    let modules = Plugins::new(&["greet"]).modules();
    let long = "a".repeat(300);
    for (name, said) in [
        ("../greet", "leads out"),
        ("/etc/passwd", "absolute"),
        ("greet/", "a separator"),
        ("", "empty"),
        ("gr\u{1b}eet", "ASCII"),
        (&long, "255 bytes"),
    ] {
        let error = modules.get(name).expect_err(name);
        assert!(matches!(error.kind, ModuleErrorKind::Name(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(said) && text.len() < 300, "{text}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    let error = modules.get("nobody").expect_err("there is none");
    assert!(matches!(error.kind, ModuleErrorKind::Missing), "{error}");
    assert_eq!(error.to_string(), "module nobody: the collection has no such module");
    assert!(matches!(
        modules.unload("greet").expect_err("nobody loaded it").kind,
        ModuleErrorKind::NotLoaded
    ));
}

/// Sixteen ask at once while it is being loaded: there is one engine.
#[test]
fn sw_6_who_asks_meanwhile_waits_for_the_same_load() {
    let plugins = Plugins::new(&["greet"]);
    let loads = Arc::new(AtomicUsize::new(0));
    let (enter, entered) = bounded::<()>(1);
    let (go, went) = bounded::<()>(0);
    let counted = Arc::clone(&loads);
    let modules = plugins.builder().each(move |_, engine| {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = enter.try_send(());
        // Until the test lets go.
        let _ = went.recv();
        engine
    });
    let modules = modules.open().expect("opens");
    let ask = || {
        let modules = modules.clone();
        thread::spawn(move || version(&modules.get("greet").expect("loads")))
    };
    let mut threads = vec![ask()];
    receive(&entered, "the load");
    threads.extend((0..15).map(|_| ask()));
    drop(go);
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), 1);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert_eq!(plugins.lines("engine.start").len(), 1);
}

#[test]
fn sw_6_a_load_that_failed_is_not_remembered() {
    let plugins = Plugins::new(&[]);
    fs::write(plugins.library("greet"), "no library").expect("ours");
    let modules = plugins.modules();
    for _ in 0..2 {
        let error = modules.get("greet").expect_err("it is none");
        assert!(matches!(error.kind, ModuleErrorKind::Open(_)), "{error}");
    }
    plugins.put("greet", 2);
    assert_eq!(version(&modules.get("greet").expect("it is one now")), 2);
    // What panics in a setting is an error, too.
    let panicking = plugins.builder().each(|_, _| panic!("on purpose")).open().expect("opens");
    let asked = thread::spawn({
        let panicking = panicking.clone();
        move || panicking.get("greet").map(drop)
    });
    asked.join().expect_err("it panicked");
    assert_eq!(panicking.loaded(), [""; 0]);
}

#[test]
fn sw_6_what_appears_is_found_and_what_disappears_goes_on() {
    let plugins = Plugins::new(&["greet"]);
    let modules = plugins.modules();
    modules.get("late").expect_err("not there yet");
    plugins.put("late", 5);
    assert_eq!(version(&modules.get("late").expect("there now")), 5);
    let greet = modules.get("greet").expect("loads");
    fs::remove_file(plugins.library("greet")).expect("ours");
    assert_eq!(modules.names().expect("readable"), ["late"]);
    assert_eq!(version(&modules.get("greet").expect("as before")), 1);
    modules.reload("greet").expect_err("it is gone");
    assert_eq!(version(&greet), 1);
    drop(greet);
    modules.unload("greet").expect("nobody uses it");
    let error = modules.get("greet").expect_err("it is gone");
    assert!(matches!(error.kind, ModuleErrorKind::Missing), "{error}");
    // In another form, elsewhere: looked for anew.
    let moved = plugins.directory().join("greet.so");
    fs::copy(prebuilt::sociable(4), moved).expect("ours");
    assert_eq!(version(&modules.get("greet").expect("there again")), 4);
    assert_eq!(modules.loaded(), ["late", "greet"]);
}

#[test]
fn sw_6_what_is_in_use_is_not_unloaded() {
    let plugins = Plugins::new(&["greet"]);
    let modules = plugins.modules();
    let refused = |what: &str| match modules.unload("greet").expect_err(what).kind {
        ModuleErrorKind::InUse { users } => users,
        kind => panic!("{what}: {kind}"),
    };
    let greet = modules.get("greet").expect("loads");
    let clone = greet.clone();
    let users = refused("a handle");
    let [ModuleUser::Handle(pin)] = users.as_slice() else { panic!("{users:?}") };
    assert_eq!(pin.kind, PinKind::Handle);
    assert!(pin.origin.contains("registry.rs:"), "{pin}");
    drop(greet);
    refused("its clone");
    let guard = clone.pin();
    drop(clone);
    refused("a guard made from it");
    let function = modules.get("greet").map(|engine| engine.function::<fn() -> u64>("version"));
    let function = function.expect("loaded").expect("exported");
    drop(guard);
    refused("a function made from it");
    assert_eq!(function.call(), Ok(1));
    let again = function.clone();
    drop(function);
    refused("a clone of that");
    drop(again);
    modules.unload("greet").expect("nobody uses it");
    assert_eq!(modules.loaded(), [""; 0]);
    let in_use = plugins.lines("module.in_use");
    assert_eq!(in_use.len(), 5);
    assert!(in_use[0].field("users").contains("registry.rs:"), "{:?}", in_use[0]);
    assert_eq!(plugins.lines("module.unload").len(), 1);
    assert_eq!(plugins.lines("engine.stop").len(), 1);
    // And again.
    plugins.put("greet", 2);
    assert_eq!(version(&modules.get("greet").expect("loads")), 2);
}

#[test]
fn sw_6_an_unload_waits_until_nobody_uses_it() {
    let plugins = Plugins::new(&["greet"]);
    let modules = plugins.modules();
    let greet = modules.get("greet").expect("loads");
    let error = modules.unload_when_free("greet", Duration::ZERO).expect_err("it is in use");
    assert!(matches!(error.kind, ModuleErrorKind::InUse { .. }), "{error}");
    let (began, begun) = bounded::<()>(1);
    let waiting = thread::spawn({
        let modules = modules.clone();
        move || {
            began.send(()).expect("the test waits");
            modules.unload_when_free("greet", LONGER)
        }
    });
    receive(&begun, "the thread");
    // It is asked for meanwhile, and answers.
    assert_eq!(version(&modules.get("greet").expect("loaded")), 1);
    drop(greet);
    let unloaded = within(PATIENCE, "the unload", move || waiting.join());
    unloaded.expect("no panic").expect("it was free");
    assert_eq!(modules.loaded(), [""; 0]);
}

/// The verdict of each; the good ones are not held up by the bad one.
#[test]
fn rb_7_all_are_reloaded_and_each_has_its_verdict() {
    let plugins = Plugins::new(&["a", "b", "c"]);
    let modules = plugins.modules();
    let engines = ["a", "b", "c"].map(|name| modules.get(name).expect("loads"));
    plugins.put("a", 2);
    let bad = plugins.library("b").with_extension("bad");
    fs::write(&bad, "no library").expect("ours");
    fs::rename(bad, plugins.library("b")).expect("ours");
    plugins.put("c", 3);
    let verdicts = modules.reload_all();
    let names: Vec<_> = verdicts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let swapped =
        verdicts.iter().map(|(_, verdict)| verdict.as_ref().is_ok_and(Verdict::is_swapped));
    assert_eq!(swapped.collect::<Vec<_>>(), [true, false, true]);
    let error = verdicts[1].1.as_ref().expect_err("no library").to_string();
    assert!(error.starts_with("module b: "), "{error}");
    assert_eq!(engines.each_ref().map(version), [2, 1, 3]);
    // The next good publication installs.
    plugins.put("b", 4);
    assert!(modules.reload_all().iter().all(|(_, verdict)| verdict.is_ok()));
    assert_eq!(engines.each_ref().map(version), [2, 4, 3]);
    drop(engines);
    // What is not loaded is loaded, as it is now.
    modules.unload("a").expect("nobody uses it");
    plugins.put("a", 5);
    let verdict = modules.reload("a").expect("loads");
    assert!(matches!(verdict, Verdict::Swapped { from: None, .. }), "{verdict}");
    assert_eq!(version(&modules.get("a").expect("loaded")), 5);
}

#[test]
fn a_guard_of_all_modules_stays_in_their_versions() {
    let plugins = Plugins::new(&["a", "b", "c"]);
    let modules = plugins.modules();
    let a = modules.get("a").expect("loads");
    modules.load("b").expect("loads");
    let guard = modules.pin();
    plugins.put("a", 2);
    modules.reload("a").expect("swaps");
    assert_eq!(version(&a), 2);
    let held = |name: &str| guard.get(name).map(|guard| guard.call_with::<u64>("version", ()));
    assert_eq!((held("a"), held("b"), held("c")), (Some(Ok(1)), Some(Ok(1)), None));
    let error = modules.unload("b").expect_err("it is held");
    assert!(matches!(error.kind, ModuleErrorKind::InUse { .. }), "{error}");
    drop(guard);
    modules.unload("b").expect("nobody uses it");
}

/// What the host holds goes on; everything else ends, with its threads, and nothing is loaded any more.
#[test]
fn the_end_of_a_registry_is_that_of_its_engines() {
    let plugins = Plugins::new(&["greet", "words"]);
    let modules = plugins.modules();
    let greet = modules.get("greet").expect("loads");
    modules.load("words").expect("loads");
    drop(modules.clone());
    assert_eq!(greet.call_with("asks", ("words", "version")), Ok(Ok::<u64, CallError>(1)));
    drop(modules);
    assert_eq!(version(&greet), 1);
    assert_eq!(plugins.lines("engine.stop").len(), 1);
    let asked: Result<u64, CallError> =
        greet.call_with("asks", ("words", "version")).expect("it runs");
    let kind = asked.expect_err("the registry is gone").kind;
    assert!(
        matches!(&kind, CallErrorKind::NoModule { message } if message.contains("closed")),
        "{kind:?}"
    );
    drop(greet);
    assert_eq!(plugins.lines("engine.stop").len(), 2);
}

#[test]
fn a_collection_that_cannot_be_read_says_so() {
    let plugins = Plugins::new(&[]);
    fs::write(plugins.beside("file"), "").expect("ours");
    let modules = rarely(Modules::builder(Directory::new(plugins.beside("file")))).without_log();
    let modules = modules.open().expect("opens");
    let error = modules.names().expect_err("a file is no directory");
    assert!(matches!(error.kind, ModuleErrorKind::Collection(_)), "{error}");
}

/// What an engine saves at its end is there when the next one begins: nobody gets a new one before.
#[test]
fn sw_6_who_asks_while_it_ends_waits_for_the_end() {
    let plugins = Plugins::new(&[]);
    let hook = "\n#[hotswap_module::before_unload]\nfn blocks() {\n    \
                hotswap_module::host().call(\"block\").expect(\"the host answers\");\n}\n";
    let source = prebuilt::source("sociable.rs") + hook;
    let library = prebuilt::library("sociable_ending", &source, prebuilt::Kind::Module);
    plugins.put_library("greet", &library);
    let (enter, entered) = bounded::<()>(8);
    let (go, went) = bounded::<()>(8);
    let modules = plugins.builder().each(move |_, engine| {
        let (enter, went) = (enter.clone(), went.clone());
        engine.provide("block", move || {
            enter.send(()).expect("the test waits");
            let _ = went.recv();
        })
    });
    let modules = modules.open().expect("opens");
    modules.load("greet").expect("loads");
    let unloading = thread::spawn({
        let modules = modules.clone();
        move || modules.unload("greet")
    });
    receive(&entered, "the end");
    assert_eq!(modules.loaded(), [""; 0]);
    let error = modules.unload("greet").expect_err("it ends already");
    assert!(matches!(error.kind, ModuleErrorKind::NotLoaded), "{error}");
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let modules = modules.clone();
            let (begun, began) = bounded::<()>(1);
            let asking = thread::spawn(move || {
                begun.send(()).expect("the test waits");
                version(&modules.get("greet").expect("loads"))
            });
            receive(&began, "the thread");
            asking
        })
        .collect();
    go.send(()).expect("it waits");
    unloading.join().expect("no panic").expect("nobody used it");
    for asking in asking {
        assert_eq!(asking.join().expect("no panic"), 1);
    }
    drop(go);
    drop(modules);
    let events = ["engine.start", "engine.stop"];
    let lines = hotswap_tests::log_lines(&plugins.log());
    let told = lines.iter().map(|line| line.event.as_str()).filter(|event| events.contains(event));
    assert_eq!(told.collect::<Vec<_>>(), ["engine.start", "engine.stop"].repeat(2));
}

/// A setting that asks for the very module that it is for would wait for itself.
#[test]
fn sw_6_a_setting_that_asks_for_its_own_module_is_told() {
    let plugins = Plugins::new(&["greet", "words"]);
    let registry = Arc::new(OnceLock::<Modules>::new());
    let known = Arc::clone(&registry);
    let modules = plugins.builder().each(move |name, engine| {
        let modules = known.get().expect("set below");
        let error = modules.get(name).expect_err("it is being loaded");
        assert!(matches!(error.kind, ModuleErrorKind::FromHook), "{error}");
        if name == "greet" {
            assert_eq!(version(&modules.get("words").expect("another one")), 1);
        }
        engine
    });
    registry.set(modules.open().expect("opens")).expect("once");
    let modules = registry.get().expect("just set");
    assert_eq!(version(&modules.get("greet").expect("loads")), 1);
    assert_eq!(modules.loaded(), ["greet", "words"]);
}
