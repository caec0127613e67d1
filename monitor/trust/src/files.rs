//! The files of a release, held against what was signed.

use std::ffi::OsStr;
use std::io::{self, SeekFrom};
use std::path::Path;

use hotswap_artifact::{ContentHash, ContentHasher};
use hotswap_system::directory::{Directory, EntryKind};
use hotswap_system::fs::File;

use crate::manifest::{FILES_MAX, FileEntry, FilePath, MANIFEST_NAME};
use crate::signed::Verified;

/// A file is not what was signed, and nothing of it may be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} is not what belongs to {release}: {kind}")]
#[non_exhaustive]
pub struct FileError {
    /// The file, below the directory of the release.
    pub path: String,
    /// The release, who signed it, and where the manifest is from.
    pub release: String,
    /// What is wrong.
    pub kind: FileErrorKind,
}

/// What can be wrong with a file of a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The manifest does not list it.
    #[error("the manifest does not list it")]
    NotListed,
    /// It goes on where it should end.
    #[error("it is longer than {bytes} bytes")]
    TooLong {
        /// How long it should be.
        bytes: u64,
    },
    /// It ends too early.
    #[error("it has {found} bytes instead of {bytes}")]
    TooShort {
        /// How long it should be.
        bytes: u64,
        /// How long it is.
        found: u64,
    },
    /// It has other bytes.
    #[error("its SHA-256 is {found} instead of {expected}")]
    Content {
        /// What was signed.
        expected: ContentHash,
        /// What it is.
        found: ContentHash,
    },
    /// It is a link, a device, a directory where a file belongs.
    #[error("it is {what}")]
    NoFile {
        /// What it is.
        what: &'static str,
    },
    /// It is not there, or the system says no.
    #[error("it cannot be read ({0})")]
    Io(#[from] io::Error),
    /// It cannot be copied.
    #[error("it cannot be written ({0})")]
    Write(io::Error),
}

/// Hashes a file of a release as it comes, and stops one byte after it should have ended.
///
/// ```
/// # use hotswap_trust::{FileError, Verified};
/// fn download(verified: &Verified, pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, FileError> {
///     let mut check = verified.file_check("libgreet.so")?;
///     let mut file = Vec::new();
///     for piece in pieces {
///         check.update(&piece)?; // an endless one is refused here
///         file.extend(piece);
///     }
///     check.finish()?;
///     Ok(file)
/// }
/// ```
#[must_use = "a file is what was signed when `finish` says so"]
#[derive(Debug)]
pub struct FileCheck<'v> {
    release: &'v Verified,
    entry: &'v FileEntry,
    hasher: ContentHasher,
    seen: u64,
}

impl FileCheck<'_> {
    /// How many bytes are still to come.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        self.entry.bytes - self.seen
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// When there are more than belong to the file; nothing is to be read any more.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let seen = self.seen.saturating_add(bytes.len() as u64);
        if seen > self.entry.bytes {
            return Err(self.refused(FileErrorKind::TooLong { bytes: self.entry.bytes }));
        }
        self.seen = seen;
        self.hasher.update(bytes);
        Ok(())
    }

    /// That this was all of it, and what was signed.
    ///
    /// # Errors
    ///
    /// When it is too short, or has other bytes.
    pub fn finish(self) -> Result<(), FileError> {
        let FileEntry { bytes, hash: expected, .. } = *self.entry;
        if self.seen < bytes {
            return Err(self.refused(FileErrorKind::TooShort { bytes, found: self.seen }));
        }
        let found = self.hasher.clone().finish();
        if found != expected {
            return Err(self.refused(FileErrorKind::Content { expected, found }));
        }
        Ok(())
    }

    fn refused(&self, kind: FileErrorKind) -> FileError {
        self.release.refused(self.entry.path.as_str(), kind)
    }
}

