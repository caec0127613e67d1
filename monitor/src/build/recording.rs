//! How cargo ran the compiler for the final crate, written down by a wrapper that cargo runs in its place.
//!
//! Nothing else tells it whole: `cargo -vv` prints a part of the environment, and compiles dependencies with other
//! warnings.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hotswap_system::fs;
use hotswap_system::process::Command;

use super::recipe::configuration;

/// The wrapper: writes down its directory, how many arguments it has, the arguments and the environment, each with a
/// NUL behind it, when it runs the compiler for the library that was asked for; and becomes the compiler. What cannot
/// be written down costs the next build its short way and nothing else.
const SCRIPT: &str = r#"#!/bin/sh
case "${CARGO_PRIMARY_PACKAGE:+primary} $* " in
"primary "*" --crate-type cdylib "*)
    { printf '%s\0' "$PWD" "$#" "$@" && cat "/proc/$$/environ"; } 2>/dev/null >"$0.last"
    ;;
esac
exec "$@"
"#;

/// Words of cargo's configuration with which ours would displace a wrapper of the user's, or be run by one that does
/// not know it; `include` for what cannot be seen from here.
const FOREIGN_WRAPPERS: [&str; 2] = ["wrapper", "include"];

/// What a jobserver of a cargo that has ended, or a wrapper, left in the environment.
const NOT_RECORDED: [&str; 4] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS", WRAPPER];
const WRAPPER: &str = "RUSTC_WORKSPACE_WRAPPER";

/// A run of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) directory: PathBuf,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// The wrapper, in a directory that is locked while cargo runs.
#[derive(Debug)]
pub(super) struct Recorder {
    script: PathBuf,
    recorded: PathBuf,
}

impl Recorder {
    /// Puts the wrapper into the directory; `None` where there must be none, or can be none.
    pub(super) fn new(directory: &Path, package: &Path) -> Option<Self> {
        if mentions(package, &FOREIGN_WRAPPERS) || !fs::exists("/bin/sh").unwrap_or(false) {
            return None;
        }
        let script = directory.join(".record");
        // Written once: cargo asks the compiler for its version again when a wrapper is newer.
        let can_be_run = fs::metadata(&script).is_ok_and(|found| found.mode() & 0o111 != 0);
        if !can_be_run || fs::read_to_string(&script).ok()? != SCRIPT {
            fs::write_program(&script, SCRIPT).ok()?;
        }
        let recorded = directory.join(".record.last");
        match fs::remove_file(&recorded) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => None,
            Ok(()) | Err(_) => Some(Self { script, recorded }),
        }
    }

    /// Has cargo run the wrapper.
    pub(super) fn attach(&self, cargo: &mut Command) {
        cargo.env(WRAPPER, &self.script);
    }

    /// What was recorded since; `None` when nothing was compiled.
    pub(super) fn take(&self) -> Option<Invocation> {
        Invocation::parse(&fs::read(&self.recorded).ok()?)
    }
}

impl Invocation {
    fn parse(recorded: &[u8]) -> Option<Self> {
        let mut texts = recorded.strip_suffix(b"\0")?.split(|&byte| byte == 0);
        let mut text = || Some(OsString::from_vec(texts.next()?.to_owned()));
        let directory = PathBuf::from(text()?);
        let count: usize = text()?.to_str()?.parse().ok()?;
        let program = PathBuf::from(text()?);
        let mut arguments = Vec::new();
        for _ in 1..count {
            arguments.push(text()?);
        }
        let mut environment = Vec::new();
        while let Some(entry) = text() {
            let entry = entry.into_vec();
            let equals = entry.iter().skip(1).position(|&byte| byte == b'=')? + 1;
            let (name, value) = (OsStr::from_bytes(&entry[..equals]), &entry[equals + 1..]);
            if !NOT_RECORDED.iter().any(|left_out| name == *left_out) {
                environment.push((name.to_owned(), OsStr::from_bytes(value).to_owned()));
            }
        }
        Some(Self { directory, program, arguments, environment })
    }

