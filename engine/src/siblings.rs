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

/// What a version belongs with, once it is replaced; noted a moment before that.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    is_any: AtomicBool,
    /// The earliest that has a version of an engine counts.
    families: Mutex<Vec<Arc<Family>>>,
}

/// Versions that were replaced together, in the order of their engines' sources.
#[derive(Debug)]
pub(crate) struct Family(Vec<(MemberId, Weak<Version>)>);

/// Which version of another engine belongs with one.
#[derive(Debug)]
pub(crate) enum Sibling {
    /// The one that is current there: the two were not replaced together.
    Current,
    /// This one, which is mapped for as long as this lives.
    Version(Arc<Version>),
    /// One that nobody kept: whoever asks is in no call that has a slot, and has no guard.
    Gone,
}

impl Family {
    pub(crate) fn new(mut versions: Vec<(MemberId, Weak<Version>)>) -> Self {
        versions.sort_by_key(|(member, _)| *member);
        Self(versions)
    }

    fn of(&self, member: MemberId) -> Option<&Weak<Version>> {
        let at = self.0.binary_search_by_key(&member, |(known, _)| *known).ok()?;
        Some(&self.0[at].1)
    }
}

impl Siblings {
    /// Notes what a version was replaced with, or what was replaced while it was still in use.
    pub(crate) fn add(&self, family: &Arc<Family>) {
        let mut families = self.families.lock();
        // One that a call stays in for many swaps remembers no more than it needs.
        let is_known =
            |(member, _): &(MemberId, _)| families.iter().any(|it| it.of(*member).is_some());
        if !family.0.iter().all(is_known) {
            families.push(Arc::clone(family));
        }
        // Relaxed: who decides by it has passed a lock since (`Guard::new`).
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// The version is current again: what is current elsewhere belongs with it.
    pub(crate) fn clear(&self) {
        self.families.lock().clear();
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
        let families = self.families.lock();
        match families.iter().find_map(|family| family.of(member)) {
            None => Sibling::Current,
            Some(version) => version.upgrade().map_or(Sibling::Gone, Sibling::Version),
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
