//! State in a file: what a program had when it ended, for the next one.
//!
//! Lines of text that say what follows them, and bytes; a hash of it all at the end. The file appears whole or not at all.

use std::alloc::Layout;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::ContentHash;
use hotswap_system::fs::{self, File};
use hotswap_system::process;

use super::cell::{Cell, Content};
use super::cells::Cells;
use super::kinds::Form;
use super::value::Resting;

/// The first line: what the file is, and in which format.
const HEADER: &str = "hotswap-state 1";

/// How long who writes a cell is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Length of the hash at the end, in hexadecimal digits, with the line's end.
const HASH_BYTES: usize = 65;

/// State could not be saved, or what was saved could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the state in {}: {message}", path.display())]
#[non_exhaustive]
pub struct StateFileError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not, and what is left.
    pub message: String,
}

impl StateFileError {
    fn new(action: &'static str, path: &Path, message: impl ToString) -> Self {
        Self { action, path: path.to_owned(), message: message.to_string() }
    }
}

/// What was saved: how many cells, and how many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saved {
    pub(crate) cells: usize,
    pub(crate) bytes: usize,
}

/// Writes all cells that have a value. The file that was there stays until the new one is whole.
pub(crate) fn save(path: &Path, cells: &[Arc<Cell>]) -> Result<Saved, StateFileError> {
    let fail = |message: String| StateFileError::new("save", path, message);
    let mut bytes = format!("{HEADER}\n").into_bytes();
    let mut count = 0;
    for cell in cells {
        let resting = match cell.read(PATIENCE, true) {
            Some(resting) => resting.map_err(|error| fail(format!("{}: {error}", cell.title())))?,
            None if cell.is_empty(PATIENCE) => continue,
            None => {
                return Err(fail(format!(
                    "{} is locked; what was saved before stays",
                    cell.title()
                )));
            }
        };
        write(&mut bytes, cell, &resting);
        count += 1;
    }
    let hash = ContentHash::of(&bytes);
    bytes.extend_from_slice(format!("{hash}\n").as_bytes());
    let saved = Saved { cells: count, bytes: bytes.len() };
    publish(path, &bytes).map_err(|error| fail(format!("{error}; what was saved before stays")))?;
    Ok(saved)
}

/// Gives the bytes their name when they are on the disk: a crash leaves the old file or the new one.
fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // The reason is what is told.
        let _ = fs::remove_file(&temporary);
    }
    renamed?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn write(bytes: &mut Vec<u8>, cell: &Cell, resting: &Resting) {
    let Form { version, text, layout } = &cell.form;
    let lengths =
        [cell.schema.len(), cell.name.len(), text.len(), resting.bytes.len(), resting.json.len()];
    let lengths = lengths.map(|length| length.to_string()).join(" ");
    let head = format!("cell {version} {} {} {lengths}\n", layout.size(), layout.align());
    bytes.extend_from_slice(head.as_bytes());
    for part in [
        cell.schema.as_bytes(),
        cell.name.as_bytes(),
        text.as_bytes(),
        &resting.bytes,
        &resting.json,
    ] {
        bytes.extend_from_slice(part);
    }
    bytes.push(b'\n');
}

/// Puts into `cells` what was saved; how many there were. A file that is not there holds nothing.
pub(crate) fn load(path: &Path, cells: &Cells) -> Result<usize, StateFileError> {
    let fail = |message: String| StateFileError::new("read", path, message);
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(fail(error.to_string())),
    };
    let damaged = || {
        fail(
            "it is damaged; move it away to start without it, or put a copy in its place"
                .to_owned(),
        )
    };
    let end = bytes.len().checked_sub(HASH_BYTES).ok_or_else(damaged)?;
    let (body, hash) = bytes.split_at(end);
    if hash != format!("{}\n", ContentHash::of(body)).as_bytes() {
        return Err(damaged());
    }
    let body = body.strip_prefix(format!("{HEADER}\n").as_bytes()).ok_or_else(|| {
        fail(format!("it does not begin with {HEADER:?}: another version wrote it"))
    })?;
    let found = read(body, cells).ok_or_else(damaged)?;
    found.iter().for_each(|cell| cells.put(Arc::clone(cell)));
    Ok(found.len())
}

fn read(mut rest: &[u8], cells: &Cells) -> Option<Vec<Arc<Cell>>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&rest[..end]).ok()?.strip_prefix("cell ")?;
        let numbers: Vec<usize> = head.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [version, size, align, lengths @ ..] = numbers.as_slice() else { return None };
        let lengths: [usize; 5] = lengths.try_into().ok()?;
        rest = &rest[end + 1..];
        let mut part = |length: usize| -> Option<&[u8]> {
            let (part, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(part)
        };
        let parts: Vec<&[u8]> =
            lengths.iter().map(|length| part(*length)).collect::<Option<_>>()?;
        if part(1)? != b"\n" {
            return None;
        }
        let [schema, name, text] = [0, 1, 2].map(|part| std::str::from_utf8(parts[part]).ok());
        let form = Form {
            version: u16::try_from(*version).ok()?,
            text: text?.to_owned(),
            layout: Layout::from_size_align(*size, *align).ok()?,
        };
        let resting = Resting { bytes: parts[3].to_owned(), json: parts[4].to_owned() };
        let content = Content::Resting(resting);
        found.push(Arc::new(Cell::new(schema?, name?, form, content, cells.owner())));
    }
    Some(found)
}
