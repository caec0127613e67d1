//! A running `hotswap run`, asked and told by the other commands.

mod harness;

use harness::{Place, Running, finish};

/// One session as a user has it: look, edit, go back, stay, go on, freeze.
#[test]
fn a_running_program_is_asked_and_told() {
    let place = Place::new("control");
    place.new_crate("controlled");
    // What an earlier run of this test left served in an earlier process.
    let _absent = std::fs::remove_dir_all(harness::shared_builds().join("store/served"));
    let ask = |arguments: &[&str]| finish(&mut place.hotswap(arguments));
    let (code, _, error) = ask(&["status"]);
    assert_eq!(code, 1);
    assert!(error.contains("no program listens at hotswap.sock"), "{error}");

    let mut run = Running::start(&mut place.building(&["run", "controlled", "--every", "50ms"]));
    run.line("out: ");
    let (code, status, _) = ask(&["status"]);
    assert_eq!(code, 0);
    assert!(status.starts_with("controlled from controlled, process "), "{status}");
    assert!(status.contains("v1 is current\n") && status.contains("/hotswap.log"), "{status}");
    let (code, _, error) = ask(&["rollback"]);
    assert_eq!(
        (code, error.as_str()),
        (1, "error: there is no earlier version to go back to; v1 stays current\n")
    );

    let source = std::fs::read_to_string(place.0.join("controlled/src/lib.rs")).unwrap();
    place.write(
        "controlled",
        &format!(
            "{source}\n#[hotswap_module::export]\npub fn added() {{\n    println!(\"added\");\n}}\n"
        ),
    );
    run.line("v2 is current");
    run.line("out: added");
    let (code, said, _) = ask(&["rollback", "--reason", "it was too loud"]);
    assert_eq!((code, said.as_str()), (0, "v1 is current\n"));
    run.line("v1 is current again: rolled back in ");
    let (_, history, _) = ask(&["history"]);
    let ways: Vec<Vec<&str>> =
        history.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(ways.last().unwrap().ends_with(&["v2", "v1", "rollback", "-"]), "{history}");
    let (code, _, error) = ask(&["reload"]);
    assert!(code == 1 && error.contains("v2 was rolled back"), "{error}");
    let (code, said, _) = ask(&["rollback", "v2", "--format", "json"]);
    assert!(code == 0 && said.contains("\"current\": 2"), "{said}");
    assert_eq!(ask(&["pause"]).1, "v2; changes wait for resume\n");
    assert!(ask(&["status"]).1.contains("v2 is current, paused"));
    assert_eq!(ask(&["resume"]).1, "v2; changes go live again\n");
    let (_, versions, _) = ask(&["versions"]);
    assert!(
        versions.contains("v1       warm") && versions.contains("v2       current"),
        "{versions}"
    );
    assert_eq!(ask(&["unload", "1"]).1, "v1 is gone\n");
    assert_eq!(ask(&["freeze"]).1, "v2; nothing changes what runs any more\n");
    let (code, _, error) = ask(&["rollback"]);
    assert!(code == 1 && error.contains("the engine is frozen"), "{error}");

    run.signal("TERM");
    let (status, _) = run.end();
    assert!(status.success(), "{}", run.all());
    assert!(!place.0.join("hotswap.sock").exists());
    let log = std::fs::read_to_string(place.0.join("hotswap.log")).unwrap();
    let asked =
        log.lines().find(|line| line.contains("manual.request") && line.contains("rollback"));
    assert!(log.contains("reason=\"it was too loud\"") && asked.unwrap().contains("uid="), "{log}");
}
