//! A private copy of each library, under a name and an inode that this process has never loaded.
//!
//! glibc matches a library by path and then by inode, and quietly gives the old image when either is
//! loaded already; a file that is overwritten in place while it is mapped is SIGSEGV.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotswap_artifact::{Artifact, ContentHash, ContentHasher, Origin};
use hotswap_system::fs::{self, File};
use hotswap_system::mapping::Mapping;
use hotswap_system::process;
use parking_lot::Mutex;

use crate::linkage::Edit;
use crate::load_error::LoadErrorKind;
use crate::verify::file_error;

/// The inodes that this process has mapped as modules, as (device, inode).
static MAPPED: Mutex<Option<HashSet<(u64, u64)>>> = Mutex::new(None);

/// Makes every staged name new, in every engine of the process.
static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A library that was opened, and how its bytes begin.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    path: PathBuf,
    inode: (u64, u64),
    header: [u8; HEADER_BYTES],
    /// How much of it there is.
    header_length: usize,
}

/// What is read before anything else: enough to see that something is no library.
const HEADER_BYTES: usize = 64;

/// Opens a library and reads its first bytes.
pub(crate) fn open(path: &Path) -> Result<Opened, LoadErrorKind> {
    let open = || -> io::Result<Opened> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let inode = (metadata.dev(), metadata.ino());
        let mut header = [0; HEADER_BYTES];
        let header_length = file.fill(&mut header)?;
        Ok(Opened { file, path: path.to_owned(), inode, header, header_length })
    };
    open().map_err(|error| file_error("read", path, error))
}

impl Opened {
    /// The first bytes, or all there are.
    pub(crate) fn beginning(&self) -> &[u8] {
        &self.header[..self.header_length]
    }

    /// Reads the rest, once, and hashes all of it; `copy` gets every byte.
    fn pass(mut self, mut copy: Option<(&mut File, &Path)>) -> Result<ContentHash, LoadErrorKind> {
        // On the stack, whose memory is there already.
        let mut buffer = [0; ContentHash::READ_BYTES];
        let mut hasher = ContentHasher::new();
        let mut known = self.header_length;
        buffer[..known].copy_from_slice(self.beginning());
        loop {
            let read = self.file.fill(&mut buffer[known..]);
            let filled = known + read.map_err(|error| file_error("read", &self.path, error))?;
            known = 0;
            let bytes = &buffer[..filled];
            if bytes.is_empty() {
                break;
            }
            hasher.update(bytes);
            if let Some((file, to)) = &mut copy {
                file.write_all(bytes).map_err(|error| copy_error(to, error))?;
            }
        }
        Ok(hasher.finish())
    }
}

/// The bytes of a staged file, and their hash.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) bytes: Mapping,
    pub(crate) content: ContentHash,
}

/// A file that is loaded from and belongs to nobody else. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    /// What is taken, as soon as it is known.
    inode: Option<(u64, u64)>,
    /// Whether the image is mapped for good, so that its inode must never be used again.
    keep_inode: bool,
}

impl Staged {
    /// Of a file that is not there yet: whatever stops its making, nothing of it stays.
    fn begin(path: PathBuf) -> Self {
        Self { path, inode: None, keep_inode: false }
    }

    /// Takes an inode; `false` when an image has it.
    fn take(&mut self, inode: (u64, u64)) -> bool {
        let is_free = MAPPED.lock().get_or_insert_default().insert(inode);
        if is_free {
            self.inode = Some(inode);
        }
        is_free
    }

    /// Makes the file, empty.
    fn create(&mut self) -> Result<File, LoadErrorKind> {
        let create = || -> io::Result<(File, (u64, u64))> {
            let file = File::create_new(&self.path)?;
            let metadata = file.metadata()?;
            Ok((file, (metadata.dev(), metadata.ino())))
        };
        let (file, inode) = create().map_err(|error| copy_error(&self.path, error))?;
        // It was made just now: nobody has it.
        self.take(inode);
        Ok(file)
    }

