//! One watcher of the system for many monitors: a user may have few of them, and each has a thread.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotswap_system::fs;
use parking_lot::Mutex;

use super::told::{Happened, Listener, Waker};
use super::{EventsProblem, Reach, Watcher, system};
use crate::scan::Identity;

/// Whoever wants the events of some directories.
#[derive(Default)]
pub(crate) struct Hub {
    /// Made when it is needed. Its own thread never takes this lock.
    watcher: Mutex<Option<Box<dyn Watcher>>>,
    audience: Arc<Audience>,
}

/// Who is told, by directories without links.
#[derive(Default)]
struct Audience(Mutex<HashMap<PathBuf, Directory>>);

struct Directory {
    identity: Identity,
    reach: Reach,
    /// With the name by which each knows it.
    listeners: Vec<(Arc<Waker>, PathBuf)>,
}

/// The part of one monitor.
struct Share {
    hub: Arc<Hub>,
    waker: Arc<Waker>,
    /// What is watched, and where it really lies.
    watched: HashMap<PathBuf, PathBuf>,
}

impl Hub {
    /// A watcher that is one with all others of the hub.
    pub(crate) fn share(
        self: &Arc<Self>,
        waker: &Arc<Waker>,
    ) -> Result<Box<dyn Watcher>, EventsProblem> {
        let mut watcher = self.watcher.lock();
        if watcher.is_none() {
            *watcher = Some(system::watcher(Arc::clone(&self.audience) as Arc<dyn Listener>)?);
        }
        let (hub, waker) = (Arc::clone(self), Arc::clone(waker));
        Ok(Box::new(Share { hub, waker, watched: HashMap::new() }))
    }
}

impl Watcher for Share {
    fn watch(&mut self, directory: &Path) -> Result<Reach, EventsProblem> {
        let failed =
            |error| EventsProblem::Io { path: directory.to_owned(), error: Arc::new(error) };
        let real = fs::canonicalize(directory).map_err(failed)?;
        let identity = Identity::of(&fs::metadata(&real).map_err(failed)?);
        let mut watcher = self.hub.watcher.lock();
        let Some(watcher) = watcher.as_mut() else { return Ok(Reach::Some) };
        let known =
            self.hub.audience.0.lock().get(&real).map(|known| (known.identity, known.reach));
        let reach = match known {
            Some((known, reach)) if known == identity => reach,
            other => {
                // Another directory has its name by now.
                other.into_iter().for_each(|_| watcher.unwatch(&real));
                watcher.watch(&real)?
            }
        };
        let mut audience = self.hub.audience.0.lock();
        let listeners = Vec::new();
        let known =
            audience.entry(real.clone()).or_insert(Directory { identity, reach, listeners });
        (known.identity, known.reach) = (identity, reach);
        known.listeners.push((Arc::clone(&self.waker), directory.to_owned()));
        self.watched.insert(directory.to_owned(), real);
        Ok(reach)
    }

    fn unwatch(&mut self, directory: &Path) {
        let Some(real) = self.watched.remove(directory) else { return };
        let mut watcher = self.hub.watcher.lock();
        let mut audience = self.hub.audience.0.lock();
        let Some(known) = audience.get_mut(&real) else { return };
        known
            .listeners
            .retain(|(waker, name)| !(Arc::ptr_eq(waker, &self.waker) && name == directory));
        if known.listeners.is_empty() {
            audience.remove(&real);
            // Its thread may want to know who is told.
            drop(audience);
            watcher.iter_mut().for_each(|watcher| watcher.unwatch(&real));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let watched: Vec<PathBuf> = self.watched.keys().cloned().collect();
        watched.iter().for_each(|directory| self.unwatch(directory));
    }
}

impl Listener for Audience {
    fn tell(&self, path: PathBuf, happened: Happened) {
        let audience = self.0.lock();
        let inside = path.parent().zip(path.file_name());
        let of_parent = inside.and_then(|(parent, name)| Some((audience.get(parent)?, name)));
        if let Some((directory, name)) = of_parent {
            for (waker, known_as) in &directory.listeners {
                waker.tell(known_as.join(name), happened);
            }
        }
        for (waker, known_as) in audience.get(&path).into_iter().flat_map(|found| &found.listeners)
        {
            waker.tell(known_as.clone(), happened);
        }
    }

    fn tell_anything(&self) {
        for (waker, _) in self.0.lock().values().flat_map(|directory| &directory.listeners) {
            waker.tell_anything();
        }
    }
}
