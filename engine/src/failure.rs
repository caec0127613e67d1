//! The message and place of a panic, between the module's hook and the end of the call.

use std::cell::{Cell, RefCell};

use hotswap_module::__private::Status;
use hotswap_module::{CallErrorKind, StateError};

/// What a module told of its last failure on this thread.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
}

thread_local! {
    static LAST: RefCell<Option<Failure>> = const { RefCell::new(None) };
    /// Why state ended a call on this thread.
    static STATE: RefCell<Option<StateError>> = const { RefCell::new(None) };
    /// Set on threads that a module started: nobody takes their failures.
    static MODULE_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Notes a failure. The hook comes first, with the location; the shim repeats the message
/// without it, which keeps what the hook said.
pub(crate) fn note(message: &str, location: Option<String>) {
    // A thread that is ending has no storage left, and no call to fail either.
    let _ = LAST.try_with(|last| {
        let mut last = last.borrow_mut();
        let repeated =
            location.is_none() && last.as_ref().is_some_and(|known| known.message == message);
        if !repeated {
            *last = Some(Failure { message: message.to_owned(), location });
        }
    });
}

/// Notes that state ends the call on this thread.
pub(crate) fn note_state(error: &StateError) {
    let _ = STATE.try_with(|state| *state.borrow_mut() = Some(error.clone()));
}

/// Takes what was noted for a call that ended with `status`; `None` for a call that succeeded.
pub(crate) fn take(status: Status) -> Option<CallErrorKind> {
    if status == Status::Done {
        return None;
    }
    if status == Status::State {
        let error = STATE.try_with(|state| state.borrow_mut().take()).ok().flatten();
        let unknown =
            || CallErrorKind::State { message: "its state could not be locked".to_owned() };
        return Some(error.map_or_else(unknown, StateError::into_kind));
    }
    let failure = LAST.try_with(|last| last.borrow_mut().take()).ok().flatten();
    let failure =
        failure.unwrap_or_else(|| Failure { message: "no message".to_owned(), location: None });
    Some(match status {
        Status::Done | Status::State | Status::Panicked => {
            CallErrorKind::Panicked { message: failure.message, location: failure.location }
        }
        Status::PanickedTwice => CallErrorKind::Panicked {
            message: format!("{} (and dropping it panicked again)", failure.message),
            location: failure.location,
        },
        Status::Returned => CallErrorKind::Returned { message: failure.message },
    })
}

/// Marks this thread as started by a module.
pub(crate) fn enter_module_thread() {
    let _ = MODULE_THREAD.try_with(|flag| flag.set(true));
}

/// Whether this thread was started by a module.
pub(crate) fn is_module_thread() -> bool {
    MODULE_THREAD.try_with(Cell::get).unwrap_or(true)
}
