//! The system's events, by way of the crate notify.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hotswap_system::fault::{Operation, check};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::told::{Happened, Listener};
use super::{EventsProblem, Reach, Watcher};

pub(super) fn watcher(listener: Arc<dyn Listener>) -> Result<Box<dyn Watcher>, EventsProblem> {
    let source = Path::new("the source");
    let watcher = check(Operation::Watch, source)
        .map_err(notify::Error::io)
        .and_then(|()| notify::recommended_watcher(move |event| wake(&*listener, event)))
        .map_err(|error| problem(source, error))?;
    Ok(Box::new(Native(watcher)))
}

struct Native(RecommendedWatcher);

impl Watcher for Native {
    fn watch(&mut self, directory: &Path) -> Result<Reach, EventsProblem> {
        // Not recursive: the target directory may lie below.
        check(Operation::Watch, directory)
            .map_err(notify::Error::io)
            .and_then(|()| self.0.watch(directory, RecursiveMode::NonRecursive))
            .map_err(|error| problem(directory, error))?;
        Ok(if tells_everything(directory) { Reach::Everything } else { Reach::Some })
    }

    fn unwatch(&mut self, directory: &Path) {
        // It fails when the directory is gone, and its watch with it.
        let _gone = self.0.unwatch(directory);
    }
}

/// Runs on notify's thread.
fn wake(listener: &dyn Listener, event: notify::Result<Event>) {
    match event {
        Ok(event) if !event.need_rescan() => {
            if let Some(happened) = happened(event.kind) {
                event.paths.into_iter().for_each(|path| listener.tell(path, happened));
            }
        }
        // Events were lost.
        Ok(_) | Err(_) => listener.tell_anything(),
    }
}

/// What an event says; nothing when a file was only read.
fn happened(kind: EventKind) -> Option<Happened> {
    match kind {
        EventKind::Create(CreateKind::Folder) => Some(Happened::Completed),
        EventKind::Create(_) => Some(Happened::Created),
        EventKind::Modify(ModifyKind::Data(_)) => Some(Happened::Written),
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(_)) => Some(Happened::Completed),
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => Some(Happened::Touched),
        EventKind::Access(_) => None,
    }
}

/// Whether the system tells of everything that is written there: not of what other machines, or the
/// program behind a file system, write to it.
fn tells_everything(directory: &Path) -> bool {
    // Of the file systems whose every write goes through this kernel, those that sources lie on.
    // *Source*: their `*_SUPER_MAGIC` in linux/magic.h and in their own sources.
    const LOCAL: [u32; 9] = [
        0xEF53,      // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683E, // Btrfs
        0x0102_1994, // tmpfs
        0x794C_7630, // overlayfs
        0xF2F5_2010, // F2FS
        0x2FC1_2FC1, // ZFS
        0xCA45_1A4E, // bcachefs
        0x8584_58F6, // ramfs
    ];
    // The type's width differs between platforms; every number fits 32 bits.
    check(Operation::Stat, directory).is_ok()
        && rustix::fs::statfs(directory).is_ok_and(|found| LOCAL.contains(&(found.f_type as u32)))
}

fn problem(path: &Path, error: notify::Error) -> EventsProblem {
    let other =
        |error: io::Error| EventsProblem::Io { path: path.to_owned(), error: Arc::new(error) };
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => EventsProblem::WatchLimit,
        notify::ErrorKind::Io(error) => match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::NOSPC.raw_os_error() => {
                EventsProblem::WatchLimit
            }
            Some(code)
                if code == rustix::io::Errno::MFILE.raw_os_error()
                    || code == rustix::io::Errno::NFILE.raw_os_error() =>
            {
                EventsProblem::InstanceLimit
            }
            _ => other(error),
        },
        _ => other(io::Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_limits_are_named() {
        let limit = |error| problem(Path::new("/x"), error);
        let of_code = |code: rustix::io::Errno| {
            notify::Error::io(io::Error::from_raw_os_error(code.raw_os_error()))
        };
        let watches = limit(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        assert!(matches!(watches, EventsProblem::WatchLimit));
        assert!(matches!(limit(of_code(rustix::io::Errno::NOSPC)), EventsProblem::WatchLimit));
        assert!(matches!(limit(of_code(rustix::io::Errno::MFILE)), EventsProblem::InstanceLimit));
        let other = limit(of_code(rustix::io::Errno::ACCESS));
        assert_eq!(other.to_string(), "cannot watch /x; it is polled");
    }
}
