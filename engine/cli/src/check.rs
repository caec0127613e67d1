//! `hotswap check`: builds and verifies a module, and lists what it exports.

use std::io::{self, Write as _, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hotswap_engine::{ExportInfo, OpenErrorKind, Source};

use crate::arguments::CheckArguments;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::narrator::{Narrator, Told};
use crate::screen::Screen;

/// Builds, verifies, lists.
pub(crate) fn check(
    arguments: &CheckArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<ExitCode, Failure> {
    let builder = arguments.source.builder()?.without_log().cancel_on(interrupts.cancelled());
    let (builder, events) = builder.subscribe();
    let narrator =
        Narrator::start(arguments.source.name(), events, Arc::clone(screen), Told::Progress)
            .context("cannot start a thread")?;
    let opened = builder.open().map(|engine| engine.exports());
    narrator.finish();
    match opened {
        Ok(exports) => {
            match stdout().lock().write_all(table(&exports).as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(anyhow::Error::new(error).context("cannot write to stdout").into());
                }
                Ok(()) | Err(_) => {}
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if matches!(error.kind, OpenErrorKind::Cancelled) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

/// A path that names nothing is said at once instead of being waited for.
pub(crate) fn is_there(path: &Path) -> Result<(), Failure> {
    std::fs::metadata(path).map(drop).map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot read {}", path.display()))
    })?;
    if path.is_dir() && !path.join("Cargo.toml").is_file() {
        let path = path.display();
        return Err(anyhow!(
            "{path} is no crate: it has no Cargo.toml; `hotswap new NAME` writes one"
        )
        .into());
    }
    if !path.is_dir() && Source::from(path).kind() == "crate" {
        let path = path.display();
        return Err(anyhow!(
            "{path} is no source: expected the directory of a crate, a .rs file or a prebuilt library"
        )
        .into());
    }
    Ok(())
}

/// Names and signatures in two columns.
fn table(exports: &[ExportInfo]) -> String {
    if exports.is_empty() {
        return "nothing is exported: put #[export] on a pub fn\n".to_owned();
    }
    let rows: Vec<_> = exports.iter().map(|export| (&*export.name, signature(export))).collect();
    table_of(&rows)
}

/// Its signature, and how long a call is meant to take.
fn signature(export: &ExportInfo) -> String {
    let within =
        export.deadline.map(|time| format!(", within {}", humantime::format_duration(time)));
    format!("{}{}", export.signature, within.unwrap_or_default())
}

fn table_of(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, signature)| format!("{name:width$}  {signature}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_stand_in_a_column() {
        let exports = [("add", "(u64, u64) -> u64"), ("f1", "()"), ("version", "() -> u64")];
        let rows: Vec<_> = exports.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let expected = "add      (u64, u64) -> u64\nf1       ()\nversion  () -> u64\n";
        assert_eq!(table_of(&rows), expected);
    }

    #[test]
    fn a_module_without_exports_is_told_what_to_do() {
        assert!(table(&[]).contains("#[export]"));
    }
}
