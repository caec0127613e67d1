//! Files. The functions are those of [`std::fs`], as far as they are used.

use std::fs::TryLockError;
pub use std::fs::{Metadata, ReadDir};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::fault::{Operation, check};
use crate::removal::remove_tree;

/// A whole file.
///
/// # Errors
///
/// As [`std::fs::read`].
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    check(Operation::Read, path.as_ref())?;
    std::fs::read(path)
}

/// A whole file that is text.
///
/// # Errors
///
/// As [`std::fs::read_to_string`].
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    check(Operation::Read, path.as_ref())?;
    std::fs::read_to_string(path)
}

/// Writes a whole file, in place.
///
/// # Errors
///
/// As [`std::fs::write`].
#[track_caller]
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let (path, bytes) = (path.as_ref(), bytes.as_ref());
    if let Err(error) = check(Operation::Write, path) {
        // As a disk that is full half-way does it.
        std::fs::write(path, &bytes[..bytes.len() / 2])?;
        return Err(error);
    }
    std::fs::write(path, bytes)
}

/// Writes a whole file that can be run. What lies there is replaced.
///
/// # Errors
///
/// As [`std::fs::write`].
#[track_caller]
pub fn write_program(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    let path = path.as_ref();
    check(Operation::Write, path)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o755).open(path)?.write_all(text.as_bytes())
}

/// Gives a file one more name that leads to it, without its being there.
///
/// # Errors
///
/// As [`std::os::unix::fs::symlink`].
#[track_caller]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Link, link.as_ref())?;
    std::os::unix::fs::symlink(original, link)
}

/// Makes a directory and those above it.
///
/// # Errors
///
/// As [`std::fs::create_dir_all`].
#[track_caller]
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Create, path.as_ref())?;
    std::fs::create_dir_all(path)
}

/// Makes a directory that only its owner may look into, and those above it.
///
/// # Errors
///
/// As [`std::fs::create_dir_all`].
#[track_caller]
pub fn create_private_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Create, path.as_ref())?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file.
///
/// # Errors
///
/// As [`std::fs::remove_file`].
#[track_caller]
pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Remove, path.as_ref())?;
    std::fs::remove_file(path)
}

/// Removes an empty directory.
///
/// # Errors
///
/// As [`std::fs::remove_dir`].
#[track_caller]
pub fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Remove, path.as_ref())?;
    std::fs::remove_dir(path)
}

/// Removes a directory and all that is in it.
///
/// # Errors
///
/// As [`std::fs::remove_dir_all`].
#[track_caller]
pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Remove, path.as_ref())?;
    std::fs::remove_dir_all(path)
}

/// Removes a directory and all that is in it, also directories that nobody may enter, however deep they lie. Nothing else
/// may write there.
///
/// # Errors
///
/// As unlinkat(2), openat(2) and renameat(2); part of it may have been removed.
#[track_caller]
pub fn remove_closed_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Remove, path.as_ref())?;
    remove_tree(path.as_ref())
}

/// Gives a file another name, in one step.
///
/// # Errors
///
/// As [`std::fs::rename`].
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Rename, to.as_ref())?;
    std::fs::rename(from, to)
}

/// Gives a file one more name.
///
/// # Errors
///
/// As [`std::fs::hard_link`].
#[track_caller]
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    check(Operation::Link, link.as_ref())?;
    std::fs::hard_link(original, link)
}

/// Copies a file; its length.
///
/// # Errors
///
/// As [`std::fs::copy`].
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    if let Err(error) = check(Operation::Write, to.as_ref()) {
        let bytes = std::fs::read(from)?;
        std::fs::write(to, &bytes[..bytes.len() / 2])?;
        return Err(error);
    }
    std::fs::copy(from, to)
}

/// What a path leads to.
///
/// # Errors
///
/// As [`std::fs::metadata`].
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    check(Operation::Stat, path.as_ref())?;
    std::fs::metadata(path)
}

/// What is in a directory.
///
/// # Errors
///
/// As [`std::fs::read_dir`].
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    check(Operation::List, path.as_ref())?;
    std::fs::read_dir(path)
}

/// The path without links.
///
/// # Errors
///
/// As [`std::fs::canonicalize`].
#[track_caller]
pub fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    check(Operation::Stat, path.as_ref())?;
    std::fs::canonicalize(path)
}

