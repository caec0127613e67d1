//! How an export reaches a cell, and the guards it gets.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{Location, resume_unwind};
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::error::{Ended, StateError, StateErrorKind};
use super::kind::StateType;
use super::standalone::{Reading, Standalone, Writing};
use crate::services::{Access, CellQuery, LockedCell, Services, Text, services_here};

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
            #[must_use]
            pub const fn get() -> Self {
                Self::named("")
            }

            /// The cell of this name.
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
            #[track_caller]
            pub fn lock(&self) -> StateMut<T> {
                let locked = self.0.lock(Access::Write, Duration::MAX);
                StateMut(locked.unwrap_or_else(|error| end(error)))
            }

            /// Locks the cell for reading, beside other readers. Waits for who has it locked for writing.
            ///
            /// What an older version reads of a cell that a later one took over in another layout is what it was then.
            /// A thread may read what it reads already.
            ///
            /// # Errors
            ///
            /// As [`Self::lock`].
            #[track_caller]
            pub fn read(&self) -> StateRef<T> {
                let locked = self.0.lock(Access::Read, Duration::MAX);
                StateRef(locked.unwrap_or_else(|error| end(error)))
            }

            /// As [`Self::lock`], without waiting and without ending the call.
            ///
            /// # Errors
            ///
            /// [`StateErrorKind::Busy`] when others have it locked, and what else is in the way.
            #[track_caller]
            pub fn try_lock(&self) -> Result<StateMut<T>, StateError> {
                self.try_lock_for(Duration::ZERO)
            }

            /// As [`Self::lock`], without ending the call, and waiting no longer than `timeout`.
            ///
            /// # Errors
            ///
            /// As [`Self::try_lock`].
            #[track_caller]
            pub fn try_lock_for(&self, timeout: Duration) -> Result<StateMut<T>, StateError> {
                self.0.lock(Access::Write, timeout).map(StateMut)
            }

            /// As [`Self::read`], without waiting and without ending the call.
            ///
            /// # Errors
            ///
            /// As [`Self::try_lock`].
            #[track_caller]
            pub fn try_read(&self) -> Result<StateRef<T>, StateError> {
                self.0.lock(Access::Read, Duration::ZERO).map(StateRef)
            }
        }

        impl<T: StateType> Injected for $handle<T> {
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

    #[track_caller]
    fn lock(&self, access: Access, timeout: Duration) -> Result<Locked<T>, StateError> {
        let place = Location::caller();
        if let Some(cell) = self.standalone {
            let held = match access {
                Access::Read => cell.read(timeout, place).map(Held::Read),
                Access::Write => cell.write(timeout, place).map(Held::Write),
            };
            let held = held.map_err(|kind| StateError { state: self.title(), kind })?;
            return Ok(Locked { held, _not_sent: PhantomData });
        }
        let Some((services, context)) = services_here() else {
            return Err(StateError { state: self.title(), kind: StateErrorKind::NoEngine });
        };
        let query = CellQuery {
            schema: Text::new(T::SCHEMA),
            name: Text::new(self.name),
            function: Text::new(self.function),
            file: Text::new(place.file()),
            line: place.line(),
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
                let held = Held::Host { value, cell: locked.cell, services, access };
                Ok(Locked { held, _not_sent: PhantomData })
            }
            (error, _) => Err(error.unwrap_or_else(|| StateError {
                state: self.title(),
                kind: StateErrorKind::NoEngine,
            })),
        }
    }
}

/// A cell that is locked. It is unlocked by the thread that locked it: the pointer keeps it from being sent.
struct Locked<T: 'static> {
    held: Held<T>,
    _not_sent: PhantomData<*const ()>,
}

enum Held<T: 'static> {
    /// By the host.
    Host {
        value: NonNull<T>,
        cell: *const c_void,
        services: &'static Services,
        access: Access,
    },
    /// A standalone one.
    Read(Reading<T>),
    Write(Writing<T>),
}

impl<T: 'static> Locked<T> {
    fn value(&self) -> &T {
        match &self.held {
            // SAFETY: the host gave out a `T` (its layout was compared), locked for at least reading until `drop`.
            Held::Host { value, .. } => unsafe { value.as_ref() },
            Held::Read(reading) => &reading.guard,
            Held::Write(writing) => &writing.guard,
        }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        if let Held::Host { cell, services, access, .. } = self.held {
            let panicked = u32::from(std::thread::panicking());
            // SAFETY: this thread locked that cell with that access, and unlocks it once.
            unsafe { (services.state_unlock)(cell, access, panicked) };
        }
    }
}

/// A cell locked for writing; unlocked when dropped.
#[must_use = "dropped at once, it unlocks the cell"]
pub struct StateMut<T: 'static>(Locked<T>);

/// A cell locked for reading; unlocked when dropped.
#[must_use = "dropped at once, it unlocks the cell"]
pub struct StateRef<T: 'static>(Locked<T>);

impl<T> Deref for StateMut<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T> DerefMut for StateMut<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0.held {
            // SAFETY: as in `value`; locked for writing, and borrowed exclusively here.
            Held::Host { value, .. } => unsafe { value.as_mut() },
            Held::Write(writing) => &mut writing.guard,
            Held::Read(_) => unreachable!("a StateMut is locked for writing"),
        }
    }
}

impl<T> Deref for StateRef<T> {
    type Target = T;

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
