//! Directories that are held open, and what lies in them, without following links.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open, openat};

use crate::fault::{Operation, check};
use crate::fs::{self, File};
use crate::socket::own_user;

/// A directory that is held open. Who renames it, or puts a link in its place, does not change what is reached through it.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// What lies in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link, wherever it leads.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// `NONBLOCK`: opening a pipe to which nobody writes does not wait. Files do not know it.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Directory {
    /// Opens a directory. Links on the way to it are followed: the path is the caller's word.
    ///
    /// # Errors
    ///
    /// As open(2).
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        check(Operation::Open, path)?;
        Ok(Self { descriptor: open(path, DIRECTORY, Mode::empty())?, path: path.to_owned() })
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    ///
    /// As openat(2); `ENOTDIR` or `ELOOP` when a link lies there.
    #[track_caller]
    pub fn directory(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        check(Operation::Open, &path)?;
        let flags = DIRECTORY.union(OFlags::NOFOLLOW);
        Ok(Self { descriptor: openat(&self.descriptor, name, flags, Mode::empty())?, path })
    }

    /// Opens a file in this directory for reading.
    ///
    /// # Errors
    ///
    /// As openat(2), `ELOOP` when a link lies there; [`io::ErrorKind::InvalidInput`] when it is no file.
    #[track_caller]
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let path = self.path.join(name);
        check(Operation::Open, &path)?;
        let file = openat(&self.descriptor, name, FILE, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(File::of(file.into(), path))
    }

    /// What lies in it, by name in order of bytes, at most `entries_max` of them.
    ///
    /// # Errors
    ///
    /// As getdents(2); [`io::ErrorKind::QuotaExceeded`] when there are more.
    #[track_caller]
    pub fn list(&self, entries_max: usize) -> io::Result<Vec<(OsString, EntryKind)>> {
        check(Operation::List, &self.path)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.descriptor)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == entries_max {
                let text = format!("there are more than {entries_max} entries");
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
            }
            entries.push((name.to_owned(), self.kind(name, entry.file_type())?));
        }
        entries.sort();
        Ok(entries)
    }

    /// Some file systems do not say in a list what lies there.
    fn kind(&self, name: &OsStr, listed: FileType) -> io::Result<EntryKind> {
        let kind = match listed {
            FileType::Unknown => {
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                let stat = rustix::fs::statat(&self.descriptor, name, flags)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            listed => listed,
        };
        Ok(match kind {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Link,
            _ => EntryKind::Other,
        })
    }

    /// Brings to the disk what it is made of: which files it has, and under which names.
    ///
    /// # Errors
    ///
    /// As fsync(2).
    #[track_caller]
    pub fn sync(&self) -> io::Result<()> {
        check(Operation::Sync, &self.path)?;
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }
}

/// Write permission of the group and of others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a directory is not this user's alone to write in.
#[derive(Debug)]
pub enum NotPrivate {
    /// The system says no.
    Io {
        /// What was to be done.
        doing: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// Others may write there.
    Open {
        /// Whose it is.
        owner: u32,
        /// Who may do what.
        mode: u32,
    },
}

/// Makes a directory that only its owner may look into, and those above it, or makes sure of one that is there: it is this user's, and no
/// other may write in it.
///
/// # Errors
///
/// When it is not, or the system says no.
#[track_caller]
pub fn make_private(directory: &Path) -> Result<(), NotPrivate> {
    let failed = |doing| move |error| NotPrivate::Io { doing, error };
    fs::create_private_dir_all(directory).map_err(failed("make room for"))?;
    let metadata = fs::metadata(directory).map_err(failed("look at"))?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner == own_user() && mode & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(NotPrivate::Open { owner, mode })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_pipes_are_listed_and_not_opened() {
        let path = std::env::temp_dir().join(format!("hotswap-directory-{}", std::process::id()));
        fs::create_dir_all(path.join("inside")).expect("writable");
        fs::write(path.join("file"), "text").expect("writable");
        fs::write(path.join("inside/file"), "inside").expect("writable");
        symlink("file", path.join("link")).expect("writable");
        symlink("inside", path.join("door")).expect("writable");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), FileType::Fifo, mode, 0)
            .expect("writable");
        let directory = Directory::open(&path).expect("readable");
        use EntryKind::{Directory as Folder, File, Link, Other};
        let listed = directory.list(5).expect("five");
        let listed: Vec<_> = listed.iter().map(|(name, kind)| (name.to_str(), *kind)).collect();
        let expected =
            [("door", Link), ("file", File), ("inside", Folder), ("link", Link), ("pipe", Other)];
        assert_eq!(listed, expected.map(|(name, kind)| (Some(name), kind)));
        // A list begins anew.
        assert_eq!(directory.list(5).expect("five").len(), 5);
        assert_eq!(directory.list(4).expect_err("more").kind(), io::ErrorKind::QuotaExceeded);
        let mut text = Vec::new();
        let read = |mut file: crate::fs::File, text: &mut Vec<u8>| file.read_to_end(text);
        read(directory.file("file".as_ref()).expect("a file"), &mut text).expect("readable");
        let inside = directory.directory("inside".as_ref()).expect("a directory");
        // It is held, wherever it goes.
        fs::rename(path.join("inside"), path.join("moved")).expect("writable");
        read(inside.file("file".as_ref()).expect("a file"), &mut text).expect("readable");
        assert_eq!(text, b"textinside");
        for name in ["link", "pipe", "moved", "absent"] {
            directory.file(name.as_ref()).expect_err(name);
        }
        for name in ["door", "file", "absent"] {
            directory.directory(name.as_ref()).expect_err(name);
        }
        fs::remove_dir_all(&path).expect("removable");
    }
}
