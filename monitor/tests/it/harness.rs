//! A monitor under test and everything it says.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use hotswap_monitor::{
    Artifact, BuildError, BuildSettings, Monitor, MonitorBuilder, Notification, Observation,
    Outcome, SharedMonitor, Source, StartError, Step, Trigger,
};

/// How long anything may take before a test fails: far more than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A period that never ends within a test: it looks only when it is asked.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

pub(crate) struct Watched {
    pub(crate) monitor: Monitor,
    pub(crate) notifications: Receiver<Notification>,
    pub(crate) observations: Receiver<Observation>,
}

impl Watched {
    /// Watches a source that is built by cargo or rustc, without the network.
    pub(crate) fn start(source: impl Into<Source>) -> Self {
        Self::with(Monitor::builder(source).build(offline()))
    }

    pub(crate) fn with(builder: MonitorBuilder) -> Self {
        Self::polling(builder, NEVER)
    }

    pub(crate) fn polling(builder: MonitorBuilder, period: Duration) -> Self {
        Self::started(builder.poll_every(period), MonitorBuilder::start)
    }

    /// On a thread that others use as well.
    pub(crate) fn on(shared: &SharedMonitor, builder: MonitorBuilder) -> Self {
        Self::started(builder, |builder| builder.start_on(shared))
    }

    fn started(
        builder: MonitorBuilder,
        start: impl FnOnce(MonitorBuilder) -> Result<(Monitor, Receiver<Notification>), StartError>,
    ) -> Self {
        let (tell, observations) = unbounded();
        let builder = builder
            .observe(move |observation: &Observation| tell.send(observation.clone()).unwrap());
        let (monitor, notifications) = start(builder).unwrap();
        Self { monitor, notifications, observations }
    }

    pub(crate) fn next(&self) -> Notification {
        self.notifications.recv_timeout(PATIENCE).expect("a notification in time")
    }

    /// Asks, and gives the answer to this very ticket.
    pub(crate) fn scan(&self) -> Notification {
        let ticket = self.monitor.scan(Trigger::Manual);
        loop {
            let notification = self.next();
            if notification.through >= ticket {
                return notification;
            }
        }
    }

    pub(crate) fn ready(&self) -> Artifact {
        ready(self.scan())
    }

    pub(crate) fn failed(&self) -> Arc<BuildError> {
        failed(self.scan())
    }

    pub(crate) fn unchanged(&self) {
        let outcome = self.scan().outcome;
        assert!(matches!(outcome, Outcome::Unchanged(_)), "{outcome:?}");
    }

    /// The names of the steps since the last time.
    pub(crate) fn steps(&self) -> Vec<&'static str> {
        self.observations.try_iter().map(|told| name(&told.step)).collect()
    }

    /// How many builds were started since the last look at the steps.
    pub(crate) fn builds(&self) -> usize {
        self.steps().iter().filter(|step| **step == "started").count()
    }
}

pub(crate) fn offline() -> BuildSettings {
    let mut settings = BuildSettings::default();
    settings.offline = true;
    settings
}

pub(crate) fn ready(notification: Notification) -> Artifact {
    match notification.outcome {
        Outcome::Ready(artifact) => artifact,
        other => panic!("not ready: {other:?}"),
    }
}

pub(crate) fn failed(notification: Notification) -> Arc<BuildError> {
    match notification.outcome {
        Outcome::Failed(error) => error,
        other => panic!("not failed: {other:?}"),
    }
}

pub(crate) fn name(step: &Step) -> &'static str {
    match step {
        Step::Changed { .. } => "changed",
        Step::Settled { .. } => "settled",
        Step::Unchanged { .. } => "unchanged",
        Step::KnownBad { .. } => "known bad",
        Step::BuildStarted { .. } => "started",
        Step::BuildOk { .. } => "ok",
        Step::BuildFailed { .. } => "failed",
        Step::BuildDiscarded { .. } => "discarded",
        Step::BuildCancelled { .. } => "cancelled",
        Step::Aborted { .. } => "aborted",
        Step::Stored { .. } => "stored",
        Step::Cached { .. } => "cached",
        Step::Notified { .. } => "notified",
        Step::Events { .. } => "events",
        Step::Unreadable { .. } => "unreadable",
        Step::Readable {} => "readable",
        other => panic!("unknown {other:?}"),
    }
}

/// The rhythm of a writer or a backend: nothing is waited for.
pub(crate) fn pause(time: Duration) {
    let _moment = crossbeam_channel::after(time).recv();
}

/// Writes a file and the directories above it.
pub(crate) fn write(root: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Writes a crate that depends on nothing.
pub(crate) fn write_crate(root: &Path, name: &str, library: &str) {
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    write(root, "Cargo.toml", manifest);
    write(root, "src/lib.rs", library);
}

pub(crate) fn contains(artifact: &Artifact, text: &str) -> bool {
    let bytes = fs::read(&artifact.path).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A function whose text is found in the library.
pub(crate) fn saying(text: &str) -> String {
    format!(
        "#[unsafe(no_mangle)] pub extern \"C\" fn f() -> *const u8 {{ b\"{text}\".as_ptr() }}\n"
    )
}
