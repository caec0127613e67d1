//! The system's events, by way of the crate notify.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hotswap_artifact::Trigger;
use hotswap_system::fault::{Operation, check};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{EventsProblem, Interest, Waker, Watcher};
use crate::scan::walk::is_file_left_out;

pub(super) fn watcher(waker: &Arc<Waker>) -> Result<Box<dyn Watcher>, EventsProblem> {
    let waker = Arc::clone(waker);
    let source = Path::new("the source");
    let watcher = check(Operation::Watch, source)
        .map_err(notify::Error::io)
        .and_then(|()| notify::recommended_watcher(move |event| wake(&waker, event)))
        .map_err(|error| problem(source, error))?;
    Ok(Box::new(Native(watcher)))
}

struct Native(RecommendedWatcher);

impl Watcher for Native {
    fn watch(&mut self, directory: &Path) -> Result<(), EventsProblem> {
        // Not recursive: the target directory may lie below.
        check(Operation::Watch, directory)
            .map_err(notify::Error::io)
            .and_then(|()| self.0.watch(directory, RecursiveMode::NonRecursive))
            .map_err(|error| problem(directory, error))
    }

    fn unwatch(&mut self, directory: &Path) {
        // It fails when the directory is gone, and its watch with it.
        let _gone = self.0.unwatch(directory);
    }
}

/// Runs on notify's thread.
fn wake(waker: &Waker, event: notify::Result<Event>) {
    let is_reason = match event {
        // Events were lost: anything may have happened.
        Err(_) => true,
        Ok(event) if event.need_rescan() => true,
        Ok(event) => {
            is_complete(event.kind) && {
                let interest = waker.interest.lock();
                event.paths.iter().any(|path| is_covered(&interest, path))
            }
        }
    };
    if is_reason {
        waker.requests.push(Trigger::Event);
    }
}

/// Whether something that happened to a path is a reason to look.
fn is_covered(interest: &Interest, path: &Path) -> bool {
    if interest.files.contains(path) {
        return true;
    }
    let is_left_out = path.file_name().is_some_and(is_file_left_out);
    !is_left_out && interest.packages.iter().any(|package| path.starts_with(package))
}

/// Whether a file may be whole now: closed after writing, renamed, created (a link,
/// say), removed. Each single write would only wake for half of it.
fn is_complete(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
    )
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

    #[test]
    fn what_no_build_reads_is_no_reason_to_look() {
        let interest = Interest {
            packages: [Path::new("/game").to_owned()].into(),
            files: [Path::new("/texts/a.txt").to_owned()].into(),
            ..Interest::default()
        };
        for path in ["/game", "/game/src/lib.rs", "/game/src/new", "/texts/a.txt"] {
            assert!(is_covered(&interest, Path::new(path)), "{path}");
        }
        for path in ["/game/src/.lib.rs.swp", "/game/src/4913", "/texts/b.txt", "/", "/gamer"] {
            assert!(!is_covered(&interest, Path::new(path)), "{path}");
        }
    }
}