/// Whether the path leads to something.
///
/// # Errors
///
/// When that cannot be told: there may be something. As [`std::fs::exists`].
#[track_caller]
pub fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    check(Operation::Stat, path.as_ref())?;
    std::fs::exists(path)
}

/// An open file.
#[derive(Debug)]
pub struct File {
    file: std::fs::File,
    path: PathBuf,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        check(Operation::Open, path.as_ref())?;
        Ok(Self { file: std::fs::File::open(&path)?, path: path.as_ref().to_owned() })
    }

    /// Makes a file, or empties one that is there.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create`].
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        check(Operation::Create, path.as_ref())?;
        Ok(Self { file: std::fs::File::create(&path)?, path: path.as_ref().to_owned() })
    }

    /// Makes a file that is not there.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create_new`].
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        check(Operation::Create, path.as_ref())?;
        Ok(Self { file: std::fs::File::create_new(&path)?, path: path.as_ref().to_owned() })
    }

    /// Makes a file that is not there, which only its owner may read and write.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create_new`].
    #[track_caller]
    pub fn create_private(path: impl AsRef<Path>) -> io::Result<Self> {
        check(Operation::Create, path.as_ref())?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path: path.as_ref().to_owned() })
    }

    /// Opens a file for reading and for writing at its end; makes it if it is not there.
    ///
    /// # Errors
    ///
    /// As [`std::fs::OpenOptions::open`].
    #[track_caller]
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        check(Operation::Create, path.as_ref())?;
        let file = std::fs::OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        Ok(Self { file, path: path.as_ref().to_owned() })
    }

    /// One that is open.
    pub(crate) fn of(file: std::fs::File, path: PathBuf) -> Self {
        Self { file, path }
    }

    /// What the kernel knows it by.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What it is.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::metadata`].
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        check(Operation::Stat, &self.path)?;
        self.file.metadata()
    }

    /// Brings it to the disk.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::sync_all`].
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        check(Operation::Sync, &self.path)?;
        self.file.sync_all()
    }

    /// Cuts it, or fills it with zeros, to this length.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_len`].
    #[track_caller]
    pub fn set_len(&self, bytes: u64) -> io::Result<()> {
        check(Operation::Remove, &self.path)?;
        self.file.set_len(bytes)
    }

    /// Sets its age.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_modified`].
    #[track_caller]
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        check(Operation::Write, &self.path)?;
        self.file.set_modified(time)
    }

    /// Locks it for this process; waits for whoever has it.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::lock`].
    #[track_caller]
    pub fn lock(&self) -> io::Result<()> {
        check(Operation::Lock, &self.path)?;
        self.file.lock()
    }

    /// Locks it for this process unless somebody has it.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::try_lock`].
    #[track_caller]
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        check(Operation::Lock, &self.path).map_err(TryLockError::Error)?;
        self.file.try_lock()
    }

    /// Reads until the buffer is full or the file at its end; how much it was.
    ///
    /// # Errors
    ///
    /// As [`Read::read`].
    #[track_caller]
    pub fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(Operation::Read, &self.path)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Reads this many bytes, or as many as there are.
    ///
    /// # Errors
    ///
    /// As [`Read::read_to_end`].
    #[track_caller]
    pub fn read_at_most(&mut self, bytes_max: u64, bytes: &mut Vec<u8>) -> io::Result<usize> {
        check(Operation::Read, &self.path)?;
        Read::by_ref(&mut self.file).take(bytes_max).read_to_end(bytes)
    }

    /// Reads the rest.
    ///
    /// # Errors
    ///
    /// As [`Read::read_to_end`].
    #[track_caller]
    pub fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        check(Operation::Read, &self.path)?;
        self.file.read_to_end(bytes)
    }

    /// Goes to a place in it.
    ///
    /// # Errors
    ///
    /// As [`Seek::seek`].
    #[track_caller]
    pub fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        check(Operation::Read, &self.path)?;
        self.file.seek(to)
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// As [`Write::write_all`]; part of it may have been written.
    #[track_caller]
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = check(Operation::Write, &self.path) {
            // As a disk that is full half-way does it.
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_all(bytes)
    }
}
