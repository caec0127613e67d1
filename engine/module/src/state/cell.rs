//! How an export reaches a cell, and the guards it gets.

use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{Location, resume_unwind};
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::error::{Ended, StateError, StateErrorKind};
use super::kind::StateType;
use super::link::Locker;
use super::standalone::{Reading, Standalone, Writing};
use crate::services::{Access, CellQuery, LockedCell, Text, services, services_here};

/// A cell of the engine that calls: its value outlives the version.
///
/// An export takes it as a parameter, which callers do not see:
///
/// ```
/// # use hotswap_module::{State, export, state};
/// # hotswap_module::module!();
/// # #[state(version = 1)]
/// # #[derive(Default)]
/// # pub struct Score { points: u64 }
/// #[export]
/// pub fn add_points(score: State<Score>, points: u64) {
///     score.lock().points += points;
/// }
/// # add_points(State::standalone(Score::default()), 2);
/// ```
///
/// Anywhere else [`State::get`] gives the same. There is one cell per schema, and one more per name ([`State::named`]), each
/// made when it is first locked.
pub struct State<T: StateType>(Reach<T>);

/// A cell that all engines of the process share whose modules ask for it.
///
/// As [`State`] otherwise. While several engines use it, it cannot be migrated: a version with another
/// layout is refused until the others have let go.
pub struct Shared<T: StateType>(Reach<T>);

/// Which cell, and for whom.
struct Reach<T: 'static> {
    /// Empty for the one that has no name.
    name: &'static str,
    /// The export that was called; empty where that is not known.
    function: &'static str,
    is_shared: bool,
    standalone: Option<&'static Standalone<T>>,
}

impl<T> Clone for Reach<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Reach<T> {}

/// What `#[export]` passes for a parameter that looks like a cell.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a cell of `hotswap_module`",
    label = "taken for one by its name",
    note = "`#[export]` passes `State<T>` and `Shared<T>` itself; a type of your own needs another name, or an alias"
)]
pub trait Injected {
    /// The cell, for an export of this name.
    fn injected(function: &'static str) -> Self;
}

macro_rules! reaches {
    ($handle:ident, $is_shared:literal) => {
        impl<T: StateType> $handle<T> {
            /// The cell without a name. Nothing is looked for before it is locked.
            #[inline]
            #[must_use]
            pub const fn get() -> Self {
                Self::named("")
            }

            /// The cell of this name.
            #[inline]
            #[must_use]
            pub const fn named(name: &'static str) -> Self {
                Self(Reach { name, function: "", is_shared: $is_shared, standalone: None })
            }

            /// A cell of its own that no engine knows of: for a module's own tests. It is never freed.
            #[must_use]
            pub fn standalone(value: T) -> Self {
                let cell = Box::leak(Box::new(Standalone::new(value)));
                Self(Reach { standalone: Some(cell), ..Self::get().0 })
            }

            /// Locks the cell for writing. Waits for everybody else who has it locked.
            ///
            /// # Errors
            ///
            /// Ends the call that this is part of, by unwinding, when the cell cannot be locked: the caller gets
            /// [`CallErrorKind::StateSuperseded`] when a later version took the cell over in another layout,
            /// [`CallErrorKind::StateHeld`] when this thread holds it already. Nothing is printed, and
            /// destructors run. On a thread that no engine called, it ends the thread; and where a panic is
            /// unwinding already, the process: there write [`Self::try_lock`].
            ///
            /// [`CallErrorKind::StateSuperseded`]: crate::CallErrorKind::StateSuperseded
            /// [`CallErrorKind::StateHeld`]: crate::CallErrorKind::StateHeld
            #[inline]
            #[track_caller]
            pub fn lock(&self) -> StateMut<T> {
                StateMut(self.0.lock_or_end(Access::Write))
            }

            /// Locks the cell for reading, beside other readers. Waits for who has it locked for writing.
            ///
            /// What an older version reads of a cell that a later one took over in another layout is what it was then.
            /// A thread may read what it reads already.
            ///
            /// # Errors
            ///
            /// As [`Self::lock`].
            #[inline]
            #[track_caller]
            pub fn read(&self) -> StateRef<T> {
                StateRef(self.0.lock_or_end(Access::Read))
            }

            /// As [`Self::lock`], without waiting and without ending the call.
            ///
            /// # Errors
            ///
            /// [`StateErrorKind::Busy`] when others have it locked, and what else is in the way.
            #[inline]
            #[track_caller]
            pub fn try_lock(&self) -> Result<StateMut<T>, StateError> {
                self.try_lock_for(Duration::ZERO)
            }

            /// As [`Self::lock`], without ending the call, and waiting no longer than `timeout`.
            ///
            /// # Errors
            ///
            /// As [`Self::try_lock`].
            #[inline]
            #[track_caller]
            pub fn try_lock_for(&self, timeout: Duration) -> Result<StateMut<T>, StateError> {
                self.0.lock(Access::Write, timeout).map(StateMut)
            }

            /// As [`Self::read`], without waiting and without ending the call.
            ///
            /// # Errors
            ///
            /// As [`Self::try_lock`].
            #[inline]
            #[track_caller]
            pub fn try_read(&self) -> Result<StateRef<T>, StateError> {
                self.0.lock(Access::Read, Duration::ZERO).map(StateRef)
            }
        }

        impl<T: StateType> Injected for $handle<T> {
            #[inline]
            fn injected(function: &'static str) -> Self {
                Self(Reach { name: "", function, is_shared: $is_shared, standalone: None })
            }
        }

        impl<T: StateType> Clone for $handle<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T: StateType> Copy for $handle<T> {}

        impl<T: StateType> fmt::Debug for $handle<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($handle)).field("state", &self.0.title()).finish()
            }
        }
    };
}

