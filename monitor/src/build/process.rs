//! Runs one compiler process, with all that it starts, to its end.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use hotswap_system::clock;
use hotswap_system::process::{self, Child, Command, ExitStatus, Stdio};
use hotswap_system::thread;
use parking_lot::Mutex;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid,
};

use super::guardian::Guardian;
use super::output::{Bounded, LineSink, Meter, Metered, drain, drain_lines};
use super::sandbox::Room;
use crate::{BuildSettings, StopSignal};

/// How long an output may stay open after the process has ended.
///
/// Half a second: what the process wrote itself is in the pipe already; only a
/// grandchild that outlives it still holds the other end.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// How often the processes of a confined build are counted.
///
/// 100 ms: one that starts processes without end has some thousands by then, and counting a hundred takes less than 1 ms.
const CROWD_PERIOD: Duration = Duration::from_millis(100);

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    TimedOut,
    TooMuchOutput,
    /// More than so many.
    TooManyProcesses(usize),
    Stopped,
}

/// What is known of a process that has ended.
pub(crate) struct Finished<S> {
    pub(crate) ended: Ended,
    pub(crate) output: S,
    pub(crate) stderr: String,
}

/// Why a process has no end to tell of.
pub(crate) enum RunError {
    Spawn(io::Error),
    Wait(io::Error),
}

/// What one process, with all that it starts, may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) deadline: Duration,
    /// Of address space, for each process.
    pub(crate) memory_bytes_max: Option<u64>,
    /// Written to both outputs together.
    pub(crate) output_bytes_max: u64,
    /// What it gets at; everything without.
    pub(crate) room: Option<&'a Room>,
}

impl<'a> Limits<'a> {
    pub(crate) fn of(settings: &BuildSettings, room: Option<&'a Room>) -> Self {
        Self {
            deadline: settings.deadline,
            memory_bytes_max: settings.memory_bytes_max,
            output_bytes_max: settings.output_bytes_max,
            room,
        }
    }
}

/// Runs a command in a process group of its own until it exits, a limit is reached
/// or `stop` is given; in the last two cases the group is killed, and so it is when
/// this process is killed. Blocks; the process is reaped when this returns.
pub(crate) fn run<S: LineSink>(
    mut command: Command,
    limits: &Limits<'_>,
    stop: &StopSignal,
    sink: S,
) -> Result<Finished<S>, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut running = Running::start(command, limits.room).map_err(RunError::Spawn)?;
    if let Some(memory_bytes_max) = limits.memory_bytes_max {
        limit(running.group, Resource::As, memory_bytes_max);
    }
    let (exceed, exceeded) = bounded(1);
    let meter = Arc::new(Meter::new(limits.output_bytes_max, exceed));
    let watched = Watched::start(&mut running.child, sink, &meter).map_err(RunError::Spawn)?;

    let deadline = clock::after(limits.deadline);
    let ended = loop {
        let look = limits.room.map_or_else(clock::never, |_| clock::after(CROWD_PERIOD));
        select! {
            recv(watched.exited) -> _ => break None,
            recv(stop.channel()) -> _ => break Some(Ended::Stopped),
            recv(exceeded) -> _ => break Some(Ended::TooMuchOutput),
            recv(deadline) -> _ => break Some(Ended::TimedOut),
            recv(look) -> _ => {
                let crowd = limits.room.and_then(|room| room.crowd(running.group));
                if let Some(processes_max) = crowd {
                    break Some(Ended::TooManyProcesses(processes_max));
                }
            }
        }
    };
    if ended.is_some() {
        kill(running.group);
        // Nothing survives SIGKILL; the exit is a matter of microseconds.
        let _disconnected = watched.exited.recv();
    }
    if limits.room.is_some() {
        // Nobody is left to change what the build gave.
        kill(running.group);
    }
    if !watched.outputs_closed() {
        // The process itself is a zombie still, so that its number, which is
        // the group's, cannot belong to anybody else.
        kill(running.group);
        watched.outputs_closed();
    }
    let status = running.reap();
    let (output, stderr) = watched.take();
    let ended = match ended {
        Some(ended) => ended,
        None if meter.is_exceeded() => Ended::TooMuchOutput,
        None => Ended::Exited(status.map_err(RunError::Wait)?),
    };
    Ok(Finished { ended, output, stderr })
}

