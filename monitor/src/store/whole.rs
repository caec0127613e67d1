//! Files that appear whole or not at all.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use hotswap_artifact::Fingerprint;
use hotswap_system::clock;
use hotswap_system::fs::{self, File};
use parking_lot::Mutex;
use rustix::process::{Pid, test_kill_process};

/// A name for something unfinished: hidden, never used before, and with the number
/// of this process first, so that what a dead one left is known as that.
fn temporary_name(directory: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only the number counts, nothing is published with it.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Containers that share a directory may both have our number.
    let now = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    directory.join(format!(".{}-{count}-{:x}", hotswap_system::process::id(), now.as_nanos()))
}

/// Gives a finished file its name. Whoever finds it under that name finds all of it.
///
/// Nothing is brought to the disk, which takes as long as linking a small module: a crash of the machine may leave less
/// under the name. What lies in a store is hashed before it is used, or carries its hash, and is built again where it
/// is not what it was.
pub(super) fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path)
}

/// Writes a whole file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = Temporary::below(path.parent().unwrap_or(Path::new("/")));
    File::create_new(&temporary.path)?.write_all(bytes)?;
    publish(&temporary.path, path)
}

/// A line of text and its hash: what is torn or altered is none.
pub(super) fn seal(line: &str) -> String {
    format!("{line}\n{}\n", Fingerprint::of(line.as_bytes()))
}

/// The line that `seal` was given.
pub(super) fn unseal(bytes: &[u8]) -> Option<&str> {
    let (line, check) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    let is_whole = check.strip_suffix('\n')?.parse() == Ok(Fingerprint::of(line.as_bytes()));
    is_whole.then_some(line)
}

/// A file that is not finished. What is not published, or published under one name more, is gone when this is.
pub(super) struct Temporary {
    pub(super) path: PathBuf,
}

impl Temporary {
    pub(super) fn below(directory: &Path) -> Self {
        Self { path: temporary_name(directory) }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A panic out of a drop, while another is under way, would end the process. The file is tried again.
        let _ = catch_unwind(AssertUnwindSafe(|| remove(&self.path)));
    }
}

/// What of ours could not be removed. The names are never used again.
static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How many of them are tried again; what is beyond is swept when this process is gone. A monitor that
/// builds all day where nothing can be removed must not fill its memory.
const LEFT_MAX: usize = 1_000;

/// Removes something unfinished, if it is there; a failure is tried again with the next sweep.
fn remove(temporary: &Path) {
    {
        // Before it is tried, so that nothing is forgotten by whatever interrupts this.
        let mut left = LEFT.lock();
        if left.len() < LEFT_MAX && !left.iter().any(|known| known == temporary) {
            left.push(temporary.to_owned());
        }
    }
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {}
        _ => LEFT.lock().retain(|known| known != temporary),
    }
}

/// Removes what processes that are gone were about to publish, and what this one could not remove.
///
/// A process whose number means nothing here, in another container, may lose its
/// file that way; it makes another.
pub(super) fn sweep(directory: &Path) {
    let left = LEFT.lock().clone();
    left.iter().for_each(|temporary| remove(temporary));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let left_by = name.to_str().and_then(owner).filter(|&pid| is_gone(pid));
        if left_by.is_some()
            && let Err(error) = fs::remove_file(entry.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("cannot remove {}: {error}", entry.path().display());
        }
    }
}

/// The process that made a temporary name.
fn owner(name: &str) -> Option<Pid> {
    let (pid, _) = name.strip_prefix('.')?.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_dead_processes_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let own = temporary_name(directory.path());
        let left = directory.path().join(format!(".{dead}-0"));
        for path in [&own, &left, &directory.path().join(".lock"), &directory.path().join("x.so")] {
            fs::write(path, "x").unwrap();
        }
        sweep(directory.path());
        assert!(!left.exists());
        assert!(own.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("entry");
        for text in ["one", "two"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        // It cannot get its name: a directory lies there.
        let taken = directory.path().join("taken");
        fs::create_dir_all(taken.join("below")).unwrap();
        assert!(write(&taken, b"x").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
