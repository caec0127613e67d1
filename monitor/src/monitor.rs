//! The handle of a running monitor.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, select};
use hotswap_artifact::{Fingerprint, MemberId, Source, Ticket, Trigger};
use hotswap_system::clock;
use parking_lot::Mutex;

use crate::aborted::Aborted;
use crate::requests::Requests;
use crate::shared::bells::Doorbell;
use crate::{Floor, Hold, MonitorBuilder, SharedMonitor, StopHandle};

/// How long the thread may take to end.
///
/// 30 s: a backend that does not end is given up after five; what is left is a file
/// system, or an observer, that does not answer.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Watches one source for as long as this handle lives: on a thread of its own, or on one that it shares
/// ([`SharedMonitor`]).
///
/// Dropping it ends that and waits for it, 30 s at most: a build under way is
/// killed with all its processes first. The thread does not keep the process alive.
pub struct Monitor {
    requests: Arc<Requests>,
    aborted: Arc<Aborted>,
    /// Dropped first: that is what tells the watch to end.
    stop: Option<StopHandle>,
    thread: WatchThread,
    /// On which thread something of the watch runs.
    post: Post,
    /// Disconnected when the watch has ended.
    ended: Receiver<()>,
    floor: Floor,
}

/// What looks at the source.
pub(crate) enum WatchThread {
    Own(Option<JoinHandle<()>>),
    Shared { bell: Doorbell, _shared: SharedMonitor },
}

/// The thread on which something of a watch runs now, and its observer with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Post(Arc<Mutex<Option<ThreadId>>>);

impl Post {
    /// Notes the thread for as long as the work takes.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.0.lock() = Some(thread::current().id());
        let done = work();
        *self.0.lock() = None;
        done
    }

    fn is_here(&self) -> bool {
        *self.0.lock() == Some(thread::current().id())
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}

impl Monitor {
    /// Begins to set up a monitor for a source: a path, or a [`Source`].
    pub fn builder(source: impl Into<Source>) -> MonitorBuilder {
        MonitorBuilder::new(source.into())
    }

    pub(crate) fn new(
        requests: Arc<Requests>,
        aborted: Arc<Aborted>,
        stop: StopHandle,
        thread: WatchThread,
        post: Post,
        ended: Receiver<()>,
        floor: Floor,
    ) -> Self {
        Self { requests, aborted, stop: Some(stop), thread, post, ended, floor }
    }

    /// Which of a shared monitor's sources this is; 0 on a thread of its own. Never blocks.
    #[must_use]
    pub fn member(&self) -> MemberId {
        match &self.thread {
            WatchThread::Own(_) => MemberId(0),
            WatchThread::Shared { bell, .. } => bell.member,
        }
    }

    /// Asks for a look at the source now. Never blocks.
    ///
    /// The first notification whose `through` is not less than the ticket answers
    /// it: it comes from a look that began after this call, so that everything
    /// written before is considered. Requests that come together are answered
    /// together. When the thread has ended there is no answer, and the channel is
    /// disconnected.
    pub fn scan(&self, trigger: Trigger) -> Ticket {
        self.requests.scan(trigger)
    }

    /// Says that something was written: a look now, answered only if there is
    /// something to tell. Never blocks.
    pub fn wake(&self) {
        self.requests.push(Trigger::Push);
    }

    /// Keeps the monitor from building until the hold is dropped: for a tool that
    /// edits many files and is not done when they stand still for a moment. Never
    /// blocks.
    ///
    /// While any hold is open nothing is looked at and no build begins; a ticket of
    /// [`scan`](Self::scan) is answered after the last one was dropped, which asks
    /// for a look. So whoever waits for an answer must not hold. A build that began
    /// before goes on, and is discarded if its inputs move.
    ///
    /// ```
    /// # use hotswap_monitor::Monitor;
    /// # fn generate_everything() {}
    /// # fn example(monitor: &Monitor) {
    /// let hold = monitor.hold();
    /// generate_everything();
    /// drop(hold); // one build, of all of it
    /// # }
    /// ```
    pub fn hold(&self) -> Hold {
        Hold::open(Arc::clone(&self.requests))
    }

    /// Lets what was aborted be built again: when somebody asks for a look, or when the source has changed and is this
    /// again. Gives what there was, oldest first. Never blocks.
    pub fn clear_aborted(&self) -> Vec<Fingerprint> {
        self.aborted.clear()
    }

    /// Which releases of the source may run.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.floor.clone()
    }

    /// Whether the source is watched. That ends before its handle only when the receiver
    /// of its notifications was dropped. Never blocks.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Empty)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let WatchThread::Shared { bell, .. } = &self.thread {
            bell.ring();
        }
        // An observer may own the handle and drop it on the very thread that would be waited for.
        if self.post.is_here() {
            return;
        }
        select! {
            recv(self.ended) -> _ => {
                if let WatchThread::Own(thread) = &mut self.thread
                    && thread.take().is_some_and(|thread| thread.join().is_err())
                {
                    log::error!("the monitor's thread panicked");
                }
            }
            recv(clock::after(STOP_PATIENCE)) -> _ => {
                log::error!("a monitor does not end, and is left behind");
            }
        }
    }
}
