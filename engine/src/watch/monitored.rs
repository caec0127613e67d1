//! An engine with a monitor: starts it, and writes down what it observes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{BuildError, BuildErrorKind, Fingerprint, Host, Source, Ticket, Trigger};
use hotswap_monitor::{
    BuildBackend, BuildSettings, Monitor, Observation, SharedMonitor, StartError, Step,
};
pub(crate) use hotswap_monitor::{Floor, Quarantined, Records, Served, Trial, build_report};

use crate::audit::Line;
use crate::core::Core;
use crate::error::{OpenErrorKind, ReloadError, ReloadErrorKind};
use crate::event::Event;
use crate::swapper::{CausePath, Sha1, Swapper};

/// The monitor of one engine.
#[derive(Debug)]
pub(crate) struct Watch(Monitor);

/// Keeps a monitor from building.
pub(crate) type WatchHold = hotswap_monitor::Hold;

/// A monitor that many engines share.
#[derive(Debug, Clone)]
pub(crate) struct SharedWatch(SharedMonitor);

impl SharedWatch {
    /// Starts one that looks at all sources after this period.
    pub(crate) fn start(poll_every: Duration) -> Result<Self, OpenErrorKind> {
        SharedMonitor::start(poll_every).map(Self).map_err(|error| refused(&error))
    }
}

/// Settings of the monitor.
#[derive(Debug)]
pub(crate) struct WatchSettings {
    pub(crate) poll_every: Duration,
    /// `None`: as the monitor sees fit.
    pub(crate) settle: Option<Duration>,
    pub(crate) wakes_on_events: bool,
    pub(crate) build: BuildSettings,
    /// Instead of cargo or rustc.
    pub(crate) backend: Option<Box<dyn BuildBackend>>,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            poll_every: Duration::from_secs(1),
            settle: None,
            wakes_on_events: false,
            build: BuildSettings::default(),
            backend: None,
        }
    }
}

impl Watch {
    /// Starts the monitor, or has the shared one look at the source too. Its first look answers `open`.
    pub(crate) fn start(
        swapper: &mut Swapper,
        source: &Source,
        settings: WatchSettings,
        shared: Option<&SharedWatch>,
    ) -> Result<(), OpenErrorKind> {
        let core = &swapper.core;
        let mut build = settings.build;
        // Whoever prints to no terminal takes `Diagnostics::plain`.
        build.color = true;
        // Only the final crate is a module; a build id is what proves the image in memory.
        build
            .rustc_args
            .extend(["--cfg", "hotswap", "-C", "link-arg=-Wl,--build-id=sha1"].map(str::to_owned));
        build.file_dependencies.push(module_dependency());
        let observed = Arc::downgrade(core);
        let mut builder = Monitor::builder(source.clone()).host(host());
        if settings.wakes_on_events {
            builder = builder.wake_on_events();
        }
        if let Some(settle) = settings.settle {
            builder = builder.settle(settle);
        }
        if let Some(backend) = settings.backend {
            builder = builder.backend(backend);
        }
        swapper.records = Some(Records::of(source, &build));
        let builder =
            builder.poll_every(settings.poll_every).build(build).observe(move |observation| {
                if let Some(core) = observed.upgrade() {
                    record(&core, observation);
                }
            });
        let started = match shared {
            Some(SharedWatch(shared)) => builder.start_on(shared),
            None => builder.start(),
        };
        let (monitor, notifications) = started.map_err(|error| refused(&error))?;
        if shared.is_some() {
            // Set once: an engine has one source.
            let _ = core.member.set(monitor.member());
        }
        swapper.floor = monitor.floor();
        swapper.end_trials();
        swapper.watch = Some(Self(monitor));
        swapper.notifications = notifications;
        Ok(())
    }

    /// Keeps the monitor from building until the result is dropped.
    pub(crate) fn hold(&self) -> WatchHold {
        self.0.hold()
    }

    /// Lets what was aborted be built again.
    pub(crate) fn clear_aborted(&self) -> Vec<Fingerprint> {
        self.0.clear_aborted()
    }

    /// Asks for a scan now; never blocks.
    pub(crate) fn scan(&self, trigger: Trigger) -> Ticket {
        self.0.scan(trigger)
    }
}

fn refused(error: &StartError) -> OpenErrorKind {
    OpenErrorKind::Setting { message: error.to_string() }
}

