//! A new crate from its first line to its end.

mod harness;

use harness::{Place, Running, finish};

#[test]
fn a_new_crate_is_checked_and_runs_as_it_is() {
    let place = Place::new("as-it-is");
    place.new_crate("as_it_is");
    let (code, stdout, stderr) = finish(&mut place.building(&["check", "as_it_is"]));
    assert_eq!(
        (code, stdout.as_str()),
        (0, "add  (u64, u64) -> u64\nf1   ()\nf2   ()\n"),
        "{stderr}"
    );
    assert!(!place.0.join("hotswap.log").exists(), "check writes no log");

    let run = ["run", "as_it_is", "--times", "2", "--every", "1ms"];
    let (code, stdout, stderr) = finish(&mut place.building(&run));
    assert_eq!(
        (code, stdout.as_str()),
        (0, "call to f1\ncall to f2\n".repeat(2).as_str()),
        "{stderr}"
    );
    assert!(stderr.contains("v1 is current: built in "), "{stderr}");
    assert!(stderr.contains("calling every fn() every 1ms; log in "), "{stderr}");
    let log = std::fs::read_to_string(place.0.join("hotswap.log")).unwrap();
    assert!(log.contains("received notification of fingerprint change ("), "{log}");
}

#[test]
fn the_log_goes_where_it_is_wanted() {
    let place = Place::new("log-choice");
    place.new_crate("log_choice");
    let run = |log: &str| {
        let arguments = ["run", "log_choice", "--times", "1", "--call", "f1", "--log", log];
        let (code, stdout, stderr) = finish(&mut place.building(&arguments));
        assert_eq!((code, stdout.as_str()), (0, "call to f1\n"), "{stderr}");
    };
    run("none");
    assert!(!place.0.join("hotswap.log").exists() && !place.0.join("none").exists());
    run("other.log");
    assert!(!place.0.join("hotswap.log").exists() && place.0.join("other.log").exists());
}

#[test]
fn check_shows_what_the_compiler_says() {
    let place = Place::new("check-broken");
    place.new_crate("check_broken");
    place.edit("check_broken", "a + b", "a + c");
    let (code, stdout, stderr) = finish(&mut place.building(&["check", "check_broken"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("error[E0425]: cannot find value `c` in this scope"), "{stderr}");
    assert!(stderr.ends_with("\n\nerror: check_broken does not build: 1 error\n"), "{stderr}");
}

#[test]
fn check_shows_a_refusal_with_its_reason() {
    let place = Place::new("check-refused");
    place.new_crate("check_refused");
    place.edit("check_refused", "hotswap_module::module!();", "");
    let (code, _, stderr) = finish(&mut place.building(&["check", "check_refused"]));
    assert_eq!(code, 1);
    assert!(stderr.starts_with("error: ") || stderr.contains("\nerror: "), "{stderr}");
    assert!(stderr.contains("no hot-swappable module") || stderr.contains("module!()"), "{stderr}");
}

#[test]
fn a_call_that_fails_is_said_once_and_fails_the_run() {
    let place = Place::new("failing");
    place.new_crate("failing");
    place.edit("failing", "println!(\"call to f1\");", "panic!(\"oh\");");
    let (code, stdout, stderr) = finish(
        &mut place.building(&["run", "failing", "--times", "3", "--every", "1ms", "--log", "none"]),
    );
    assert_eq!((code, stdout.as_str()), (1, "call to f2\n".repeat(3).as_str()));
    assert_eq!(stderr.matches("call failed: f1: panicked in v1 at ").count(), 1, "{stderr}");

    let unknown =
        ["run", "failing", "--call", "f3", "--times", "2", "--every", "1ms", "--log", "none"];
    let (code, _, stderr) = finish(&mut place.building(&unknown));
    assert_eq!(code, 1);
    assert_eq!(
        stderr.matches("call failed: f3: not exported by v1; did you mean f1?").count(),
        1,
        "{stderr}"
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new("closed-pipe");
    place.new_crate("closed_pipe");
    let mut command = place.building(&["run", "closed_pipe", "--every", "1ms", "--log", "none"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = harness::text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("call failed"), "{stderr}");
}

#[test]
fn a_first_build_that_fails_is_waited_for() {
    let place = Place::new("repaired");
    place.new_crate("repaired");
    place.edit("repaired", "a + b", "a + c");
    let run = ["run", "repaired", "--every", "20ms", "--poll", "20ms", "--color", "always"];
    let mut running = Running::start(&mut place.building(&run));
    running.line("cannot find value `c` in this scope");
    running.line("repaired does not build: 1 error; waiting for the repair");
    assert!(running.all().contains('\u{1b}'), "colours were asked for: {}", running.all());
    place.edit("repaired", "a + c", "a + b");
    running.line("v1 is current");
    running.line("out: call to f2");
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0), "{}", running.all());
}

#[test]
fn edits_are_followed_and_bad_ones_disturb_nothing() {
    let place = Place::new("edited");
    place.new_crate("edited");
    let run = ["run", "edited", "--call", "f1", "--every", "20ms", "--poll", "20ms"];
    let mut running = Running::start(&mut place.building(&run));
    running.line("out: call to f1");

    place.edit("edited", "call to f1", "second f1");
    running.line("err: v2 is current: built in ");
    running.line("out: second f1");

    place.edit("edited", "println!(\"second f1\");", "println!(\"third f1\")); ");
    running.line("error: unexpected closing delimiter");
    running.line("err: refused: edited does not build: 1 error; v2 stays current");
    running.line("out: second f1");

    place.edit("edited", "println!(\"third f1\")); ", "println!(\"third f1\");");
    running.line("err: v3 is current: built in ");
    running.line("out: third f1");

    place.edit("edited", "pub fn f1() {", "pub fn f1(_: u8) {");
    running.line("err: refused: f1: expected fn(), v4 has fn(u8); v3 stays current");
    running.line("out: third f1");
    assert_eq!(running.count("call failed"), 0, "{}", running.all());

    running.signal("INT");
    let (status, _) = running.end();
    assert_eq!(status.code(), Some(0), "{}", running.all());
    let stage = harness::shared_builds().join("stage").join(running.id().to_string());
    assert!(!stage.exists(), "{} is left", stage.display());
}