    fn let_go(&mut self) {
        if let Some(inode) = self.inode.take() {
            MAPPED.lock().get_or_insert_default().remove(&inode);
        }
    }

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
        if !self.keep_inode {
            self.let_go();
        }
        // A panic out of a drop, while another is under way, would end the process. The file is tried again.
        let _ = catch_unwind(AssertUnwindSafe(|| remove(&self.path)));
    }
}

/// Files of ours that could not be removed. Their names are never used again.
static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How many files that could not be removed are tried again; what is beyond goes with its directory, when the next
/// process sweeps. A program that swaps all day on a file system that removes nothing must not fill its memory.
const LEFT_MAX: usize = 1_000;

/// Removes a staged file. A failure harms nobody: it is tried again when something is staged, and at the end.
fn remove(path: &Path) {
    {
        // Before it is tried, so that nothing is forgotten by whatever interrupts this.
        let mut left = LEFT.lock();
        if left.len() < LEFT_MAX && !left.iter().any(|known| known == path) {
            left.push(path.to_owned());
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {}
        _ => LEFT.lock().retain(|known| known != path),
    }
}

/// Tries again to remove what could not be removed.
fn remove_left() {
    let left = LEFT.lock().clone();
    left.iter().for_each(|path| remove(path));
}

/// A name that was made for a library that is to be read.
#[derive(Debug)]
pub(crate) struct Place {
    staged: Staged,
    /// What is still empty; `None` where the name is one more of the artifact itself.
    copy: Option<File>,
}

/// Makes a name and an inode that are not loaded: a hard link of our own build output where that is possible, an empty
/// file for a copy otherwise.
pub(crate) fn begin(opened: &Opened, origin: Origin, home: &Path) -> Result<Place, LoadErrorKind> {
    remove_left();
    // To the end: until something lies in the directory, another engine may remove it.
    let mut rooms = ROOMS.lock();
    let mut staged = Staged::begin(new_name(&mut rooms, &opened.path, home)?);
    if origin == Origin::Built && staged.take(opened.inode) {
        if link(opened, staged.path()) {
            return Ok(Place { staged, copy: None });
        }
        staged.let_go();
    }
    let copy = staged.create()?;
    Ok(Place { staged, copy: Some(copy) })
}

/// A name that was never used, in this process's directory, for what lies at `path`.
fn new_name(rooms: &mut Rooms, path: &Path, home: &Path) -> Result<PathBuf, LoadErrorKind> {
    let directory = enter(rooms, home)?;
    // Relaxed: only uniqueness matters.
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let short: String = stem.chars().take(24).collect();
    Ok(directory.join(format!("{number}-{short}.so")))
}

/// Makes another copy of what was staged, with other words at some places. The artifact stays as it is: other processes
/// may have it mapped.
pub(crate) fn edit(
    contents: &Contents,
    artifact: &Artifact,
    edits: &[Edit],
) -> Result<(Staged, Contents), LoadErrorKind> {
    let mut bytes = contents.bytes.to_vec();
    for Edit { offset, word } in edits {
        bytes[*offset..*offset + size_of::<u64>()].copy_from_slice(&word.to_ne_bytes());
    }
    let mut rooms = ROOMS.lock();
    let mut staged = Staged::begin(new_name(&mut rooms, &artifact.path, &artifact.home)?);
    let mut copy = staged.create()?;
    copy.write_all(&bytes).map_err(|error| copy_error(staged.path(), error))?;
    let contents = Contents { bytes: map(staged.path())?, content: ContentHash::of(&bytes) };
    Ok((staged, contents))
}

impl Place {
    /// Reads what was opened, once: to hash it, and into the copy where there is to be one.
    pub(crate) fn fill(self, opened: Opened) -> Result<(Staged, Contents), LoadErrorKind> {
        let Self { staged, mut copy } = self;
        let content = opened.pass(copy.as_mut().map(|file| (file, staged.path())))?;
        let bytes = map(staged.path())?;
        Ok((staged, Contents { bytes, content }))
    }
}

/// Whether a hard link to the very inode that was opened could be made.
fn link(opened: &Opened, path: &Path) -> bool {
    let linked = fs::hard_link(&opened.path, path).is_ok();
    let same =
        linked && fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == opened.inode);
    if linked && !same {
        remove(path);
    }
    same
}

