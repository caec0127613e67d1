//! Builds that hang, and compilers that are not there.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use hotswap_monitor::{BuildErrorKind, Monitor};
use rustix::process::{Pid, test_kill_process_group};

use crate::harness::{PATIENCE, Watched, failed, offline, ready, write, write_crate};

/// A crate whose build script tells its process group through a socket and then
/// waits for ever.
pub(crate) fn write_hanging(root: &Path, socket: &Path) {
    write_crate(root, "game", "");
    let script = format!(
        "use std::io::Write;\nfn main() {{\n\
         let stat = std::fs::read_to_string(\"/proc/self/stat\").unwrap();\n\
         let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap();\n\
         let mut stream = std::os::unix::net::UnixStream::connect({socket:?}).unwrap();\n\
         writeln!(stream, \"{{group}}\").unwrap();\n\
         loop {{ std::thread::park(); }}\n}}\n"
    );
    write(root, "build.rs", script);
}

/// Waits for the build script to connect; its group, and the connection that
/// lives as long as it does.
pub(crate) fn accept(listener: UnixListener) -> (Pid, BufReader<UnixStream>) {
    let (send, received) = bounded(1);
    thread::spawn(move || send.send(listener.accept().unwrap().0));
    let stream = received.recv_timeout(PATIENCE).expect("the build script runs");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let group = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    (group, stream)
}

pub(crate) fn assert_gone(group: Pid, mut stream: BufReader<UnixStream>) {
    // The end of the stream is the end of the build script.
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    // Whoever adopts what is left of the group has to reap it; that is not ours
    // to wait for, but it is a matter of moments.
    let begin = std::time::Instant::now();
    while test_kill_process_group(group) != Err(rustix::io::Errno::SRCH) {
        assert!(begin.elapsed() < PATIENCE, "processes are left in the group");
        thread::yield_now();
    }
}

#[test]
fn dropping_the_handle_kills_a_hanging_build_with_all_its_processes() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    write_hanging(&directory.path().join("game"), &socket);
    let watched = Watched::start(directory.path().join("game"));
    let (group, stream) = accept(listener);
    drop(watched.monitor);
    assert!(watched.notifications.is_empty());
    assert_gone(group, stream);
}

#[test]
fn the_deadline_ends_a_hanging_build_and_it_is_tried_again_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let root = directory.path().join("game");
    write_hanging(&root, &socket);
    let mut settings = offline();
    settings.deadline = Duration::from_secs(5);
    let watched = Watched::with(Monitor::builder(&root).build(settings));
    let (group, stream) = accept(listener);
    let error = failed(watched.next());
    assert!(matches!(error.kind, BuildErrorKind::TimedOut { .. }), "{error}");
    assert_gone(group, stream);
    write(&root, "build.rs", "fn main() {}");
    watched.ready();
}

#[test]
fn a_compiler_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    write_crate(&root, "game", "");
    let cargo = directory.path().join("cargo");
    let mut settings = offline();
    settings.cargo = Some(cargo.clone());
    let watched = Watched::with(Monitor::builder(&root).build(settings));
    let error = failed(watched.next());
    match &error.kind {
        BuildErrorKind::Spawn { program, .. } => assert_eq!(program, &cargo),
        other => panic!("{other}"),
    }
    // It appears; the source is the same, so it takes somebody to ask.
    let install = || {
        std::fs::write(&cargo, "#!/bin/sh\nexec cargo \"$@\"\n").unwrap();
        std::fs::set_permissions(&cargo, Permissions::from_mode(0o755)).unwrap();
    };
    install();
    watched.ready();
    assert_eq!(watched.builds(), 2);
    // It is gone when the manifest changes and back when the source does.
    std::fs::remove_file(&cargo).unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    write(&root, "Cargo.toml", manifest + "\n");
    watched.failed();
    install();
    write(&root, "src/lib.rs", "// changed");
    watched.ready();
}

#[test]
fn two_monitors_on_one_source_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", "");
    let first = Watched::start(root);
    let second = Watched::start(root);
    assert_eq!(ready(first.next()).content, ready(second.next()).content);
}
