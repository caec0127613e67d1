//! Settings of an engine, and the way from them to a running one.

#[cfg(feature = "monitor")]
mod build_settings;
mod log_settings;
mod state_settings;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, never, unbounded};
use hotswap_artifact::{Chain, Source, StringSource};
use hotswap_module::__private::{Kind, link_services};
use hotswap_module::{Interface, Linked, VersionChange};
use hotswap_system::clock;
use hotswap_system::process;

use crate::abort::Changes;
use crate::audit::{Line, LogFile, LogSettings};
use crate::cap::{Cap, CapPolicy};
use crate::control::{self, Control};
use crate::core::Core;
use crate::deadline::{DeadlineSettings, Deadlines, is_bounded};
use crate::engine::Engine;
use crate::error::{OpenError, OpenErrorKind};
use crate::event::{Event, Subscribers, subscriber};
use crate::expectation::{Expectation, Expectations};
use crate::exports::Exports;
use crate::history::History;
use crate::hook::{self, HOOK_DEADLINE};
use crate::image::Functions;
use crate::journal::{Journal, Unwritten};
use crate::modules::member::Member;
use crate::opening::Opening;
use crate::provide::{HostFunction, Provided};
use crate::services::{ImageContext, LINKED};
use crate::shared::Shared;
use crate::siblings::Siblings;
use crate::slot::Slot;
use crate::state::{Cells, StateSettings};
use crate::swapper::{
    Channels, Crew, Fallback, FirstAnswer, Handover, Keeping, Swapper, provides, provides_named,
};
#[cfg(feature = "testing")]
use crate::testing::Seat;
use crate::verdict::Verdict;
use crate::version::{Provenance, Version};
use crate::version_id::VersionId;
use crate::watch::{Watch, WatchSettings};

/// Where the code of an engine comes from: a source that is watched, or a linked module.
///
/// Made from `&str`, `String`, `&Path`, `PathBuf`, [`Source`] with its strings, databases and chains, and [`Linked`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Code {
    /// Something that is watched.
    Source(Source),
    /// Functions that are part of this program.
    Linked(Linked),
}

/// One by one, since a blanket over `Into<Source>` would overlap with `Linked`.
macro_rules! from_sources {
    ($($ty:ty)*) => {$(
        impl From<$ty> for Code {
            fn from(source: $ty) -> Self {
                Self::Source(source.into())
            }
        }
    )*};
}
from_sources!(&str String &Path PathBuf &PathBuf Source StringSource &StringSource Chain);
#[cfg(feature = "sqlite")]
from_sources!(hotswap_monitor::sqlite::SqliteSource);
#[cfg(feature = "delivery")]
from_sources!(hotswap_monitor::delivery::Releases);
#[cfg(feature = "http")]
from_sources!(hotswap_monitor::http::HttpSource);

impl From<Linked> for Code {
    fn from(linked: Linked) -> Self {
        Self::Linked(linked)
    }
}

/// The log file unless another is chosen.
pub(crate) const DEFAULT_LOG: &str = "hotswap.log";

/// Settings for an [`Engine`]; made by [`Engine::builder`].
#[derive(Debug)]
#[must_use = "nothing runs before open()"]
pub struct EngineBuilder {
    code: Code,
    name: Option<String>,
    log: Option<PathBuf>,
    log_settings: LogSettings,
    unwritten: Unwritten,
    provided: Provided,
    required: Vec<Expectation>,
    subscribers: Subscribers,
    waits_for_repair: bool,
    fallback: Fallback,
    cancel: Receiver<()>,
    load_deadline: Duration,
    state: StateSettings,
    state_path: Option<PathBuf>,
    deadlines: DeadlineSettings,
    keeping: Keeping,
    control: Option<PathBuf>,
    watch: WatchSettings,
    shared: Option<Shared>,
    #[cfg(feature = "testing")]
    seat: Option<Seat>,
    module: Option<Weak<Member>>,
}

impl EngineBuilder {
    pub(crate) fn new(code: Code) -> Self {
        Self {
            code,
            name: None,
            log: Some(DEFAULT_LOG.into()),
            log_settings: LogSettings::default(),
            unwritten: Unwritten::default(),
            provided: Provided::default(),
            required: Vec::new(),
            subscribers: Subscribers::default(),
            waits_for_repair: false,
            fallback: Fallback::default(),
            cancel: never(),
            load_deadline: HOOK_DEADLINE,
            deadlines: DeadlineSettings::default(),
            state: StateSettings::default(),
            state_path: None,
            keeping: Keeping::default(),
            control: None,
            watch: WatchSettings::default(),
            shared: None,
            #[cfg(feature = "testing")]
            seat: None,
            module: None,
        }
    }