/// What modules of this program have to be built for.
fn host() -> Host {
    Host::new(hotswap_module::TARGET, hotswap_module::ABI_NUMBER.to_string(), hotswap_module::RUSTC)
}

/// How a single file names hotswap-module: by path while this crate lies in its repository, by version otherwise.
fn module_dependency() -> String {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/module"));
    // What cannot be looked at now may be there when it is built.
    if hotswap_system::fs::exists(beside.join("Cargo.toml")).unwrap_or(true) {
        // A TOML basic string: quotes and backslashes are escaped as in Rust.
        format!("hotswap-module = {{ path = {:?} }}", beside.display().to_string())
    } else {
        format!("hotswap-module = \"={}\"", env!("CARGO_PKG_VERSION"))
    }
}

/// One line per step, on the monitor's own thread: what is about to happen is written before it does.
fn record(core: &Core, observation: &Observation) {
    let tx = core.journal.change(observation.change);
    let line = match &observation.step {
        Step::Assured { kind, name, assurance } => Line::info("source.trust")
            .field("src", kind)
            .field("path", name)
            .field("trust", assurance.level)
            .field("what", &assurance.text),
        Step::Chosen { kind, name, passed } => {
            let line = Line::info("source.chosen").field("src", kind).field("path", name);
            match passed {
                Some(error) => line.failure("unreadable", &**error),
                None => line,
            }
        }
        Step::FetchStarted { name } => Line::info("fetch.intent")
            .field("src", observation.source_kind)
            .field("path", name)
            .field("trig", observation.trigger),
        Step::Fetched { name, fingerprint, note, release, elapsed } => Line::info("fetch.ok")
            .field("src", observation.source_kind)
            .field("path", name)
            .field("rev", Sha1(*fingerprint))
            .field("fetch_us", elapsed.as_micros())
            .field("outcome", "ok")
            .maybe("msg", (!note.is_empty()).then_some(note))
            .maybe("release", *release),
        Step::FetchRefused { name, error } => Line::warn("fetch.refused")
            .field("src", observation.source_kind)
            .field("path", name)
            .field("outcome", "refused")
            .failure("fetch", &**error),
        Step::Changed { fingerprint, cause, abortable } => {
            core.changes.add(abortable.clone());
            core.tell(&Event::Changed {
                fingerprint: *fingerprint,
                trigger: observation.trigger,
                cause: cause.clone(),
            });
            Line::info("detect.change")
                .field("fp", Sha1(*fingerprint))
                .field("src", observation.source_kind)
                .field("trig", observation.trigger)
                .field("cause", CausePath(cause))
                .field(
                    "msg",
                    format!("received notification of fingerprint change ({fingerprint})"),
                )
        }
        Step::Settled { fingerprint, waited } => Line::info("detect.settled")
            .field("fp", Sha1(*fingerprint))
            .field("settle_ms", waited.as_millis()),
        Step::Unchanged { fingerprint, cause } => Line::info("detect.unchanged")
            .field("fp", Sha1(*fingerprint))
            .field("cause", CausePath(cause)),
        Step::KnownBad { fingerprint, error } if is_aborted(error) => {
            Line::warn("quarantine.hit").field("fp", Sha1(*fingerprint)).field("reason", "aborted")
        }
        Step::KnownBad { fingerprint, error } => Line::warn("detect.known_bad")
            .field("fp", Sha1(*fingerprint))
            .field("outcome", "rejected")
            .field("err", "build")
            .field("msg", summary(error)),
        Step::BuildStarted { fingerprint, sandbox } => {
            core.tell(&Event::BuildStarted { fingerprint: *fingerprint });
            let line = match sandbox {
                Some(level) if !level.is_whole() => Line::warn("build.intent"),
                _ => Line::info("build.intent"),
            };
            line.field("fp", Sha1(*fingerprint)).maybe("sandbox", *sandbox)
        }
        Step::BuildOk { fingerprint, elapsed, fresh, by, warnings } => Line::info("build.ok")
            .field("fp", Sha1(*fingerprint))
            .field("build_ms", elapsed.as_millis())
            .field("fresh", fresh)
            .field("warnings", warnings)
            .field("by", by)
            .field("outcome", "ok"),
        Step::BuildFailed { elapsed, error } => Line::error("build.fail")
            .field("fp", Sha1(error.fingerprint))
            .field("build_ms", elapsed.as_millis())
            .field("errors", error.diagnostics().map_or(0, |diagnostics| diagnostics.error_count))
            .field("outcome", "failed")
            .field("err", "build")
            .field("msg", summary(error)),
        Step::BuildDiscarded { fingerprint, elapsed, cause } => Line::info("build.cancel")
            .field("fp", Sha1(*fingerprint))
            .field("build_ms", elapsed.as_millis())
            .field("cause", CausePath(cause))
            .field("msg", "the source changed while it was built; what was built is discarded"),
        Step::BuildCancelled { fingerprint, elapsed, superseded_by, cause } => {
            Line::info("build.cancel")
                .field("fp", Sha1(*fingerprint))
                .field("build_ms", elapsed.as_millis())
                .field("superseded_by", Sha1(*superseded_by))
                .field("cause", CausePath(cause))
                .field("msg", "the source changed while it was built; the build was ended")
        }
        Step::Aborted { fingerprint, cause, elapsed } => {
            if let Some(elapsed) = elapsed {
                let line = Line::info("build.cancel")
                    .field("fp", Sha1(*fingerprint))
                    .field("build_ms", elapsed.as_millis())
                    .field("cause", CausePath(cause))
                    .field("msg", "somebody aborted it; the build was ended");
                core.journal.write(Some(&tx), line);
            }
            let error = ReloadError::new(core.current(), ReloadErrorKind::Aborted);
            let line = Line::error("swap.abort").field("outcome", "rejected");
            core.journal.write(Some(&tx), line.failure(&error.code(), &error));
            Line::warn("quarantine.add")
                .field("fp", Sha1(*fingerprint))
                .field("reason", error.code())
                .field("until", "restart")
        }
        Step::Cached { artifact, elapsed, warnings } => Line::info("build.cached")
            .field("fp", Sha1(artifact.fingerprint))
            .field("sha256", artifact.content)
            .field("bytes", artifact.bytes)
            .field("warnings", warnings)
            .field("store_us", elapsed.as_micros())
            .field("outcome", "ok")
            .maybe("report", build_report(artifact).map(|path| path.display().to_string())),
        Step::Events { problem } => Line::warn("detect.events").failure("events", problem),
        Step::Stored { artifact, elapsed } => Line::info("store.ok")
            .field("fp", Sha1(artifact.fingerprint))
            .field("sha256", artifact.content)
            .field("bytes", artifact.bytes)
            .field("store_us", elapsed.as_micros())
            .maybe("report", build_report(artifact).map(|path| path.display().to_string())),
        Step::Panicked { message, restart_after } => Line::error("monitor.panic")
            .maybe("restart_ms", restart_after.map(|time| time.as_millis()))
            .field("err", "panic")
            .field("msg", message),
        // The swapper writes this one, when the message is there.
        Step::Notified { .. } => return,
        Step::Refused { error } => {
            core.history.lock().unreadable = Some(Arc::clone(error));
            core.tell(&Event::Unreadable { error: Arc::clone(error) });
            Line::warn("fetch.refused")
                .field("src", observation.source_kind)
                .field("path", error.path.display())
                .field("outcome", "refused")
                .failure("fetch", &*error.error)
        }
        Step::Stale { error } => {
            core.history.lock().unreadable = Some(Arc::clone(error));
            core.tell(&Event::Stale { error: Arc::clone(error) });
            Line::warn("detect.stale")
                .field("src", observation.source_kind)
                .field("path", error.path.display())
                .failure("stale", &*error.error)
        }
        Step::Unreadable { error } => {
            core.history.lock().unreadable = Some(Arc::clone(error));
            core.tell(&Event::Unreadable { error: Arc::clone(error) });
            Line::warn("detect.unreadable").failure("unreadable", &**error)
        }
        Step::Readable { .. } => {
            core.history.lock().unreadable = None;
            core.tell(&Event::Readable);
            Line::info("detect.readable")
        }
        // Steps that this version does not know are not ours to interpret.
        _ => return,
    };
    core.journal.write(Some(&tx), line);
    if let Step::BuildStarted { .. } = observation.step {
        // The intent stands in the log before the compiler runs.
        core.journal.flush();
    }
}

fn is_aborted(error: &BuildError) -> bool {
    matches!(error.kind, BuildErrorKind::Aborted)
}

/// The first error with file and line where the compiler gave one, the whole chain otherwise.
fn summary(error: &BuildError) -> String {
    error
        .diagnostics()
        .and_then(|diagnostics| diagnostics.first_error.clone())
        .unwrap_or_else(|| crate::audit::chain(&error.kind))
}
