//! Runs code of a module that may block, on a thread of its own: past a deadline it is left behind.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{bounded, select};
use hotswap_system::{clock, thread};

use crate::hook;
use crate::leftovers;
use crate::pin::PinKind;
use crate::version::Version;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Late {
    /// The thread goes on, and holds its versions.
    Deadline,
    /// It ended without one.
    Ended,
    /// There is no thread.
    Thread(Arc<io::Error>),
}

/// Does `work` on a thread that holds `versions`, under this name, and waits until `deadline` is over. Meanwhile the thread cannot call the engine.
pub(crate) fn run<T: Send + 'static>(
    what: &str,
    versions: Vec<Arc<Version>>,
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Late> {
    let (tell, told) = bounded(1);
    let name = what.to_owned();
    let body = move || {
        let holds: Vec<_> = versions
            .iter()
            .map(|version| version.holds.add(PinKind::State, name.clone()))
            .collect();
        hook::refuse_calls_here();
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
    thread::spawn(format!("hotswap-{what}"), body)
        .map_err(|error| Late::Thread(Arc::new(error)))?;
    select! {
        recv(told) -> answer => answer.map_err(|_| Late::Ended),
        recv(clock::after(deadline)) -> _ => Err(Late::Deadline),
    }
}
