//! The files of a release, before they are put anywhere.

use std::path::{Path, PathBuf};

use hotswap_artifact::{BuildErrorKind, ContentHash, ContentHasher, Host};
use hotswap_system::fs::{self, File};
use hotswap_trust::{CodeKind, FileEntry, FilePath};

use super::{PublishError, PublishErrorKind};
use crate::project::Project;
use crate::{BuildSettings, StopSignal};

/// The files of a release, with the hashes that they had when they were looked at.
#[derive(Debug, Clone)]
pub struct Contents {
    pub(super) kind: CodeKind,
    pub(super) host: Option<Host>,
    pub(super) files: Vec<FileEntry>,
    /// Where they lie; `None` where they were published before.
    top: Option<Top>,
}

#[derive(Debug, Clone)]
enum Top {
    Directory(PathBuf),
    File(PathBuf),
}

impl Contents {
    /// All files of a crate, but what lies in `target` and `.git` at its top. Blocks while they are read, and while cargo says what it depends
    /// on, for which it may write the lock file.
    ///
    /// # Errors
    ///
    /// When it is no crate, something in it is no file or may not be called what it is, or it depends by path on what is outside of it.
    pub fn package(directory: impl AsRef<Path>) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        let failed = |kind| refused(directory, kind);
        if !fs::exists(directory.join("Cargo.toml")).is_ok_and(|is_there| is_there) {
            return Err(failed(PublishErrorKind::NoManifest { path: directory.to_owned() }));
        }
        stands_alone(directory).map_err(failed)?;
        let files = FileEntry::list_directory(directory).map_err(|error| failed(error.into()))?;
        let top = Some(Top::Directory(directory.to_owned()));
        Ok(Self { kind: CodeKind::Crate, host: None, files, top })
    }

    /// One file of Rust source. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or may not be called what it is.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, PublishError> {
        Self::one(path.as_ref(), CodeKind::File, None)
    }

    /// A library that was built for such hosts. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file).
    pub fn prebuilt(path: impl AsRef<Path>, host: Host) -> Result<Self, PublishError> {
        Self::one(path.as_ref(), CodeKind::Prebuilt, Some(host))
    }

    /// The same file, or library, under another name in the release. Of a crate this changes nothing.
    ///
    /// # Errors
    ///
    /// When no file may be called that.
    pub fn named(mut self, name: &str) -> Result<Self, PublishError> {
        if let (Some(Top::File(path)), [file]) = (&self.top, &mut *self.files) {
            file.path = FilePath::new(name).map_err(|error| refused(path, error.into()))?;
        }
        Ok(self)
    }

    fn one(path: &Path, kind: CodeKind, host: Option<Host>) -> Result<Self, PublishError> {
        let failed = |kind| refused(path, kind);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let entry = FilePath::new(&name).map_err(|error| failed(error.into()))?;
        let mut hasher = ContentHasher::new();
        let mut bytes = 0;
        read(path, &mut |piece| {
            hasher.update(piece);
            bytes += piece.len() as u64;
            Ok(())
        })
        .map_err(failed)?;
        let files = vec![FileEntry::new(entry, bytes, hasher.finish())];
        Ok(Self { kind, host, files, top: Some(Top::File(path.to_owned())) })
    }

    /// What was published before.
    pub(super) fn published(kind: CodeKind, host: Option<Host>, files: Vec<FileEntry>) -> Self {
        Self { kind, host, files, top: None }
    }

    /// What the files are.
    #[must_use]
    pub fn kind(&self) -> CodeKind {
        self.kind
    }

    /// The files, by path.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Gives the bytes of a file away, piece by piece; whether it lies at hand. Blocks while it is read.
    ///
    /// # Errors
    ///
    /// What the receiver says; when it cannot be read, or is not what it was, which is known only at its end.
    pub fn read(
        &self,
        file: &FileEntry,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), PublishErrorKind>,
    ) -> Result<bool, PublishErrorKind> {
        let path = match &self.top {
            None => return Ok(false),
            Some(Top::File(path)) => path.clone(),
            Some(Top::Directory(top)) => top.join(file.path.as_path()),
        };
        let mut hasher = ContentHasher::new();
        read(&path, &mut |piece| {
            hasher.update(piece);
            receive(piece)
        })?;
        if hasher.finish() == file.hash {
            Ok(true)
        } else {
            Err(PublishErrorKind::Changed { path })
        }
    }
}

fn refused(path: &Path, kind: PublishErrorKind) -> PublishError {
    PublishError::new(&path.display().to_string(), kind)
}

fn read(
    path: &Path,
    receive: &mut dyn FnMut(&[u8]) -> Result<(), PublishErrorKind>,
) -> Result<(), PublishErrorKind> {
    let failed = |error| PublishErrorKind::Io { doing: "read", path: path.to_owned(), error };
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; ContentHash::READ_BYTES];
    loop {
        match file.fill(&mut buffer).map_err(failed)? {
            0 => return Ok(()),
            count => receive(&buffer[..count])?,
        }
    }
}

/// Whoever builds the release has nothing but its files, and what registries have.
fn stands_alone(package: &Path) -> Result<(), PublishErrorKind> {
    let io = |error| PublishErrorKind::Io { doing: "find", path: package.to_owned(), error };
    let package = fs::canonicalize(package).map_err(io)?;
    let project = Project::resolve(&package, &BuildSettings::default(), &StopSignal::never());
    let project = project.map_err(|error| PublishErrorKind::Cargo { message: told(error) })?;
    let outside = project.packages.into_iter().find(|(path, _)| !path.starts_with(&package));
    match outside {
        None => Ok(()),
        Some((path, name)) => Err(PublishErrorKind::Outside { name, path }),
    }
}

fn told(error: BuildErrorKind) -> String {
    match error {
        BuildErrorKind::Manifest { message } => message,
        other => other.to_string(),
    }
}
