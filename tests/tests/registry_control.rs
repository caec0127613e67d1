//! The control socket of a registry.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use hotswap_engine::{CallError, Modules};
use hotswap_tests::deadline::PATIENCE;
use hotswap_tests::plugins::Plugins;
use serde_json::{Value, json};

/// What is answered to a request.
fn ask(plugins: &Plugins, request: &Value) -> Value {
    let mut stream = UnixStream::connect(plugins.beside("socket")).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(format!("{request}\n").as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    serde_json::from_slice(&answer).expect("JSON")
}

fn open(plugins: &Plugins) -> Modules {
    plugins.builder().control(plugins.beside("socket")).open().expect("opens")
}

#[test]
fn sw_6_calls_between_modules_are_told() {
    let plugins = Plugins::new(&["caller", "greet"]);
    let modules = open(&plugins);
    let caller = modules.get("caller").expect("loads");
    for name in ["greet", "./greet"] {
        let asked: Result<u64, CallError> =
            caller.call_with("asks", (name, "version")).expect("it runs");
        assert_eq!(asked, Ok(1));
    }
    // By whatever name.
    let told = ask(&plugins, &json!({ "command": "calls" }));
    let expected = json!([{ "caller": "caller", "callee": "greet", "count": 2, "under_way": 0 }]);
    assert_eq!(told["ok"], expected);
    let told = ask(&plugins, &json!({ "command": "modules" }));
    let names: Vec<_> = told["ok"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|module| (module["module"].as_str(), module["users"].as_array().map(Vec::len)))
        .collect();
    assert_eq!(names, [(Some("caller"), Some(1)), (Some("greet"), Some(0))]);
}

#[test]
fn sw_6_modules_are_loaded_and_unloaded_from_outside() {
    let plugins = Plugins::new(&["greet"]);
    let modules = open(&plugins);
    let greet = json!({ "command": "load", "module": "greet" });
    assert_eq!(ask(&plugins, &greet)["ok"]["message"], "greet is loaded: v1");
    plugins.put("greet", 2);
    let verdicts = ask(&plugins, &json!({ "command": "reload", "reason": "a test" }));
    assert_eq!(verdicts["ok"][0]["module"], "greet");
    assert_eq!(verdicts["ok"][0]["current"], 2);
    let versions = ask(&plugins, &json!({ "command": "versions", "module": "greet" }));
    assert_eq!(versions["ok"].as_array().map(Vec::len), Some(2));
    let held = modules.get("greet").expect("loaded");
    let unload = json!({ "command": "unload", "module": "greet" });
    let refused = ask(&plugins, &unload);
    assert!(
        refused["error"].as_str().is_some_and(|error| error.contains("registry_control.rs:")),
        "{refused}"
    );
    drop(held);
    assert_eq!(ask(&plugins, &unload)["ok"]["message"], "greet is unloaded");
    assert_eq!(modules.loaded(), [""; 0]);
    // Who changed something is in the log, and who looked is not.
    let requests = plugins.lines("manual.request");
    let told: Vec<_> =
        requests.iter().map(|line| (line.field("command"), line.field("reason"))).collect();
    assert_eq!(told, [("reload", "a test"), ("unload", ""), ("unload", "")]);
    assert!(plugins.lines("module.load")[0].field("by").starts_with("process "));
    for (request, said) in [
        (json!({ "command": "explode" }), "there is no command \"explode\" of a registry"),
        (json!({ "command": "status", "module": "greet" }), "module greet is not loaded"),
        (json!({ "command": "load", "module": "../x" }), "it leads out of its directory"),
    ] {
        let answer = ask(&plugins, &request);
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(said)), "{answer}");
    }
}
