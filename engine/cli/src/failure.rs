//! Why a command failed, as it is printed at its end.

use hotswap_engine::audit::LogError;
use hotswap_engine::{OpenError, OpenErrorKind};

use crate::narration;
use crate::paint::Paint;

/// An error of the command itself.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine could not be opened: maybe with a compiler's words.
    Open(Box<OpenError>),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(Box::new(error))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Other(error.into())
    }
}

impl Failure {
    /// `error: ..` and a line for each cause; before it whatever the compiler said.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let label = paint.bad("error:");
        match self {
            Self::Open(error) => match &error.kind {
                OpenErrorKind::First(refusal) => {
                    let told = narration::refusal(refusal, paint);
                    let diagnostics = narration::blank_line_after(told.diagnostics);
                    format!("{diagnostics}{label} {}", told.reason)
                }
                OpenErrorKind::Log { path, error } => format!(
                    "{label} cannot write the log {}; choose another with --log FILE, or none with --log none\n  \
                     caused by: {error}",
                    path.display()
                ),
                _ => format!("{label} {error}{}", causes(std::error::Error::source(error))),
            },
            Self::Other(error) => format!("{label} {error}{}", causes(error.source())),
        }
    }
}

/// Everything behind an error, one indented line each.
pub(crate) fn causes(mut cause: Option<&(dyn std::error::Error + 'static)>) -> String {
    let mut text = String::new();
    while let Some(error) = cause {
        text.push_str(&format!("\n  caused by: {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_indented_lines() {
        let inner = std::io::Error::other("no space left");
        let error = anyhow::Error::new(inner).context("cannot write a").context("cannot create b");
        let text = Failure::from(error).text(Paint::Plain);
        assert_eq!(
            text,
            "error: cannot create b\n  caused by: cannot write a\n  caused by: no space left"
        );
    }
}
