//! All lines of a log, with those in the files that were put aside, in the order in which they were written.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use hotswap_system::fs::File;

use super::LogError;
use super::chain::Joint;
use super::rotation::files_of;
use crate::log_line::{LogLine, LogLineError, LogLineErrorKind, log_lines};

/// Something in a file of the log: a line, or what is none.
pub(super) struct Found<'a> {
    pub(super) path: &'a Path,
    /// Which line of the file, from 1.
    pub(super) number: u64,
    pub(super) line: Result<LogLine, LogLineError>,
}

/// The files of a log, oldest first.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, LogError> {
    let files = files_of(path).map_err(LogError::at("read", path))?;
    let mut ordered = Vec::new();
    for file in files {
        let first = lines_of(&file)?.find_map(|line| Some(Joint::of(&line.ok()?)?.end.seq));
        // One that says nothing of its place is read last.
        ordered.push((first.unwrap_or(u64::MAX), file));
    }
    ordered.sort();
    Ok(ordered.into_iter().map(|(_, file)| file).collect())
}

/// Shows each line of these files, and what is none.
pub(super) fn read(files: &[PathBuf], mut show: impl FnMut(Found<'_>)) -> Result<(), LogError> {
    for path in files {
        let mut lines = lines_of(path)?;
        while let Some(line) = lines.next() {
            if let Err(LogLineError { kind: LogLineErrorKind::Read(error), .. }) = line {
                return Err(LogError { action: "read", path: path.clone(), error });
            }
            show(Found { path, number: lines.line(), line });
        }
    }
    Ok(())
}

fn lines_of(path: &Path) -> Result<crate::LogLines<BufReader<Reading>>, LogError> {
    let file = File::open(path).map_err(LogError::at("read", path))?;
    Ok(log_lines(BufReader::new(Reading(file))))
}

/// A file, for what reads anything.
#[derive(Debug)]
struct Reading(File);

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fill(buffer)
    }
}
