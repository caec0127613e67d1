//! One cell: a lock, and a value that code of modules makes, reads and drops.
//!
//! The lock is held while such code runs, as a lock that modules use must be. What keeps a thread from waiting for itself
//! is `held`.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hotswap_module::__private::{Access, Bytes, Operation, Shim, StateRequest};
use hotswap_module::StateErrorKind;
use parking_lot::lock_api::{
    RawRwLock as _, RawRwLockDowngrade as _, RawRwLockRecursive as _, RawRwLockTimed as _,
};
use parking_lot::{Mutex, RawRwLock};

use super::held::{self, By};
use super::kinds::{Form, Glue};
use super::value::{NOTHING, Resting, Value, operate, resting_of};
use crate::version_id::VersionId;

/// A cell. Its value is reached with its lock held only.
pub(crate) struct Cell {
    pub(crate) schema: String,
    /// Empty for the one without.
    pub(crate) name: String,
    pub(crate) form: Form,
    lock: RawRwLock,
    /// Changed with the lock held exclusively.
    content: UnsafeCell<Content>,
    /// Whether another cell, of another form, took its place.
    is_superseded: AtomicBool,
    /// Who panicked while it was locked for writing.
    torn: Mutex<Option<TornBy>>,
    /// Who is told of that; `None` for cells that engines share.
    owner: Option<Weak<dyn CellOwner>>,
    /// How often it was locked for writing.
    writes: AtomicU64,
    /// Whether `content` is bytes, to be known without the lock.
    rests: AtomicBool,
    /// Code that can serve it.
    glue: Mutex<Vec<Glue>>,
    /// What it was when the current version became current, for a host that wants it back when it is torn.
    restore_point: Mutex<Option<Resting>>,
    /// What it was before a step that no step leads back from.
    pub(crate) snapshot: Mutex<Option<Snapshot>>,
}

/// Who is told of what happens to a cell.
pub(crate) trait CellOwner: fmt::Debug + Send + Sync {
    /// A panic left it half written, maybe.
    fn torn(&self, cell: &Cell, by: &TornBy) -> Torn;
}

/// Whose panic left a cell half written, maybe.
#[derive(Debug, Clone)]
pub(crate) struct TornBy {
    /// The function, and the place in it.
    pub(crate) place: String,
    /// Whose code that is; `None` for linked code outside of calls.
    pub(crate) version: Option<VersionId>,
}

impl fmt::Display for TornBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{} in {version}", self.place),
            None => f.write_str(&self.place),
        }
    }
}

/// What becomes of a torn cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Torn {
    /// It stays as it is.
    Kept,
    /// It becomes what it was when it was last noted.
    Restored,
}

/// What a cell holds.
pub(crate) enum Content {
    /// Nothing yet: the first who locks it makes the first value.
    Empty,
    /// A value without code: as bytes.
    Resting(Resting),
    /// A value, in memory of the form's layout.
    Live(Value),
}

/// What a cell was before it was migrated.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) form: Form,
    pub(crate) resting: Resting,
}

// SAFETY: the content is reached with the lock held only: exclusively to change it.
unsafe impl Sync for Cell {}
// SAFETY: what it holds is `Send`.
unsafe impl Send for Cell {}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("state", &self.title()).field("form", &self.form).finish()
    }
}

impl Cell {
    /// A cell that holds this.
    pub(crate) fn new(
        schema: &str,
        name: &str,
        form: Form,
        content: Content,
        owner: Option<Weak<dyn CellOwner>>,
    ) -> Self {
        Self {
            owner,
            schema: schema.to_owned(),
            name: name.to_owned(),
            form,
            lock: RawRwLock::INIT,
            rests: AtomicBool::new(matches!(content, Content::Resting(_))),
            content: UnsafeCell::new(content),
            is_superseded: AtomicBool::new(false),
            torn: Mutex::new(None),
            writes: AtomicU64::new(0),
            glue: Mutex::default(),
            restore_point: Mutex::default(),
            snapshot: Mutex::default(),
        }
    }

