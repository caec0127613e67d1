//! How a monitor is set up and started.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_artifact::{Host, Notification, Source, Trigger};
use hotswap_system::thread;

use crate::aborted::Aborted;
use crate::build::backend_for;
use crate::build::supervised::SupervisedBackend;
use crate::events::Told;
use crate::monitor::{Post, WatchThread};
use crate::observation::{Observe, Observer};
use crate::requests::Requests;
use crate::scan::absolute;
use crate::shared::bells::Doorbell;
use crate::shared::{Reads, Seat};
use crate::supply::Supply;
use crate::watch::{EventsState, Memory, SettleTime, Watch};
use crate::{
    BuildBackend, BuildSettings, Floor, Monitor, Observation, Scanner, SharedMonitor, StopHandle,
    StopSignal,
};

/// How many notifications wait for whoever receives them.
///
/// 16: an engine takes one in microseconds; one that is paused for long finds the
/// last ones, and the monitor waits rather than filling memory.
pub const NOTIFICATIONS_MAX: usize = 16;

/// The shortest polling period.
pub const POLL_PERIOD_MIN: Duration = Duration::from_millis(1);

/// The longest polling period: a day. Push is for what is slower.
pub const POLL_PERIOD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a source is looked at when nobody says otherwise.
const POLL_PERIOD: Duration = Duration::from_secs(1);

/// Sets up a [`Monitor`]; [`Monitor::builder`] makes one.
#[must_use = "a builder does nothing until `start`"]
pub struct MonitorBuilder {
    source: Source,
    poll_every: Duration,
    settle: SettleTime,
    pub(crate) events: EventsState,
    settings: BuildSettings,
    host: Option<Host>,
    observe: Option<Observe>,
    backend: Option<Box<dyn BuildBackend>>,
}

