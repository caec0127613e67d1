//! Help, versions, and what makes no sense.

mod harness;

use harness::{Place, finish, hotswap};

#[test]
fn help_says_what_it_does_with_examples_and_exit_codes() {
    let expected: [(&[&str], &[&str]); 9] = [
        (
            &["--help"],
            &[
                "Replaces the code of a running program",
                "Usage: hotswap [OPTIONS] [COMMAND]",
                "\n  run ",
                "\n  new ",
                "\n  check ",
                "\n  audit ",
                "hotswap.log",
                "RUST_LOG",
            ],
        ),
        (
            &["run", "--help"],
            &[
                "Usage: hotswap run [OPTIONS] <SOURCE>",
                "--every <DURATION>",
                "--call <FUNCTION>",
                "--poll <DURATION>",
                "--log <FILE>",
                "--times <N>",
                "--release",
                "--target-dir <DIR>",
                "is current: built in",
            ],
        ),
        (&["new", "--help"], &["Usage: hotswap new [OPTIONS] <NAME>", "--path <DIR>"]),
        (
            &["check", "--help"],
            &[
                "Usage: hotswap check [OPTIONS] <SOURCE>",
                "--features <A,B>",
                "--locked",
                "--offline",
            ],
        ),
        (
            &["audit", "--help"],
            &["\n  verify ", "\n  list ", "\n  show ", "\n  versions ", "--format <FORMAT>"],
        ),
        (
            &["publish", "--help"],
            &["--to <WHERE>", "--sign <KEY>", "[default: 30d]", "\'serde = \"1\"\'"],
        ),
        (&["verify", "--help"], &["<WHAT>", "--key <KEY>", "--pin <SHA256>", "--ca-file <FILE>"]),
        (&["keys", "--help"], &["\n  new ", "\n  list ", ".config/hotswap/keys"]),
        (&["serve", "--help"], &["<DIR>", "[default: 127.0.0.1:8080]", "--tls-cert <FILE>"]),
    ];
    for (arguments, parts) in expected {
        let (code, stdout, stderr) = finish(hotswap().args(arguments));
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        for part in parts.iter().chain(&["Example", "Exit codes: 0"]) {
            assert!(stdout.contains(part), "{arguments:?} lacks {part:?}:\n{stdout}");
        }
    }
}

#[test]
fn the_version_is_the_package_s() {
    let (code, stdout, _) = finish(hotswap().arg("--version"));
    assert_eq!((code, stdout), (0, format!("hotswap {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn usage_errors_exit_with_2() {
    let wrong: [(&[&str], &str); 11] = [
        (&["jog"], "unrecognized subcommand 'jog'"),
        (&["run"], "<SOURCE>"),
        (&["run", "x", "--every", "soon"], "invalid value 'soon' for '--every"),
        (&["run", "x", "--poll", "25h"], "1ms to 24h"),
        (&["run", "x", "--times", "0"], "--times"),
        (&["check", "x", "--release", "--profile", "y"], "cannot be used with"),
        (&["new"], "<NAME>"),
        (&["keys"], "Usage: hotswap keys"),
        (&["verify", "x#y", "--key", "k", "--unsigned"], "cannot be used with"),
        (&["serve", "x", "--tls-cert", "c"], "--tls-key"),
        (&["publish", "x", "--to", "y", "--renew", "--prebuilt"], "cannot be used with"),
    ];
    for (arguments, said) in wrong {
        let (code, stdout, stderr) = finish(hotswap().args(arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_path_that_names_nothing_is_told_at_once() {
    let place = Place::new("nothing-there");
    for command in ["run", "check"] {
        let (code, _, stderr) = finish(&mut place.hotswap(&[command, "nowhere"]));
        let expected =
            "error: cannot read nowhere\n  caused by: No such file or directory (os error 2)\n";
        assert_eq!((code, stderr.as_str()), (1, expected));
        let (code, _, stderr) = finish(&mut place.hotswap(&[command, "."]));
        assert_eq!(code, 1);
        assert!(stderr.contains("it has no Cargo.toml"), "{stderr}");
        std::fs::write(place.0.join("notes.md"), "no source").expect("writable");
        let (code, _, stderr) = finish(&mut place.hotswap(&[command, "notes.md"]));
        assert_eq!(code, 1);
        assert!(stderr.contains("notes.md is no source: expected the directory"), "{stderr}");
    }
    assert!(!place.0.join("hotswap.log").exists(), "nothing was opened");
}

#[test]
fn new_refuses_what_it_must() {
    let place = Place::new("new-refuses");
    let (code, _, stderr) = finish(&mut place.hotswap(&["new", "my game"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("letters, digits, - and _, but not ' '"), "{stderr}");

    std::fs::create_dir(place.0.join("full")).unwrap();
    std::fs::write(place.0.join("full/notes"), "mine").unwrap();
    let (code, _, stderr) = finish(&mut place.hotswap(&["new", "full"]));
    assert_eq!(
        (code, stderr.as_str()),
        (1, "error: full exists and is not empty; choose another with --path\n")
    );
    assert_eq!(std::fs::read_dir(place.0.join("full")).unwrap().count(), 1);

    std::fs::create_dir(place.0.join("empty")).unwrap();
    let (code, stdout, _) = finish(&mut place.hotswap(&["new", "game", "--path", "empty"]));
    assert_eq!(code, 0);
    assert!(stdout.contains("\n  hotswap run empty\n"), "{stdout}");
}