reaches!(State, false);
reaches!(Shared, true);

/// Ends the call. No panic: the hook hears nothing of it.
#[cold]
fn end(error: StateError) -> ! {
    resume_unwind(Box::new(Ended(error)))
}

impl<T: StateType> Reach<T> {
    fn title(&self) -> String {
        match self.name {
            "" => T::SCHEMA.to_owned(),
            name => format!("{} {name:?}", T::SCHEMA),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn lock_or_end(self, access: Access) -> Locked<T> {
        let place = Location::caller();
        match self.lock_free(access, place) {
            Some(locked) => locked,
            None => match self.lock_slowly(access, Duration::MAX, place) {
                Ok(locked) => locked,
                Err(error) => end(error),
            },
        }
    }

    #[inline]
    #[track_caller]
    fn lock(self, access: Access, timeout: Duration) -> Result<Locked<T>, StateError> {
        let place = Location::caller();
        match self.lock_free(access, place) {
            Some(locked) => Ok(locked),
            None => self.lock_slowly(access, timeout, place),
        }
    }

    /// Locks a cell that was locked before, by nobody right now.
    #[inline(always)]
    fn lock_free(self, access: Access, place: &'static Location<'static>) -> Option<Locked<T>> {
        if self.standalone.is_some() {
            return None;
        }
        let cell = T::links().find(self.name, self.is_shared)?.as_ptr().cast_const();
        let services = services()?;
        let function = Text::new(self.function);
        // SAFETY: the host linked it to this image; name and place are constants of this image.
        let value =
            unsafe { (services.state_try_lock)(services.context, cell, access, function, place) };
        let value = NonNull::new(value.cast::<T>())?;
        Some(Locked { value, cell, access, standalone: ManuallyDrop::new(None) })
    }

    /// Locks any cell: finds it, waits for it, or says what is in the way.
    #[cold]
    #[inline(never)]
    fn lock_slowly(
        self,
        access: Access,
        timeout: Duration,
        place: &'static Location<'static>,
    ) -> Result<Locked<T>, StateError> {
        let refused = |kind| StateError { state: self.title(), kind };
        if let Some(cell) = self.standalone {
            return match access {
                Access::Read => cell.read(timeout, place).map(|reading| {
                    let value = NonNull::from_ref(&*reading.guard);
                    Locked::standalone(value, access, Guard::Read(reading))
                }),
                Access::Write => cell.write(timeout, place).map(|mut writing| {
                    let value = NonNull::from_mut(&mut *writing.guard);
                    Locked::standalone(value, access, Guard::Write(writing))
                }),
            }
            .map_err(refused);
        }
        let Some((services, context)) = services_here() else {
            return Err(refused(StateErrorKind::NoEngine));
        };
        let is_linked = services.context.is_null();
        let is_found = T::links().find(self.name, self.is_shared).is_some();
        let query = CellQuery {
            schema: Text::new(T::SCHEMA),
            name: Text::new(self.name),
            by: Locker { function: Text::new(self.function), place },
            links: if is_linked || is_found { ptr::null() } else { T::links() },
            version: T::VERSION,
            is_shared: self.is_shared,
            access,
            timeout,
        };
        let mut locked = LockedCell { value: ptr::null_mut(), cell: ptr::null() };
        let mut error = None;
        // SAFETY: the texts are constants of this image; there is room for both answers.
        unsafe {
            (services.state_lock)(context, &raw const query, &raw mut locked, &raw mut error)
        };
        match (error, NonNull::new(locked.value.cast::<T>())) {
            (None, Some(value)) => {
                let standalone = ManuallyDrop::new(None);
                Ok(Locked { value, cell: locked.cell, access, standalone })
            }
            (error, _) => Err(error.unwrap_or_else(|| refused(StateErrorKind::NoEngine))),
        }
    }
}

/// A cell that is locked. It is unlocked by the thread that locked it: the pointers keep it from being sent.
struct Locked<T: 'static> {
    /// The value, until this is dropped.
    value: NonNull<T>,
    /// The host's cell; null for a standalone one.
    cell: *const c_void,
    access: Access,
    /// What unlocks it then.
    standalone: ManuallyDrop<Option<Box<Guard<T>>>>,
}

/// What unlocks a standalone cell when it is dropped.
enum Guard<T: 'static> {
    Read(#[expect(dead_code, reason = "it is dropped")] Reading<T>),
    Write(#[expect(dead_code, reason = "it is dropped")] Writing<T>),
}

impl<T: 'static> Locked<T> {
    fn standalone(value: NonNull<T>, access: Access, guard: Guard<T>) -> Self {
        let standalone = ManuallyDrop::new(Some(Box::new(guard)));
        Self { value, cell: ptr::null(), access, standalone }
    }

    #[inline]
    fn value(&self) -> &T {
        // SAFETY: a `T` (the host compared its layout), locked for reading at least until `drop`.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Locked<T> {
    #[inline]
    fn drop(&mut self) {
        let Self { cell, access, .. } = *self;
        if cell.is_null() {
            // SAFETY: it is dropped once, here.
            return drop_cold(unsafe { ManuallyDrop::take(&mut self.standalone) });
        }
        let Some(services) = services() else { return };
        let panicked = std::thread::panicking();
        // Only then is it asked who it was. Of linked code the engine is known as long as its call runs.
        let context = if panicked { context_here() } else { services.context };
        // SAFETY: this thread locked that cell with that access, and unlocks it once.
        unsafe { (services.state_unlock)(context, cell, access, u32::from(panicked)) };
    }
}

/// Kept out of the way of the host's cells.
#[cold]
fn drop_cold<T>(_: T) {}

#[cold]
fn context_here() -> *const c_void {
    services_here().map_or(ptr::null(), |(_, context)| context)
}

/// A cell locked for writing; unlocked when dropped.
#[must_use = "dropped at once, it unlocks the cell"]
pub struct StateMut<T: 'static>(Locked<T>);

/// A cell locked for reading; unlocked when dropped.
#[must_use = "dropped at once, it unlocks the cell"]
pub struct StateRef<T: 'static>(Locked<T>);

impl<T> Deref for StateMut<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T> DerefMut for StateMut<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `value`; locked for writing, as every `StateMut` is, and borrowed exclusively here.
        unsafe { self.0.value.as_mut() }
    }
}

impl<T> Deref for StateRef<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T: fmt::Debug> fmt::Debug for StateMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for StateRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