impl Verified {
    /// What a file that comes in pieces is held against.
    ///
    /// # Errors
    ///
    /// When the manifest does not list it.
    pub fn file_check(&self, path: &str) -> Result<FileCheck<'_>, FileError> {
        let listed = self.file(path);
        let entry = listed.ok_or_else(|| self.refused(path, FileErrorKind::NotListed))?;
        Ok(FileCheck { release: self, entry, hasher: ContentHasher::new(), seen: 0 })
    }

    /// Opens a file below a directory without following links, and hashes what was opened. Blocks while it reads.
    ///
    /// What is given back is what was hashed, whatever lies at its path by then. Who may write into the file itself can still
    /// do so: where that is somebody else, [`copy_file`](Self::copy_file) it.
    ///
    /// # Errors
    ///
    /// When it is not listed, not there, no file, a link leads to it, or it is not what was signed.
    pub fn open_file(&self, directory: &Path, path: &str) -> Result<File, FileError> {
        let refused = |kind| self.refused(path, kind);
        let top = Directory::open(directory).map_err(|error| refused(error.into()))?;
        let mut file = self.read_file(&top, path, |_| Ok(()))?;
        file.seek(SeekFrom::Start(0)).map_err(|error| refused(error.into()))?;
        Ok(file)
    }

    /// Copies a file below a directory into one of the caller's own, and hashes the very bytes that are written. Blocks
    /// while it reads and writes. What is in the copy is to be used only if this succeeds.
    ///
    /// # Errors
    ///
    /// As [`open_file`](Self::open_file), and when the copy cannot be written.
    pub fn copy_file(
        &self,
        directory: &Path,
        path: &str,
        copy: &mut File,
    ) -> Result<(), FileError> {
        let top = Directory::open(directory).map_err(|error| self.refused(path, error.into()))?;
        self.read_file(&top, path, |bytes| copy.write_all(bytes)).map(drop)
    }

    /// Checks that a directory holds the files of the release, all of them and nothing else but directories that lead to them, and
    /// at the top the manifest ([`MANIFEST_NAME`]). Blocks while it reads everything.
    ///
    /// # Errors
    ///
    /// At the first thing that does not belong there, is missing, or is not what was signed.
    pub fn verify_directory(&self, directory: &Path) -> Result<(), FileError> {
        let refused_top = |error: io::Error| self.refused("the directory", error.into());
        let top = Directory::open(directory).map_err(refused_top)?;
        // Before anything is read: what does not belong there may be without end.
        self.refuse_extra(&top, "")?;
        for file in &self.files {
            self.read_file(&top, file.path.as_str(), |_| Ok(()))?;
        }
        Ok(())
    }

    fn refuse_extra(&self, directory: &Directory, below: &str) -> Result<(), FileError> {
        let failed = |error: io::Error| self.refused(below, error.into());
        for (name, kind) in directory.list(FILES_MAX + 1).map_err(failed)? {
            let path = below_top(below, &name);
            match kind {
                EntryKind::File if path == MANIFEST_NAME || self.file(&path).is_some() => {}
                EntryKind::Directory if self.has_directory(&path) => {
                    let inside = directory.directory(&name);
                    let inside = inside.map_err(|error| self.refused(&path, error.into()))?;
                    self.refuse_extra(&inside, &path)?;
                }
                EntryKind::File | EntryKind::Directory => {
                    return Err(self.refused(&path, FileErrorKind::NotListed));
                }
                EntryKind::Link | EntryKind::Other => {
                    let what = what(kind);
                    return Err(self.refused(&path, FileErrorKind::NoFile { what }));
                }
            }
        }
        Ok(())
    }

    /// Whether a file of the release lies below this path.
    fn has_directory(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path.directories().any(|directory| directory == path))
    }

    /// Reads a file that is not reached by a link, gives its bytes away as they are hashed, and compares.
    fn read_file(
        &self,
        top: &Directory,
        path: &str,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<File, FileError> {
        let mut check = self.file_check(path)?;
        let refused = |kind| self.refused(path, kind);
        let mut file = open_below(top, &check.entry.path).map_err(|error| refused(error.into()))?;
        let mut buffer = vec![0; ContentHash::READ_BYTES];
        loop {
            let count = file.fill(&mut buffer).map_err(|error| refused(error.into()))?;
            if count == 0 {
                break;
            }
            check.update(&buffer[..count])?;
            take(&buffer[..count]).map_err(|error| refused(FileErrorKind::Write(error)))?;
        }
        check.finish()?;
        Ok(file)
    }

    fn refused(&self, path: &str, kind: FileErrorKind) -> FileError {
        // What lies in a directory may be called anything.
        let path = path.escape_debug().to_string();
        FileError { path, release: self.described(), kind }
    }
}