    /// How messages name it.
    pub(crate) fn title(&self) -> String {
        match self.name.as_str() {
            "" => self.schema.clone(),
            name => format!("{} {name:?}", self.schema),
        }
    }

    /// Whether it is the process's, and not an engine's.
    pub(crate) fn is_shared(&self) -> bool {
        self.owner.is_none()
    }

    fn address(&self) -> usize {
        ptr::from_ref(self) as usize
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Adds code that can serve it.
    pub(crate) fn add_glue(&self, glue: Glue) {
        let mut list = self.glue.lock();
        if !list.iter().any(|known| known.image == glue.image) {
            list.push(glue);
        }
    }

    /// Whether versions of other engines than this one use it.
    pub(crate) fn is_served_by_others(&self, engine: usize) -> bool {
        self.glue.lock().iter().any(|glue| glue.engine != engine)
    }

    /// Code that can serve it, held.
    fn held_glue(&self) -> Option<(Shim, Arc<dyn Any + Send + Sync>)> {
        self.glue.lock().iter().find_map(|glue| Some((glue.shim, glue.hold()?)))
    }

    /// Locks it for code of a module, if it is free and nothing else is in the way; to be noted by `locked`. `None` where
    /// `lock_for_module` has to see to it.
    ///
    /// Whether this thread has it locked already need not be asked first: then it is not free.
    #[inline]
    pub(crate) fn try_lock_for_module(&self, access: Access) -> Option<NonNull<u8>> {
        let is_locked = match access {
            Access::Read => self.lock.try_lock_shared(),
            Access::Write => self.lock.try_lock_exclusive(),
        };
        if !is_locked {
            return None;
        }
        // SAFETY: locked, for reading at least.
        match unsafe { &*self.content.get() } {
            Content::Live(value) if !self.is_over(access) => Some(value.start()),
            _ => self.lock_no_more(access),
        }
    }

    #[cold]
    fn lock_no_more<T>(&self, access: Access) -> Option<T> {
        self.release(access);
        None
    }

    /// Locks it for code of a module, and gives the address of its value.
    ///
    /// # Safety
    ///
    /// The image of `by` is mapped.
    pub(crate) unsafe fn lock_for_module(
        &self,
        access: Access,
        timeout: Duration,
        by: By,
    ) -> Result<*mut u8, StateErrorKind> {
        let known = held::find(self.address());
        if let Some(known) = known
            && (known.access == Access::Write || access == Access::Write)
        {
            let holder = self.text_of(known.by, by);
            // SAFETY: the contract.
            return Err(StateErrorKind::Held { holder, wanted: unsafe { by.text() } });
        }
        // Before it waits, and after.
        self.may(access)?;
        if !self.acquire(access, timeout, known.is_some()) {
            return Err(StateErrorKind::Busy);
        }
        if let Err(kind) = self.may(access) {
            self.release(access);
            return Err(kind);
        }
        // SAFETY: locked, for reading at least.
        if let Content::Live(value) = unsafe { &*self.content.get() } {
            self.locked(access, by);
            return Ok(value.as_ptr());
        }
        self.release(access);
        self.lock_first(access, timeout, by)
    }

    /// The text of a holder: it may have been forgotten by code that is unmapped by now. `here` is code that runs.
    fn text_of(&self, holder: By, here: By) -> String {
        let number = holder.image_number();
        let glue = self.glue.lock();
        let theirs = glue.iter().find(|glue| number == Some(glue.image)).cloned();
        // What holds a version may be the last to do so, and is not dropped with a lock held.
        drop(glue);
        let held = theirs.and_then(|glue| glue.hold());
        if number.is_none() || number == here.image_number() || held.is_some() {
            // SAFETY: the engine's own code, or code that runs or is held: its image is mapped. Numbers are not given twice.
            unsafe { holder.text() }
        } else {
            "code that is gone".to_owned()
        }
    }

    /// Notes that this thread has it locked.
    #[inline]
    pub(crate) fn locked(&self, access: Access, by: By) {
        held::add(self.address(), access, by);
        if access == Access::Write {
            // Relaxed: a number for people; who has it locked alone counts alone.
            self.writes.store(self.writes() + 1, Ordering::Relaxed);
        }
    }

    /// Whether it must not be locked so any more.
    #[inline]
    fn is_over(&self, access: Access) -> bool {
        // Acquire pairs with the Release in `supersede`; what it guards is the lock's business.
        access == Access::Write && self.is_superseded.load(Ordering::Acquire)
    }

    fn may(&self, access: Access) -> Result<(), StateErrorKind> {
        if self.is_over(access) { Err(StateErrorKind::StateSuperseded) } else { Ok(()) }
    }

    /// Locks a cell that has no value yet, and makes it.
    #[cold]
    fn lock_first(
        &self,
        access: Access,
        timeout: Duration,
        by: By,
    ) -> Result<*mut u8, StateErrorKind> {
        if !self.acquire(Access::Write, timeout, false) {
            return Err(StateErrorKind::Busy);
        }
        // While its first value is made this thread may want it again.
        held::add(self.address(), Access::Write, by);
        // SAFETY: locked exclusively.
        let made = unsafe { self.awake() };
        held::remove(self.address());
        let value = made.and_then(|value| self.may(access).map(|()| value));
        match value {
            Err(kind) => {
                self.release(Access::Write);
                Err(kind)
            }
            Ok(value) => {
                if access == Access::Read {
                    // SAFETY: locked exclusively, by this thread.
                    unsafe { self.lock.downgrade() };
                }
                self.locked(access, by);
                Ok(value)
            }
        }
    }

    /// Makes sure that there is a value.
    ///
    /// # Safety
    ///
    /// The lock is held exclusively.
    unsafe fn awake(&self) -> Result<*mut u8, StateErrorKind> {
        // SAFETY: the contract.
        let content = unsafe { &mut *self.content.get() };
        let request = match content {
            Content::Live(value) => return Ok(value.as_ptr()),
            Content::Empty => StateRequest { operation: Operation::Initial, ..NOTHING },
            Content::Resting(resting) => StateRequest {
                operation: Operation::Decode,
                bytes: Bytes::new(&resting.bytes),
                ..NOTHING
            },
        };
        let fail = |message| StateErrorKind::Initial { message };
        let Some((shim, _held)) = self.held_glue() else {
            return Err(fail("no version of this form is loaded".to_owned()));
        };
        let value = Value::make(self.form.layout, |value| {
            // SAFETY: 1. glue is added for the cell's own form, and held. 2. there is room of its layout; bytes are borrowed.
            unsafe { operate(shim, StateRequest { value, ..request }) }
        });
        let value = value.map_err(fail)?;
        let start = value.as_ptr();
        *content = Content::Live(value);
        self.rests.store(false, Ordering::Relaxed);
        Ok(start)
    }

    fn acquire(&self, access: Access, timeout: Duration, reads_already: bool) -> bool {
        match access {
            Access::Read if reads_already => {
                // Must not queue behind a writer that waits for this very thread.
                self.lock.lock_shared_recursive();
                true
            }
            Access::Read if timeout.is_zero() => self.lock.try_lock_shared(),
            Access::Write if timeout.is_zero() => self.lock.try_lock_exclusive(),
            // A timeout that no clock reaches waits for ever; nobody looks at one where the lock is free.
            Access::Read => self.lock.try_lock_shared_for(timeout),
            Access::Write => self.lock.try_lock_exclusive_for(timeout),
        }
    }

    #[inline]
    fn release(&self, access: Access) {
        match access {
            // SAFETY: whoever calls this holds it so.
            Access::Read => unsafe { self.lock.unlock_shared() },
            // SAFETY: as above.
            Access::Write => unsafe { self.lock.unlock_exclusive() },
        }
    }

    /// Unlocks it on the thread that locked it for a module.
    #[inline]
    pub(crate) fn unlock_for_module(&self, access: Access) {
        held::remove(self.address());
        self.release(access);
    }

    /// Notes that code of this version panicked and has it locked.
    ///
    /// # Safety
    ///
    /// 1. This thread has it locked for a module, with this access, and stays in that module until this returns.
    #[cold]
    pub(crate) unsafe fn panicked(&self, access: Access, version: Option<VersionId>) {
        if access == Access::Read {
            return;
        }
        // SAFETY: 1 of the contract: its image is mapped.
        let place = held::find(self.address()).map(|held| unsafe { held.by.text() });
        let place = place.unwrap_or_else(|| "a thread that was ending".to_owned());
        let by = TornBy { place, version };
        let owner = self.owner.as_ref().and_then(Weak::upgrade);
        let becomes = owner.as_deref().map(|owner| owner.torn(self, &by));
        *self.torn.lock() = Some(by);
        if becomes == Some(Torn::Restored) {
            // SAFETY: 1 of the contract: for writing, so exclusively.
            unsafe { self.restore() };
        }
    }

    /// Who tore it, until it is put right.
    pub(crate) fn torn(&self) -> Option<String> {
        self.torn.lock().as_ref().map(TornBy::to_string)
    }

    /// Locks it exclusively for the engine.
    pub(crate) fn lock_exclusively(self: &Arc<Self>, timeout: Duration) -> Option<Exclusive> {
        self.acquire(Access::Write, timeout, false)
            .then(|| Exclusive { cell: Arc::clone(self), _stays: PhantomData })
    }

    /// From here on, or no longer, another cell is in its place.
    pub(crate) fn supersede(&self, is_superseded: bool) {
        self.is_superseded.store(is_superseded, Ordering::Release);
    }

    /// Whether it has no value yet; `false` also where it is locked for writing for longer than `timeout`.
    pub(crate) fn is_empty(&self, timeout: Duration) -> bool {
        if !self.acquire(Access::Read, timeout, false) {
            return false;
        }
        // SAFETY: locked for reading.
        let is_empty = matches!(unsafe { &*self.content.get() }, Content::Empty);
        self.release(Access::Read);
        is_empty
    }

    /// Whether its value is bytes, for which code is needed before it can be locked.
    pub(crate) fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// Its value, as bytes: those of code that serves it. `None` where there is no value, or where others have it locked for
    /// longer than `timeout`.
    pub(crate) fn read(
        &self,
        timeout: Duration,
        wants_json: bool,
    ) -> Option<Result<Resting, String>> {
        let is_mine = held::find(self.address()).is_some();
        if is_mine || !self.acquire(Access::Read, timeout, false) {
            return None;
        }
        held::add(self.address(), Access::Read, By::engine());
        // SAFETY: locked for reading.
        let resting = unsafe { self.resting(wants_json) };
        held::remove(self.address());
        self.release(Access::Read);
        resting
    }

    /// Its value, as bytes.
    ///
    /// # Safety
    ///
    /// The lock is held.
    unsafe fn resting(&self, wants_json: bool) -> Option<Result<Resting, String>> {
        // SAFETY: the contract.
        let value = match unsafe { &*self.content.get() } {
            Content::Empty => return None,
            Content::Resting(resting) => return Some(Ok(resting.clone())),
            Content::Live(value) => value.as_ptr(),
        };
        let Some((shim, _held)) = self.held_glue() else {
            return Some(Err("no version of this form is loaded".to_owned()));
        };
        // SAFETY: 1. glue is of the cell's form, and held. 2. the value is there, locked for reading.
        Some(unsafe { resting_of(shim, value, wants_json) })
    }

    /// This image serves it no longer; whether it was the last that could.
    pub(crate) fn detach(&self, image: u64) -> bool {
        let mut glue = self.glue.lock();
        let before = glue.len();
        glue.retain(|glue| glue.image != image);
        glue.is_empty() && before > 0
    }

    /// Makes what it holds bytes again, or drops it, by this code: the last that can serve it is about to go.
    ///
    /// What is locked all the same was forgotten by who locked it, and is leaked.
    pub(crate) fn let_go(&self, shim: Shim, keeps: bool) {
        /// Longer than it takes another version to look at it.
        const PATIENCE: Duration = Duration::from_secs(1);
        if !self.acquire(Access::Write, PATIENCE, false) {
            return;
        }
        // Acquire: as in `may`.
        let keeps = keeps && !self.is_superseded.load(Ordering::Acquire);
        // SAFETY: locked exclusively.
        let content = unsafe { &mut *self.content.get() };
        if let Content::Live(value) = content {
            let start = value.as_ptr();
            // SAFETY: 1. the shim's image is this version's, which is there as long as this runs. 2. the value is there.
            let resting = keeps.then(|| unsafe { resting_of(shim, start, true) }).transpose();
            let Ok(resting) = resting else {
                // What bytes cannot carry stays a value: it holds no code, and the next version of its form can serve it.
                return self.release(Access::Write);
            };
            let rest = resting.map_or(Content::Empty, Content::Resting);
            let Content::Live(value) = mem::replace(content, rest) else {
                unreachable!("nobody else could change it");
            };
            // SAFETY: 1. as above. 2. the value was taken out, and is dropped once.
            unsafe { value.end(shim) };
            self.rests.store(matches!(content, Content::Resting(_)), Ordering::Relaxed);
        }
        self.release(Access::Write);
    }

    /// Notes what it is now, to be put back when a panic tears it. What is in use for so long stays noted as it was.
    pub(crate) fn note_restore_point(&self, timeout: Duration) {
        if let Some(Ok(resting)) = self.read(timeout, false) {
            *self.restore_point.lock() = Some(resting);
        }
    }

    /// Puts back what was noted, or what it was before there was anything to note: nothing.
    ///
    /// # Safety
    ///
    /// The lock is held exclusively.
    unsafe fn restore(&self) {
        // The version whose call tore it is there at least.
        let Some((shim, _held)) = self.held_glue() else { return };
        let content = match &*self.restore_point.lock() {
            Some(resting) => Content::Resting(resting.clone()),
            None => Content::Empty,
        };
        // SAFETY: the contract.
        let old = mem::replace(unsafe { &mut *self.content.get() }, content);
        if let Content::Live(old) = old {
            // SAFETY: 1. glue is of the cell's form, and held. 2. the value was taken out, and is dropped once.
            unsafe { old.end(shim) };
        }
        *self.torn.lock() = None;
    }

    /// Has code of its type say whether its value is what it should be.
    pub(crate) fn check(&mut self, shim: Shim) -> Result<(), String> {
        let Content::Live(value) = self.content.get_mut() else { return Ok(()) };
        let request =
            StateRequest { operation: Operation::Check, value: value.as_ptr(), ..NOTHING };
        // SAFETY: 1. who calls this has the shim of its form, mapped. 2. the value is there, and only ours.
        unsafe { operate(shim, request) }
    }
}

/// A cell that the engine has locked. Unlocked on the thread that locked it: the pointer keeps it from being sent.
#[derive(Debug)]
pub(crate) struct Exclusive {
    cell: Arc<Cell>,
    _stays: PhantomData<*const ()>,
}

impl Exclusive {
    pub(crate) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    /// Whether there is a value, in whatever form.
    pub(crate) fn has_value(&self) -> bool {
        // SAFETY: the lock is held.
        !matches!(unsafe { &*self.cell.content.get() }, Content::Empty)
    }

    /// Makes sure that there is a value that can be locked without more ado, if there is one at all.
    pub(crate) fn make_live(&self) -> Result<(), String> {
        if !self.has_value() {
            return Ok(());
        }
        // SAFETY: the lock is held exclusively.
        unsafe { self.cell.awake() }.map(drop).map_err(|kind| match kind {
            StateErrorKind::Initial { message } => message,
            other => format!("{other:?}"),
        })
    }

    /// The value, as bytes; `None` where there is none.
    pub(crate) fn copy(&self, wants_json: bool) -> Option<Result<Resting, String>> {
        // SAFETY: the lock is held.
        unsafe { self.cell.resting(wants_json) }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        self.cell.release(Access::Write);
    }
}
