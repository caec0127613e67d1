//! Modules in a database, from the command line.

mod harness;

use std::io::Write as _;
use std::process::Stdio;

use harness::{Place, Running, finish};

#[test]
fn what_is_published_runs_and_the_next_revision_swaps() {
    let place = Place::new("published");
    place.new_crate("published");
    let publish = ["publish", "published", "--to", "modules.db", "--by", "alice", "--why", "first"];
    let (code, stdout, stderr) = finish(&mut place.hotswap(&publish));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("published is at revision 1: crate, "), "{stdout}");
    let run = ["run", "sqlite:modules.db#published", "--call", "f1", "--every", "10ms"];
    let mut running = Running::start(&mut place.building(&run));
    running.line("call to f1");
    place.edit("published", "call to f1", "another f1");
    let (code, _, stderr) = finish(&mut place.building(&[
        "publish",
        "published",
        "--to",
        "modules.db",
        "--prebuilt",
        "--expect",
        "1",
    ]));
    assert_eq!(code, 0, "{stderr}");
    running.line("another f1");
    let (code, _, stderr) =
        finish(&mut place.hotswap(&["modules", "modules.db", "restore", "published", "1"]));
    assert_eq!(code, 0, "{stderr}");
    running.line("v3 is current");
    running.signal("INT");
    assert!(running.end().0.success());
}

#[test]
fn revisions_are_listed_shown_and_compared() {
    let place = Place::new("revisions");
    let text = |number: u64| format!("// one\n// two\n// {number}\n");
    for number in [1, 2] {
        std::fs::write(place.0.join("rules.rs"), text(number)).unwrap();
        let publish =
            ["publish", "rules.rs", "--to", "modules.db", "--by", "bob", "--why", "a \u{1b}[2J"];
        assert_eq!(finish(&mut place.hotswap(&publish)).0, 0);
    }
    let modules = |arguments: &[&str]| {
        let arguments = [&["modules", "modules.db"][..], arguments].concat();
        let (code, stdout, stderr) = finish(&mut place.hotswap(&arguments));
        (code, stdout + &stderr)
    };
    let (code, list) = modules(&[]);
    assert_eq!(code, 0, "{list}");
    let row = list.lines().nth(1).unwrap();
    assert!(
        row.starts_with("rules   2 ") && row.contains(" text ") && row.contains(" bob "),
        "{list}"
    );
    assert!(!list.contains('\u{1b}'), "a reason commands no terminal: {list:?}");
    let (_, list) = modules(&["--format", "json"]);
    assert!(list.contains("\"name\":\"rules\"") && list.contains("\"revision\":2"), "{list}");
    let (_, history) = modules(&["show", "rules"]);
    assert_eq!(history.lines().count(), 3, "{history}");
    let (_, shown) = modules(&["show", "rules", "1"]);
    assert!(shown.contains("rules revision 1 by bob") && shown.ends_with("// 1\n\n"), "{shown}");
    let (_, diff) = modules(&["diff", "rules"]);
    assert!(diff.contains("- // 1\n+ // 2\n") && diff.contains("  // two\n"), "{diff}");
    for (wrong, said) in [
        (&["show", "other"][..], "has no module other"),
        (&["show", "rules", "7"], "has no revision 7"),
        (&["restore", "rules", "7"], "has no revision 7"),
        (&["show", "../rules"], "no name of a module"),
        (&["diff", "rules", "1", "9"], "has no revision 9"),
    ] {
        let (code, told) = modules(wrong);
        assert!(code == 1 && told.contains(said), "{code} {told}");
    }
}

#[test]
fn who_publishes_second_is_told() {
    let place = Place::new("second");
    std::fs::write(place.0.join("rules.rs"), "// one\n").unwrap();
    let publish = |expected: &str, name: &str| {
        let arguments =
            ["publish", "rules.rs", "--to", "modules.db", "--expect", expected, "--name", name];
        finish(&mut place.hotswap(&arguments))
    };
    assert_eq!(publish("0", "rules").0, 0);
    let (code, _, stderr) = publish("0", "rules");
    assert!(code == 1 && stderr.contains("is at revision 1"), "{stderr}");
    let (code, _, stderr) = publish("0", "a/b");
    assert!(code == 1 && stderr.contains("no name of a module"), "{stderr}");
    place.new_crate("second");
    for (arguments, expected, said) in [
        (&["second", "--dependency", "log = \"0.4\""][..], 1, "second is a crate"),
        (&["rules.rs", "--prebuilt", "--dependency", "log = \"0.4\""], 2, "cannot be used with"),
        (&["sqlite:modules.db#rules"], 1, "with --prebuilt"),
        (&["absent.rs"], 1, "cannot read absent.rs"),
        (&["-"], 1, "--name NAME"),
    ] {
        let publish = [&["publish", "--to", "modules.db"], arguments].concat();
        let (code, _, stderr) = finish(&mut place.hotswap(&publish));
        assert!(code == expected && stderr.contains(said), "{code} {stderr}");
    }
    let nowhere = ["publish", "rules.rs", "--to", "nowhere/modules.db"];
    let (code, _, stderr) = finish(&mut place.hotswap(&nowhere));
    assert!(code == 1 && stderr.contains("is its directory there?"), "{stderr}");
}

#[test]
fn source_on_standard_input_runs() {
    let place = Place::new("stdin");
    let mut command = place.building(&["run", "-", "--times", "1", "--log", "none"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let source = "hotswap_module::module!();\n#[hotswap_module::export]\npub fn hello() { println!(\"from stdin\"); }\n";
    stdin.write_all(source.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from stdin\n");
}

#[test]
fn what_the_database_has_not_comes_from_the_directory() {
    let place = Place::new("or-else");
    place.new_crate("or_else");
    let run = [
        "run",
        "sqlite:nothing.db#or_else",
        "--or-else",
        "or_else",
        "--call",
        "f1",
        "--times",
        "1",
        "--control",
        "none",
    ];
    let (code, stdout, stderr) = finish(&mut place.building(&run));
    assert_eq!((code, stdout.as_str()), (0, "call to f1\n"), "{stderr}");
    let log = std::fs::read_to_string(place.0.join("hotswap.log")).unwrap();
    let chosen = log.lines().find(|line| line.contains("source.chosen")).unwrap();
    assert!(chosen.contains("src=crate") && chosen.contains("no such database"), "{chosen}");
}
