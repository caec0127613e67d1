//! Releases below a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_artifact::{ContentHash, FetchError, ModuleName};
use hotswap_system::directory::{Directory, EntryKind};
use hotswap_system::fs::File;
use hotswap_trust::{FileEntry, MANIFEST_NAME, SIGNED_BYTES_MAX};
use rustix::io::Errno;

use super::{Answer, Base, Place};

/// The most modules that a directory is listed for.
const MODULES_MAX: usize = 10_000;

/// The releases of modules below a directory: `greet/stable/hotswap.manifest` and `greet/files/<SHA-256>`.
///
/// It need not be there yet. Below it no link is followed.
#[derive(Debug, Clone)]
pub struct ReleaseDirectory(PathBuf);

impl ReleaseDirectory {
    /// The releases below this directory. A relative path is taken from the working directory of now. Reads nothing.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

impl Base for ReleaseDirectory {
    fn place(&self, module: &str, channel: &str) -> Arc<dyn Place> {
        Arc::new(DirectoryPlace {
            name: format!("{}#{module}", self.0.display()),
            base: self.0.clone(),
            module: module.to_owned(),
            channel: channel.to_owned(),
        })
    }

    fn names(&self, channel: &str) -> Result<Vec<ModuleName>, FetchError> {
        let modules = |directory: Directory| directory.list(MODULES_MAX);
        let listed = absent(Directory::open(&self.0).and_then(modules));
        let listed = listed.map_err(|error| unread(&self.0, error))?.unwrap_or_default();
        let mut names = Vec::new();
        for (name, kind) in listed {
            let name = name.to_str().filter(|name| ModuleName::is_part(name));
            let name = name.filter(|_| kind == EntryKind::Directory);
            let Some(name) = name.and_then(|name| ModuleName::new(name).ok()) else { continue };
            let found = match open(&self.0, &[name.as_str(), channel, MANIFEST_NAME]) {
                // A file or a link where the channel or its manifest is to be: it is not released, and the others are.
                Err(error) if is_in_the_way(&error) => continue,
                found => absent(found),
            };
            if found.map_err(|error| unread(&self.0.join(name.as_str()), error))?.is_some() {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// The releases of one module on one channel.
#[derive(Debug)]
struct DirectoryPlace {
    name: String,
    base: PathBuf,
    module: String,
    channel: String,
}

impl Place for DirectoryPlace {
    fn kind(&self) -> &'static str {
        "directory"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> Result<Answer, FetchError> {
        let mut bytes = Vec::new();
        let read = open(&self.base, &[&self.module, &self.channel, MANIFEST_NAME])
            .and_then(|mut file| file.read_at_most(SIGNED_BYTES_MAX as u64 + 1, &mut bytes));
        match absent(read) {
            Ok(Some(_)) => Ok(Answer::Manifest(bytes)),
            Ok(None) => Ok(Answer::Absent),
            Err(error) => {
                let place = self.base.join(&self.module).join(&self.channel);
                Err(unread(&place.join(MANIFEST_NAME), error))
            }
        }
    }

    fn file(
        &self,
        file: &FileEntry,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let hash = file.hash.to_string();
        let failed = |error| unread(&self.base.join(&self.module).join("files").join(&hash), error);
        let mut opened = open(&self.base, &[&self.module, "files", &hash]).map_err(failed)?;
        let mut buffer = vec![0; ContentHash::READ_BYTES];
        loop {
            match opened.fill(&mut buffer).map_err(failed)? {
                0 => return Ok(()),
                count => receive(&buffer[..count])?,
            }
        }
    }
}

/// Opens a file by way of directories, none of which may be a link.
fn open(base: &Path, [module, inside, file]: &[&str; 3]) -> io::Result<File> {
    let directory = Directory::open(base)?.directory(module.as_ref())?;
    directory.directory(inside.as_ref())?.file(file.as_ref())
}

/// Whether something else was found than what is wanted: a link, no directory, no file.
fn is_in_the_way(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput)
        || Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// What is not there is none.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn unread(path: &Path, error: io::Error) -> FetchError {
    FetchError::unavailable(format!("cannot read {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_in_the_way_of_one_module_hides_no_other() {
        let place = tempfile::tempdir().unwrap();
        let inside = |name: &str| place.path().join(name);
        let names = || ReleaseDirectory::new(place.path()).names("stable").map(|names| names.len());
        fs::create_dir_all(inside("good/stable")).unwrap();
        fs::write(inside("good/stable").join(MANIFEST_NAME), "").unwrap();
        for module in ["file", "link", "loop", "dangling", "inner"] {
            fs::create_dir(inside(module)).unwrap();
        }
        fs::write(inside("file/stable"), "").unwrap();
        symlink(inside("good/stable"), inside("link/stable")).unwrap();
        symlink("stable", inside("loop/stable")).unwrap();
        symlink("nowhere", inside("dangling/stable")).unwrap();
        fs::create_dir_all(inside("inner/stable").join(MANIFEST_NAME)).unwrap();
        assert_eq!(names().unwrap(), 1);
        // Through a link nothing is released.
        fs::remove_dir_all(inside("inner/stable").join(MANIFEST_NAME)).unwrap();
        symlink(
            inside("good/stable").join(MANIFEST_NAME),
            inside("inner/stable").join(MANIFEST_NAME),
        )
        .unwrap();
        assert_eq!(names().unwrap(), 1);
        fs::remove_file(inside("file/stable")).unwrap();
        fs::create_dir(inside("file/stable")).unwrap();
        fs::write(inside("file/stable").join(MANIFEST_NAME), "").unwrap();
        assert_eq!(names().unwrap(), 2);
    }
}
