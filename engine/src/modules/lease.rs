//! Who uses a module: handles that the host has, and calls of other modules.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::modules::calls::Link;
use crate::pin::{Holds, Origin, Pin, PinKind};

/// Who uses a module, beyond its registry.
#[derive(Debug, Default)]
pub(crate) struct Users {
    handles: Holds,
    /// From modules that called it.
    links: Mutex<Vec<Arc<Link>>>,
    /// How many wait for nobody to use it.
    waiting: AtomicUsize,
    bells: Mutex<Vec<Sender<()>>>,
}

impl Users {
    /// Notes a handle that is given out here.
    pub(crate) fn lease(self: &Arc<Self>, location: &'static Location<'static>) -> Arc<Lease> {
        let origin = Origin::Place(location, thread::current());
        let number = self.handles.add(PinKind::Handle, origin);
        Arc::new(Lease { users: Arc::clone(self), number })
    }

    /// Notes a module that calls this one.
    pub(crate) fn add_link(&self, link: &Arc<Link>) {
        self.links.lock().push(Arc::clone(link));
    }

    /// Everybody.
    pub(crate) fn list(&self) -> Vec<ModuleUser> {
        let mut users: Vec<_> = self.handles.list().into_iter().map(ModuleUser::Handle).collect();
        let links = self.links.lock();
        users.extend(links.iter().filter_map(|link| {
            let count = link.under_way();
            (count > 0).then(|| ModuleUser::Calls { of: link.caller().to_owned(), count })
        }));
        users
    }

    /// A channel that has a message whenever somebody may have been the last user.
    pub(crate) fn watch(&self) -> Watched<'_> {
        // One token: it says "look again", how often does not matter.
        let (bell, rung) = bounded(1);
        self.bells.lock().push(bell);
        // SeqCst pairs with the load in `left`: who leaves sees that somebody waits, or who waits sees that nobody is left.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Watched { users: self, rung }
    }

    /// Somebody uses it no longer.
    pub(crate) fn left(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Full means that it will be looked again in any case; gone, that nobody waits.
            self.bells
                .lock()
                .retain(|bell| !matches!(bell.try_send(()), Err(error) if error.is_disconnected()));
        }
    }
}

/// Somebody waits for nobody to use a module.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    users: &'a Users,
    pub(crate) rung: Receiver<()>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.users.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A handle that a registry gave out, with all its clones and what was made from them.
#[derive(Debug)]
pub(crate) struct Lease {
    users: Arc<Users>,
    number: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.users.handles.remove(self.number);
        self.users.left();
    }
}

/// Somebody who uses a module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleUser {
    /// Somebody in the host has a handle that the registry gave out there, or a clone of it, or a guard or a function made from it.
    Handle(Pin),
    /// Calls of another module are under way in it.
    Calls {
        /// The module that calls.
        of: String,
        /// How many.
        count: usize,
    },
}

impl ModuleUser {
    /// All of them, for people.
    pub(crate) fn join(users: &[Self]) -> String {
        users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for ModuleUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(pin) => pin.fmt(f),
            Self::Calls { of, count: 1 } => write!(f, "a call of {of}"),
            Self::Calls { of, count } => write!(f, "{count} calls of {of}"),
        }
    }
}
