//! A private copy of each library, under a name and an inode that this process has never loaded.
//!
//! glibc matches a library by path and then by inode, and quietly gives the old image when either is
//! loaded already; a file that is overwritten in place while it is mapped is SIGSEGV.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hotswap_artifact::{Artifact, Origin};
use hotswap_system::fs::{self, File};
use hotswap_system::process;
use parking_lot::Mutex;

use crate::load_error::LoadErrorKind;
use crate::verify::file_error;

/// The inodes that this process has mapped as modules, as (device, inode).
static MAPPED: Mutex<Option<HashSet<(u64, u64)>>> = Mutex::new(None);

/// Makes every staged name new, in every engine of the process.
static COUNTER: AtomicU64 = AtomicU64::new(1);

/// The bytes of an artifact, read once: what is verified is what is staged.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    inode: (u64, u64),
}

/// Reads an artifact whole.
pub(crate) fn read(artifact: &Artifact) -> Result<Contents, LoadErrorKind> {
    let read = || -> io::Result<Contents> {
        let mut file = File::open(&artifact.path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Ok(Contents { bytes, inode: (metadata.dev(), metadata.ino()) })
    };
    read().map_err(|error| file_error("read", &artifact.path, error))
}

/// A file that is loaded from and belongs to nobody else. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    inode: (u64, u64),
    /// Whether the image is mapped for good, so that its inode must never be used again.
    keep_inode: bool,
}

impl Staged {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The loader kept the image: its inode stays taken for the life of the process.
    pub(crate) fn keep_inode(&mut self) {
        self.keep_inode = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // The file is ours alone, and a failure to remove it harms nobody: it is swept with its directory.
        let _ = fs::remove_file(&self.path);
        if !self.keep_inode {
            MAPPED.lock().get_or_insert_default().remove(&self.inode);
        }
    }
}

/// Puts the contents under a name and an inode that are not loaded: a hard link of our own
/// build output where that is possible, a copy otherwise.
pub(crate) fn stage(artifact: &Artifact, contents: &Contents) -> Result<Staged, LoadErrorKind> {
    let mut rooms = ROOMS.lock();
    let directory = enter(&mut rooms, &artifact.home)?;
    // Relaxed: only uniqueness matters.
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let stem = artifact.path.file_stem().unwrap_or_default().to_string_lossy();
    let short: String = stem.chars().take(24).collect();
    let path = directory.join(format!("{number}-{short}.so"));
    let free = MAPPED.lock().get_or_insert_default().insert(contents.inode);
    if free && artifact.origin == Origin::Built {
        if link(artifact, contents, &path) {
            return Ok(Staged { path, inode: contents.inode, keep_inode: false });
        }
        MAPPED.lock().get_or_insert_default().remove(&contents.inode);
    } else if free {
        MAPPED.lock().get_or_insert_default().remove(&contents.inode);
    }
    let inode = copy(contents, &path).map_err(|error| {
        let _ = fs::remove_file(&path);
        file_error("copy the library to", &path, error)
    })?;
    MAPPED.lock().get_or_insert_default().insert(inode);
    Ok(Staged { path, inode, keep_inode: false })
}

/// Whether a hard link to the very inode that was read could be made.
fn link(artifact: &Artifact, contents: &Contents, path: &Path) -> bool {
    let linked = fs::hard_link(&artifact.path, path).is_ok();
    let same =
        linked && fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == contents.inode);
    if linked && !same {
        let _ = fs::remove_file(path);
    }
    same
}

fn copy(contents: &Contents, path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::create_new(path)?;
    file.write_all(&contents.bytes)?;
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Where libraries from elsewhere are copied to: a directory of this user's below the system's for temporary files.
pub(crate) fn own_home() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("hotswap-{user}"))
}

/// This process's directories, by home, each with the lock that says it lives.
type Rooms = BTreeMap<PathBuf, File>;

static ROOMS: Mutex<Rooms> = Mutex::new(BTreeMap::new());

/// The name of the lock file in each process's directory.
const LOCK: &str = "lock";

/// Makes this process's directory under `home`, after sweeping those of processes that died.
fn enter(rooms: &mut Rooms, home: &Path) -> Result<PathBuf, LoadErrorKind> {
    let directory = home.join(process::id().to_string());
    if rooms.contains_key(home) {
        match fs::metadata(&directory) {
            Ok(_) => return room(home),
            // Somebody cleaned up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // It may be there all the same: with our lock, on which we would wait for ourselves.
            Err(error) => return Err(file_error("find", &directory, error)),
        }
    }
    sweep(home);
    let create = || {
        fs::create_private_dir_all(&directory)?;
        let lock = File::create(directory.join(LOCK))?;
        // Nobody else uses this name; one whose number this process inherited is dead.
        lock.lock()?;
        Ok(lock)
    };
    let lock = create().map_err(|error| file_error("create", &directory, error))?;
    rooms.insert(home.to_owned(), lock);
    room(home)
}

/// This process's directory, by the name that the kernel has for it: mappings are told by that.
fn room(home: &Path) -> Result<PathBuf, LoadErrorKind> {
    let directory = home.join(process::id().to_string());
    fs::canonicalize(&directory).map_err(|error| file_error("find", &directory, error))
}

/// Removes the directories of processes that no longer hold their lock: they were killed.
fn sweep(home: &Path) {
    let Ok(entries) = fs::read_dir(home) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_room = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        let is_dead = || File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_room && is_dead() {
            // What cannot be removed now is tried again by the next process.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Removes this process's directory under `home`, if nothing is staged in it any more.
pub(crate) fn leave(home: &Path) {
    let mut rooms = ROOMS.lock();
    let directory = home.join(process::id().to_string());
    let is_empty = fs::read_dir(&directory)
        .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == LOCK));
    if is_empty {
        let _ = fs::remove_file(directory.join(LOCK));
        let _ = fs::remove_dir(&directory);
        rooms.remove(home);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn what_dead_processes_left_is_swept_and_the_living_keep_theirs() {
        let home = std::env::temp_dir().join(format!("hotswap-rooms-{}", process::id()));
        for name in ["1", "2", "notes"] {
            fs::create_dir_all(home.join(name)).expect("writable");
            fs::write(home.join(name).join("1-x.so"), "").expect("writable");
        }
        File::create(home.join("1").join(LOCK)).expect("writable");
        let living = File::create(home.join("2").join(LOCK)).expect("writable");
        living.lock().expect("lockable");

        enter(&mut ROOMS.lock(), &home).expect("a room");
        let own = home.join(process::id().to_string());
        let left = [home.join("1"), home.join("2"), home.join("notes"), own.clone()]
            .map(|path| path.exists());
        assert_eq!(left, [false, true, true, true]);

        leave(&home);
        assert!(!own.exists());
        fs::remove_dir_all(&home).expect("removable");
    }
}
