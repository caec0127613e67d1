//! Events of the file system wake the monitor and say what to look at; polling stays the truth.
//!
//! What is found, and whether it stands still, is decided as after every period. An event that comes
//! late, twice or not at all costs time: directories are looked at by every poll, and files that no
//! event named by every tenth ([`SWEEP_PERIODS`](crate::watch::SWEEP_PERIODS)). Watched are directories,
//! not files: an editor that renames over a file gives it another inode.

mod hub;
#[cfg_attr(feature = "events", path = "native.rs")]
#[cfg_attr(not(feature = "events"), path = "absent.rs")]
mod system;
#[cfg_attr(not(feature = "events"), allow(dead_code, reason = "nobody tells of anything"))]
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_system::fs;

use crate::requests::Requests;
use crate::scan::Identity;

pub(crate) use hub::Hub;
pub(crate) use told::Told;
use told::{Listener, Waker};

/// How many directories are watched.
///
/// 4,096: half of what the smallest common limit of a user is; a larger tree is
/// found by polling where it is not watched.
pub(crate) const WATCHED_DIRECTORIES_MAX: usize = 4096;

/// Why events do not wake the monitor, or not for everything. It polls all the same.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EventsProblem {
    /// This program was built without them.
    #[error("built without the feature `events`; the source is polled")]
    NotBuiltIn,
    /// The user's watches are used up.
    #[error(
        "no more directories can be watched: raise the limit fs.inotify.max_user_watches; \
         the rest of the source is polled"
    )]
    WatchLimit,
    /// The user's watchers, or the files that this process may have open, are used up.
    #[error(
        "no watcher could be made: raise the limit fs.inotify.max_user_instances, or that of \
         open files; the source is polled"
    )]
    InstanceLimit,
    /// The source has more directories than are watched.
    #[error("only {WATCHED_DIRECTORIES_MAX} directories are watched; the rest is polled")]
    TooManyDirectories,
    /// The system said something else.
    #[error("cannot watch {}; it is polled", path.display())]
    Io {
        /// The directory, or the source.
        path: PathBuf,
        /// What the system answered.
        #[source]
        error: Arc<io::Error>,
    },
}

/// What gives the events of single directories.
pub(crate) trait Watcher: Send {
    fn watch(&mut self, directory: &Path) -> Result<Reach, EventsProblem>;
    fn unwatch(&mut self, directory: &Path);
}

/// What of the file system is of interest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interest {
    /// Everything below these, but for what no build reads.
    pub(crate) packages: BTreeSet<PathBuf>,
    /// These, wherever they lie.
    pub(crate) files: BTreeSet<PathBuf>,
    /// The directories of all of it.
    pub(crate) directories: BTreeSet<PathBuf>,
}

/// How much of what is written to a directory is told.
#[cfg_attr(not(feature = "events"), allow(dead_code, reason = "nothing is watched"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Everything,
    /// Other machines may write to it, say.
    Some,
}

/// The watched directories of one monitor.
pub(crate) struct Events {
    watcher: Box<dyn Watcher>,
    waker: Arc<Waker>,
    /// Each with what it was, a link may lead elsewhere by now, and what is told of it.
    watched: HashMap<PathBuf, (Identity, Reach)>,
    /// What was told already.
    told: BTreeSet<String>,
}

impl Events {
    /// Events of the system, by a watcher of their own or by that of many.
    pub(crate) fn start(
        requests: Arc<Requests>,
        hub: Option<&Arc<Hub>>,
    ) -> Result<Self, EventsProblem> {
        let waker = Waker::new(requests);
        let watcher = match hub {
            Some(hub) => hub.share(&waker)?,
            None => system::watcher(Arc::clone(&waker) as Arc<dyn Listener>)?,
        };
        Ok(Self::with(watcher, waker))
    }

    pub(crate) fn with(watcher: Box<dyn Watcher>, waker: Arc<Waker>) -> Self {
        Self { watcher, waker, watched: HashMap::new(), told: BTreeSet::new() }
    }

    /// Takes what was told since the last time.
    pub(crate) fn take_told(&self) -> Told {
        self.waker.take()
    }

    /// Whether anything was told since the last time.
    pub(crate) fn has_told(&self) -> bool {
        self.waker.has_told()
    }

    /// Whether any file is being written, as far as events tell.
    pub(crate) fn has_open(&self) -> bool {
        self.waker.has_open()
    }

