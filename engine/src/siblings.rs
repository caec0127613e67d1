//! What belongs with a version that was replaced together with others.
//!
//! A call that is under way in such a version and calls another engine by name must meet the version of before there too.
//! So a replaced version knows the others that were replaced with it, weakly; and as long as a call or a guard is in it, the
//! swapper keeps them (`Companion`). No version holds another: they go whatever points to whom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use hotswap_artifact::MemberId;
use parking_lot::Mutex;

use crate::pin::PinKind;
use crate::version::Version;

/// The versions of other engines that belong with one that was replaced.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    /// Whether there are any; a replaced version alone has them.
    is_any: AtomicBool,
    list: Mutex<Vec<(MemberId, Weak<Version>)>>,
}

/// Which version of another engine belongs with one.
#[derive(Debug)]
pub(crate) enum Sibling {
    /// The one that is current there: the two were not replaced together.
    Current,
    /// This one, which is mapped for as long as this lives.
    Version(Arc<Version>),
    /// One that nobody kept: whoever asks is neither a call nor a guard of a replaced version.
    Gone,
}

impl Siblings {
    /// Notes what belongs with this version, unless another version of that engine does; whether it was noted.
    pub(crate) fn add(&self, member: MemberId, version: Weak<Version>) -> bool {
        let mut list = self.list.lock();
        let is_new = list.iter().all(|(known, _)| *known != member);
        if is_new {
            list.push((member, version));
        }
        // Relaxed: who decides by it has passed a lock since (`Guard::new`).
        self.is_any.store(true, Ordering::Relaxed);
        is_new
    }

    /// The version is current again: what is current elsewhere belongs with it.
    pub(crate) fn clear(&self) {
        self.list.lock().clear();
        self.is_any.store(false, Ordering::Relaxed);
    }

    /// Whether anything belongs with it but what is current.
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// What belongs with it of another engine.
    ///
    /// The answer `Current` counts when it is given after the other engine's current version was entered: siblings are
    /// noted before a pointer is written, so that who met a version of afterwards is told here.
    pub(crate) fn of(&self, member: MemberId) -> Sibling {
        let list = self.list.lock();
        match list.iter().find(|(known, _)| *known == member) {
            None => Sibling::Current,
            Some((_, version)) => version.upgrade().map_or(Sibling::Gone, Sibling::Version),
        }
    }
}

/// A version that is kept because another one is in use with which it belongs.
#[derive(Debug)]
pub(crate) struct Companion {
    version: Arc<Version>,
    hold: u64,
}

impl Companion {
    /// Keeps a version; `of` names the other one, for people.
    pub(crate) fn new(version: Arc<Version>, of: &str) -> Self {
        let hold = version.holds.add(PinKind::Sibling, of.to_owned());
        Self { version, hold }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.version.holds.remove(self.hold);
    }
}
