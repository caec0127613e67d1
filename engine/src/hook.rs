//! Runs the load hooks of a newcomer: on a thread of their own, with a deadline and a veto.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select};
use hotswap_module::__private::{Status, with_linked_context};
use hotswap_module::CallErrorKind;
use hotswap_system::{clock, thread};

use crate::failure;
use crate::image::Hook;
use crate::leftovers;
use crate::load_error::LoadErrorKind;
use crate::pin::PinKind;
use crate::version::Version;

/// How long all load hooks of a version may take together, unless the builder says otherwise.
pub(crate) const LOAD_DEADLINE: Duration = Duration::from_secs(10);

thread_local! {
    /// On a hook's thread: whether the module has called its engine.
    static CALLED_BACK: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether this thread runs a hook, which must not call the engine that waits for it. Notes that it tried.
pub(crate) fn refuses_calls() -> bool {
    CALLED_BACK
        .try_with(|called| called.get().inspect(|_| called.set(Some(true))).is_some())
        .unwrap_or(false)
}

/// Whether this thread runs a hook: it must not wait for a swapper that waits for it.
pub(crate) fn is_this_thread() -> bool {
    CALLED_BACK.try_with(|called| called.get().is_some()).unwrap_or(false)
}

/// From here on this thread cannot call the engine that waits for it.
pub(crate) fn refuse_calls_here() {
    CALLED_BACK.with(|called| called.set(Some(false)));
}

/// Runs hooks one after the other and waits for them, at most for `deadline`.
/// Runs hooks one after the other and waits for them, at most for `deadline`, and until that is aborted.
///
/// A hook that does not return keeps its thread, and so its version, mapped: there is no way to end it.
pub(crate) fn run(
    version: &Arc<Version>,
    hooks: &[Hook],
    deadline: Duration,
    aborted: &Receiver<Infallible>,
) -> Result<(), LoadErrorKind> {
    if hooks.is_empty() {
        return Ok(());
    }
    let (tell, told) = bounded(1);
    let (held, list) = (Arc::clone(version), hooks.to_vec());
    let name = format!("hotswap-on-load-{}", version.id);
    let work = move || {
        let hold = held.holds.add(PinKind::Hook, format!("on_load of {}", held.id));
        let result = list.iter().try_for_each(|hook| enter(&held, hook));
        held.holds.remove(hold);
        // Before the answer: who waits for it may want the version gone.
        leftovers::clear_thread();
        drop(held);
        // Past the deadline nobody waits any more.
        let _ = tell.send(result);
    };
    thread::spawn(name, work).map_err(|error| LoadErrorKind::Thread { error: Arc::new(error) })?;
    let refuse = |reason| Err(LoadErrorKind::Hook { name: names(hooks), reason });
    select! {
        recv(told) -> result => result.unwrap_or_else(|_| refuse("ended its thread".to_owned())),
        recv(aborted) -> _ => Err(LoadErrorKind::Aborted),
        recv(clock::after(deadline)) -> _ => {
            refuse(format!("is still running after {} s, its deadline", deadline.as_secs_f64()))
        }
    }
}

fn names(hooks: &[Hook]) -> String {
    hooks.iter().map(|hook| hook.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn enter(version: &Version, hook: &Hook) -> Result<(), LoadErrorKind> {
    CALLED_BACK.with(|called| called.set(Some(false)));
    let call = || {
        // SAFETY:
        // 1. Arguments: `#[on_load]` refuses a function that takes any; `out` is null, the result is dropped.
        // 2. Mapped: the caller holds the version.
        unsafe { (hook.shim)(std::ptr::dangling_mut(), std::ptr::null_mut()) }
    };
    let code = match version.linked_context() {
        None => call(),
        Some(context) => with_linked_context(context, call),
    };
    let called_back = CALLED_BACK.with(|called| called.take()) == Some(true);
    let refuse = |reason| Err(LoadErrorKind::Hook { name: hook.name.clone(), reason });
    match failure::take(Status::from_code(code)) {
        Some(CallErrorKind::Returned { message }) => refuse(format!("says no: {message}")),
        Some(CallErrorKind::Panicked { message, location }) => {
            let place = location.map(|location| format!(" at {location}")).unwrap_or_default();
            refuse(format!("panicked{place}: {message}"))
        }
        Some(other) => refuse(format!("failed: {other:?}")),
        None if called_back => {
            refuse("called the engine, in which its own version is not current yet".to_owned())
        }
        None => Ok(()),
    }
}
