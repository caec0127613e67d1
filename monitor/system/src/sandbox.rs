//! A process gets at nothing but what a compiler needs, and neither does what it starts.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "sandbox/linux.rs"]
mod kernel;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "sandbox/elsewhere.rs"]
mod kernel;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::fault::{Operation, check};
use crate::process::{self, Child, Command};
use crate::thread;

/// What is left. Paths that are not there are passed over, and links are followed now.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Files, and directories with all below them, that may be read and executed.
    pub readable: Vec<PathBuf>,
    /// Directories in which everything may be done, and devices that may be written.
    pub writable: Vec<PathBuf>,
}

/// What the kernel had to confine a thread with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// The version of Landlock, from 1; `None` where the kernel has none, or has it switched off. From 4 on it knows of
    /// TCP, from 6 on of signals.
    pub landlock: Option<u32>,
    /// Whether system calls are filtered.
    pub has_seccomp: bool,
}

impl Level {
    /// Whether files, network and processes are all confined.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.landlock.is_some() && self.has_seccomp
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.landlock, self.has_seccomp) {
            (Some(version), true) => write!(f, "landlock-v{version},seccomp"),
            (Some(version), false) => write!(f, "landlock-v{version}"),
            (None, true) => f.write_str("seccomp"),
            (None, false) => f.write_str("none"),
        }
    }
}

/// What this kernel confines a process with: found out by confining a thread.
///
/// # Errors
///
/// When the kernel has it, and refuses all the same; when there is no thread.
pub fn level() -> io::Result<Level> {
    match check(Operation::Confine, Path::new("")) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Level::default()),
        Err(error) => Err(error),
        Ok(()) => on_a_thread(kernel::level),
    }
}

/// Starts a process that is confined, with all that it starts, for good, by what [`level`] found.
///
/// With Landlock, only what the rules name can be opened, no TCP connection be made, and nobody outside be traced or
/// (from version 6 on) sent a signal. With seccomp there are no sockets but pairs that are connected, and no leaving the
/// process group; nothing can be mounted, traced or loaded into the kernel, no other process be scheduled, and no file be cut
/// by its path. A process of root keeps the right to pass over modes and owners of files, and no other; no program wins rights
/// by being executed, and nothing but input and outputs is inherited.
///
/// # Errors
///
/// As [`process::spawn`]; and when the process cannot be confined so.
pub fn spawn(mut command: Command, rules: &Rules, level: Level) -> io::Result<Child> {
    let rules = rules.clone();
    // What the thread gives up the process inherits, and the thread ends.
    on_a_thread(move || {
        kernel::confine(&rules, level, &mut command)?;
        process::spawn(&mut command)
    })
}

fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let thread = thread::spawn("hotswap-confined", work)?;
    thread.join().unwrap_or_else(|panic| Err(io::Error::other(thread::panic_text(panic))))
}
