//! The control socket, and clients that mean no good.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use hotswap_engine::{Engine, OpenErrorKind};
use hotswap_tests::deadline::{PATIENCE, until};
use hotswap_tests::maps::thread_names;
use hotswap_tests::{log_lines, prebuilt};
use serde_json::Value;

/// An engine that is controlled by a socket in a directory of its own.
struct Controlled {
    engine: Option<Engine>,
    socket: PathBuf,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Controlled {
    fn open() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (socket, log) = (directory.path().join("game.sock"), directory.path().join("log"));
        let builder = prebuilt::engine(&prebuilt::numbered(1)).keep_versions(1);
        let engine = builder.log_file(&log).control(&socket).open().expect("opens");
        Self { engine: Some(engine), socket, log, _directory: directory }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("open")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// What is answered to these bytes.
    fn answer(&self, request: &[u8]) -> Value {
        let mut stream = self.connect();
        // Who has heard enough closes: then writing fails, and the answer is there.
        let _either = stream.write_all(request);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        serde_json::from_slice(&answer).expect("JSON")
    }

    fn ask(&self, command: &str) -> Value {
        self.answer(format!("{{\"command\": {command:?}}}\n").as_bytes())
    }
}

#[test]
fn au_1_versions_are_told_as_json() {
    let controlled = Controlled::open();
    controlled.engine().offer(prebuilt::numbered(2)).expect("swaps");
    let guard = controlled.engine().pin();
    let answer = controlled.ask("versions");
    let states: Vec<_> = answer["ok"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|info| {
            (info["version"].as_u64(), info["state"].as_str(), info["pins"][0]["kind"].as_str())
        })
        .collect();
    let expected = [(Some(1), Some("warm"), None), (Some(2), Some("current"), Some("guard"))];
    assert_eq!(states, expected);
    drop(guard);
    assert_eq!(controlled.ask("rollback")["ok"]["current"], 1);
    let history = controlled.ask("history");
    let reasons: Vec<_> = history["ok"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|way| way["reason"].as_str())
        .collect();
    assert_eq!(reasons, [Some("start"), Some("offer"), Some("rollback")]);
}

/// Only its user, from the moment that it is there; and gone with its engine, with its threads.
#[test]
fn the_socket_is_private_and_goes_with_its_engine() {
    let mut controlled = Controlled::open();
    let mode = fs::metadata(&controlled.socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let silent = controlled.connect();
    controlled.engine = None;
    assert!(!controlled.socket.exists());
    drop(silent);
    until("no thread of the socket is left", || {
        !thread_names()
            .iter()
            .any(|name| ["hotswap-control", "hotswap-client"].contains(&name.as_str()))
    });
}

#[test]
fn what_is_no_request_is_told_what_one_is() {
    let controlled = Controlled::open();
    for (request, said) in [
        (&b"status\n"[..], "a request is one line of JSON"),
        (b"\xff\xfe\n", "a request is one line of JSON"),
        (b"{}\n", "a request has a \"command\""),
        (b"[1, 2]\n", "a request has a \"command\""),
        (b"{\"command\": \"explode\"}\n", "there is no command \"explode\": status, "),
        (b"{\"command\": \"rollback\", \"version\": \"two\"}\n", "a \"version\" is a number"),
        (b"{\"command\": \"stay-on\"}\n", "stay-on needs a \"version\""),
        (b"{\"command\": \"rollback\", \"version\": 77}\n", "v77 never ran in this engine"),
        (b"{\"command\": \"unload\", \"version\": 1}\n", "v1 cannot be unloaded: it is current"),
    ] {
        let answer = controlled.answer(request);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(error.contains(said), "{answer}");
    }
    // A megabyte without an end of line, and a client that says nothing.
    assert!(controlled.answer(&vec![b'x'; 1 << 20])["error"].is_string());
    let silent = controlled.connect();
    silent.shutdown(Shutdown::Write).expect("connected");
    assert_eq!(controlled.ask("status")["ok"]["current"], 1);
    assert_eq!(controlled.engine().call_with::<u64>("version", ()), Ok(1));
}

/// Clients that connect and say nothing take all places: more are turned away, calls and swaps go on, and when they are
/// gone there is room.
#[test]
fn clients_that_keep_silent_are_bounded() {
    let controlled = Controlled::open();
    let silent: Vec<_> = (0..40).map(|_| controlled.connect()).collect();
    controlled.engine().offer(prebuilt::numbered(2)).expect("swaps");
    assert_eq!(controlled.engine().call_with::<u64>("version", ()), Ok(2));
    drop(silent);
    until("there is room again", || {
        let mut stream = controlled.connect();
        let mut answer = String::new();
        let _either = stream.write_all(b"{\"command\": \"status\"}\n");
        stream.read_to_string(&mut answer).is_ok() && answer.contains("\"ok\"")
    });
}

/// A reload takes as long as a build: others are answered meanwhile, and who asked is in the log before it happens.
#[test]
fn who_changes_something_is_in_the_log() {
    let controlled = Controlled::open();
    controlled.engine().offer(prebuilt::numbered(2)).expect("swaps");
    let request = b"{\"command\": \"rollback\", \"version\": 1, \"reason\": \"too\\nloud\"}\n";
    assert_eq!(controlled.answer(request)["ok"]["swapped"], true);
    let _status = controlled.ask("status");
    let lines = log_lines(&controlled.log);
    let at = |event: &str| lines.iter().position(|line| line.event == event).expect("logged");
    assert!(at("manual.request") < at("rollback.intent"));
    let line = &lines[at("manual.request")];
    let fields = ["command", "version", "reason", "by_pid"].map(|key| line.field(key).to_owned());
    assert_eq!(fields[..3], ["rollback", "1", "too\nloud"].map(str::to_owned));
    assert_eq!(fields[3], std::process::id().to_string());
    let asked = format!("control uid={} pid={}", line.field("uid"), fields[3]);
    assert_eq!(lines[at("rollback.intent")].field("by"), asked);
    let _cleared = controlled.ask("clear-quarantine");
    let lines = log_lines(&controlled.log);
    let cleared = lines.iter().find(|line| line.event == "quarantine.clear").expect("logged");
    assert_eq!(cleared.field("by"), asked);
    assert_eq!(lines.iter().filter(|line| line.event == "manual.request").count(), 2);
}

#[test]
fn a_path_that_cannot_be_listened_at_is_told_and_nothing_is_left() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let taken = directory.path().join("file");
    fs::write(&taken, "mine").expect("writable");
    let served = directory.path().join("served.sock");
    let open = |socket: &Path| prebuilt::engine(&prebuilt::numbered(1)).control(socket).open();
    let engine = open(&served).expect("free");
    let long = directory.path().join("x".repeat(200));
    let missing = directory.path().join("no/such/directory.sock");
    for socket in [&taken, &served, &long, &missing] {
        let error = open(socket).expect_err("it cannot be");
        assert!(matches!(error.kind, OpenErrorKind::Control { .. }), "{error}");
        assert!(error.to_string().contains("cannot listen at the control socket"), "{error}");
    }
    assert_eq!(fs::read_to_string(&taken).expect("readable"), "mine");
    assert!(UnixStream::connect(&served).is_ok());
    drop(engine);
    let left: Vec<_> = fs::read_dir(directory.path()).expect("readable").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    // What a process left that was killed is replaced.
    drop(std::os::unix::net::UnixListener::bind(&served).expect("free"));
    let _engine = open(&served).expect("nobody listens");
}
