//! `hotswap new`: writes a module crate that works as it is.

use std::fs;
use std::io::{self, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use crate::arguments::NewArguments;
use crate::failure::Failure;
use crate::{crate_name, template};

/// Writes the crate, and says what to type next.
pub(crate) fn new(arguments: &NewArguments) -> Result<ExitCode, Failure> {
    if let Some(objection) = crate_name::objection(&arguments.name) {
        return Err(anyhow!(objection).into());
    }
    let directory = arguments.path.clone().unwrap_or_else(|| PathBuf::from(&arguments.name));
    make_empty(&directory)?;
    for (path, text) in template::files(&arguments.name) {
        write(&directory.join(path), &text)?;
    }
    let shown = quoted(&directory);
    // The crate is there, whether or not somebody reads this.
    let _ = writeln!(
        stdout(),
        "wrote {}: edit {} while this runs:\n\n  hotswap run {shown}\n",
        directory.display(),
        directory.join("src/lib.rs").display(),
    );
    Ok(ExitCode::SUCCESS)
}

/// Makes the directory, unless it is there and empty. Nothing is ever overwritten.
fn make_empty(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(anyhow!("{shown} exists and is not empty; choose another with --path")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory).with_context(|| format!("cannot create {shown}"))
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot use {shown} as the directory of the crate"))
        }
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create_new(path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '~');
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_can_be_pasted() {
        assert_eq!(quoted(Path::new("modules/game")), "modules/game");
        assert_eq!(quoted(Path::new("my modules/it's")), "'my modules/it'\\''s'");
    }
}