    /// Opens the engine with threads that it has together with others.
    pub(crate) fn on(mut self, shared: &Shared) -> Self {
        self.shared = Some(shared.clone());
        self
    }

    /// Has tests say which changes belong together.
    #[cfg(feature = "testing")]
    pub(crate) fn seat(mut self, seat: Seat) -> Self {
        self.seat = Some(seat);
        self
    }

    /// The engine's name in the log; by default the last part of the source's path.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The engine is that of a module of a registry.
    pub(crate) fn module(mut self, module: Weak<Member>) -> Self {
        self.module = Some(module);
        self
    }

    /// How often the source is looked at: 1 ms to 24 h, 1 s by default.
    pub fn poll_every(mut self, period: Duration) -> Self {
        self.watch.poll_every = period;
        self
    }

    /// How long the source must stay the same before it is built; 10 ms at least. By default 20 ms, and less
    /// after a save that events of the file system call complete ([`wake_on_events`](Self::wake_on_events)).
    pub fn settle(mut self, time: Duration) -> Self {
        self.watch.settle = Some(time);
        self
    }

    /// Has the file system's events wake the monitor. Polling goes on and stays the truth.
    ///
    /// Needs the feature `events`. Without it, or when the system has no watches left, the log says so and the
    /// source is polled.
    pub fn wake_on_events(mut self) -> Self {
        self.watch.wakes_on_events = true;
        self
    }

    /// Refuses every version that lacks a function of this interface, or has it with another signature.
    pub fn require<T: Interface + ?Sized>(mut self) -> Self {
        self.required.extend(T::FUNCTIONS.iter().map(|function| Expectation {
            name: function.name.to_owned(),
            signature: function.signature,
            hash: function.signature.hash(),
            wanted_by: format!("required by {}", T::NAME),
        }));
        self
    }

    /// Gives modules a function of the host: `hotswap_module::host().call_with(name, ..)` calls it, on the
    /// module's thread. A panic in it becomes the module's error value. A second one of the same name replaces the first.
    ///
    /// Arguments are owned: a text arrives as `String`.
    pub fn provide<P>(mut self, name: &str, function: impl HostFunction<P>) -> Self {
        self.provided.add(name, function);
        self
    }

    /// How long the load hooks (`#[on_load]`) of a version may take together before it is refused; 10 s by default.
    pub fn load_deadline(mut self, deadline: Duration) -> Self {
        self.load_deadline = deadline;
        self
    }

    /// How long calls of this export may take before that is told, instead of what the module declares; `Duration::MAX` takes its
    /// deadline away. Nothing is ever interrupted: see [`docs::deadlines`](crate::docs::deadlines).
    pub fn call_deadline(mut self, name: impl Into<String>, deadline: Duration) -> Self {
        self.deadlines.by_name.push((name.into(), deadline));
        self
    }