/// A process that leads its group, and the guardian of that. Dropped, by a panic
/// too, it kills what is left.
struct Running {
    child: Child,
    group: Pid,
    guardian: Option<Guardian>,
    is_reaped: bool,
}

impl Running {
    fn start(mut command: Command, room: Option<&Room>) -> io::Result<Self> {
        // First: what takes time is done before there is anything to guard.
        let mut guardian = Guardian::start();
        let child = match room {
            Some(room) => room.spawn(command)?,
            None => process::spawn(&mut command)?,
        };
        let group = Pid::from_child(&child);
        if let Some(guardian) = &mut guardian {
            guardian.guard(group);
        }
        Ok(Self { child, group, guardian, is_reaped: false })
    }

    /// Waits for the process, whose number is free from then on.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.guardian = None;
        self.is_reaped = true;
        process::wait(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            kill(self.group);
            let _status = self.reap();
        }
    }
}

/// Limits a process that has just started, and each one that it will start. Best effort: what it did until now is not limited.
pub(super) fn limit(process: Pid, resource: Resource, most: u64) {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    if let Err(error) = prlimit(Some(process), resource, limit) {
        // It is limited to less already, or has ended.
        log::debug!("cannot limit {resource:?} of a build to {most}: {error}");
    }
}

/// Whether a compiler that failed says that it was for want of memory.
pub(crate) fn is_out_of_memory(text: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "memory allocation of", // Rust
        "bad_alloc",            // C++
        "out of memory",        // LLVM, mold
        "memory exhausted",     // ld
        "failed to allocate",
        "annot allocate memory",            // the C library, os error 12
        "Resource temporarily unavailable", // no room for the stack of a thread
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// The threads that look after a running process, and what they have gathered.
struct Watched<S> {
    /// Disconnected when the process has exited and is not reaped.
    exited: Receiver<()>,
    /// Disconnected when both outputs are closed.
    closed: Receiver<()>,
    output: Arc<Mutex<Option<S>>>,
    stderr: Arc<Mutex<Option<Bounded>>>,
}

impl<S: LineSink> Watched<S> {
    /// Without all of its threads a process cannot be judged: what it said would be missing.
    fn start(child: &mut Child, sink: S, meter: &Arc<Meter>) -> io::Result<Self> {
        let (exit, exited) = bounded(0);
        let (close, closed) = bounded(0);
        let output = Arc::new(Mutex::new(Some(sink)));
        let stderr = Arc::new(Mutex::new(Some(Bounded::default())));
        let group = Pid::from_child(child);
        spawn("exit", exit, move || wait_without_reaping(group))?;
        if let Some(pipe) = child.stdout.take() {
            let pipe = Metered { pipe, meter: Arc::clone(meter) };
            let output = Arc::clone(&output);
            spawn("stdout", close.clone(), move || drain_lines(pipe, &output))?;
        }
        if let Some(pipe) = child.stderr.take() {
            let pipe = Metered { pipe, meter: Arc::clone(meter) };
            let stderr = Arc::clone(&stderr);
            spawn("stderr", close, move || drain(pipe, &stderr))?;
        }
        Ok(Self { exited, closed, output, stderr })
    }

    /// Waits for the end of both outputs, at most for the grace.
    fn outputs_closed(&self) -> bool {
        select! {
            recv(self.closed) -> _ => true,
            recv(clock::after(OUTPUT_GRACE)) -> _ => false,
        }
    }

    /// What was gathered. Threads that still read find nowhere to put it.
    fn take(self) -> (S, String) {
        let output = self.output.lock().take();
        let stderr = self.stderr.lock().take().unwrap_or_default();
        (output.expect("the sink is taken once, here"), stderr.into_text())
    }
}

/// Starts a thread that owns `end` for as long as it lives.
fn spawn(name: &str, end: Sender<()>, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::spawn(format!("hotswap-{name}"), move || {
        work();
        drop(end);
    })?;
    Ok(())
}

fn wait_without_reaping(process: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(process), options) {}
}

fn kill(group: Pid) {
    // It fails when the whole group is gone, which is what was wanted.
    let _gone = kill_process_group(group, Signal::KILL);
}

