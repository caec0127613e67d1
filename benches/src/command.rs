//! Programs that benches run.

use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// `cargo build` as a person types it in a crate's directory, without what the cargo that runs this has set.
pub(crate) fn cargo_in(directory: &Path, target: &Path) -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("CARGO") && text != "CARGO_HOME") || text.starts_with("RUSTFLAGS") {
            command.env_remove(&name);
        }
    }
    command
        .args(["build", "--lib", "--color=never", "--target-dir"])
        .arg(target)
        .current_dir(directory);
    command
}

/// Runs it, and gives what it said on standard error.
pub(crate) fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{command:?}: {said}").into()) }
}
