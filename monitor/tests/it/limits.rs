//! A build is bounded, and each bound has its own reason (BU-5); a host that is
//! killed leaves no compiler behind (BU-3).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use hotswap_monitor::{BuildErrorKind, Monitor};

use crate::harness::{NEVER, Watched, failed, offline, pause, ready, write, write_crate};
use crate::real_processes::{accept, assert_gone, write_hanging};

const GIB: u64 = 1 << 30;

#[test]
fn bu_5_a_build_that_needs_too_much_memory_says_so_and_is_not_held_against_the_source() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write_crate(root, "game", "");
    // Reserved and never touched: nothing is taken from the machine.
    let script = "fn main() { std::hint::black_box(Vec::<u8>::with_capacity(6 << 30)); }";
    write(root, "build.rs", script);
    let mut settings = offline();
    settings.memory_bytes_max = Some(4 * GIB);
    let watched = Watched::with(Monitor::builder(root).build(settings.clone()));
    let error = failed(watched.next());
    match &error.kind {
        BuildErrorKind::OutOfMemory { memory_bytes_max, diagnostics } => {
            assert_eq!(*memory_bytes_max, 4 * GIB);
            assert!(diagnostics.rendered.contains("memory allocation of"), "{diagnostics}");
        }
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("of memory, of which each process may have 4294967296 "));
    watched.failed();
    assert_eq!(watched.builds(), 2, "it is tried again when somebody asks");
    drop(watched);
    settings.memory_bytes_max = Some(64 * GIB);
    ready(Watched::with(Monitor::builder(root).build(settings)).next());
}

#[test]
fn bu_5_a_compiler_that_writes_without_end_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "rules.rs", "");
    let rustc = root.join("rustc");
    // The second process holds the outputs as well.
    fs::write(&rustc, "#!/bin/sh\nyes 'all is well' >&2 & exec yes\n").unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = offline();
    settings.rustc = Some(rustc);
    settings.output_bytes_max = 3_000_000;
    let watched = Watched::with(Monitor::builder(root.join("rules.rs")).build(settings));
    let error = failed(watched.next());
    let BuildErrorKind::TooMuchOutput { output_bytes_max: 3_000_000, diagnostics } = &error.kind
    else {
        panic!("{:?}", error.kind)
    };
    assert!(diagnostics.rendered.len() < 3_000_000, "1 MiB of it is kept, and the message");
    assert!(error.to_string().ends_with("the build wrote more than 3000000 bytes; it was ended"));
}

/// Says to the test below, when that has started it, what is to be built.
const HOST_OF: &str = "HOTSWAP_TEST_HOST_OF";

/// Not a test by itself: the host that the next test kills.
#[test]
fn a_host_that_builds_until_it_is_killed() {
    let Some(root) = std::env::var_os(HOST_OF) else { return };
    let _watched = Watched::with(Monitor::builder(std::path::PathBuf::from(root)).build(offline()));
    pause(NEVER);
}

#[test]
fn bu_3_no_compiler_is_left_when_the_host_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let root = directory.path().join("game");
    write_hanging(&root, &socket);
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "limits::a_host_that_builds_until_it_is_killed"])
        .env(HOST_OF, &root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (group, stream) = accept(listener);
    assert!(host.try_wait().unwrap().is_none());
    host.kill().unwrap();
    host.wait().unwrap();
    assert_gone(group, stream);
    // The target directory is free for the next host.
    write(&root, "build.rs", "fn main() {}");
    let mut settings = offline();
    settings.deadline = Duration::from_secs(60);
    ready(Watched::with(Monitor::builder(&root).build(settings)).next());
}
