//! The files that are served, reached by no link.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use hotswap_artifact::{ContentHash, ContentHasher};
use hotswap_engine::delivery::KeyPair;
use hotswap_system::directory::{Directory, EntryKind};
use hotswap_system::fs::File;

/// The most names below the directory that is served.
const ENTRIES_MAX: usize = 100_000;

/// What secret keys are shorter than.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// How many hashes of files are remembered: those of a site of some size.
const HASHES_MAX: usize = 10_000;

/// A file that was written less than this long ago may be written again without another time.
const YOUNG: Duration = Duration::from_secs(2);

/// A directory that is served.
pub(super) struct Site {
    top: Directory,
    hashes: Mutex<HashMap<Identity, ContentHash>>,
}

/// By what the same bytes are known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that is open.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
    identity: Identity,
}

impl Site {
    /// Opens a directory, unless a secret key lies in it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot serve {}", path.display());
        let top = Directory::open(path).with_context(cannot)?;
        if let Some(secret) = secret(&top, "", &mut 0).with_context(cannot)? {
            return Err(anyhow!(
                "{} is a secret key: nothing in {} is served while it lies there; if anybody could read it, make another",
                path.join(secret).display(),
                path.display()
            ));
        }
        Ok(Self { top, hashes: Mutex::default() })
    }

    /// Opens a file by its names; `None` when there is none that anybody may have.
    pub(super) fn find(&self, names: &[String]) -> Option<Found> {
        let (last, directories) = names.split_last()?;
        let mut inside: Option<Directory> = None;
        for name in directories {
            let at = inside.as_ref().unwrap_or(&self.top);
            inside = Some(at.directory(OsStr::new(name)).ok()?);
        }
        let at = inside.as_ref().unwrap_or(&self.top);
        let file = at.file(OsStr::new(last)).ok()?;
        let metadata = file.metadata().ok()?;
        let identity = Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let modified = metadata.modified().ok()?;
        Some(Found { file, bytes: metadata.len(), modified, identity })
    }

    /// SHA-256 of a file that was found; `None` when it is being written, or is a secret. Blocks while it is read.
    pub(super) fn hash(&self, found: &mut Found) -> Option<ContentHash> {
        let known = || self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = known().get(&found.identity) {
            return Some(*hash);
        }
        if is_secret(&mut found.file, found.bytes).ok()? {
            return None;
        }
        let hash = found.read_hash().ok()??;
        let changed = Duration::new(
            u64::try_from(found.identity.changed.0).ok()?,
            u32::try_from(found.identity.changed.1).ok()?,
        );
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed);
        if age.is_ok_and(|age| age > YOUNG) {
            let mut known = known();
            if known.len() >= HASHES_MAX {
                known.clear();
            }
            known.insert(found.identity, hash);
        }
        Some(hash)
    }
}

impl Found {
    fn read_hash(&mut self) -> io::Result<Option<ContentHash>> {
        let mut hasher = ContentHasher::new();
        let mut buffer = vec![0; ContentHash::READ_BYTES];
        let mut seen = 0;
        self.file.seek(io::SeekFrom::Start(0))?;
        loop {
            match self.file.fill(&mut buffer)? {
                0 => return Ok((seen == self.bytes).then(|| hasher.finish())),
                count => {
                    seen += count as u64;
                    hasher.update(&buffer[..count]);
                }
            }
        }
    }

    /// Whether it is another file than this, or was written since.
    pub(super) fn differs(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| other.identity != self.identity)
    }
}

/// A secret key below a directory, by its path there.
fn secret(directory: &Directory, below: &str, seen: &mut usize) -> io::Result<Option<String>> {
    for (name, kind) in directory.list(ENTRIES_MAX)? {
        *seen += 1;
        if *seen > ENTRIES_MAX {
            return Err(io::Error::other(format!("there are more than {ENTRIES_MAX} names in it")));
        }
        let path = format!("{below}{}", name.to_string_lossy());
        match kind {
            EntryKind::Directory => {
                let inside = directory.directory(&name)?;
                if let Some(found) = secret(&inside, &format!("{path}/"), seen)? {
                    return Ok(Some(found));
                }
            }
            EntryKind::File => {
                let mut file = directory.file(&name)?;
                let bytes = file.metadata()?.len();
                if is_secret(&mut file, bytes)? {
                    return Ok(Some(path));
                }
            }
            EntryKind::Link | EntryKind::Other => {}
        }
    }
    Ok(None)
}

/// A key that signs releases, or one of a certificate.
fn is_secret(file: &mut File, bytes: u64) -> io::Result<bool> {
    if bytes > SECRET_BYTES_MAX {
        return Ok(false);
    }
    let mut text = Vec::new();
    file.read_at_most(SECRET_BYTES_MAX, &mut text)?;
    file.seek(io::SeekFrom::Start(0))?;
    let text = String::from_utf8_lossy(&text);
    Ok(KeyPair::is_secret(&text) || text.contains("PRIVATE KEY-----"))
}
