//! A program with many modules, asked and told by the command line.

mod harness;

use harness::{Place, finish, shared_builds};
use hotswap_engine::Modules;

#[test]
fn sw_6_the_modules_of_a_running_program() {
    let place = Place::new("running_modules");
    let module = |name: &str, body: &str| {
        let text = format!(
            "hotswap_module::module!();\n#[hotswap_module::export]\npub fn run() -> u64 {{\n    {body}\n}}\n"
        );
        std::fs::write(place.0.join(format!("plugins/{name}.rs")), text).unwrap();
    };
    std::fs::create_dir(place.0.join("plugins")).unwrap();
    module("words", "7");
    let call = "hotswap_module::engine_named(\"words\").unwrap().call_with(\"run\", ()).unwrap()";
    module("greet", call);
    let ask = |arguments: &[&str]| finish(&mut place.hotswap(arguments));
    let (code, _, error) = ask(&["modules", "--tree"]);
    assert!(code == 1 && error.contains("no program listens at hotswap.sock"), "{error}");

    let modules = Modules::builder(place.0.join("plugins"))
        .log_file(place.0.join("hotswap.log"))
        // Only what is asked for looks at them.
        .poll_every(std::time::Duration::from_secs(3600))
        .control(place.0.join("hotswap.sock"))
        .each(|_, engine| engine.target_dir(shared_builds()))
        .open()
        .unwrap();
    assert_eq!(ask(&["modules"]).1, "the program has loaded no modules\n");
    assert_eq!(ask(&["modules", "load", "greet"]).1, "greet is loaded: v1\n");
    let greet = modules.get("greet").unwrap();
    for _ in 0..3 {
        assert_eq!(greet.call_with("run", ()), Ok(7u64));
    }
    assert_eq!(ask(&["modules", "--tree"]).1, "greet  v1\n└─ words  v1, 3 calls\n");
    let (_, list, _) = ask(&["modules"]);
    let rows: Vec<Vec<&str>> =
        list.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows, [["MODULE", "VERSION", "SWAPS"], ["greet", "v1", "0"], ["words", "v1", "0"]]);
    assert!(list.contains("running_modules.rs:"), "who has a handle: {list}");
    let (_, lines, _) = ask(&["modules", "--format", "json"]);
    assert_eq!(lines.lines().count(), 2);

    // One of them, as a program of its own; and all.
    module("words", "8");
    assert_eq!(ask(&["reload", "--module", "words"]).1, "v2 is current\n");
    assert_eq!(greet.call_with("run", ()), Ok(8u64));
    let (_, paused, _) = ask(&["pause", "--module", "words"]);
    assert_eq!(paused, "v2; changes wait for resume\n");
    let (_, status, _) = ask(&["status", "--module", "words"]);
    assert!(status.starts_with("words from "), "{status}");
    module("words", "9");
    assert_eq!(ask(&["reload"]).1, "greet: unchanged, v1 stays current\nwords: v3 is current\n");

    let (code, _, error) = ask(&["modules", "unload", "greet"]);
    assert!(code == 1 && error.contains("it is in use: handle "), "{error}");
    drop(greet);
    assert_eq!(ask(&["modules", "unload", "greet"]).1, "greet is unloaded\n");
    assert_eq!(ask(&["modules", "--tree"]).1, "greet  not loaded\n└─ words  v3, 4 calls\n");
    for (arguments, said) in [
        (&["modules", "unload", "greet"][..], "module greet: it is not loaded"),
        (&["status", "--module", "greet"], "module greet is not loaded"),
        (&["modules", "load", "nobody"], "the collection has no such module"),
        (&["status"], "there is no command \"status\" of a registry"),
        (&["modules", "show", "greet"], "which database?"),
        (&["modules", "modules.db", "--tree"], "cannot be used with"),
    ] {
        let (code, _, error) = ask(arguments);
        assert!(code != 0 && error.contains(said), "{arguments:?}: {error}");
    }
    drop(modules);
    assert!(!place.0.join("hotswap.sock").exists());
}
