//! An engine whose first version is on its way.

use crossbeam_channel::{Receiver, never, select};

use crate::engine::Engine;
use crate::error::{OpenError, OpenErrorKind, ReloadError, ReloadErrorKind};
use crate::verdict::Verdict;

/// An engine that is being opened: its first build runs while the host does something else. Made by
/// [`EngineBuilder::start`](crate::EngineBuilder::start).
///
/// Dropped, it ends the build with all its processes.
#[derive(Debug)]
#[must_use = "dropped, it ends the first build"]
pub struct Opening {
    pub(crate) source_name: String,
    pub(crate) engine: Engine,
    pub(crate) first: Receiver<Result<Verdict, ReloadError>>,
    pub(crate) cancel: Receiver<()>,
}

impl Opening {
    /// The engine, as [`EngineBuilder::open`](crate::EngineBuilder::open) gives it. Blocks until the first version is
    /// current, refused, or does not build.
    ///
    /// # Errors
    ///
    /// See [`OpenErrorKind`]. Nothing is left behind: no thread, no file, no process.
    pub fn wait(self) -> Result<Engine, OpenError> {
        let Self { source_name, engine, first, mut cancel } = self;
        let fail = |kind| OpenError::new(source_name, kind);
        let closed = Err(ReloadError { current: None, kind: ReloadErrorKind::Closed });
        let verdict = loop {
            select! {
                recv(first) -> verdict => break verdict.unwrap_or(closed),
                recv(cancel) -> message => match message {
                    Ok(()) => return Err(fail(OpenErrorKind::Cancelled)),
                    // Nobody can cancel any more.
                    Err(_) => cancel = never(),
                },
            }
        };
        match verdict {
            Ok(_) => Ok(engine),
            Err(error) => Err(fail(OpenErrorKind::First(Box::new(error)))),
        }
    }

    /// Whether [`wait`](Self::wait) has its answer already. Never blocks.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !self.first.is_empty()
    }
}