    /// How long calls of every export may take that has no deadline of its own, from the module or by
    /// [`call_deadline`](Self::call_deadline). None by default; such calls take longer than those without.
    pub fn default_call_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.default = Some(deadline).filter(is_bounded);
        self
    }

    /// How long the other hooks of a version may take, `#[after_swap]` and `#[before_unload]`, before the log says that they take
    /// too long; 10 s by default. Nothing waits for them but the drop of the engine, which waits so long for them.
    pub fn hook_deadline(mut self, deadline: Duration) -> Self {
        self.keeping.hook_deadline = deadline;
        self
    }

    /// How many replaced versions stay mapped, ready for [`Engine::rollback`]; 1 by default. With 0 a replaced
    /// version is unmapped as soon as nobody uses it, and a rollback loads it again.
    pub fn keep_versions(mut self, count: usize) -> Self {
        self.keeping.versions = count;
        self
    }

    /// How many versions may be mapped that are neither current nor kept for a rollback, because somebody still uses them, and
    /// what becomes of a newcomer when there are so many: 8 by default, and [`CapPolicy::Warn`]. A rollback is never held up. Whatever
    /// is said here, a thousand is the most.
    pub fn max_extra_versions(mut self, count: usize, policy: CapPolicy) -> Self {
        self.keeping.cap = Cap { max: count, policy };
        self
    }

    /// How long a replaced version may be in use before that is told, by the log and by
    /// [`Event::Overdue`]; 30 s by default. Code in use is never unmapped.
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.keeping.drain_deadline = deadline;
        self
    }

    /// Lets this engine be asked and told from outside, by a Unix socket under this path that only the user of this
    /// process may connect to: by the commands `hotswap status`, `rollback` and so on. Off by default. The socket goes with
    /// the engine. Needs the feature `control`, which is on by default.
    pub fn control(mut self, path: impl AsRef<Path>) -> Self {
        self.control = Some(path.as_ref().into());
        self
    }

    /// Makes [`open`](Self::open) wait for a source that does not build, or is refused, to be repaired. What was
    /// wrong arrives at subscribers.
    pub fn wait_for_repair(mut self) -> Self {
        self.waits_for_repair = true;
        self
    }

    /// Makes [`open`](Self::open) start with the version that served last, in an earlier process, whatever is wrong with what
    /// lies in the source: for a server that is to come up at night although an edit was left that does not build.
    ///
    /// Without this it does so where there is nothing to judge, source or compiler being gone; where the module was judged and
    /// refused for a fault of its own; and where it is in quarantine. The log says so (`open.fallback`), and
    /// [`Status::fallback`](crate::Status::fallback). The source is looked at as always, and replaces that version when it
    /// can run.
    pub fn start_with_last_good(mut self) -> Self {
        self.fallback = Fallback::Always;
        self
    }

    /// Makes [`open`](Self::open) return `Cancelled` when a message arrives here: the build under way is ended. A
    /// channel whose senders are gone cancels nothing.
    pub fn cancel_on(mut self, cancel: Receiver<()>) -> Self {
        self.cancel = cancel;
        self
    }

    /// A channel of what happens from the very first build on. See [`Engine::subscribe`].
    pub fn subscribe(self) -> (Self, Receiver<Event>) {
        let (subscriber, events) = subscriber();
        self.subscribers.add(subscriber);
        (self, events)
    }

    /// Opens the engine. Blocks until the first version is current, refused, or does not build.
    ///
    /// # Errors
    ///
    /// See [`OpenErrorKind`]. Nothing is left behind: no thread, no file, no process.
    pub fn open(self) -> Result<Engine, OpenError> {
        self.start()?.wait()
    }

    /// Begins to open the engine, and does not wait for the first build: it runs while the host starts.
    ///
    /// ```no_run
    /// use hotswap_engine::Engine;
    ///
    /// # fn load_level() {}
    /// # fn main() -> Result<(), hotswap_engine::OpenError> {
    /// let opening = Engine::builder("game-rules").start()?; // the compiler runs from here on
    /// let level = load_level();
    /// let engine = opening.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with settings, the log or threads; what is wrong with the source,
    /// [`Opening::wait`] says.
    pub fn start(self) -> Result<Opening, OpenError> {
        let source_name = match &self.code {
            Code::Source(source) => source.to_string(),
            Code::Linked(linked) => format!("linked {}", linked.name()),
        };
        let fail = |kind| OpenError::new(source_name.clone(), kind);
        if source_name.is_empty() {
            let message = "the path of the source is empty".to_owned();
            return Err(OpenError::new("\"\"", OpenErrorKind::Setting { message }));
        }
        let name = self.name.unwrap_or_else(|| default_name(&self.code));
        let log = match self.log.as_deref() {
            Some(path) => LogFile::open(path, self.log_settings).map_err(|error| {
                fail(OpenErrorKind::Log { path: path.to_owned(), error: Arc::new(error) })
            }),
            None => LogFile::facade().map_err(|error| {
                fail(OpenErrorKind::Thread { thread: "log", error: Arc::new(error) })
            }),
        }?;
        let (requests, asked) = unbounded();
        let (retire, retired) = unbounded();
        let (slot, rung) = Slot::new(Version::none(retire.clone()));
        let core = Arc::new(Core {
            name: name.clone(),
            source_name: source_name.clone(),
            slot,
            provided: self.provided,
            expectations: Expectations::new(self.required),
            subscribers: self.subscribers,
            changes: Changes::default(),
            deadlines: Deadlines::new(self.deadlines),
            journal: Journal::new(name, log, self.unwritten),
            history: History::default().into(),
            load_deadline: self.load_deadline,
            cells: Cells::new(),
            state: self.state,
            state_path: self.state_path,
            member: OnceLock::new(),
            requests,
            is_closed: AtomicBool::new(false),
            process_id: process::id(),
            module: self.module,
        });
        let owner: Weak<Core> = Arc::downgrade(&core);
        core.cells.belong_to(owner);
        core.load_state().map_err(|error| fail(OpenErrorKind::State { error: Arc::new(error) }))?;
        core.journal.write(
            None,
            Line::info("engine.start")
                .field(
                    "src",
                    match &self.code {
                        Code::Source(source) => source.kind(),
                        Code::Linked(_) => "linked",
                    },
                )
                .field("path", &source_name)
                .field("rustc", hotswap_module::RUSTC)
                .field("abi", hotswap_module::ABI_NUMBER),
        );
        let mut swapper = Swapper::new(
            Arc::clone(&core),
            Channels { requests: asked, retired, retire: retire.clone(), rung },
            self.keeping,
        );
        let (reply, first) = bounded(1);
        match self.code {
            Code::Linked(linked) => {
                link(&mut swapper, &linked, retire).map_err(&fail)?;
                let current = core.current();
                // The channel has room for this one answer.
                let _ = reply.send(Ok(Verdict::Swapped { from: None, to: current }));
            }
            Code::Source(source) => {
                let waits_for_repair = self.waits_for_repair;
                let fallback = self.fallback;
                swapper.first = Some(FirstAnswer { reply, waits_for_repair, fallback });
                let shared = self.shared.as_ref().and_then(|shared| shared.watch.as_ref());
                Watch::start(&mut swapper, &source, self.watch, shared).map_err(&fail)?;
                #[cfg(feature = "testing")]
                if let Some(seat) = self.seat {
                    seat.take(&mut swapper).map_err(|error| {
                        fail(OpenErrorKind::Thread { thread: "seat", error: Arc::new(error) })
                    })?;
                }
            }
        }
        let crew = match self.shared {
            Some(shared) => shared.crew,
            None => Crew::of_one(&core.name).map_err(|error| {
                fail(OpenErrorKind::Thread { thread: "swapper", error: Arc::new(error) })
            })?,
        };
        // From here on the handle's drop ends the swapper.
        crew.add(swapper);
        let control = self.control.map(|path| control(&core, path)).transpose();
        // Ends what was started when nobody can be let in.
        let engine = Engine::new(core);
        if let Some(control) = control.map_err(&fail)? {
            engine.keep(control);
        }
        Ok(Opening { source_name, engine, first, cancel: self.cancel })
    }
}

