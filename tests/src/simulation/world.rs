//! The real engine, monitor, swapper, store and log, with a clock that is stepped and steps that fail when they should.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use hotswap_engine::{
    CallError, CallErrorKind, Engine, Function, Guard, OpenErrorKind, ReloadError, ReloadErrorKind,
    VersionState,
};
use hotswap_system::clock::{Stepped, step_by_hand};
use hotswap_system::fault::{Fault, Manner, Operation, Site, Times, Watching, watch};

use super::action::{Action, Ask, Interruption, When};
use super::compiler::{Asking, Compiler, Libraries, Moment, Order, libraries};
use super::model::{Said, Verdict, View};
use super::source::SourceFile;
use crate::maps::executable_mappings;

/// How long the source must stand still.
const SETTLE: Duration = Duration::from_millis(20);

/// The period of the monitor: far longer than [`SETTLE`], so that the one is never taken for the other.
const PERIOD: Duration = Duration::from_secs(1);

/// How long nothing may happen before the schedule is given up, in real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Where the monitor waits when it has nothing to do.
const AT_REST: &str = "monitor/src/watch/waiting.rs";

/// Where it waits while a build runs.
const IN_BUILD: &str = "monitor/src/watch/during.rs";

/// What the host does in the middle of a call.
type Nested = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Everything that is not the model.
pub(super) struct World {
    engine: Option<Engine>,
    handle: Option<Function<fn() -> u64>>,
    guards: Vec<Guard>,
    nested: Nested,
    libraries: Libraries,
    builds: Arc<AtomicU64>,
    asks: Sender<Asking>,
    asking: Receiver<Asking>,
    /// What is still to come in the middle of the monitor's work.
    interruption: Cell<Option<Interruption>>,
    source: SourceFile,
    directory: tempfile::TempDir,
    /// Images that an earlier schedule of this process had the loader keep.
    mapped_before: usize,
    faults: Watching,
    clock: Stepped,
}

