//! Ways in for the tests of this project. No part of the interface: all of it may change at any time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};

use crossbeam_channel::unbounded;
use hotswap_artifact::{Group, MemberId};
use hotswap_system::thread;
use parking_lot::{Mutex, RwLockReadGuard};

use crate::builder::EngineBuilder;
use crate::engine::Engine;
use crate::shared::Shared;
use crate::siblings::Sibling;
use crate::swapper::{Crew, Swapper};
use crate::version::Version;
use crate::version_id::VersionId;

/// Threads that several engines share.
#[derive(Debug, Clone)]
pub struct Together(Shared);

/// What says which changes of an engine's source belong to which groups, in place of a monitor that knows.
#[derive(Debug, Clone)]
pub struct Seat {
    member: MemberId,
    groups: Arc<Mutex<VecDeque<Arc<Group>>>>,
}

impl Together {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        Ok(Self(Shared { crew: Crew::start()?, watch: None }))
    }

    /// Has an engine be one of those.
    pub fn member(&self, builder: EngineBuilder) -> EngineBuilder {
        builder.on(&self.0)
    }

    /// As `member`, with a source that may change together with others.
    pub fn seated(&self, builder: EngineBuilder, number: u64) -> (EngineBuilder, Seat) {
        let seat = Seat { member: MemberId(number), groups: Arc::default() };
        (self.member(builder).seat(seat.clone()), seat)
    }

    /// Held while several engines are pinned.
    pub fn pinning(&self) -> RwLockReadGuard<'_, ()> {
        self.0.crew.pin_lock().read()
    }
}

/// A version of an engine, as a call in it knows it.
#[derive(Debug)]
pub struct Inside(Weak<Version>);

/// Which version of another engine belongs with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belongs {
    /// Whatever is current there.
    Current,
    /// This one.
    Version(VersionId),
    /// One that is gone, or the asking version is.
    Gone,
}

impl Inside {
    /// The version that is current now, which this does not hold.
    #[must_use]
    pub fn of(engine: &Engine) -> Self {
        Self(Arc::downgrade(&engine.core().slot.load()))
    }

    /// What belongs with it of another engine.
    #[must_use]
    pub fn sibling(&self, seat: &Seat) -> Belongs {
        let sibling = self.0.upgrade().map(|version| version.siblings.of(seat.member));
        match sibling {
            Some(Sibling::Current) => Belongs::Current,
            Some(Sibling::Version(version)) => Belongs::Version(version.id),
            Some(Sibling::Gone) | None => Belongs::Gone,
        }
    }
}

impl Seat {
    /// The next change of these is one of all of them.
    pub fn change_together(number: u64, seats: &[&Self]) {
        let members = seats.iter().map(|seat| seat.member).collect();
        let group = Arc::new(Group::new(number, members));
        seats.iter().for_each(|seat| seat.groups.lock().push_back(Arc::clone(&group)));
    }

    /// Puts the groups on what comes from a swapper's monitor.
    pub(crate) fn take(self, swapper: &mut Swapper) -> io::Result<()> {
        let (to, marked) = unbounded();
        let from = std::mem::replace(&mut swapper.notifications, marked);
        // Nobody set it before: the monitor watches one source.
        let _ = swapper.core.member.set(self.member);
        let groups = self.groups;
        thread::spawn("seat", move || {
            for message in from {
                let group = message.change.and_then(|_| groups.lock().pop_front());
                let message = match group {
                    Some(group) => message.with_group(group),
                    None => message,
                };
                if to.send(message).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}
