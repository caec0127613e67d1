//! The real binary, a directory of its own, and its output line by line with a deadline.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing that is waited for here takes longer, unless it is broken: a first build on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The binary, with nothing inherited that changes what it prints.
pub(crate) fn hotswap() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotswap"));
    for variable in ["RUST_LOG", "NO_COLOR", "HOTSWAP_KEY_PASSWORD", "HOTSWAP_TOKEN"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// Where builds of all tests go, so that hotswap-module is built once.
pub(crate) fn shared_builds() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("modules")
}

/// A directory for one test, empty at its begin and removed at its end.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// `hotswap ARGUMENTS` in this directory.
    pub(crate) fn hotswap(&self, arguments: &[&str]) -> Command {
        let mut command = hotswap();
        command.current_dir(&self.0).args(arguments);
        // What belongs to a user is this test's.
        for (variable, directory) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
        ] {
            command.env(variable, self.0.join("home").join(directory));
        }
        command
    }

    /// The same, with builds in the shared place.
    pub(crate) fn building(&self, arguments: &[&str]) -> Command {
        let mut command = self.hotswap(arguments);
        command.arg("--target-dir").arg(shared_builds());
        command
    }

    /// `hotswap new NAME`. Names differ between tests, since they share their builds.
    pub(crate) fn new_crate(&self, name: &str) {
        let output = self.hotswap(&["new", name]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Replaces a text in a crate's source, as an editor does: by renaming a new file over it.
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let source = fs::read_to_string(self.library(name)).unwrap();
        assert!(source.contains(old), "{source}");
        self.write(name, &source.replace(old, new));
    }

    pub(crate) fn write(&self, name: &str, source: &str) {
        let file = self.library(name);
        let beside = file.with_extension("tmp");
        fs::write(&beside, source).unwrap();
        fs::rename(beside, file).unwrap();
    }

    fn library(&self, name: &str) -> PathBuf {
        self.0.join(name).join("src/lib.rs")
    }

    /// `hotswap ARGUMENTS` in this directory, which has to succeed; what it prints.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = finish(&mut self.hotswap(arguments));
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    }

    /// `hotswap ARGUMENTS` in this directory, which has to fail; what it says.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = finish(&mut self.hotswap(arguments));
        assert_eq!(code, 1, "{arguments:?}: {stdout} {stderr}");
        stderr
    }

    /// A key without a password; its public line.
    #[track_caller]
    pub(crate) fn new_key(&self, name: &str) -> String {
        self.done(&["keys", "new", name, "--no-password"]).trim().to_owned()
    }

    /// A single file of source whose one function prints a text.
    pub(crate) fn write_greeting(&self, file: &str, text: &str) {
        let source = format!(
            "hotswap_module::module!();\n#[hotswap_module::export]\npub fn hello() {{ println!(\"{text}\"); }}\n"
        );
        fs::write(self.0.join(file), source).unwrap();
    }

    /// The command lines of processes that mention this directory.
    pub(crate) fn processes(&self) -> Vec<String> {
        let own = self.0.to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(own) {
                found.push(line);
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs to the end; gives the exit code, stdout and stderr.
pub(crate) fn finish(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap_or(-1), text(&stdout), text(&stderr))
}

/// The binary while it runs. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        forward("out", child.stdout.take().unwrap(), sender.clone());
        forward("err", child.stderr.take().unwrap(), sender);
        Self { child, lines, seen: Vec::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line with this text, on either stream: `out: ..` or `err: ..`.
    #[track_caller]
    pub(crate) fn line(&mut self, wanted: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {wanted:?} in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// How many lines with this text were seen until now.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.seen.iter().filter(|line| line.contains(wanted)).count()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; gives the status and how long it took.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let end = start + DEADLINE;
        // Both streams close when the process ends: the channel disconnects.
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("does not end:\n{}", self.seen.join("\n"))
                }
            }
        }
        (self.child.wait().unwrap(), start.elapsed())
    }

    pub(crate) fn all(&self) -> String {
        self.seen.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(stream: &'static str, from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(format!("{stream}: {line}")).is_err() {
                return;
            }
        }
    });
}