/// A staged file as memory, as the loader will map it.
pub(crate) fn map(path: &Path) -> Result<Mapping, LoadErrorKind> {
    let map = || -> io::Result<Mapping> {
        let file = File::open(path)?;
        // SAFETY:
        // 1. Whole, and 2. still: it is a copy that this process alone has, or what a compiler left, which replaces
        //    its output and does not write into it. Code is run out of the same file by the same promise.
        unsafe { Mapping::of(&file) }
    };
    map().map_err(|error| file_error("read", path, error))
}

fn copy_error(path: &Path, error: io::Error) -> LoadErrorKind {
    file_error("copy the library to", path, error)
}

/// Where libraries from elsewhere are copied to: a directory of this user's below the system's for temporary files.
pub(crate) fn own_home() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("hotswap-{user}"))
}

/// This process's directories, by home. One directory may be known by several paths.
type Rooms = BTreeMap<PathBuf, Room>;

/// A directory of this process.
#[derive(Debug)]
struct Room {
    /// By the name that the kernel has for it: mappings are told by that.
    directory: PathBuf,
    process_id: u32,
    /// Says that this process lives.
    lock: Arc<File>,
}

static ROOMS: Mutex<Rooms> = Mutex::new(BTreeMap::new());

/// The name of the lock file in each process's directory.
const LOCK: &str = "lock";

/// Makes this process's directory under `home`, after sweeping those of processes that died.
fn enter(rooms: &mut Rooms, home: &Path) -> Result<PathBuf, LoadErrorKind> {
    // A forked child has a directory of its own.
    let own = process::id();
    if let Some(room) = rooms.get(home).filter(|room| room.process_id == own) {
        match fs::metadata(&room.directory) {
            Ok(_) => return Ok(room.directory.clone()),
            // Somebody cleaned up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => drop(rooms.remove(home)),
            // It may well be there, and then its lock is ours: waiting for that would be for ever.
            Err(error) => return Err(file_error("find", &room.directory, error)),
        }
    }
    sweep(home);
    let directory = home.join(own.to_string());
    let create = || {
        fs::create_private_dir_all(&directory)?;
        let directory = fs::canonicalize(&directory)?;
        let is_known = |room: &&Room| room.process_id == own && room.directory == directory;
        // Where its home is known by another path, its lock is ours: waiting for that would be for ever.
        if let Some(known) = rooms.values().find(is_known) {
            return Ok(Room { directory, process_id: own, lock: Arc::clone(&known.lock) });
        }
        let lock = File::create(directory.join(LOCK))?;
        // Nobody else uses this name; one whose number this process inherited is dead.
        lock.lock()?;
        Ok(Room { directory, process_id: own, lock: Arc::new(lock) })
    };
    let room = create().map_err(|error| file_error("create", &directory, error))?;
    let directory = room.directory.clone();
    rooms.insert(home.to_owned(), room);
    Ok(directory)
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
    remove_left();
    let mut rooms = ROOMS.lock();
    let directory = home.join(process::id().to_string());
    let is_empty = fs::read_dir(&directory)
        .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == LOCK));
    if is_empty {
        let _ = fs::remove_file(directory.join(LOCK));
        let _ = fs::remove_dir(&directory);
        if let Some(left) = rooms.remove(home) {
            rooms.retain(|_, room| room.directory != left.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_home_of_two_paths_is_one_room() {
        let home = std::env::temp_dir().join(format!("hotswap-paths-{}", process::id()));
        let link = home.with_extension("link");
        fs::create_dir_all(&home).expect("writable");
        std::os::unix::fs::symlink(&home, &link).expect("writable");
        // The second would wait for the lock of the first, which nobody gives up.
        let rooms = [&home, &link, &home.join(".")]
            .map(|path| enter(&mut ROOMS.lock(), path).expect("a room"));
        assert!(rooms.iter().all(|room| *room == rooms[0]), "{rooms:?}");
        leave(&link);
        assert!(!rooms[0].exists());
        assert_eq!(enter(&mut ROOMS.lock(), &home).expect("another room"), rooms[0]);
        leave(&home);
        fs::remove_file(&link).expect("removable");
        fs::remove_dir_all(&home).expect("removable");
    }

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
