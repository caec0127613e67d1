//! Why there is no artifact.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{FetchError, Fingerprint};

/// The build of one fingerprint gave no artifact; whatever ran before is unchanged.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BuildError {
    /// The source, as it was named when it was opened.
    pub source_name: String,
    /// The fingerprint that was built. It is not built again.
    pub fingerprint: Fingerprint,
    /// What went wrong.
    pub kind: BuildErrorKind,
}

impl BuildError {
    /// Joins what went wrong with what was being built.
    #[must_use]
    pub fn new(
        source_name: impl Into<String>,
        fingerprint: Fingerprint,
        kind: BuildErrorKind,
    ) -> Self {
        Self { source_name: source_name.into(), fingerprint, kind }
    }

    /// The compiler's own output, where there is some.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match &self.kind {
            BuildErrorKind::Failed { diagnostics }
            | BuildErrorKind::NoLibrary { diagnostics }
            | BuildErrorKind::TimedOut { diagnostics, .. }
            | BuildErrorKind::OutOfMemory { diagnostics, .. }
            | BuildErrorKind::TooMuchOutput { diagnostics, .. }
            | BuildErrorKind::TooManyProcesses { diagnostics, .. } => Some(diagnostics),
            _ => None,
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} did not build: {}", self.source_name, self.fingerprint, self.kind)
    }
}

// The kind is part of the text, so the cause is the kind's own.
impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// The ways in which a build can end without an artifact.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The compiler or cargo said no.
    #[error("{diagnostics}")]
    Failed {
        /// What it said, whole.
        diagnostics: Diagnostics,
    },
    /// The build succeeded but gave no library: the crate has no library target.
    #[error("the build gave no library; a module crate needs a library target (src/lib.rs)")]
    NoLibrary {
        /// What the compiler said meanwhile.
        diagnostics: Diagnostics,
    },
    /// The build ran longer than its deadline and was ended with all its processes.
    #[error("still building after {} s, its deadline; the build was ended", deadline.as_secs_f64())]
    TimedOut {
        /// The deadline.
        deadline: Duration,
        /// What the compiler had said until then.
        diagnostics: Diagnostics,
    },
    /// The build needed more memory than it may have, as its own words say.
    #[error("the build ran out of memory, of which each process may have {memory_bytes_max} bytes")]
    OutOfMemory {
        /// The limit for each process.
        memory_bytes_max: u64,
        /// What the compiler said.
        diagnostics: Diagnostics,
    },
    /// The build wrote without end and was ended with all its processes.
    #[error("the build wrote more than {output_bytes_max} bytes; it was ended")]
    TooMuchOutput {
        /// The limit.
        output_bytes_max: u64,
        /// The first of what the compiler had said until then.
        diagnostics: Diagnostics,
    },
    /// The build had more processes than it may have in its sandbox, and was ended with all of them.
    #[error("the build had more than {processes_max} processes; it was ended")]
    TooManyProcesses {
        /// The limit.
        processes_max: usize,
        /// What the compiler had said until then.
        diagnostics: Diagnostics,
    },
    /// It is to be built in a sandbox only, and the kernel has none that is whole.
    #[error(
        "this kernel has no whole sandbox for builds of foreign code ({level}; wanted are Landlock and seccomp); \
         it is not built"
    )]
    Unconfined {
        /// What the kernel has: `none`, `seccomp`.
        level: String,
    },
    /// The compiler could not be started.
    #[error("could not start {}; is Rust installed and on PATH?", program.display())]
    Spawn {
        /// The program that was tried.
        program: PathBuf,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// The crate's manifest cannot be used: cargo cannot read it.
    #[error("cargo cannot read the manifest: {message}")]
    Manifest {
        /// What cargo said, whole.
        message: String,
    },
    /// What was fetched is no module.
    #[error("what was fetched is refused")]
    Refused {
        /// Why.
        #[source]
        error: FetchError,
    },
    /// Reading or writing a file of the build failed.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `store`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
    /// What builds panicked, which is a defect of it.
    #[error("the build backend panicked: {message}")]
    Panicked {
        /// What the panic says.
        message: String,
    },
    /// What builds was told to end and did not.
    #[error("the build before was told to end and has not; nothing is built until it has")]
    Stuck,
    /// Somebody aborted it. It is not built again until the source changes, or that is taken back.
    #[error("it was aborted")]
    Aborted,
    /// The monitor was stopped while it built.
    #[error("the monitor was stopped during the build")]
    Stopped,
}

