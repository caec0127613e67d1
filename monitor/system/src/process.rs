//! Processes.

use std::io;
use std::path::Path;
pub use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio, id};

use crate::fault::{Operation, check};

/// Starts a process.
///
/// # Errors
///
/// As [`Command::spawn`].
#[track_caller]
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    check(Operation::Spawn, Path::new(command.get_program()))?;
    command.spawn()
}

/// Waits for a process and reaps it.
///
/// # Errors
///
/// As [`Child::wait`]. The process is reaped in any case.
#[track_caller]
pub fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let status = child.wait();
    check(Operation::Wait, Path::new(""))?;
    status
}