impl World {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (asks, asking) = unbounded();
        Self {
            engine: None,
            handle: None,
            guards: Vec::new(),
            nested: Arc::default(),
            libraries: libraries(directory.path()),
            builds: Arc::default(),
            asks,
            asking,
            interruption: Cell::new(None),
            source: SourceFile(directory.path().join("source.rs")),
            directory,
            mapped_before: mapped(),
            faults: watch(),
            clock: step_by_hand(),
        }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.path().join("hotswap.log")
    }

    /// Does it, and gives what it answers. The monitor is at rest before and after.
    pub(super) fn perform(&mut self, action: &Action) -> Said {
        let said = self.begin(action);
        self.rest();
        self.interruption.set(None);
        said
    }

    fn begin(&mut self, action: &Action) -> Said {
        match action {
            Action::Write(edit) => self.source.apply(*edit),
            Action::Look(ask, edit, interruption) => {
                if let Some(edit) = edit {
                    self.source.apply(*edit);
                }
                self.interruption.set(*interruption);
                if *ask == Ask::Tick {
                    self.clock.advance(PERIOD);
                } else {
                    return Said::Verdict(self.ask(*ask));
                }
            }
            Action::Pause => self.engine().pause(),
            Action::Resume => self.engine().resume(),
            Action::OpenHandle => {
                self.handle = self.engine().function("version").ok();
                return Said::Opened(self.handle.is_some());
            }
            Action::DropHandle => self.handle = None,
            Action::Pin => self.guards.push(self.engine().pin()),
            Action::Unpin(place) => drop(self.guards.remove(*place)),
            Action::Offer(library) => {
                let verdict = self.engine().offer(&self.libraries[library]);
                return Said::Verdict(verdict_of(verdict));
            }
            Action::RollBack(version) => {
                let verdict = match version {
                    None => self.engine().rollback(),
                    Some(number) => {
                        let versions = self.engine().versions();
                        let known = versions.iter().find(|version| version.id.number() == *number);
                        self.engine().rollback_to(known.expect("it ran").id)
                    }
                };
                return Said::Verdict(verdict_of(verdict));
            }
            Action::Nested(ask, edit) => {
                let (engine, source, ask, edit) =
                    (self.engine().clone(), self.source.clone(), *ask, *edit);
                let (tell, told) = bounded(1);
                let work = move || {
                    source.apply(edit);
                    let verdict = if ask == Ask::Reload { engine.reload() } else { engine.sync() };
                    // There is room for it.
                    let _sent = tell.send(verdict_of(verdict));
                };
                *self.nested.lock().expect("no panic") = Some(Box::new(work));
                let answer =
                    self.stepping(|engine| engine.call_with::<u64>("after", ("interrupt",)));
                let verdict = told.try_recv().expect("the module calls back");
                return Said::Nested(
                    answer.expect("a call ends in the version it began in"),
                    verdict,
                );
            }
            Action::FromModule(edit) => {
                self.source.apply(*edit);
                let told = self
                    .stepping(|engine| engine.call_with::<Result<u64, CallError>>("reloads", ()));
                return Said::Told(told.expect("the call itself succeeds").ok());
            }
            Action::Reopen => {
                self.close();
                return Said::Verdict(self.open());
            }
        }
        Said::Nothing
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the schedule opens it first")
    }

    /// Asks what became of what lies in the source.
    pub(super) fn ask(&self, ask: Ask) -> Verdict {
        let verdict = self.stepping(|engine| match ask {
            Ask::Reload => engine.reload(),
            Ask::Tick | Ask::Sync => engine.sync(),
        });
        verdict_of(verdict)
    }

    /// Opens an engine, unless the source does not allow it.
    fn open(&mut self) -> Verdict {
        let target_dir = self.directory.path().join("target");
        let compiler = Compiler {
            source: self.source.0.clone(),
            target_dir: target_dir.clone(),
            libraries: Arc::clone(&self.libraries),
            builds: Arc::clone(&self.builds),
            asks: self.asks.clone(),
        };
        let nested = Arc::clone(&self.nested);
        let builder = Engine::builder(&self.source.0)
            .target_dir(target_dir)
            .log_file(self.log())
            .poll_every(PERIOD)
            .settle(SETTLE)
            .backend(compiler)
            .provide("interrupt", move || {
                let work = nested.lock().expect("no panic").take();
                work.expect("it was put there before the call")();
            });
        match self.step_while(|| builder.open()) {
            Ok(engine) => {
                self.engine = Some(engine);
                Verdict::Swapped
            }
            Err(error) => match error.kind {
                OpenErrorKind::First(error) => verdict_of(Err(*error)),
                other => Verdict::Other(other.to_string()),
            },
        }
    }

    /// Drops the engine. Guards go on working.
    fn close(&mut self) {
        self.handle = None;
        self.engine = None;
    }

    /// Nothing is in quarantine but what the engine itself knows of.
    pub(super) fn forget_quarantine(&self) {
        // It may never have been there.
        let _ = fs::remove_dir_all(self.directory.path().join("target/store/quarantine"));
    }

    /// No engine has run yet, as far as the next can tell.
    pub(super) fn forget_records(&mut self) {
        self.close();
        self.forget_quarantine();
        let _ = fs::remove_dir_all(self.directory.path().join("target/store/served"));
    }

    /// Drops everything but the clock and the log.
    pub(super) fn end(&mut self) {
        self.guards.clear();
        self.close();
    }

    /// What anybody sees now.
    pub(super) fn view(&self) -> View {
        let status = self.engine().status();
        let versions = self.engine().versions();
        let is_there = |(_, state): &(u64, VersionState)| !matches!(state, VersionState::Unloaded);
        let states = versions.iter().map(|info| (info.id.number(), info.state));
        View {
            version: self.engine().version().number(),
            by_name: answer(self.engine().call_with("version", ())),
            by_handle: self.handle.as_ref().map(|handle| answer(handle.call())),
            guards: self
                .guards
                .iter()
                .map(|guard| answer(guard.call_with("version", ())))
                .collect(),
            states: states.filter(is_there).collect(),
            mapped: Some(self.mapped()),
            is_paused: status.is_paused,
            swaps: status.swap_count,
            refusals: status.refused_count,
            // Relaxed: whoever built has said so by other means.
            builds: Some(self.builds.load(Ordering::Relaxed)),
        }
    }

    /// How many images of this schedule are mapped.
    pub(super) fn mapped(&self) -> usize {
        mapped() - self.mapped_before
    }

    /// Counts the steps that are taken from now on.
    pub(super) fn count(&self) {
        self.faults.clear();
    }

    /// The steps since then that can fail, and how often each was taken.
    pub(super) fn counted(&self) -> BTreeMap<Site, u64> {
        let mut passed = self.faults.passed();
        // These cannot fail by an error.
        passed.retain(|site, _| !matches!(site.operation, Operation::Send | Operation::Pass));
        passed
    }

    /// Makes one passing of a step fail.
    pub(super) fn inject(&self, site: Site, number: u64) {
        self.faults.inject(Fault { site, times: Times::Once(number), manner: Manner::Error });
    }

    /// Makes nothing fail any more; whether something did.
    pub(super) fn heal(&self) -> bool {
        self.faults.heal() > 0
    }

    fn stepping<T: Send>(&self, work: impl FnOnce(&Engine) -> T + Send) -> T {
        let engine = self.engine();
        self.step_while(|| work(engine))
    }

    /// Runs what waits for the monitor, and lets the source settle meanwhile.
    fn step_while<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let (done, result) = bounded(1);
        thread::scope(|scope| {
            scope.spawn(move || done.send(work()));
            loop {
                select! {
                    recv(result) -> result => return result.expect("what was asked did not panic"),
                    recv(self.clock.timer_set()) -> _ => self.settle(),
                    recv(self.asking) -> asking => self.order(asking),
                    default(PATIENCE) => self.give_up(),
                }
            }
        })
    }

    /// Waits until the monitor has nothing to do, and lets the source settle meanwhile.
    pub(super) fn rest(&self) {
        if self.engine.is_none() {
            return;
        }
        while !self.clock.timers().iter().any(|timer| timer.file.ends_with(AT_REST)) {
            select! {
                recv(self.clock.timer_set()) -> _ => self.settle(),
                recv(self.asking) -> asking => self.order(asking),
                default(PATIENCE) => self.give_up(),
            }
        }
    }

    /// Lets time pass for who waits for the source to stand still.
    fn settle(&self) {
        while self.clock.timers().iter().any(|timer| timer.left <= SETTLE) {
            self.interrupt(When::Settling);
            self.clock.advance_to_next_within(SETTLE);
        }
    }

    /// Edits the source, if that is due at this moment; what was to happen.
    fn interrupt(&self, when: When) -> Option<Interruption> {
        let interruption = self.interruption.get().filter(|due| due.when == when)?;
        self.interruption.set(None);
        self.source.apply(interruption.edit);
        Some(interruption)
    }

    /// Tells a build what to do.
    fn order(&self, asking: Result<Asking, crossbeam_channel::RecvError>) {
        let (moment, reply) = asking.expect("the world keeps a sender");
        let order = match moment {
            Moment::Read => {
                self.interrupt(When::Read);
                Order::GoOn
            }
            Moment::Begun => {
                self.interrupt(When::Begun);
                let before = fs::read(&self.source.0).ok();
                let superseded = self.interrupt(When::Superseding);
                let after = fs::read(&self.source.0).ok();
                if superseded.is_some() && after.is_some() && before != after {
                    if !self.clock.wait_for_timer_in(IN_BUILD, PATIENCE) {
                        self.give_up();
                    }
                    Order::WaitForStop
                } else {
                    Order::GoOn
                }
            }
        };
        // The build waits for it.
        let _sent = reply.send(order);
        if order == Order::WaitForStop {
            self.clock.advance(PERIOD);
        }
    }

    /// Ends the process: threads that hang cannot be waited for, as a panic would.
    fn give_up(&self) -> ! {
        eprintln!("nothing has happened for {PATIENCE:?}; timers: {:#?}", self.clock.timers());
        std::process::exit(1);
    }
}