    /// The directories of which everything is told, by the name that they are known by. One that is
    /// watched by two names is told of by one of them only.
    pub(crate) fn reach(&self) -> HashMap<&Path, Identity> {
        let mut names: HashMap<Identity, usize> = HashMap::new();
        for (identity, _) in self.watched.values() {
            *names.entry(*identity).or_default() += 1;
        }
        let tells = |identity: &Identity, reach| {
            reach == Reach::Everything && identity.is_unique() && names[identity] == 1
        };
        let told = self.watched.iter().filter(|(_, (identity, reach))| tells(identity, *reach));
        told.map(|(path, (identity, _))| (path.as_path(), *identity)).collect()
    }

    /// Watches the directories of what a scan found, and no others. Gives problems
    /// that were not told before.
    pub(crate) fn follow(&mut self, interest: Interest) -> Vec<EventsProblem> {
        let directories = interest.directories.clone();
        *self.waker.interest.lock() = interest;
        // What is gone since the scan is told by its own directory.
        let identity = |path: &PathBuf| Some(Identity::of(&fs::metadata(path).ok()?));
        let wanted: BTreeMap<PathBuf, Identity> = directories
            .into_iter()
            .filter_map(|path| identity(&path).map(|identity| (path, identity)))
            .collect();
        // All of them before anything is watched: what was one directory may be another by now.
        let is_other = |(path, (known, _)): &(&PathBuf, &(Identity, Reach))| {
            wanted.get(*path).is_none_or(|identity| identity != known)
        };
        let others: Vec<Identity> =
            self.watched.iter().filter(is_other).map(|(_, (known, _))| *known).collect();
        others.into_iter().for_each(|identity| self.forget(identity));
        let mut problems = Vec::new();
        let mut has_new = false;
        for (directory, identity) in wanted {
            if self.watched.contains_key(&directory) {
                continue;
            }
            if self.watched.len() >= WATCHED_DIRECTORIES_MAX {
                problems.push(EventsProblem::TooManyDirectories);
                break;
            }
            match self.watcher.watch(&directory) {
                Ok(reach) => {
                    self.watched.insert(directory, (identity, reach));
                    has_new = true;
                }
                Err(problem @ EventsProblem::WatchLimit) => {
                    problems.push(problem);
                    break;
                }
                Err(problem) => problems.push(problem),
            }
        }
        if has_new {
            // Something may have been written after the scan and before the watch.
            self.waker.tell_anything();
        }
        problems.retain(|problem| self.told.insert(problem.to_string()));
        problems
    }

