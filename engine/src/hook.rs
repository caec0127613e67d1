//! Runs the hooks of a version, each time on a thread of their own.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select};
use hotswap_module::__private::{Packed1, Shim, Status, with_linked_context};
use hotswap_module::{CallErrorKind, VersionChange};
use hotswap_system::{clock, thread};

use crate::failure;
use crate::leftovers;
use crate::load_error::LoadErrorKind;
use crate::pin::PinKind;
use crate::services::ImageContext;
use crate::version::Version;

/// How long the hooks of one moment may take together, unless the builder says otherwise.
pub(crate) const HOOK_DEADLINE: Duration = Duration::from_secs(10);

/// The moments of a version's life at which functions of it run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookKind {
    /// `#[on_load]`: before it may become current.
    OnLoad,
    /// `#[after_swap]`: it became current.
    AfterSwap,
    /// `#[before_unload]`: it is about to go.
    BeforeUnload,
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnLoad => "on_load",
            Self::AfterSwap => "after_swap",
            Self::BeforeUnload => "before_unload",
        })
    }
}

/// A function that the engine runs at a point of a version's life.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) name: String,
    pub(crate) shim: Shim,
}

/// The hooks of a version, each kind in the order of names.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) on_load: Vec<Hook>,
    pub(crate) after_swap: Vec<Hook>,
    pub(crate) before_unload: Vec<Hook>,
}

/// A hook that did not do what it is there for.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The hooks of one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) kind: HookKind,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) change: VersionChange,
    /// What linked code is called with.
    pub(crate) linked: Option<Arc<ImageContext>>,
}

thread_local! {
    /// On the thread of a hook that must not call its engine: whether it tried.
    static CALLED_BACK: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether this thread runs a hook which must not call the engine. Notes that it tried.
pub(crate) fn refuses_calls() -> bool {
    CALLED_BACK
        .try_with(|called| called.get().inspect(|_| called.set(Some(true))).is_some())
        .unwrap_or(false)
}

/// Whether this thread runs such a hook: it must not wait for a swapper that may wait for it.
pub(crate) fn is_this_thread() -> bool {
    CALLED_BACK.try_with(|called| called.get().is_some()).unwrap_or(false)
}

/// From here on this thread cannot call the engine that waits for it.
pub(crate) fn refuse_calls_here() {
    CALLED_BACK.with(|called| called.set(Some(false)));
}

/// Runs the load hooks of a version one after the other and waits for them, at most for `deadline`, and until that is aborted.
///
/// A hook that does not return keeps its thread, and so its version, mapped: there is no way to end it.
pub(crate) fn run(
    version: &Arc<Version>,
    change: VersionChange,
    deadline: Duration,
    aborted: &Receiver<Infallible>,
) -> Result<(), LoadErrorKind> {
    let moment = version.moment(HookKind::OnLoad, change);
    if moment.hooks.is_empty() {
        return Ok(());
    }
    let names = moment.names();
    let (tell, told) = bounded(1);
    let held = Arc::clone(version);
    let work = move || {
        let hold = held.holds.add(PinKind::Hook, format!("on_load of {}", held.id));
        // SAFETY: this thread holds the version.
        let result = moment.hooks.iter().try_for_each(|hook| unsafe { moment.enter(hook) });
        held.holds.remove(hold);
        // Before the answer: who waits for it may want the version gone.
        leftovers::clear_thread();
        drop(held);
        // Past the deadline nobody waits any more.
        let _ = tell.send(result);
    };
    thread::spawn(format!("hotswap-on-load-{}", version.id), work)
        .map_err(|error| LoadErrorKind::Thread { error: Arc::new(error) })?;
    let failed = |reason| Failed { name: names.clone(), reason };
    let result = select! {
        recv(told) -> result => result.unwrap_or_else(|_| Err(failed("ended its thread".to_owned()))),
        recv(aborted) -> _ => return Err(LoadErrorKind::Aborted),
        recv(clock::after(deadline)) -> _ => Err(failed(still_running(deadline))),
    };
    result.map_err(|Failed { name, reason }| LoadErrorKind::Hook { name, reason })
}

/// What is said of a hook that took too long.
pub(crate) fn still_running(deadline: Duration) -> String {
    format!("is still running after {} s, its deadline", deadline.as_secs_f64())
}

impl Moment {
    /// The names of the functions.
    pub(crate) fn names(&self) -> String {
        self.hooks.iter().map(|hook| hook.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Runs all of them on this thread, which is a host's and nobody else's, and gives those that failed.
    ///
    /// # Safety
    ///
    /// The image is mapped until this returns.
    pub(crate) unsafe fn enter_all(&self) -> Vec<Failed> {
        let failed = self.hooks.iter().filter_map(|hook| {
            // SAFETY: the contract of this function.
            unsafe { self.enter(hook) }.err()
        });
        let failed = failed.collect();
        leftovers::clear_thread();
        failed
    }

    /// Runs one of them.
    ///
    /// # Safety
    ///
    /// The image is mapped until this returns.
    unsafe fn enter(&self, hook: &Hook) -> Result<(), Failed> {
        // Nobody waits for what runs after a swap, and its version is current: it may call as anybody.
        let may_call = self.kind == HookKind::AfterSwap;
        CALLED_BACK.with(|called| called.set((!may_call).then_some(false)));
        let mut change = ManuallyDrop::new(Packed1(self.change));
        let mut call = || {
            // SAFETY:
            // 1. Arguments: the shims of hooks take a `VersionChange` (`Function::hook` of the macros), which the
            //    number of the boundary stands for; `out` is null, the result is dropped.
            // 2. Mapped: the contract of this function.
            unsafe { (hook.shim)((&raw mut change).cast(), std::ptr::null_mut()) }
        };
        let code = match &self.linked {
            None => call(),
            Some(context) => with_linked_context(Arc::as_ptr(context).cast(), call),
        };
        let called_back = CALLED_BACK.with(|called| called.take()) == Some(true);
        let failed = |reason| Err(Failed { name: hook.name.clone(), reason });
        match failure::take(Status::from_code(code)) {
            Some(CallErrorKind::Returned { message }) => failed(format!("says no: {message}")),
            Some(CallErrorKind::Panicked { message, location }) => {
                let place = location.map(|location| format!(" at {location}")).unwrap_or_default();
                failed(format!("panicked{place}: {message}"))
            }
            Some(other) => failed(format!("failed: {other:?}")),
            None if called_back => failed(match self.kind {
                HookKind::OnLoad => {
                    "called the engine, in which its own version is not current yet".to_owned()
                }
                _ => "called the engine, which it cannot".to_owned(),
            }),
            None => Ok(()),
        }
    }
}