impl BuildErrorKind {
    /// Whether it lies in the source beyond doubt: the compiler named the place, or cargo cannot parse the manifest. A
    /// compiler, a linker, a network or a disk that was missing may be there the next time.
    #[must_use]
    pub fn lies_in_source(&self) -> bool {
        match self {
            Self::Failed { diagnostics } => diagnostics.names_a_place(),
            // What was fetched, and is no module: the publication is at fault.
            Self::NoLibrary { .. } | Self::Refused { .. } => true,
            // Cargo's own words, of 1.95.
            Self::Manifest { message } => message.contains("failed to parse manifest"),
            Self::TimedOut { .. }
            | Self::OutOfMemory { .. }
            | Self::TooMuchOutput { .. }
            | Self::TooManyProcesses { .. }
            | Self::Unconfined { .. }
            | Self::Spawn { .. }
            | Self::Io { .. }
            | Self::Panicked { .. }
            | Self::Stuck
            | Self::Aborted
            | Self::Stopped => false,
        }
    }
}

/// What a compiler printed: rustc's own rendered text, kept whole.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostics {
    /// The text, with ANSI colours where the compiler wrote them.
    pub rendered: String,
    /// The number of errors.
    pub error_count: usize,
    /// The number of warnings.
    pub warning_count: usize,
    /// The first error in one line, with file and line where it has one:
    /// `src/lib.rs:7:5: cannot find value `x` in this scope`.
    pub first_error: Option<String>,
}

impl Diagnostics {
    /// Whether the first error has a file, a line and a column.
    #[must_use]
    pub fn names_a_place(&self) -> bool {
        let Some(first) = &self.first_error else { return false };
        let mut parts = first.split(": ").next().unwrap_or_default().rsplit(':');
        let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
        is_number(parts.next()) && is_number(parts.next()) && parts.next().is_some()
    }

    /// The text without colour codes, for logs and files.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut plain = String::with_capacity(self.rendered.len());
        let mut characters = self.rendered.chars();
        while let Some(character) = characters.next() {
            if character == '\u{1b}' {
                // A colour code is ESC [ parameters letter; rustc writes no others.
                characters.by_ref().find(|&c| c.is_ascii_alphabetic());
            } else {
                plain.push(character);
            }
        }
        plain
    }
}

impl fmt::Display for Diagnostics {
    /// The plain text: errors are printed without surprises wherever they go.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plain().trim_end())
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnostics")
            .field("errors", &self.error_count)
            .field("warnings", &self.warning_count)
            .field("first", &self.first_error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_place_lies_in_the_source() {
        let failed = |first: Option<&str>| {
            let first_error = first.map(str::to_owned);
            let diagnostics = Diagnostics { first_error, ..Diagnostics::default() };
            BuildErrorKind::Failed { diagnostics }
        };
        assert!(failed(Some("src/lib.rs:7:5: cannot find value `x`")).lies_in_source());
        for elsewhere in
            [None, Some("linking with `cc` failed"), Some("7:5: no"), Some("a:b:1: no")]
        {
            assert!(!failed(elsewhere).lies_in_source(), "{elsewhere:?}");
        }
        let manifest = |message: &str| BuildErrorKind::Manifest { message: message.to_owned() };
        assert!(manifest("error: failed to parse manifest at `/x/Cargo.toml`").lies_in_source());
        assert!(!manifest("no Cargo.toml in /x").lies_in_source());
        assert!(!BuildErrorKind::Stuck.lies_in_source());
    }

    #[test]
    fn plain_text_has_no_colour_codes() {
        let diagnostics = Diagnostics {
            rendered: "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: no\n".to_owned(),
            ..Diagnostics::default()
        };
        assert_eq!(diagnostics.plain(), "error: no\n");
        assert_eq!(diagnostics.to_string(), "error: no");
    }
}