impl fmt::Debug for MonitorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorBuilder")
            .field("source", &self.source)
            .field("poll_every", &self.poll_every)
            .field("settle", &self.settle)
            .field("wakes_on_events", &!matches!(self.events, EventsState::Off))
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl MonitorBuilder {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            poll_every: POLL_PERIOD,
            settle: SettleTime::ByEvents,
            events: EventsState::Off,
            settings: BuildSettings::default(),
            host: None,
            observe: None,
            backend: None,
        }
    }

    /// Looks at the source this often: [`POLL_PERIOD_MIN`] to
    /// [`POLL_PERIOD_MAX`], default one second. Counted from the end of one look
    /// to the beginning of the next.
    pub fn poll_every(mut self, period: Duration) -> Self {
        self.poll_every = period;
        self
    }

    /// Builds only what has stayed the same for exactly this long; less than [`SETTLE_MIN`] is
    /// taken as that. A source that never does is built after [`SETTLE_MAX`](crate::SETTLE_MAX).
    ///
    /// Default: 20 ms, and with [`wake_on_events`](Self::wake_on_events) as little as 2 ms and a tick of
    /// the file system's clock, when events say that every file that differs was closed or renamed after
    /// writing, and nothing follows.
    ///
    /// [`SETTLE_MIN`]: crate::SETTLE_MIN
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = SettleTime::fixed(time);
        self
    }

    /// Looks as soon as the file system reports that something was written, created,
    /// renamed or removed, and every period as well: an event that is lost costs time. Polls then pass over files
    /// that no event named, where every write is told of (a local file system, a file with one name), but
    /// for every tenth.
    ///
    /// Exists in every build. What stands in the way, that this one has not the
    /// feature `events` for one, is told by [`Step::Events`](crate::Step::Events),
    /// and the source is polled.
    pub fn wake_on_events(mut self) -> Self {
        self.events = EventsState::Wanted;
        self
    }

    /// Builds with these settings.
    pub fn build(mut self, settings: BuildSettings) -> Self {
        self.settings = settings;
        self
    }

    /// What is built or fetched is to run in this. A source of libraries that others built has to be told: without, it takes only
    /// what is still to be built.
    pub fn host(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    /// Tells each step, on the thread that takes it: the monitor waits for the
    /// observer. One that panics is survived.
    pub fn observe(mut self, observer: impl Fn(&Observation) + Send + 'static) -> Self {
        self.observe = Some(Box::new(observer));
        self
    }

    /// Builds with this instead of cargo or rustc.
    pub fn backend(mut self, backend: Box<dyn BuildBackend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Starts a thread, which looks at the source at once.
    ///
    /// Does not block, and does not look at the source itself: one that is
    /// missing is told by the first notification. Relative paths are taken from
    /// the working directory of now. When the receiver is dropped the thread
    /// ends at its next message.
    ///
    /// # Errors
    ///
    /// When the polling period is out of its limits, or the thread cannot be
    /// started.
    pub fn start(self) -> Result<(Monitor, Receiver<Notification>), StartError> {
        let source_name = self.source.to_string();
        let fail = |kind| StartError { source_name, kind };
        if let Err(kind) = must_be_a_period(self.poll_every) {
            return Err(fail(kind));
        }
        let Assembled { watch, alive, parts } = self.assemble(None);
        let post = Post::default();
        let own_post = post.clone();
        let work = move || {
            own_post.during(|| watch.run());
            drop::<Sender<()>>(alive);
        };
        let thread = thread::spawn("hotswap-monitor", work)
            .map_err(|error| fail(StartErrorKind::Thread(error)))?;
        Ok(parts.monitor(WatchThread::Own(Some(thread)), post))
    }

    /// Has the source looked at by a shared monitor, at once and after each of its periods; that of
    /// [`poll_every`](Self::poll_every) does not count.
    ///
    /// Does not block, and else does what [`start`](Self::start) does.
    ///
    /// # Errors
    ///
    /// None as yet.
    pub fn start_on(
        mut self,
        shared: &SharedMonitor,
    ) -> Result<(Monitor, Receiver<Notification>), StartError> {
        self.poll_every = shared.period();
        let bell = shared.new_member();
        let member = bell.member;
        let Assembled { mut watch, alive, parts } = self.assemble(Some(bell.clone()));
        let reads = Reads::default();
        watch.place = Some(shared.place(member, reads.clone()));
        let post = Post::default();
        shared.admit(Seat {
            member,
            watch,
            trigger: Trigger::Start,
            due: None,
            waits_for: None,
            reads,
            post: post.clone(),
            _alive: alive,
        });
        Ok(parts.monitor(WatchThread::Shared { bell, _shared: shared.clone() }, post))
    }

    /// The watch, and what its handle has of it.
    fn assemble(self, bell: Option<Doorbell>) -> Assembled {
        let source = absolute(&self.source);
        let mut settings = self.settings;
        settings.target_dir =
            settings.target_dir.map(|path| std::path::absolute(&path).unwrap_or(path));
        let (stop_handle, stop) = StopSignal::new();
        let (sender, notifications) = bounded(NOTIFICATIONS_MAX);
        let (requests, woken) = Requests::new(bell);
        let requests = Arc::new(requests);
        let aborted = Arc::new(Aborted::default());
        let supply = Supply::new(&self.source, &settings);
        let settings = settings.of_source(&source, false);
        let has_own_backend = self.backend.is_some();
        let backend = self.backend.unwrap_or_else(|| backend_for(&source, false, &settings));
        let watch = Watch {
            source_name: self.source.to_string(),
            scanner: Scanner::with_stop(&source, &settings, stop.clone()),
            source,
            settings,
            backend: SupervisedBackend::new(backend),
            has_own_backend,
            is_supplied: supply.is_none(),
            supply,
            observer: Observer::new(self.observe, self.source.kind()),
            notifications: sender,
            requests: Arc::clone(&requests),
            aborted: Arc::clone(&aborted),
            woken,
            stop,
            poll_every: self.poll_every,
            settle: self.settle,
            events: self.events,
            told: Told::anything(),
            memory: Memory::default(),
            place: None,
            permit: None,
            parked: None,
            group: None,
            broken: None,
        };
        watch.attach(self.host);
        let floor = watch.supply.as_ref().map(Supply::floor).unwrap_or_default();
        let (alive, ended) = bounded(0);
        let parts = Parts { requests, aborted, stop_handle, ended, notifications, floor };
        Assembled { watch, alive, parts }
    }
}

/// A watch that nobody looks after yet.
struct Assembled {
    watch: Watch,
    /// To be dropped when the watch is.
    alive: Sender<()>,
    parts: Parts,
}

/// What a handle has of its watch.
struct Parts {
    requests: Arc<Requests>,
    aborted: Arc<Aborted>,
    stop_handle: StopHandle,
    ended: Receiver<()>,
    notifications: Receiver<Notification>,
    floor: Floor,
}

impl Parts {
    fn monitor(self, thread: WatchThread, post: Post) -> (Monitor, Receiver<Notification>) {
        let Self { requests, aborted, stop_handle, ended, notifications, floor } = self;
        (Monitor::new(requests, aborted, stop_handle, thread, post, ended, floor), notifications)
    }
}

pub(crate) fn must_be_a_period(period: Duration) -> Result<(), StartErrorKind> {
    let is_allowed = (POLL_PERIOD_MIN..=POLL_PERIOD_MAX).contains(&period);
    is_allowed.then_some(()).ok_or(StartErrorKind::PollPeriod(period))
}

/// The monitor did not start; nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {source_name}: {kind}")]
#[non_exhaustive]
pub struct StartError {
    /// The source, as it was named.
    pub source_name: String,
    /// What went wrong.
    pub kind: StartErrorKind,
}

/// The ways in which a monitor does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The polling period is out of its limits.
    #[error("a polling period of {0:?} is not between 1 ms and 24 h")]
    PollPeriod(Duration),
    /// The system gave no thread.
    #[error("no thread could be started ({0})")]
    Thread(io::Error),
}
