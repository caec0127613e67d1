//! Where a log is put aside.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_system::fs;

use super::head::with_ending;

/// What became of a file that was put aside.
pub(super) struct Shifted {
    pub(super) to: PathBuf,
    /// The oldest, which is gone for it.
    pub(super) dropped: Option<PathBuf>,
}

/// Gives a file the name `<path>.1`, and those before it the next number each, as logrotate does.
pub(super) fn shift(path: &Path, files_max: u32) -> io::Result<Shifted> {
    let files_max = files_max.max(1);
    let oldest = numbered(path, files_max);
    let dropped = fs::exists(&oldest)?.then_some(oldest);
    for number in (1..files_max).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let to = numbered(path, 1);
    fs::rename(path, &to)?;
    Ok(Shifted { to, dropped })
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    with_ending(path, &format!(".{number}"))
}

/// A log and what was put aside from it, by this library or by logrotate: `<name>.1`, `<name>-20260131`. In no
/// order: names may lie, the numbers of the lines do not.
pub(super) fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_part = |other: &str| {
        other.strip_prefix(&name).is_some_and(|ending| {
            let number = ending.strip_prefix(['.', '-']);
            ending.is_empty()
                || number.is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
        })
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        if is_part(&entry.file_name().to_string_lossy()) {
            files.push(path.with_file_name(entry.file_name()));
        }
    }
    if files.is_empty() {
        // Says why it is not there.
        fs::metadata(path)?;
    }
    Ok(files)
}
