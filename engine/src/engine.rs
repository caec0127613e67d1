//! The facade: one handle to the code that is current.

use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, bounded};
use hotswap_artifact::Trigger;
use hotswap_module::__private::RawCall;
use hotswap_module::{Abi, Arguments, CallError, Caller, Linked};

use crate::abort::{AbortError, Aborted};
use crate::audit::LogError;
use crate::builder::{Code, EngineBuilder};
use crate::control::Control;
use crate::core::{Core, can_wait};
use crate::error::{OpenError, ReloadError};
use crate::event::{Event, subscriber};
use crate::export::ExportInfo;
use crate::function::{Function, FunctionType};
use crate::guard::Guard;
use crate::history::Transition;
use crate::modules::Lease;
use crate::request::{Asker, Request};
use crate::state::{StateFileError, StateInfo};
use crate::status::{Status, VersionInfo};
use crate::unload::{UnloadError, UnloadTicket};
use crate::verdict::Verdict;
use crate::version_id::VersionId;
use crate::watch::WatchHold;

/// Forwards calls to the current version of a module, which may be replaced at any time.
///
/// A handle is cheap to clone and to send; all clones are the same engine. When the last clone is
/// dropped the monitor and a build under way end, the log is closed, and code that no guard and no thread
/// holds is unmapped; dropping blocks for that, and never for a call under way.
///
/// ```no_run
/// use hotswap_engine::Engine;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::open("sample-engine")?;
/// engine.call("f1")?;
/// let sum: u64 = engine.call_with("add", (2u64, 3u64))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    handle: Arc<Handle>,
    /// Given out by a registry of modules, which is told when this, all clones and what was made from them are gone.
    lease: Option<Arc<Lease>>,
}

/// Ends the engine when the last clone is dropped.
#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
    /// What answers from outside; ended after the engine.
    control: OnceLock<Control>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.core.is_forked() {
            // The engine goes on in the process that opened it.
            return;
        }
        let (done, ended) = bounded(1);
        if self.core.requests.send(Request::Close(done)).is_ok() && can_wait() {
            // An error means that the swapper is gone, which is what is waited for.
            let _ = ended.recv();
        }
    }
}

