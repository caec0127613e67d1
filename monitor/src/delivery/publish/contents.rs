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
    /// Where the crate finds `hotswap-module`, if that is outside of it.
    module_crate: Option<PathBuf>,
}

/// What every module depends on, and what that does: who builds a release has their own.
const OF_THE_HOST: [&str; 2] = ["hotswap-module", "hotswap-macros"];

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
    /// When it is no crate, something in it is no file or may not be called what it is, or it depends by path on what is outside of it,
    /// `hotswap-module` excepted.
    pub fn package(directory: impl AsRef<Path>) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        let failed = |kind| refused(directory, kind);
        if !fs::exists(directory.join("Cargo.toml")).is_ok_and(|is_there| is_there) {
            return Err(failed(PublishErrorKind::NoManifest { path: directory.to_owned() }));
        }
        let module_crate = stands_alone(directory).map_err(failed)?;
        let files = FileEntry::list_directory(directory).map_err(|error| failed(error.into()))?;
        let top = Some(Top::Directory(directory.to_owned()));
        Ok(Self { kind: CodeKind::Crate, host: None, files, top, module_crate })
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
        let top = Some(Top::File(path.to_owned()));
        Ok(Self { kind, host, files, top, module_crate: None })
    }

    /// What was published before.
    pub(super) fn published(kind: CodeKind, host: Option<Host>, files: Vec<FileEntry>) -> Self {
        Self { kind, host, files, top: None, module_crate: None }
    }

    /// What the files are.
    #[must_use]
    pub fn kind(&self) -> CodeKind {
        self.kind
    }

    /// Where a crate finds `hotswap-module` by path, if that is outside of it: hosts build the release where their own lies at the same path.
    #[must_use]
    pub fn module_crate(&self) -> Option<&Path> {
        self.module_crate.as_deref()
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

/// Whoever builds the release has nothing but its files, what registries have, and a `hotswap-module`; where that lies, if it is outside.
fn stands_alone(package: &Path) -> Result<Option<PathBuf>, PublishErrorKind> {
    let io = |error| PublishErrorKind::Io { doing: "find", path: package.to_owned(), error };
    let package = fs::canonicalize(package).map_err(io)?;
    let project = Project::resolve(&package, &BuildSettings::default(), &StopSignal::never());
    let project = project.map_err(|error| PublishErrorKind::Cargo { message: told(error) })?;
    let mut module_crate = None;
    for (path, name) in project.packages {
        match OF_THE_HOST.iter().position(|known| *known == name) {
            _ if path.starts_with(&package) => {}
            Some(0) => module_crate = Some(path),
            Some(_) => {}
            None => return Err(PublishErrorKind::Outside { name, path }),
        }
    }
    Ok(module_crate)
}

fn told(error: BuildErrorKind) -> String {
    match error {
        BuildErrorKind::Manifest { message } => message,
        other => other.to_string(),
    }
}