    /// The command that does the same again.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The value of an option that cargo writes as two arguments.
    pub(super) fn option(&self, name: &str) -> Option<&OsStr> {
        let at = self.arguments.iter().position(|argument| argument == name)?;
        self.arguments.get(at + 1).map(OsString::as_os_str)
    }

    /// The values of `-C name=value`, or of another option that is given more than once.
    pub(super) fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OsStr> {
        let pairs = self.arguments.windows(2).filter(move |pair| pair[0] == name);
        pairs.map(|pair| pair[1].as_os_str())
    }

    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let mut variables = self.environment.iter();
        variables.find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }
}

/// Whether any configuration that cargo reads for this package has one of these words in it. One that cannot be read
/// may.
pub(super) fn mentions(package: &Path, words: &[&str]) -> bool {
    // Beside the package as well.
    configuration(&package.join("Cargo.toml")).any(|path| match fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            words.iter().any(|word| text.contains(word))
        }
        Err(error) => !crate::scan::walk::is_absent(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_run_can_be_done_again() {
        let recorded =
            b"/w\x004\0/bin/rustc\0--out-dir\0/t/debug/deps\0\0A=b=c\0MAKEFLAGS=-j\0E=\0";
        let invocation = Invocation::parse(recorded).unwrap();
        assert_eq!(invocation.directory, Path::new("/w"));
        assert_eq!(invocation.option("--out-dir"), Some(OsStr::new("/t/debug/deps")));
        assert_eq!(invocation.variable("A"), Some(OsStr::new("b=c")));
        assert_eq!(invocation.variable("E"), Some(OsStr::new("")));
        assert_eq!(invocation.variable("MAKEFLAGS"), None);
        let command = invocation.command();
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["--out-dir", "/t/debug/deps", ""]);
        assert_eq!(command.get_program(), "/bin/rustc");
    }

    #[test]
    fn a_torn_record_is_none() {
        let recorded = b"/w\x003\0/bin/rustc\0--test\0x\0A=b\0";
        assert!(Invocation::parse(recorded).is_some());
        for end in [0, 1, 4, 10, 17, 24, 26] {
            assert_eq!(Invocation::parse(&recorded[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn the_wrapper_records_the_library_only_and_becomes_the_compiler() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(directory.path(), directory.path()).unwrap();
        let run = |arguments: &[&str], primary: bool| {
            let mut command = Command::new(&recorder.script);
            command.args(arguments).env_remove("CARGO_PRIMARY_PACKAGE");
            if primary {
                command.env("CARGO_PRIMARY_PACKAGE", "1");
            }
            let output = command.current_dir(directory.path()).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(&["echo", "-vV"], true), "-vV\n");
        assert_eq!(run(&["echo", "--crate-type", "cdylib", "x"], false), "--crate-type cdylib x\n");
        assert_eq!(recorder.take(), None);
        assert_eq!(
            run(&["echo", "a b", "--crate-type", "cdylib", ""], true),
            "a b --crate-type cdylib \n"
        );
        let invocation = recorder.take().unwrap();
        assert_eq!(invocation.program, Path::new("echo"));
        assert_eq!(invocation.arguments, ["a b", "--crate-type", "cdylib", ""]);
        assert_eq!(invocation.variable("CARGO_PRIMARY_PACKAGE"), Some(OsStr::new("1")));
        assert_eq!(
            fs::canonicalize(&invocation.directory).unwrap(),
            fs::canonicalize(&directory).unwrap()
        );
    }

    #[test]
    fn a_wrapper_of_the_users_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".cargo")).unwrap();
        let write =
            |text| std::fs::write(directory.path().join(".cargo/config.toml"), text).unwrap();
        write("[build]\nrustc-wrapper = \"sccache\"\n");
        assert!(Recorder::new(directory.path(), directory.path()).is_none());
        write("[build]\njobs = 2\n");
        assert!(Recorder::new(directory.path(), directory.path()).is_some());
    }
}
