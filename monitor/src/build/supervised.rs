//! A backend that may panic, or never come back: whoever uses it goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select};
use hotswap_artifact::BuildErrorKind;
use hotswap_system::thread::panic_text;
use hotswap_system::{clock, thread};
use parking_lot::Mutex;

use super::{BuildBackend, BuildJob, Built, Recipe};
use crate::{StopHandle, StopSignal};

/// How long a backend may take to end when it was told to.
///
/// 5 s: ours kill their processes in milliseconds. One that does not end keeps its
/// thread; the monitor goes on without it.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What a build gives.
pub(crate) type BuildResult = Result<Built, BuildErrorKind>;

/// A backend and, while it builds, the thread that has it.
pub(crate) struct SupervisedBackend {
    /// Empty while a build runs.
    home: Arc<Mutex<Option<Box<dyn BuildBackend>>>>,
    /// Has a message when the last build is done, or was disconnected by then.
    away: Option<Receiver<BuildResult>>,
}

/// A build under way.
pub(crate) struct Running {
    /// Dropped, by a panic too, it tells the backend to end.
    _end: StopHandle,
    /// Has the result when the build is done.
    pub(crate) finished: Receiver<BuildResult>,
}

impl SupervisedBackend {
    pub(crate) fn new(backend: Box<dyn BuildBackend>) -> Self {
        Self { home: Arc::new(Mutex::new(Some(backend))), away: None }
    }

    /// Starts a build on a thread of its own. Waits for one that was given up and has not
    /// ended, but not for long.
    pub(crate) fn start(
        &mut self,
        job: BuildJob,
        stop: &StopSignal,
    ) -> Result<Running, BuildErrorKind> {
        if let Some(away) = self.away.take()
            && self.home.lock().is_none()
        {
            select! {
                recv(away) -> _ => {}
                recv(stop.channel()) -> _ => {}
                recv(clock::after(STOP_PATIENCE)) -> _ => {
                    self.away = Some(away);
                    return Err(BuildErrorKind::Stuck);
                }
            }
        }
        let (end, told) = StopSignal::new();
        let (done, finished) = bounded(1);
        let home = Arc::clone(&self.home);
        let work = move || {
            let Some(mut backend) = home.lock().take() else { return };
            let result = contained(|| backend.build(&job, &told));
            *home.lock() = Some(backend);
            // Who gave it up does not listen any more.
            let _given_up = done
                .send(result.unwrap_or_else(|message| Err(BuildErrorKind::Panicked { message })));
        };
        thread::spawn("hotswap-build", work).map_err(|error| BuildErrorKind::Io {
            action: "start a thread that builds",
            path: PathBuf::from("hotswap-build"),
            error: Arc::new(error),
        })?;
        self.away = Some(finished.clone());
        Ok(Running { _end: end, finished })
    }

    /// Tells a build to end and waits for it, but not for long.
    pub(crate) fn end(&mut self, running: Running) -> BuildResult {
        let Running { _end: end, finished } = running;
        drop(end);
        select! {
            recv(finished) -> result => result.unwrap_or(Err(BuildErrorKind::Stopped)),
            recv(clock::after(STOP_PATIENCE)) -> _ => Err(BuildErrorKind::Stuck),
        }
    }

    /// See [`BuildBackend::recipe`]; `None` as well when the backend is busy or panics.
    pub(crate) fn recipe(&self, job: &BuildJob) -> Option<Recipe> {
        let mut home = self.home.lock();
        let backend = home.as_mut()?;
        contained(|| backend.recipe(job)).ok().flatten()
    }

    /// See [`BuildBackend::toolchain`]; `None` as well when the backend is busy or panics.
    pub(crate) fn toolchain(&self, stop: &StopSignal) -> Option<Vec<u8>> {
        let mut home = self.home.lock();
        let backend = home.as_mut()?;
        contained(|| backend.toolchain(stop)).ok().flatten()
    }

    /// See [`BuildBackend::close`].
    pub(crate) fn close(&self, moved: &[PathBuf]) {
        let mut home = self.home.lock();
        let Some(backend) = home.as_mut() else { return };
        if let Err(message) = contained(|| backend.close(moved)) {
            log::error!("the build backend panicked when it was told what moved: {message}");
        }
    }
}

/// Runs somebody else's code.
fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safety: the backend sees its own state broken, not ours.
    catch_unwind(AssertUnwindSafe(work)).map_err(panic_text)
}
