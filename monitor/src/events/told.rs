//! What events told since the last look.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotswap_artifact::Trigger;
use hotswap_system::clock;
use parking_lot::Mutex;

use super::Interest;
use crate::requests::Requests;
use crate::scan::walk::is_file_left_out;

/// How many paths are named until the next look; more are told as "anything".
///
/// 1,024: a few hundred kilobytes at most, and more than anybody saves at once. A checkout of more
/// files is looked at as a whole.
const PATHS_MAX: usize = 1024;

/// How long a file that was written and not closed counts as unfinished.
///
/// 2 s, as long as a source that never stands still is waited for: a log that a program keeps open
/// holds up no save for longer.
const OPEN_MAX: Duration = Duration::from_secs(2);

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It was made. A reason to look, it may be a link; a file is written and closed next.
    Created,
    /// Some of it was written; there may be more to come.
    Written,
    /// It was closed after writing, got its name, or lost it: it is whole, or gone.
    Completed,
    /// Its times or permissions are others.
    Touched,
}

/// Wakes the thread of a monitor, and remembers what for.
pub(crate) struct Waker {
    pub(crate) interest: Mutex<Interest>,
    pub(crate) requests: Arc<Requests>,
    told: Mutex<Told>,
}

/// Who is told of events.
pub(crate) trait Listener: Send + Sync {
    fn tell(&self, path: PathBuf, happened: Happened);
    fn tell_anything(&self);
}

impl Listener for Waker {
    fn tell(&self, path: PathBuf, happened: Happened) {
        self.tell(path, happened);
    }

    fn tell_anything(&self) {
        self.tell_anything();
    }
}

/// What events told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// With the time of the last write, where no close followed.
    paths: HashMap<PathBuf, Option<Instant>>,
    /// Whether anything may have happened: events were lost, or there were too many.
    is_anything: bool,
}

impl Waker {
    pub(crate) fn new(requests: Arc<Requests>) -> Arc<Self> {
        Arc::new(Self { interest: Mutex::default(), requests, told: Mutex::default() })
    }

    /// Something happened to a path. Wakes the thread if the file may be whole now: each single
    /// write would only wake for half of it.
    pub(crate) fn tell(&self, path: PathBuf, happened: Happened) {
        if !is_covered(&self.interest.lock(), &path) {
            return;
        }
        let now = clock::now();
        let mut told = self.told.lock();
        let has_room = told.paths.len() < PATHS_MAX;
        let is_reason = matches!(happened, Happened::Created | Happened::Completed);
        let is_open = matches!(happened, Happened::Created | Happened::Written);
        match told.paths.get_mut(&path) {
            Some(_) if happened == Happened::Touched => {}
            Some(open) => *open = is_open.then_some(now),
            None if has_room => drop(told.paths.insert(path, is_open.then_some(now))),
            None => told.is_anything = true,
        }
        drop(told);
        if is_reason {
            self.requests.push(Trigger::Event);
        }
    }

    /// Anything may have happened.
    pub(crate) fn tell_anything(&self) {
        self.told.lock().is_anything = true;
        self.requests.push(Trigger::Event);
    }

    /// Takes what was told. Files that are still being written stay.
    pub(crate) fn take(&self) -> Told {
        let mut told = self.told.lock();
        let taken = std::mem::take(&mut *told);
        let still_open = taken.paths.iter().filter(|(_, open)| is_open(open));
        told.paths = still_open.map(|(path, open)| (path.clone(), *open)).collect();
        taken
    }

    /// Whether there is anything to take.
    pub(crate) fn has_told(&self) -> bool {
        let told = self.told.lock();
        told.is_anything || !told.paths.is_empty()
    }

    /// Whether any file is being written.
    pub(crate) fn has_open(&self) -> bool {
        self.told.lock().paths.values().any(is_open)
    }
}

impl Told {
    /// Anything may have happened.
    pub(crate) fn anything() -> Self {
        Self { paths: HashMap::new(), is_anything: true }
    }

    pub(crate) fn is_anything(&self) -> bool {
        self.is_anything
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.keys().map(PathBuf::as_path)
    }

    /// Whether the last that was told of a path is that it is whole, or gone.
    pub(crate) fn is_complete(&self, path: &Path) -> bool {
        matches!(self.paths.get(path), Some(None))
    }

    /// Tells that a file is whole.
    #[cfg(test)]
    pub(crate) fn complete(&mut self, path: &Path) {
        self.paths.insert(path.to_owned(), None);
    }

    /// Adds what was told later.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.paths.extend(later.paths.iter().map(|(path, open)| (path.clone(), *open)));
        self.is_anything |= later.is_anything;
    }
}

fn is_open(open: &Option<Instant>) -> bool {
    open.is_some_and(|written| clock::since(written) < OPEN_MAX)
}

/// Whether what happened to a path is of interest.
fn is_covered(interest: &Interest, path: &Path) -> bool {
    if interest.files.contains(path) {
        return true;
    }
    let is_left_out = path.file_name().is_some_and(is_file_left_out);
    !is_left_out && interest.packages.iter().any(|package| path.starts_with(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waker() -> (Arc<Waker>, Arc<Requests>) {
        let requests = Arc::new(Requests::new(None).0);
        let waker = Waker::new(Arc::clone(&requests));
        waker.interest.lock().packages.insert("/game".into());
        (waker, requests)
    }

    #[test]
    fn what_no_build_reads_is_of_no_interest() {
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

    #[test]
    fn a_file_that_is_written_is_told_and_wakes_nobody_until_it_is_closed() {
        let (waker, requests) = waker();
        let (file, other) = (Path::new("/game/a.rs"), Path::new("/game/b.rs"));
        waker.tell(file.to_owned(), Happened::Written);
        assert!(waker.has_open());
        assert_eq!(requests.take().trigger, None);
        let first = waker.take();
        assert!(first.paths().eq([file]) && !first.is_complete(file));
        assert!(waker.take().paths().eq([file]), "as long as it is open");
        waker.tell(file.to_owned(), Happened::Completed);
        waker.tell(file.to_owned(), Happened::Touched);
        waker.tell(other.to_owned(), Happened::Created);
        assert_eq!(requests.take().trigger, Some(Trigger::Event));
        let told = waker.take();
        assert!(told.is_complete(file) && !told.is_complete(other));
        assert!(waker.has_open() && waker.take().paths().eq([other]));
    }

    #[test]
    fn too_many_to_be_named_are_anything() {
        let (waker, _requests) = waker();
        for number in 0..=PATHS_MAX {
            assert!(!waker.told.lock().is_anything);
            waker.tell(format!("/game/{number}").into(), Happened::Completed);
        }
        assert!(waker.take().is_anything());
        assert!(!waker.take().is_anything());
    }
}
