//! System calls, and what a process inherits: what the filter refuses and what it lets pass (SE-6).

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use hotswap_system::sandbox::{self, Level, Rules};
use rustix::io::{FdFlags, fcntl_setfd};

fn said(mut command: Command, readable: &Path, level: Level) -> String {
    command.stdout(Stdio::piped());
    let system = ["/usr", "/bin", "/lib", "/lib64", "/nix/store", "/gnu/store", "/proc"];
    let mut rules = Rules { readable: system.map(Into::into).into(), writable: Vec::new() };
    rules.readable.push(readable.to_owned());
    let child = sandbox::spawn(command, &rules, level).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn se_6_calls_by_which_others_are_reached_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("calls");
    let mut compiler = Command::new("cc");
    compiler.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sandbox_calls.c"));
    assert!(compiler.arg("-o").arg(&program).status().unwrap().success());
    let level = sandbox::level().unwrap();
    assert!(level.has_seccomp, "{level}");
    assert_eq!(said(Command::new(&program), root.path(), level), "tried\n");
}

#[test]
fn se_6_nothing_is_inherited_and_no_right_is_won_whatever_the_kernel_has() {
    let inherited = File::open("/proc/self/status").unwrap();
    fcntl_setfd(&inherited, FdFlags::empty()).unwrap();
    let script = format!(
        "grep NoNewPrivs /proc/self/status; test -e /proc/self/fd/{} && echo inherited",
        inherited.as_raw_fd()
    );
    for level in [Level::default(), sandbox::level().unwrap()] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        assert_eq!(said(shell, Path::new("/bin"), level), "NoNewPrivs:\t1\n", "{level}");
    }
}