/// Waits for the signal, at most for `patience`; whether it was given.
pub(crate) fn stopped_within(stop: &StopSignal, patience: Duration) -> bool {
    let none = never::<()>();
    select! {
        recv(stop.channel()) -> _ => true,
        recv(none) -> _ => false,
        recv(clock::after(patience)) -> _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn limits(deadline: Duration) -> Limits<'static> {
        Limits { deadline, memory_bytes_max: None, output_bytes_max: 8_000_000, room: None }
    }

    fn finish(script: &str, deadline: Duration) -> Finished<Vec<Vec<u8>>> {
        finish_within(script, &limits(deadline))
    }

    fn finish_within(script: &str, limits: &Limits<'_>) -> Finished<Vec<Vec<u8>>> {
        match run(shell(script), limits, &StopSignal::never(), Vec::new()) {
            Ok(finished) => finished,
            Err(RunError::Spawn(error) | RunError::Wait(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn both_outputs_are_drained_and_bounded() {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo one; printf two";
        let finished = finish(script, LONG);
        assert!(matches!(finished.ended, Ended::Exited(status) if status.success()));
        assert_eq!(finished.output, [b"one".to_vec(), b"two".to_vec()]);
        assert!(finished.stderr.contains("[1951424 more bytes were dropped]"));
    }

    #[test]
    fn the_deadline_ends_the_whole_group() {
        let begin = Instant::now();
        let finished = finish("sleep 1000 & sleep 1000", Duration::from_millis(50));
        assert_eq!(finished.ended, Ended::TimedOut);
        assert!(begin.elapsed() < LONG, "both sleepers held the outputs open");
    }

    #[test]
    fn a_grandchild_that_holds_the_output_is_not_waited_for() {
        let begin = Instant::now();
        let finished = finish("echo said; sleep 1000 &", LONG);
        assert!(matches!(finished.ended, Ended::Exited(status) if status.success()));
        assert_eq!(finished.output, [b"said".to_vec()]);
        assert!(begin.elapsed() < LONG);
    }

    #[test]
    fn a_stop_is_prompt_and_a_missing_program_is_told() {
        let (handle, stop) = StopSignal::new();
        drop(handle);
        let Ok(finished) = run(shell("sleep 1000"), &limits(LONG), &stop, Vec::<Vec<u8>>::new())
        else {
            panic!("sh starts");
        };
        assert_eq!(finished.ended, Ended::Stopped);
        let missing = Command::new("/nowhere/cargo");
        let result = run(missing, &limits(LONG), &stop, Vec::<Vec<u8>>::new());
        assert!(matches!(result, Err(RunError::Spawn(_))));
    }

    #[test]
    fn output_without_end_ends_the_build_on_either_side() {
        for script in ["yes", "yes >&2", "yes & yes >&2", "head -c 9000000 /dev/zero"] {
            assert_eq!(finish(script, LONG).ended, Ended::TooMuchOutput, "{script}");
        }
        let just_fits = finish("head -c 8000000 /dev/zero >&2", LONG);
        assert!(matches!(just_fits.ended, Ended::Exited(status) if status.success()));
    }

    #[test]
    fn the_memory_limit_holds_for_what_is_started_later() {
        let limits = Limits { memory_bytes_max: Some(100_000_000), ..limits(LONG) };
        let started_later = finish_within("sleep 0.1; sh -c 'ulimit -v'", &limits);
        assert_eq!(started_later.output, [b"97656".to_vec()]);
        let without = finish("sleep 0.1; sh -c 'ulimit -v'", LONG);
        assert_ne!(without.output, started_later.output);
    }

    #[test]
    fn a_sink_that_panics_leaves_no_process() {
        struct Panicking;
        impl LineSink for Panicking {
            fn line(&mut self, line: &[u8]) {
                panic!("{line:?}");
            }
        }
        // Its thread ends, nobody reads any more, and the deadline comes.
        let limits = limits(Duration::from_millis(200));
        let finished =
            run(shell("echo one; exec sleep 1000"), &limits, &StopSignal::never(), Panicking);
        assert!(finished.is_ok_and(|finished| finished.ended == Ended::TimedOut));
    }

    #[test]
    fn a_panic_while_it_runs_kills_the_group() {
        let mut command = shell("sleep 1000 & sleep 1000");
        command.process_group(0);
        let running = Running::start(command, None).unwrap();
        let group = running.group;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = running;
            panic!("while it runs");
        }));
        assert!(panicked.is_err());
        let begin = Instant::now();
        while rustix::process::test_kill_process_group(group) != Err(rustix::io::Errno::SRCH) {
            assert!(begin.elapsed() < LONG, "processes are left in the group");
            std::thread::yield_now();
        }
    }
}
