//! `hotswap audit`: what hotswap.log tells, and whether it can be believed.

mod list;
mod show;
mod verify;
mod versions;
mod words;

use std::io::{self, Write as _, stdout};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::arguments::{AuditArguments, AuditCommand, Color};
use crate::failure::Failure;
use crate::paint::Paint;

/// What a part of the command has to say, and the exit code.
struct Report {
    text: String,
    code: ExitCode,
}

impl From<String> for Report {
    fn from(text: String) -> Self {
        Self { text, code: ExitCode::SUCCESS }
    }
}

/// Reads the log and prints what it tells.
pub(crate) fn audit(arguments: &AuditArguments, color: Color) -> Result<ExitCode, Failure> {
    let paint = Paint::choose(color, &stdout());
    let format = arguments.format;
    let report = match &arguments.command {
        AuditCommand::Verify { log } => verify::report(log, format, paint),
        AuditCommand::List { log } => list::report(log, format, paint),
        AuditCommand::Show { change, log } => show::report(change, log, format, paint),
        AuditCommand::Versions { log } => versions::report(log, format, paint),
    }?;
    match stdout().lock().write_all(report.text.as_bytes()) {
        // Who pipes into `head` has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")?;
        }
        Ok(()) | Err(_) => {}
    }
    Ok(report.code)
}