    /// Watches a directory no more, by whatever name: of two names the system knows one watch.
    fn forget(&mut self, identity: Identity) {
        let watcher = &mut self.watcher;
        self.watched.retain(|directory, (known, _)| {
            if *known == identity {
                watcher.unwatch(directory);
            }
            *known != identity
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use hotswap_artifact::{ContentHash, Outcome, Trigger};
    use parking_lot::Mutex;

    use super::*;
    use crate::watch::EventsState;
    use crate::{
        BuildBackend, BuildErrorKind, BuildJob, Built, Diagnostics, Monitor, RACY_WINDOW,
        StopSignal,
    };

    /// A system with so many watches.
    struct Limited {
        left: usize,
        watched: Arc<Mutex<Vec<String>>>,
    }

    impl Watcher for Limited {
        fn watch(&mut self, directory: &Path) -> Result<Reach, EventsProblem> {
            self.left = self.left.checked_sub(1).ok_or(EventsProblem::WatchLimit)?;
            self.watched.lock().push(format!("+{}", directory.display()));
            Ok(Reach::Everything)
        }

        fn unwatch(&mut self, directory: &Path) {
            self.left += 1;
            self.watched.lock().push(format!("-{}", directory.display()));
        }
    }

    fn events(left: usize) -> (Events, Arc<Mutex<Vec<String>>>) {
        let watched = Arc::default();
        let watcher = Limited { left, watched: Arc::clone(&watched) };
        let requests = Arc::new(Requests::new(None).0);
        let waker = Waker::new(requests);
        (Events::with(Box::new(watcher), waker), watched)
    }

    fn interest(root: &Path, names: &[&str]) -> Interest {
        let directories = names.iter().map(|name| root.join(name)).collect();
        Interest { directories, ..Interest::default() }
    }

    #[test]
    fn exhaustion_is_named_once_and_what_is_watched_stays_watched() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["a", "b", "c"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let (mut events, watched) = events(2);
        let problems = events.follow(interest(root, &["a", "b", "c"]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("fs.inotify.max_user_watches"));
        assert!(events.follow(interest(root, &["a", "b", "c"])).is_empty(), "told once");
        assert_eq!(watched.lock().len(), 2);
        // One that is no longer needed makes room.
        assert!(events.follow(interest(root, &["a", "c"])).is_empty());
        assert_eq!(events.watched.len(), 2);
    }

    #[test]
    fn a_directory_that_is_another_one_is_watched_anew() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("a")).unwrap();
        let (mut events, watched) = events(9);
        events.follow(interest(root, &["a", "absent"]));
        events.follow(interest(root, &["a"]));
        assert_eq!(watched.lock().len(), 1);
        fs::rename(root.join("a"), root.join("b")).unwrap();
        fs::create_dir(root.join("a")).unwrap();
        events.follow(interest(root, &["a"]));
        let a = root.join("a").display().to_string();
        assert_eq!(*watched.lock(), [format!("+{a}"), format!("-{a}"), format!("+{a}")]);
    }

    #[test]
    fn a_directory_with_two_names_is_told_of_by_one_and_watched_for_as_long_as_it_has_any() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("a")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        let (mut events, watched) = events(9);
        events.follow(interest(root, &["a", "b", "link"]));
        let reach = events.reach();
        assert_eq!(reach.keys().collect::<Vec<_>>(), [&root.join("b")]);
        events.follow(interest(root, &["a", "b"]));
        assert_eq!(events.reach().len(), 2);
        let last = watched.lock().last().cloned();
        assert_eq!(last, Some(format!("+{}", root.join("a").display())), "{watched:?}");
        // Each is the other.
        fs::rename(root.join("a"), root.join("c")).unwrap();
        fs::rename(root.join("b"), root.join("a")).unwrap();
        fs::rename(root.join("c"), root.join("b")).unwrap();
        watched.lock().clear();
        events.follow(interest(root, &["a", "b"]));
        let signs: String = watched.lock().iter().filter_map(|step| step.chars().next()).collect();
        assert_eq!(signs, "--++");
    }

    /// A system that loses every event.
    struct Deaf;

    impl Watcher for Deaf {
        fn watch(&mut self, _: &Path) -> Result<Reach, EventsProblem> {
            Ok(Reach::Everything)
        }

        fn unwatch(&mut self, _: &Path) {}
    }

    #[test]
    fn cd_3_when_every_event_is_lost_the_next_poll_finds_the_change() {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("libgame.so");
        fs::write(&library, "0").unwrap();
        let requests = Arc::new(Requests::new(None).0);
        let waker = Waker::new(requests);
        let mut builder = Monitor::builder(&library).poll_every(Duration::from_millis(20));
        builder.events = EventsState::On(Events::with(Box::new(Deaf), waker));
        let (_monitor, notifications) = builder.start().unwrap();
        let patience = Duration::from_secs(60);
        for number in 0..20 {
            let notification = notifications.recv_timeout(patience).unwrap();
            assert_eq!(notification.trigger == Trigger::Poll, number > 0);
            let Outcome::Ready(artifact) = notification.outcome else { panic!() };
            assert_eq!(artifact.content, ContentHash::of(number.to_string().as_bytes()));
            // Whole or not at all: an empty file that stands still is a version too.
            let unfinished = tempfile::NamedTempFile::new().unwrap();
            fs::write(unfinished.path(), (number + 1).to_string()).unwrap();
            unfinished.persist(&library).unwrap();
        }
    }

    /// A compiler that finds fault with everything.
    struct Strict;

    impl BuildBackend for Strict {
        fn build(&mut self, _: &BuildJob, _: &StopSignal) -> Result<Built, BuildErrorKind> {
            Err(BuildErrorKind::Failed { diagnostics: Diagnostics::default() })
        }
    }

    #[test]
    fn cd_3_a_write_in_place_of_which_nobody_is_told_is_found_by_a_sweep() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let manifest = "[package]\nname = \"game\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(root.join("src")).unwrap();
        fs::write(root.join("src/lib.rs"), "").unwrap();
        let waker = Waker::new(Arc::new(Requests::new(None).0));
        let builder = Monitor::builder(root).backend(Box::new(Strict));
        let mut builder = builder.poll_every(Duration::from_millis(20));
        builder.events = EventsState::On(Events::with(Box::new(Deaf), waker));
        let (_monitor, notifications) = builder.start().unwrap();
        notifications.recv_timeout(Duration::from_secs(60)).unwrap();
        // Until the file is so old that no poll reads it any more, there is nothing to tell.
        let old = RACY_WINDOW + Duration::from_millis(200);
        assert!(notifications.recv_timeout(old).is_err());
        fs::write(root.join("src/lib.rs"), "// new").unwrap();
        let found = notifications.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!((found.trigger, found.cause.count), (Trigger::Poll, 1));
    }
}
