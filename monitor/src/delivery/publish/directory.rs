//! Releases in a directory, which any web server may serve.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use hotswap_artifact::ContentHash;
use hotswap_system::directory::Directory;
use hotswap_system::fs::{self, File};
use hotswap_trust::{FileEntry, MANIFEST_NAME, SIGNED_BYTES_MAX, Signed};

use super::{Contents, Line, OpenLine, PublishErrorKind, Shelf};

/// Where the files of all releases of a module lie, beside its channels.
const FILES: &str = "files";

/// Who has it locked publishes. No web server should give away a name with a dot; it is empty, if one does.
const LOCK_NAME: &str = ".lock";

/// A directory of releases: `greet/stable/hotswap.manifest`, and `greet/files/<SHA-256>`. Files are written once, and a manifest takes the
/// place of the one before by a rename, after its files are on the disk: who reads it meanwhile, over any web server, sees the old release or
/// the new one. Files of earlier releases stay.
#[derive(Debug)]
pub struct DirectoryShelf {
    base: PathBuf,
}

impl DirectoryShelf {
    /// Releases in this directory, which is made by the first that is published. A relative path is taken from the working directory of
    /// now.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        let base = base.into();
        let absolute = std::path::absolute(&base).unwrap_or(base);
        // With a slash at its end or without, it is the same place.
        Self { base: absolute.components().collect() }
    }
}

impl Shelf for DirectoryShelf {
    fn name(&self) -> String {
        self.base.display().to_string()
    }

    fn open<'a>(&'a mut self, line: Line<'_>) -> Result<Box<dyn OpenLine + 'a>, PublishErrorKind> {
        let module = self.base.join(line.module);
        let (channel, files) = (module.join(line.channel), module.join(FILES));
        for directory in [&channel, &files] {
            fs::create_dir_all(directory).map_err(failed("make", directory))?;
        }
        let path = module.join(LOCK_NAME);
        let lock = File::append(&path).map_err(failed("lock", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(PublishErrorKind::Busy { place: self.name() });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        let manifest = channel.join(MANIFEST_NAME);
        let current = read(&manifest).map_err(failed("read", &manifest))?;
        let name = manifest.display().to_string();
        Ok(Box::new(Opened { _lock: lock, channel, files, name, current }))
    }
}

struct Opened {
    _lock: File,
    channel: PathBuf,
    files: PathBuf,
    name: String,
    current: Option<Vec<u8>>,
}

impl OpenLine for Opened {
    fn current(&self) -> Option<(&str, &[u8])> {
        self.current.as_deref().map(|bytes| (&*self.name, bytes))
    }

    fn put(&mut self, contents: &Contents, manifest: &Signed) -> Result<(), PublishErrorKind> {
        let mut made = Vec::new();
        let put = contents
            .files()
            .iter()
            .try_for_each(|file| self.put_file(contents, file, &mut made))
            .and_then(|()| sync(&self.files))
            .and_then(|()| self.put_manifest(&manifest.to_bytes()));
        if put.is_err() {
            for path in made {
                // What stays is of no release, and is taken by the next that has such a file.
                let _left = fs::remove_file(path);
            }
        }
        put
    }
}

impl Opened {
    /// Writes a file, unless it lies there.
    fn put_file(
        &self,
        contents: &Contents,
        file: &FileEntry,
        made: &mut Vec<PathBuf>,
    ) -> Result<(), PublishErrorKind> {
        let path = self.files.join(file.hash.to_string());
        if holds(&path, file.hash) {
            return Ok(());
        }
        let temporary = self.files.join(format!(".{}", file.hash));
        let written = replace(&temporary, &path, |new| {
            let is_at_hand = contents.read(file, &mut |piece| {
                new.write_all(piece).map_err(failed("write", &temporary))
            })?;
            if is_at_hand {
                return Ok(());
            }
            let place = self.files.display().to_string();
            Err(PublishErrorKind::Missing { path: file.path.as_str().to_owned(), place })
        });
        if written.is_ok() {
            made.push(path);
        }
        written
    }

    fn put_manifest(&self, bytes: &[u8]) -> Result<(), PublishErrorKind> {
        let temporary = self.channel.join(format!(".{MANIFEST_NAME}"));
        let path = self.channel.join(MANIFEST_NAME);
        replace(&temporary, &path, |new| {
            new.write_all(bytes).map_err(failed("write", &temporary))
        })?;
        // It is there: whether it outlasts a failure of power is nothing that can be taken back.
        let _durable = sync(&self.channel);
        Ok(())
    }
}

/// Writes a file, brings it to the disk, and puts it in its place.
fn replace(
    temporary: &Path,
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), PublishErrorKind>,
) -> Result<(), PublishErrorKind> {
    let mut new = File::create(temporary).map_err(failed("write", temporary))?;
    let written = write(&mut new)
        .and_then(|()| new.sync_all().map_err(failed("write", temporary)))
        .and_then(|()| fs::rename(temporary, path).map_err(failed("write", path)));
    if written.is_err() {
        let _left = fs::remove_file(temporary);
    }
    written
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PublishErrorKind {
    let path = path.to_owned();
    move |error| PublishErrorKind::Io { doing, path, error }
}

fn sync(directory: &Path) -> Result<(), PublishErrorKind> {
    let synced = Directory::open(directory).and_then(|directory| directory.sync());
    synced.map_err(failed("write", directory))
}

/// One byte more than a manifest may have, so that one that has more is told.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|mut file| file.read_at_most(SIGNED_BYTES_MAX as u64 + 1, &mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file lies there, and is what its name says: what is damaged is written anew.
fn holds(path: &Path, hash: ContentHash) -> bool {
    ContentHash::of_file(path).is_ok_and(|found| found == hash)
}
