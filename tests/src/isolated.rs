//! A test that may end its process, or that counts what the whole process has, runs in one of its own.

use std::env;
use std::process::Command;

/// Names the test that this process is for.
const VARIABLE: &str = "HOTSWAP_TESTS_ISOLATED";

/// Whether this process is the one that [`isolated`] made for the test `name`.
#[must_use]
pub fn is_isolated(name: &str) -> bool {
    env::var_os(VARIABLE).is_some_and(|wanted| wanted == name)
}

/// Runs `body` in a new process, which is this test binary with nothing but the test `name`.
///
/// # Panics
///
/// When the process does not succeed; then with all that it wrote.
#[track_caller]
pub fn isolated(name: &str, body: impl FnOnce()) {
    isolated_under(name, &[], body);
}

/// As [`isolated`]; the process is started by `launcher`, a program and its first arguments: `env` with other
/// variables, a shell that sets limits first, `unshare` with mounts of its own.
///
/// # Panics
///
/// As [`isolated`].
#[track_caller]
pub fn isolated_under(name: &str, launcher: &[&str], body: impl FnOnce()) {
    if is_isolated(name) {
        return body();
    }
    let output = again(name, launcher).output().expect("this program starts again");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "no test is called {name}:\n{stdout}");
    // What a test could not try on this machine, it says there.
    for line in stderr.lines().filter(|line| line.starts_with("not tried: ")) {
        eprintln!("{name}: {line}");
    }
    // Seen with `--nocapture` only, as if it had run here.
    print!("{stdout}");
}

/// A command that runs this test binary with nothing but the test `name`, for which [`is_isolated`] then holds.
///
/// # Panics
///
/// When the running program has no path.
#[must_use]
pub fn again(name: &str, launcher: &[&str]) -> Command {
    let program = env::current_exe().expect("the running program has a path");
    let mut command = match launcher.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(VARIABLE, name);
    command
}
