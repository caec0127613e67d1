//! A cell that no engine knows of, for a module's own tests: it locks as the host's cells do.

use std::panic::Location;
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::error::StateErrorKind;
use crate::services::Access;

/// One cell. It is never freed.
pub(super) struct Standalone<T> {
    gate: Gate,
    /// Never waited for: who passed the gate finds it free.
    value: RwLock<T>,
}

/// Who holds a cell. A lock of its own, since one of std does not say whether this very thread is the holder.
#[derive(Default)]
struct Gate {
    holders: Mutex<Vec<Holder>>,
    freed: Condvar,
}

#[derive(Clone, Copy)]
struct Holder {
    thread: ThreadId,
    access: Access,
    place: &'static Location<'static>,
}

impl<T> Standalone<T> {
    pub(super) fn new(value: T) -> Self {
        Self { gate: Gate::default(), value: RwLock::new(value) }
    }

    /// Locks it for reading.
    pub(super) fn read(
        &'static self,
        timeout: Duration,
        place: &'static Location<'static>,
    ) -> Result<Reading<T>, StateErrorKind> {
        let pass = self.gate.pass(Access::Read, timeout, place)?;
        let guard = self.value.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Reading { guard, _pass: pass })
    }

    /// Locks it for writing.
    pub(super) fn write(
        &'static self,
        timeout: Duration,
        place: &'static Location<'static>,
    ) -> Result<Writing<T>, StateErrorKind> {
        let pass = self.gate.pass(Access::Write, timeout, place)?;
        let guard = self.value.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Writing { guard, _pass: pass })
    }
}

/// Locked for reading. Fields are dropped in order: the value is free before the gate says so.
pub(super) struct Reading<T: 'static> {
    pub(super) guard: RwLockReadGuard<'static, T>,
    _pass: Pass,
}

/// Locked for writing; the same.
pub(super) struct Writing<T: 'static> {
    pub(super) guard: RwLockWriteGuard<'static, T>,
    _pass: Pass,
}

/// One holder's place among them.
struct Pass {
    gate: &'static Gate,
    holder: Holder,
}

impl Holder {
    /// Whether the two cannot hold it at once.
    fn excludes(&self, other: &Self) -> bool {
        self.access == Access::Write || other.access == Access::Write
    }
}

impl Gate {
    fn holders(&self) -> MutexGuard<'_, Vec<Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(
        &'static self,
        access: Access,
        timeout: Duration,
        place: &'static Location<'static>,
    ) -> Result<Pass, StateErrorKind> {
        let holder = Holder { thread: thread::current().id(), access, place };
        // `None`: for ever.
        let deadline = Instant::now().checked_add(timeout);
        let mut holders = self.holders();
        while holders.iter().any(|other| other.excludes(&holder)) {
            let mine = |other: &&Holder| other.thread == holder.thread && other.excludes(&holder);
            if let Some(mine) = holders.iter().find(mine) {
                let (holder, wanted) = (mine.place.to_string(), place.to_string());
                return Err(StateErrorKind::Held { holder, wanted });
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            holders = match left {
                Some(Duration::ZERO) => return Err(StateErrorKind::Busy),
                Some(left) => {
                    self.freed.wait_timeout(holders, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.freed.wait(holders).unwrap_or_else(PoisonError::into_inner),
            };
        }
        holders.push(holder);
        Ok(Pass { gate: self, holder })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut holders = self.gate.holders();
        let mine = |other: &Holder| {
            other.thread == self.holder.thread && other.access == self.holder.access
        };
        if let Some(at) = holders.iter().rposition(mine) {
            holders.remove(at);
        }
        drop(holders);
        self.gate.freed.notify_all();
    }
}
