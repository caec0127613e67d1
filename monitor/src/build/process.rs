//! Runs one compiler process, with all that it starts, to its end.

use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::StopSignal;

/// How much of one output of a build is kept.
///
/// 1 MiB: some thousand diagnostics, more than anybody reads; a build script
/// that prints without end costs no more than that.
pub(crate) const BUILD_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// The longest line that is taken: `cargo metadata` answers in one.
///
/// 64 MiB: a graph of 5,000 packages has about 20.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long an output may stay open after the process has ended.
///
/// Half a second: what the process wrote itself is in the pipe already; only a
/// grandchild that outlives it still holds the other end.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// Takes the lines of standard output as they come.
pub(crate) trait LineSink: Send + 'static {
    /// One line, without its end.
    fn line(&mut self, line: &[u8]);
}

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    TimedOut,
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

/// Runs a command in a process group of its own until it exits, `deadline` has
/// passed or `stop` is given; in the last two cases the group is killed. Blocks;
/// the process is reaped when this returns.
pub(crate) fn run<S: LineSink>(
    mut command: Command,
    deadline: Duration,
    stop: &StopSignal,
    sink: S,
) -> Result<Finished<S>, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(RunError::Spawn)?;
    let group = Pid::from_child(&child);
    let watched = Watched::start(&mut child, sink);

    let ended = select! {
        recv(watched.exited) -> _ => None,
        recv(stop.channel()) -> _ => Some(Ended::Stopped),
        recv(after(deadline)) -> _ => Some(Ended::TimedOut),
    };
    if ended.is_some() {
        kill(group);
        // Nothing survives SIGKILL; the exit is a matter of microseconds.
        let _disconnected = watched.exited.recv();
    }
    if !watched.outputs_closed() {
        // The process itself is a zombie still, so that its number, which is
        // the group's, cannot belong to anybody else.
        kill(group);
        watched.outputs_closed();
    }
    let status = child.wait();
    let (output, stderr) = watched.take();
    let ended = match ended {
        Some(ended) => ended,
        None => Ended::Exited(status.map_err(RunError::Wait)?),
    };
    Ok(Finished { ended, output, stderr })
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
    fn start(child: &mut Child, sink: S) -> Self {
        let (exit, exited) = bounded(0);
        let (close, closed) = bounded(0);
        let output = Arc::new(Mutex::new(Some(sink)));
        let stderr = Arc::new(Mutex::new(Some(Bounded::default())));
        let group = Pid::from_child(child);
        spawn("exit", exit, move || wait_without_reaping(group));
        if let Some(pipe) = child.stdout.take() {
            let output = Arc::clone(&output);
            spawn("stdout", close.clone(), move || drain_lines(pipe, &output));
        }
        if let Some(pipe) = child.stderr.take() {
            let stderr = Arc::clone(&stderr);
            spawn("stderr", close, move || drain(pipe, &stderr));
        }
        Self { exited, closed, output, stderr }
    }

    /// Waits for the end of both outputs, at most for the grace.
    fn outputs_closed(&self) -> bool {
        select! {
            recv(self.closed) -> _ => true,
            recv(after(OUTPUT_GRACE)) -> _ => false,
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
fn spawn(name: &str, end: Sender<()>, work: impl FnOnce() + Send + 'static) {
    let started = thread::Builder::new().name(format!("hotswap-{name}")).spawn(move || {
        work();
        drop(end);
    });
    if let Err(error) = started {
        // The channel is disconnected then: an exit that nobody waits for is
        // waited for by `Child::wait`, an output that nobody reads is closed.
        log::error!("cannot start the thread hotswap-{name} of a build: {error}");
    }
}

fn wait_without_reaping(process: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(process), options) {}
}

fn kill(group: Pid) {
    // It fails when the whole group is gone, which is what was wanted.
    let _gone = kill_process_group(group, Signal::KILL);
}

fn drain_lines<S: LineSink>(pipe: impl Read, sink: &Mutex<Option<S>>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match pipe.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Some(sink) = &mut *sink.lock() else { return };
        sink.line(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

fn drain(mut pipe: impl Read, kept: &Mutex<Option<Bounded>>) {
    let mut chunk = [0; 8192];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => match &mut *kept.lock() {
                Some(kept) => kept.push(&chunk[..count]),
                None => return,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Text that grows to a limit; what does not fit is counted and told.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    kept: Vec<u8>,
    dropped: usize,
}

impl Bounded {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = BUILD_OUTPUT_BYTES_MAX - self.kept.len();
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend_from_slice(kept);
        self.dropped += dropped.len();
    }

    pub(crate) fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n[{} more bytes were dropped]\n", self.dropped));
        }
        text
    }
}

/// A sink that keeps the lines whole.
impl LineSink for Vec<Vec<u8>> {
    fn line(&mut self, line: &[u8]) {
        self.push(line.to_owned());
    }
}

/// Waits for the signal, at most for `patience`; whether it was given.
pub(crate) fn stopped_within(stop: &StopSignal, patience: Duration) -> bool {
    let none = never::<()>();
    select! {
        recv(stop.channel()) -> _ => true,
        recv(none) -> _ => false,
        recv(after(patience)) -> _ => false,
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

    fn finish(script: &str, deadline: Duration) -> Finished<Vec<Vec<u8>>> {
        match run(shell(script), deadline, &StopSignal::never(), Vec::new()) {
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
        let Ok(finished) = run(shell("sleep 1000"), LONG, &stop, Vec::<Vec<u8>>::new()) else {
            panic!("sh starts");
        };
        assert_eq!(finished.ended, Ended::Stopped);
        let missing = Command::new("/nowhere/cargo");
        let result = run(missing, LONG, &stop, Vec::<Vec<u8>>::new());
        assert!(matches!(result, Err(RunError::Spawn(_))));
    }
}