/// What a call gave; `None` when the function is missing.
fn answer(result: Result<u64, CallError>) -> Option<u64> {
    match result {
        Ok(number) => Some(number),
        Err(error) if matches!(error.kind, CallErrorKind::Missing { .. }) => None,
        Err(error) => panic!("a call failed: {error}"),
    }
}

fn verdict_of(verdict: Result<hotswap_engine::Verdict, ReloadError>) -> Verdict {
    match verdict {
        Ok(verdict) if verdict.is_swapped() => Verdict::Swapped,
        Ok(_) => Verdict::Unchanged,
        Err(error) => match error.kind {
            ReloadErrorKind::Paused => Verdict::Paused,
            ReloadErrorKind::Build(_) => Verdict::NotBuilt,
            ReloadErrorKind::Load(_) => Verdict::NotLoaded,
            ReloadErrorKind::Unreadable(_) => Verdict::Unreadable,
            ReloadErrorKind::RolledBack { .. } => Verdict::RolledBack,
            ReloadErrorKind::Quarantined { .. } => Verdict::Quarantined,
            ReloadErrorKind::NoEarlierVersion => Verdict::NothingEarlier,
            _ => Verdict::Other(error.to_string()),
        },
    }
}

/// How many images are mapped: their files lie in directories that are named after this process.
fn mapped() -> usize {
    let own = Path::new("/").join(std::process::id().to_string()).join("");
    let lines = executable_mappings(&own.to_string_lossy());
    let paths = lines.iter().filter_map(|line| line.split_ascii_whitespace().nth(5));
    paths.collect::<std::collections::BTreeSet<_>>().len()
}