fn control(core: &Arc<Core>, path: PathBuf) -> Result<Control, OpenErrorKind> {
    let line = Line::info("control.open").field("path", path.display());
    let control = control::open(core, path)?;
    core.journal.write(None, line);
    Ok(control)
}

fn default_name(code: &Code) -> String {
    match code {
        Code::Linked(linked) => linked.name().to_owned(),
        Code::Source(source) => source.module_name().unwrap_or_else(|| "main".to_owned()),
    }
}

/// Makes linked functions the one version there will be.
fn link(
    swapper: &mut Swapper,
    linked: &Linked,
    retire: crossbeam_channel::Sender<crate::version::Retired>,
) -> Result<(), OpenErrorKind> {
    link_services(&LINKED);
    let core = &Arc::clone(&swapper.core);
    let refuse = |message: String| OpenErrorKind::Setting { message };
    let mut functions = Functions::new(Exports::linked());
    for export in linked.exports() {
        if !functions.add(&export.record, export.shim, export.signature) {
            return Err(refuse(format!(
                "{} is exported twice by {}: rename one with #[export(name = \"..\")]",
                export.record.name,
                linked.name()
            )));
        }
    }
    core.deadlines.settings.apply(&mut functions.exports);
    let Functions { exports, hooks, kinds } = functions;
    kinds.check().map_err(|kind| refuse(kind.to_string()))?;
    let id = VersionId(1);
    core.expectations
        .check_loaded(|name| exports.find(name), id)
        .map_err(|kind| refuse(kind.to_string()))?;
    let named = linked.exports().iter().filter(|export| export.record.kind == Kind::Need);
    provides_named(core, named.map(|export| export.record.name.as_str()), id)
        .and_then(|()| provides(core, linked.needs(), id))
        .map_err(|kind| refuse(kind.to_string()))?;
    let context = Arc::new(ImageContext::of(core, core.slot.bell()));
    let version = Arc::new(Version {
        id,
        exports,
        hooks,
        was_started: AtomicBool::new(true),
        provenance: Provenance::default(),
        since: clock::wall(),
        image: None,
        retire,
        holds: context.holds(),
        was_current: AtomicBool::new(true),
        siblings: Siblings::default(),
        linked: Some(Arc::clone(&context)),
    });
    context.attach(version.id, &version);
    context.declare(kinds);
    // Nobody has the engine yet, who could abort it.
    let change = VersionChange::new(None, Some(id.number()));
    hook::run(&version, change, core.load_deadline, &never())
        .map_err(|kind| refuse(kind.to_string()))?;
    Handover::default().bind(core, &version);
    core.history.lock().became_current(&version);
    // It is never unmapped; but the swapper has something to do when it goes.
    swapper.mapped_count += usize::from(!version.hooks.before_unload.is_empty());
    // What stands for no code: nobody can be in it, and nothing of it is mapped.
    drop(core.slot.publish(Arc::clone(&version)));
    swapper.after_swap(version, None);
    Ok(())
}