impl Engine {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { handle: Arc::new(Handle { core, control: OnceLock::new() }), lease: None }
    }

    /// The same engine, as a registry of modules gives it out.
    pub(crate) fn leased(&self, lease: Arc<Lease>) -> Self {
        Self { handle: Arc::clone(&self.handle), lease: Some(lease) }
    }

    /// Has the engine's end be the end of what answers from outside.
    pub(crate) fn keep(&self, control: Control) {
        // Set once, before anybody else has the handle.
        let _ = self.handle.control.set(control);
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// Builds what lies at a path, loads it, and watches it from now on: polled every second, log in
    /// `hotswap.log` of the working directory.
    ///
    /// Blocks for the first build. [`Engine::builder`] has all the settings.
    ///
    /// Where the source is gone, or the compiler, or what lies there is in quarantine, it starts with the version that served
    /// last, in an earlier process, and says so ([`Status::fallback`]): see
    /// [`EngineBuilder::start_with_last_good`].
    ///
    /// # Errors
    ///
    /// When the first version does not build (then with the compiler's diagnostics) or is refused, and when the log cannot be
    /// written. Nothing is left behind.
    pub fn open(source: impl Into<Code>) -> Result<Self, OpenError> {
        Self::builder(source).open()
    }

    /// Settings for an engine: a path (a crate's directory, a `.rs` file, a prebuilt library), a
    /// [`Source`](crate::Source), or the exports of a linked module.
    pub fn builder(source: impl Into<Code>) -> EngineBuilder {
        EngineBuilder::new(source.into())
    }

    /// The same API on linked functions: what a release may ship. Nothing is watched, nothing logged.
    ///
    /// # Panics
    ///
    /// When two exports have one name, and when no thread can be started.
    #[must_use]
    pub fn linked(exports: Linked) -> Self {
        match Self::builder(exports).without_log().open() {
            Ok(engine) => engine,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls a function without arguments in the current version, and drops its result.
    ///
    /// Blocks for as long as the function runs, and never for a swap. The call runs wholly in one version.
    ///
    /// # Errors
    ///
    /// `Missing` when nothing of this name is exported, `Signature` when it takes arguments, `Panicked`
    /// when it panicked, `Returned` when it returned an `Err`.
    #[inline]
    pub fn call(&self, name: &str) -> Result<(), CallError> {
        Caller::call(self, name)
    }

    /// Calls a function with a tuple of arguments in the current version. A constant is a
    /// function without arguments.
    ///
    /// The signature is compared at every call: a wrong type is an error that says what to write.
    ///
    /// # Errors
    ///
    /// As [`Engine::call`]; and `Argument` when an argument has another type than the export's.
    #[inline(always)]
    pub fn call_with<R: Abi>(&self, name: &str, arguments: impl Arguments) -> Result<R, CallError> {
        Caller::call_with(self, name, arguments)
    }

    /// A handle to one function, checked now and for every version that comes: a version without it
    /// is refused as long as the handle lives.
    ///
    /// # Errors
    ///
    /// When the current version has no such function, or one with another signature.
    pub fn function<F: FunctionType>(&self, name: &str) -> Result<Function<F>, CallError> {
        Function::new(Arc::clone(self.core()), self.lease.clone(), name)
    }

    /// Holds the current version for a unit of work. See [`Guard`].
    #[must_use]
    #[track_caller]
    pub fn pin(&self) -> Guard {
        self.pin_at(Location::caller())
    }

    /// As `pin`, on behalf of who called from there.
    pub(crate) fn pin_at(&self, location: &'static Location<'static>) -> Guard {
        Guard::new(Arc::clone(self.core()), self.lease.clone(), location)
    }

    /// The version that calls run in now.
    #[must_use]
    pub fn version(&self) -> VersionId {
        self.core().current()
    }

    /// The versions of this engine, oldest first: what is current, what drains and who holds it, what is gone.
    #[must_use]
    pub fn versions(&self) -> Vec<VersionInfo> {
        self.core().history.lock().versions()
    }

    /// The latest changes of what is current, oldest first, 256 at most.
    #[must_use]
    pub fn history(&self) -> Vec<Transition> {
        self.core().history.lock().transitions()
    }

    /// What the current version exports, by name.
    #[must_use]
    pub fn exports(&self) -> Vec<ExportInfo> {
        self.core().slot.load().export_list()
    }

    /// The cells of this engine that have a value, and those that it shares with others: what outlives versions.
    ///
    /// Blocks for up to 200 ms per cell that is locked for writing, of which the value is left out then. The
    /// code of the current version runs, on this thread, to write the values out.
    #[must_use]
    pub fn states(&self) -> Vec<StateInfo> {
        self.core().states()
    }

    /// Saves all cells in the file of [`persist_state`](EngineBuilder::persist_state), as the end of the engine does. Does nothing
    /// without it. Cells are copied one after the other; blocks until the file is on the disk.
    ///
    /// # Errors
    ///
    /// When a cell is locked for writing for longer than a second, or the file cannot be written. What was saved before
    /// stays.
    pub fn save_state(&self) -> Result<(), StateFileError> {
        self.core().save_state()
    }

    /// Everything there is to say about this engine now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core().status()
    }

    /// Looks at the source now, builds and swaps if it changed, and waits for the verdict. Goes over a pause.
    ///
    /// Of a source that was refused before, the recorded refusal is given, without a build.
    /// From inside a call of the module it works; the call goes on in its own version.
    ///
    /// # Errors
    ///
    /// When what lies in the source cannot run; the current version goes on. From a hook of the module it
    /// is an error at once.
    pub fn reload(&self) -> Result<Verdict, ReloadError> {
        self.core().reload()
    }

    /// Waits until everything written before this call has been considered, by the ordinary path. Respects a pause.
    ///
    /// # Errors
    ///
    /// As [`Engine::reload`]; and `Paused` when a new version waits for [`Engine::resume`].
    pub fn sync(&self) -> Result<Verdict, ReloadError> {
        self.core().sync()
    }

    /// Has the monitor look at the source now, and does not wait: what a push calls.
    pub fn wake(&self) {
        // A closed engine has nothing to wake.
        let _ = self.core().requests.send(Request::Look { trigger: Trigger::Push, answer: None });
    }

    /// Loads a library, whatever is current, and waits for the verdict. The file is copied and may be
    /// overwritten afterwards.
    ///
    /// # Errors
    ///
    /// When the library is refused; the current version goes on.
    pub fn offer(&self, library: impl AsRef<Path>) -> Result<Verdict, ReloadError> {
        let path: PathBuf = library.as_ref().into();
        self.core().ask(|reply| Request::Offer { path, reply })
    }

    /// Keeps the source from being built until the result is dropped: for a tool that edits many files and is not
    /// done when they stand still for a moment. One build of the final content follows.
    ///
    /// [`Engine::reload`] and [`Engine::sync`] wait for the last hold to be dropped: whoever holds must not ask.
    /// A build that began before goes on, and is discarded if its inputs move.
    pub fn hold(&self) -> Hold {
        // No answer means that the engine was closed: nothing is built any more.
        Hold { _hold: self.core().ask_swapper(Request::Hold).flatten() }
    }

    /// Stops automatic swaps. Changes are still seen and built; the newest waits for [`Engine::resume`].
    /// [`Engine::reload`] and [`Engine::offer`], asked for by name, still swap.
    ///
    /// Returns when no automatic swap is under way any more.
    pub fn pause(&self) {
        self.switch(Request::Pause);
    }

    /// Lets automatic swaps go on, and swaps to what waited.
    ///
    /// Returns when that swap is done or refused.
    pub fn resume(&self) {
        self.switch(Request::Resume);
    }

    /// Goes back to the version that was current before, which becomes current by one write, and waits for it. It
    /// needs no compiler, no source and no network: the version before is kept mapped
    /// ([`EngineBuilder::keep_versions`]), what came earlier is loaded again from the store. A second call goes one further; before
    /// the first version of this process stands what served in the one before, which gets a number of its own.
    ///
    /// What was left is quarantined: it is not tried again, by later processes either, until its source changes, or
    /// [`Engine::clear_quarantine`] is called. When this returns, that and what serves now outlast the process. A version that is mapped still has its statics as they were left.
    ///
    /// # Errors
    ///
    /// `NoEarlierVersion`; `Load` when all that ran before is below the floor of its source
    /// ([`BelowFloor`](crate::LoadErrorKind::BelowFloor); of several the first that is not becomes current), when that version lacks a function that a handle relies on, or cannot be loaded again,
    /// a library from elsewhere because it was overwritten; `Frozen`. The current version goes on.
    pub fn rollback(&self) -> Result<Verdict, ReloadError> {
        self.core().ask(|reply| Request::RollBack { target: None, by: Asker::Program, reply })
    }

    /// As [`Engine::rollback`], to a version by its number, also to one that was rolled back. Nothing happens when it is
    /// current.
    ///
    /// # Errors
    ///
    /// As [`Engine::rollback`], where none but this version is considered; and `UnknownVersion`.
    pub fn rollback_to(&self, version: VersionId) -> Result<Verdict, ReloadError> {
        let (target, by) = (Some(version), Asker::Program);
        self.core().ask(|reply| Request::RollBack { target, by, reply })
    }

    /// Runs this version, and no other until [`Engine::resume`]: as [`Engine::rollback_to`], without a quarantine, and
    /// then [`Engine::pause`].
    ///
    /// # Errors
    ///
    /// As [`Engine::rollback_to`]; then nothing is paused.
    pub fn stay_on(&self, version: VersionId) -> Result<Verdict, ReloadError> {
        let (target, by) = (version, Asker::Program);
        self.core().ask(|reply| Request::StayOn { target, by, reply })
    }

    /// Nothing changes what runs any more, for the rest of this engine's life: every swap and every rollback that is tried
    /// is logged and refused. There is no way back.
    ///
    /// Returns when no swap is under way any more.
    pub fn freeze(&self) {
        self.switch(Request::Freeze);
    }

    /// Ends the change that is under way, before its commit, and waits until it has ended: the wait for a source to stand still, a
    /// build with all its processes, a version that waits, is checked, or is in its load hook. The current version stays. Where
    /// several are under way, all of them end.
    ///
    /// What lay in the source is quarantined: it is not tried again until it changes, or [`Engine::clear_quarantine`] is
    /// called. Who waits for it (`reload`, `sync`, `offer`, `open`) is told [`Aborted`](crate::ReloadErrorKind::Aborted). A hook that does not
    /// return keeps its thread and its code, as past its deadline; a constructor is waited for.
    ///
    /// It works from inside a call.
    ///
    /// # Errors
    ///
    /// `NothingUnderWay`, also right after the commit: then [`Engine::rollback`] is the way back. From a hook of the
    /// module `FromHook`, at once. Nothing changes.
    pub fn abort(&self) -> Result<Aborted, AbortError> {
        self.core().abort()
    }

    /// Lets what was refused at load, aborted or rolled back, by an earlier process too, be judged again: when [`Engine::reload`] or
    /// [`Engine::sync`] is called next, or the source changes. Gives how many there were. What the compiler refused stays
    /// refused until it is edited.
    pub fn clear_quarantine(&self) -> usize {
        let by = Asker::Program;
        self.core().ask_swapper(|reply| Request::ClearQuarantine { by, reply }).unwrap_or(0)
    }

    /// Asks a replaced version to go, also one that is kept for a rollback, which then loads it again. Does not wait:
    /// the ticket does, and says who holds it.
    ///
    /// # Errors
    ///
    /// When it is current, or this engine never had it.
    pub fn unload(&self, version: VersionId) -> Result<UnloadTicket, UnloadError> {
        self.core().unload(version)
    }

    fn switch(&self, request: impl FnOnce(crossbeam_channel::Sender<()>) -> Request) {
        // No answer means that the engine was closed meanwhile.
        self.core().ask_swapper(request);
    }

    /// A channel of what happens, from now on: one event per transition, in order. The
    /// swapper never waits for it; who is slow gets [`Event::Missed`].
    #[must_use]
    pub fn subscribe(&self) -> Receiver<Event> {
        let (subscriber, events) = subscriber();
        self.core().subscribers.add(subscriber);
        events
    }

    /// Has hotswap.log opened again if its path names another file by now, as after logrotate moved it away. Waits for
    /// that, a second at most; nothing happens without a log.
    ///
    /// Each line notices by itself: this is for who wants the old file to be let go of at once.
    ///
    /// # Errors
    ///
    /// When the path cannot be opened, or the log does not answer.
    pub fn reopen_log(&self) -> Result<(), LogError> {
        if self.core().is_forked() {
            return Ok(());
        }
        self.core().journal.reopen()
    }

    /// The name of this engine in the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core().name
    }
}

/// While this lives the source is not built; made by [`Engine::hold`]. It may outlive its engine.
#[derive(Debug)]
#[must_use = "the source is built again as soon as this is dropped"]
pub struct Hold {
    _hold: Option<WatchHold>,
}

// SAFETY: `Core::call_in` compares the signatures before it calls, and its errors tell whether it entered.
unsafe impl Caller for Engine {
    #[inline(always)]
    unsafe fn call_raw(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { self.core().call_current(call) }
    }
}
