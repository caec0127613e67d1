//! Threads.

use std::io;
use std::path::Path;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

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

/// Starts a thread of this name that ends with its scope.
///
/// # Errors
///
/// When the system gives none.
#[track_caller]
pub fn spawn_scoped<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    let name = name.into();
    check(Operation::Thread, Path::new(&name))?;
    Builder::new().name(name).spawn_scoped(scope, work)
}
