//! Threads.

use std::any::Any;
use std::io;
use std::path::Path;
use std::thread::{Builder, JoinHandle};

use crate::fault::{Operation, check};

/// Starts a thread of this name.
///
/// # Errors
///
/// When the system gives none.
#[track_caller]
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let name = name.into();
    check(Operation::Thread, Path::new(&name))?;
    Builder::new().name(name).spawn(work)
}

/// The message of a panic. The payload is forgotten where it is no text: dropping it may panic again.
#[must_use]
pub fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => {
            std::mem::forget(payload);
            "a panic without a text".to_owned()
        }
    }
}
