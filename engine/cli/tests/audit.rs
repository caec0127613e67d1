//! What `hotswap audit` says of a real session, and what it says when somebody was at the log.

mod harness;

use harness::{Place, Running, finish};

/// The log of a session: a version, an edit, a mistake, its repair.
fn session(name: &str) -> Place {
    let place = Place::new(name);
    place.new_crate(name);
    let mut run = Running::start(&mut place.building(&["run", name, "--every", "50ms"]));
    run.line("v1 is current");
    run.line("call to f1");
    // What an earlier run of this test built is in the store.
    place.edit(name, "call to f1", &format!("call {} to f1", std::process::id()));
    run.line("v2 is current");
    place.edit(name, "a + b", "a + c");
    run.line("does not build");
    place.edit(name, "a + c", "a + b");
    run.line("v2 stays current");
    run.signal("INT");
    run.end();
    place
}

#[test]
fn a_session_is_told_to_who_never_saw_it() {
    let place = session("audit_told");
    let audit = |arguments: &[&str]| {
        let (code, stdout, stderr) = finish(place.hotswap(&["audit"]).args(arguments));
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        stdout
    };
    let list = audit(&["list"]);
    let rows: Vec<&str> = list.lines().collect();
    let expected: [&[&str]; 5] = [
        &["WHEN (UTC)", "CHANGE", "WHY", "SOURCE", "BUILT", "WHAT BECAME OF IT"],
        &["  start  ", "v1 is current, the first"],
        &[": src/lib.rs  ", "compiled in ", "v2 is current: swapped in ", "no call was in v1"],
        &[": src/lib.rs  ", "failed after ", "v2 stays: it does not build: src/lib.rs:"],
        &[": src/lib.rs  ", "v2 stays: the source is what it was"],
    ];
    assert_eq!(rows.len(), expected.len(), "{list}");
    for (row, parts) in rows.iter().zip(expected) {
        assert!(parts.iter().all(|part| row.contains(part)), "{row} lacks one of {parts:?}");
    }
    let show = audit(&["show", "v2"]);
    for part in [
        "of audit_told (crate)\n",
        "source   sha1:",
        "library  sha256:",
        "result   v2 is current: swapped in ",
        "  detect.change ",
        "  swap.commit ",
        "  version.unloaded ",
        "received notification of fingerprint change (",
    ] {
        assert!(show.contains(part), "no {part:?}:\n{show}");
    }
    let tx = show.lines().next().and_then(|line| line.split_ascii_whitespace().nth(1)).unwrap();
    assert_eq!(audit(&["show", tx]), show);
    assert_eq!(audit(&["show", tx.split_once('-').unwrap().1]), show, "the end is enough");
    let versions = audit(&["versions"]);
    assert!(versions.starts_with("audit_told, from audit_told, in process "), "{versions}");
    assert!(versions.contains(": stopped at "), "{versions}");
    assert!(versions.contains("\n  v2       was current  "), "{versions}");
    let verify = audit(&["verify"]);
    assert!(verify.starts_with("as it was written: hotswap.log, "), "{verify}");

    // The same for programs: an object a line.
    let objects = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let text = audit(&[arguments, &["--format", "json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let changes = objects(&["list"]);
    let outcomes: Vec<_> = changes.iter().map(|change| change["outcome"]["is"].as_str()).collect();
    let expected = ["current", "current", "not_built", "unchanged"].map(Some);
    assert_eq!(outcomes, expected, "{changes:#?}");
    assert_eq!(changes[1]["outcome"]["to"], 2);
    assert_eq!(changes[1]["tx"], tx);
    assert!(changes[1]["built"]["ms"].is_u64());
    let lines = objects(&["show", "v2"]);
    assert_eq!(lines[0]["event"], "detect.change");
    assert_eq!(objects(&["versions"])[0]["state"], "stopped");
    let [verdict] = &objects(&["verify"])[..] else { panic!() };
    assert_eq!(verdict["verdict"], "proven");
    assert_eq!(verdict["findings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_log_that_somebody_was_at_fails_the_command() {
    let place = session("audit_altered");
    let log = place.0.join("hotswap.log");
    let text = std::fs::read_to_string(&log).unwrap();
    let verify = || finish(&mut place.hotswap(&["audit", "verify"]));
    // What ran is made to look as if it had been built of something else.
    let (before, from_there) = text.split_once("fp=sha1:").unwrap();
    let fingerprint = from_there.split(' ').next().unwrap();
    let number = before.lines().count();
    std::fs::write(&log, text.replacen(fingerprint, &"0".repeat(40), 1)).unwrap();
    let (code, stdout, stderr) = verify();
    assert_eq!((code, stderr.as_str()), (1, ""));
    for said in [
        format!("broken    hotswap.log:{number}: line {number:06} was changed: "),
        format!("not to be trusted from line {number:06} on: hotswap.log, "),
    ] {
        assert!(stdout.contains(&said), "{stdout}");
    }
    let (_, json, _) = finish(&mut place.hotswap(&["audit", "verify", "--format", "json"]));
    let verdict: serde_json::Value = serde_json::from_str(&json).unwrap();
    let first = (&verdict["verdict"], &verdict["first_broken_seq"]);
    assert_eq!(first, (&"broken".into(), &number.into()));
    assert_eq!(verdict["findings"][0]["code"], "changed");
    // Nobody can tell whether this is all.
    std::fs::write(&log, &text).unwrap();
    std::fs::remove_file(place.0.join("hotswap.log.head")).unwrap();
    let (code, stdout, _) = verify();
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("end unproven, there is no head beside the log"), "{stdout}");
    let (code, stdout, stderr) = finish(&mut place.hotswap(&["audit", "show", "v9"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no change that made v9 current; `hotswap audit list`"), "{stderr}");
    std::fs::remove_file(&log).unwrap();
    let (code, _, stderr) = verify();
    let expected = "error: cannot read the log hotswap.log\n  caused by: No such file or directory (os error 2)\n";
    assert_eq!((code, stderr.as_str()), (1, expected));
}
