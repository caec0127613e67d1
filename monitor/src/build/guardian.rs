//! Ends a build whose host was killed.
//!
//! Nothing of a process runs when it is killed by signal 9, and its children live
//! on: cargo goes on to start compilers. `PR_SET_PDEATHSIG` does not help: it fires
//! when the *thread* that started the child ends, and what the child starts does
//! not inherit it (*measured*). So a small shell reads from a pipe whose other end
//! only the host holds. At its end of file the shell kills the build's process
//! group.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::sync::Once;

use hotswap_system::process::{self, Child, ChildStdin, Command, Stdio};
use rustix::process::Pid;

/// What the guardian runs. It learns the group from the first line, which comes
/// once there is one. A second line never comes: what `read` waits for is the end
/// of file. Signals meant for the host, from a terminal, do not end it.
const SCRIPT: &str = "trap '' HUP INT QUIT TERM\n\
    read -r group || exit 0\n\
    read -r never && exit 0\n\
    kill -s KILL -- \"-$group\"\n";

/// A shell that waits for the end of this process. It is in a process group of its
/// own, and gone when this is dropped.
///
/// It must be dropped before the leader of the group is reaped: until then the
/// group's number belongs to nobody else. After the host's death the leader may be
/// reaped by somebody else, but the guardian acts within that very moment, and the
/// number stays taken while any process of the group lives. Between the start of a
/// build and [`guard`](Self::guard) lie some microseconds without a guardian.
pub(super) struct Guardian {
    shell: Child,
    /// Closed when this process ends in whatever way. A process that this one
    /// forked without executing anything holds it open as well.
    pipe: Option<ChildStdin>,
}

impl Guardian {
    /// Starts it, before there is anything to guard. Without a shell there is no
    /// guardian, which is said once.
    pub(super) fn start() -> Option<Self> {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", SCRIPT, "hotswap-guardian"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        match process::spawn(&mut shell) {
            Ok(mut shell) => {
                let pipe = shell.stdin.take();
                Some(Self { shell, pipe })
            }
            Err(error) => {
                say_once(&error);
                None
            }
        }
    }

    /// Arms it.
    pub(super) fn guard(&mut self, group: Pid) {
        let Some(pipe) = &mut self.pipe else { return };
        if let Err(error) = writeln!(pipe, "{}", group.as_raw_nonzero()) {
            say_once(&error);
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Killed before its pipe is closed: it must not take that for our end.
        let _gone = self.shell.kill();
        let _reaped = process::wait(&mut self.shell);
    }
}

fn say_once(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        log::warn!(
            "builds have no guardian ({error}): if this process is killed, a build under way \
             goes on without it"
        );
    });
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").process_group(0).spawn().unwrap()
    }

    #[test]
    fn the_end_of_the_pipe_kills_the_group_and_a_drop_does_not() {
        let mut child = sleeper();
        let group = Pid::from_child(&child);
        let mut guardian = Guardian::start().unwrap();
        guardian.guard(group);
        drop(guardian);
        assert!(child.try_wait().unwrap().is_none(), "disarmed");

        let mut guardian = Guardian::start().unwrap();
        guardian.guard(group);
        // What the kernel does for a host that is killed.
        guardian.pipe = None;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    }

    #[test]
    fn one_that_was_never_armed_kills_nothing() {
        let mut guardian = Guardian::start().unwrap();
        guardian.pipe = None;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let ended = waitid(WaitId::Pid(Pid::from_child(&guardian.shell)), options).unwrap();
        assert_eq!(ended.unwrap().exit_status(), Some(0));
    }
}
