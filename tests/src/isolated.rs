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
    if is_isolated(name) {
        return body();
    }
    let program = env::current_exe().expect("the running program has a path");
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, name)
        .output()
        .expect("this program starts again");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "no test is called {name}:\n{stdout}");
    // Seen with `--nocapture` only, as if it had run here.
    print!("{stdout}");
}
