//! Why there is no artifact.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Fingerprint;

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
            | BuildErrorKind::TooMuchOutput { diagnostics, .. } => Some(diagnostics),
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
    fn plain_text_has_no_colour_codes() {
        let diagnostics = Diagnostics {
            rendered: "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: no\n".to_owned(),
            ..Diagnostics::default()
        };
        assert_eq!(diagnostics.plain(), "error: no\n");
        assert_eq!(diagnostics.to_string(), "error: no");
    }
}