fn below_top(below: &str, name: &OsStr) -> String {
    // What is no text is in no manifest, and neither is what it becomes.
    let name = name.to_string_lossy();
    if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") }
}

fn what(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "a file",
        EntryKind::Directory => "a directory",
        EntryKind::Link => "a link",
        EntryKind::Other => "a device, a pipe or a socket",
    }
}

/// Opens a file by way of its directories, none of which may be a link.
fn open_below(top: &Directory, path: &FilePath) -> io::Result<File> {
    let mut names = path.as_str().split('/').peekable();
    let mut inside: Option<Directory> = None;
    while let Some(name) = names.next() {
        let directory = inside.as_ref().unwrap_or(top);
        if names.peek().is_none() {
            return directory.file(name.as_ref());
        }
        inside = Some(directory.directory(name.as_ref())?);
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// Files that cannot be made into a release.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be part of a release: {kind}")]
#[non_exhaustive]
pub struct ListError {
    /// The file or directory, below the one that was to be listed.
    pub path: String,
    /// What is wrong.
    pub kind: ListErrorKind,
}

/// Why something cannot be part of a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListErrorKind {
    /// It is neither a file nor a directory.
    #[error("it is {what}")]
    NoFile {
        /// What it is.
        what: &'static str,
    },
    /// It may not be called that.
    #[error("{0}")]
    Path(#[from] crate::manifest::FilePathError),
    /// There are too many.
    #[error("there are more than {FILES_MAX} files")]
    TooMany,
    /// It cannot be read.
    #[error("it cannot be read ({0})")]
    Io(#[from] io::Error),
}

/// What lies at the top of a crate and is no part of a release, nor is what was released there before.
const LEFT_OUT: [&str; 3] = ["target", ".git", MANIFEST_NAME];

impl FileEntry {
    /// All files below a directory, by path, for a manifest: all but `target`, `.git` and a manifest at its top. Blocks while it reads them.
    ///
    /// # Errors
    ///
    /// When something is no file, may not be called what it is, cannot be read, or there are too many.
    pub fn list_directory(directory: &Path) -> Result<Vec<Self>, ListError> {
        let mut files = Vec::new();
        let top = Directory::open(directory);
        let top = top.map_err(|error| list_error("the directory", error))?;
        list(&top, "", &mut files)?;
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(files)
    }
}

fn list_error(path: &str, kind: impl Into<ListErrorKind>) -> ListError {
    ListError { path: path.escape_debug().to_string(), kind: kind.into() }
}

fn list(directory: &Directory, below: &str, files: &mut Vec<FileEntry>) -> Result<(), ListError> {
    let listed = directory.list(FILES_MAX + LEFT_OUT.len());
    for (name, kind) in listed.map_err(|error| list_error(below, error))? {
        let path = below_top(below, &name);
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        let failed = |error: io::Error| list_error(&path, error);
        match kind {
            EntryKind::Directory => {
                list(&directory.directory(&name).map_err(failed)?, &path, files)?;
            }
            EntryKind::File => {
                let entry = FilePath::new(&path).map_err(|error| list_error(&path, error))?;
                let mut file = directory.file(&name).map_err(failed)?;
                let (bytes, hash) = hash(&mut file).map_err(failed)?;
                files.push(FileEntry::new(entry, bytes, hash));
            }
            EntryKind::Link | EntryKind::Other => {
                return Err(list_error(&path, ListErrorKind::NoFile { what: what(kind) }));
            }
        }
        if files.len() > FILES_MAX {
            return Err(list_error(&path, ListErrorKind::TooMany));
        }
    }
    Ok(())
}

fn hash(file: &mut File) -> io::Result<(u64, ContentHash)> {
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; ContentHash::READ_BYTES];
    let mut bytes = 0;
    loop {
        match file.fill(&mut buffer)? {
            0 => return Ok((bytes, hasher.finish())),
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}
