//! All files of a crate in one piece: a tar archive, of which only plain files are taken.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use hotswap_system::fs::{self, File};
use tar::{Archive, Builder, EntryType, Header};

use super::CODE_BYTES_MAX;

/// The most files in an archive of a crate.
///
/// 4,096: the largest crates of a registry have some hundreds; each is a file to be written and hashed.
pub const ARCHIVE_FILES_MAX: usize = 4_096;

/// What lies at the top of a crate and is not part of it.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// What an archive is made of.
const BLOCK_BYTES: u64 = 512;

/// How it ends: two blocks of nothing.
const END: [u8; 1_024] = [0; 1_024];

/// The files of a crate. Equal files give equal bytes: no times, no owners, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrateArchive {
    bytes: Vec<u8>,
    /// By their paths below the crate, in order.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl CrateArchive {
    /// Packs the files of a crate: all but `target` and `.git`. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// When there is no `Cargo.toml`, something cannot be read, or is neither file nor directory, or it is too much.
    pub fn pack(package: &Path) -> Result<Self, ArchiveError> {
        let mut names = Vec::new();
        list(package, Path::new(""), &mut names)?;
        names.sort();
        let mut files = Vec::new();
        let mut bytes = 0;
        for name in names {
            let path = package.join(&name);
            let content = fs::read(&path).map_err(|error| ArchiveError::read(&path, error))?;
            bytes += content.len() as u64;
            if bytes > CODE_BYTES_MAX {
                return Err(ArchiveError::TooLarge { bytes_max: CODE_BYTES_MAX });
            }
            files.push((name, content));
        }
        must_be_a_crate(&files)?;
        let bytes = write(&files).map_err(|error| ArchiveError::Malformed { error })?;
        Ok(Self { bytes, files })
    }

    /// Reads an archive that comes from anywhere.
    ///
    /// # Errors
    ///
    /// When it holds anything but files and directories below it, the same twice, too many, or no `Cargo.toml`.
    pub fn read(bytes: Vec<u8>) -> Result<Self, ArchiveError> {
        let files = read(&bytes)?;
        must_be_a_crate(&files)?;
        Ok(Self { bytes, files })
    }

    /// The archive.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The files by their paths below the crate, in order.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files.iter().map(|(name, content)| (name.as_path(), content.as_slice()))
    }

    /// Writes the files below a directory, which is empty.
    pub(super) fn unpack(&self, directory: &Path) -> io::Result<()> {
        for (name, content) in &self.files {
            let path = directory.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            File::create_new(&path)?.write_all(content)?;
        }
        Ok(())
    }
}

/// A crate cannot be packed, or what was published is no crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A file cannot be read.
    #[error("cannot read {} ({error})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The bytes are no archive.
    #[error("it is no tar archive ({error})")]
    Malformed {
        /// What is wrong.
        error: io::Error,
    },
    /// A path that does not stay below the crate.
    #[error("{path:?} leads out of the crate")]
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// Something that is neither a file nor a directory: a link, a device.
    #[error("{path:?} is {what}; only files and directories are part of a crate")]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The same path again.
    #[error("{path:?} is there twice")]
    Twice {
        /// The path.
        path: PathBuf,
    },
    /// A file below which there are files.
    #[error("{path:?} is a file and a directory")]
    FileAndDirectory {
        /// The path.
        path: PathBuf,
    },
    /// More than [`ARCHIVE_FILES_MAX`] files.
    #[error("it has more than {files_max} files")]
    TooMany {
        /// The most that are taken.
        files_max: usize,
    },
    /// More than [`CODE_BYTES_MAX`] bytes.
    #[error("it has more than {bytes_max} bytes")]
    TooLarge {
        /// The most that is taken.
        bytes_max: u64,
    },
    /// There is no manifest.
    #[error("it is no crate: there is no Cargo.toml at its top")]
    NoManifest,
}

impl ArchiveError {
    fn read(path: &Path, error: io::Error) -> Self {
        Self::Read { path: path.to_owned(), error }
    }
}

/// Names the files below a directory of the crate.
fn list(package: &Path, below: &Path, names: &mut Vec<PathBuf>) -> Result<(), ArchiveError> {
    let directory = package.join(below);
    let failed = |error| ArchiveError::read(&directory, error);
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (file_name, name) = (entry.file_name(), below.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed)?;
        if below.as_os_str().is_empty() && LEFT_OUT.iter().any(|left_out| file_name == *left_out) {
            continue;
        }
        if kind.is_dir() {
            list(package, &name, names)?;
        } else if kind.is_file() {
            names.push(name);
        } else {
            let what = if kind.is_symlink() { "a link" } else { "a device, a socket or a pipe" };
            return Err(ArchiveError::NoFile { path: name, what });
        }
        if names.len() > ARCHIVE_FILES_MAX {
            return Err(ArchiveError::TooMany { files_max: ARCHIVE_FILES_MAX });
        }
    }
    Ok(())
}

fn must_be_a_crate(files: &[(PathBuf, Vec<u8>)]) -> Result<(), ArchiveError> {
    if files.iter().any(|(name, _)| name == Path::new("Cargo.toml")) {
        Ok(())
    } else {
        Err(ArchiveError::NoManifest)
    }
}

fn write(files: &[(PathBuf, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.into_inner()
}

fn read(bytes: &[u8]) -> Result<Vec<(PathBuf, Vec<u8>)>, ArchiveError> {
    let malformed = |error| ArchiveError::Malformed { error };
    let mut archive = Archive::new(bytes);
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    let mut end = 0;
    for entry in archive.entries().map_err(malformed)? {
        let mut entry = entry.map_err(malformed)?;
        let path = entry.path().map_err(malformed)?.into_owned();
        let blocks = entry.size().div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        end = entry.raw_file_position().saturating_add(blocks);
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => continue,
            // What describes other entries.
            EntryType::XGlobalHeader => continue,
            EntryType::Symlink | EntryType::Link => {
                return Err(ArchiveError::NoFile { path, what: "a link" });
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(ArchiveError::NoFile { path, what: "a device or a pipe" });
            }
            _ => return Err(ArchiveError::NoFile { path, what: "of an unknown kind" }),
        }
        let name = inside(&path)?;
        if files.len() == ARCHIVE_FILES_MAX {
            return Err(ArchiveError::TooMany { files_max: ARCHIVE_FILES_MAX });
        }
        if !seen.insert(name.clone()) {
            return Err(ArchiveError::Twice { path });
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(malformed)?;
        if content.len() as u64 != entry.size() {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends inside a file");
            return Err(malformed(error));
        }
        files.push((name, content));
    }
    // Cut between two files, an archive looks like a shorter one.
    let end = usize::try_from(end).ok().and_then(|end| bytes.get(end..)?.get(..END.len()));
    if end != Some(&END) {
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "its end is missing");
        return Err(malformed(error));
    }
    let mut above = seen.iter().flat_map(|name| name.ancestors().skip(1));
    if let Some(path) = above.find(|above| seen.contains(*above)) {
        return Err(ArchiveError::FileAndDirectory { path: path.to_owned() });
    }
    files.sort();
    Ok(files)
}

/// The path, if it stays below the crate.
fn inside(path: &Path) -> Result<PathBuf, ArchiveError> {
    let mut name = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => name.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(ArchiveError::Outside { path: path.to_owned() });
            }
        }
    }
    if name.as_os_str().is_empty() {
        return Err(ArchiveError::Outside { path: path.to_owned() });
    }
    Ok(name)
}
