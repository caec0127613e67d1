//! Runs code of a module that may block, on a thread of its own: past a deadline it is left behind.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select};
use hotswap_system::{clock, thread};

use crate::budget;
use crate::hook;
use crate::leftovers;
use crate::pin::PinKind;
use crate::version::Version;

/// Why there is no answer. Where the thread goes on, it holds its versions.
#[derive(Debug)]
pub(crate) enum Late {
    /// The thread goes on.
    Deadline,
    /// Somebody wanted it to end; it goes on.
    Aborted,
    /// It took more memory than it may, and stands still for good.
    Memory,
    /// It ended without one.
    Ended,
    /// There is no thread.
    Thread(Arc<io::Error>),
}

/// A thread to be.
pub(crate) struct Worker {
    /// Its name, and that of its pins.
    pub(crate) what: String,
    /// What it holds.
    pub(crate) versions: Vec<Arc<Version>>,
    pub(crate) deadline: Duration,
    /// How many bytes of heap the code of modules may take on it.
    pub(crate) memory_bytes: u64,
}

impl Worker {
    /// Does `work` on it, and waits until the deadline is over, or `aborted` is disconnected. Meanwhile the thread cannot call the
    /// engine.
    pub(crate) fn run<T: Send + 'static>(
        self,
        aborted: &Receiver<Infallible>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Late> {
        let Self { what, versions, deadline, memory_bytes } = self;
        let (tell, told) = bounded(1);
        let (use_up, used_up) = bounded(1);
        let used_up_by = use_up.clone();
        let name = format!("hotswap-{what}");
        let body = move || {
            let hold = |version: &Arc<Version>| version.holds.add(PinKind::State, what.clone());
            let holds: Vec<_> = versions.iter().map(hold).collect();
            hook::refuse_calls_here();
            budget::limit(memory_bytes, used_up_by);
            let answer = work();
            for (version, number) in versions.iter().zip(holds) {
                version.holds.remove(number);
            }
            // Before the answer: who waits for it may want the versions gone.
            leftovers::clear_thread();
            drop(versions);
            // Past the deadline nobody waits any more.
            let _ = tell.send(answer);
        };
        thread::spawn(name, body).map_err(|error| Late::Thread(Arc::new(error)))?;
        let answer = select! {
            recv(told) -> answer => answer.map_err(|_| Late::Ended),
            recv(used_up) -> _ => Err(Late::Memory),
            recv(aborted) -> _ => Err(Late::Aborted),
            recv(clock::after(deadline)) -> _ => Err(Late::Deadline),
        };
        // Until here, so that a thread that ends does not look like one that used up its memory.
        drop(use_up);
        answer
    }
}
