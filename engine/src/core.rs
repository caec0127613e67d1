//! What all handles of one engine share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_artifact::{MemberId, Trigger};
use hotswap_module::__private::{RawCall, Status as ShimStatus, with_linked_context};
use hotswap_module::{CallError, CallErrorKind, Signature};
use hotswap_system::clock;
use hotswap_system::process;
use parking_lot::Mutex;

use crate::abort::{AbortError, AbortErrorKind, Aborted, Changes};
use crate::audit::Line;
use crate::check;
use crate::deadline::{Deadlines, is_bounded};
use crate::error::{ReloadError, ReloadErrorKind};
use crate::event::{Event, Subscribers};
use crate::expectation::Expectations;
use crate::export::Export;
use crate::failure;
use crate::history::History;
use crate::hook;
use crate::journal::Journal;
use crate::modules::member::Member;
use crate::modules::{ModuleErrorKind, calls};
use crate::provide::Provided;
use crate::request::{Answer, Request, is_swapper_thread};
use crate::services::{ImageContext, ModuleHost};
use crate::slot::Slot;
use crate::state::{
    self, Cell, CellOwner, Cells, SHARED, StateFileError, StateInfo, StateSettings, Torn, TornBy,
    TornPolicy,
};
use crate::status::{LastFailure, Status};
use crate::unload::{UnloadError, UnloadErrorKind, UnloadTicket};
use crate::verdict::Verdict;
use crate::version::Version;
use crate::version_id::{NO_VERSION, VersionId};

/// Everything of an engine but its threads.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) source_name: String,
    pub(crate) slot: Slot,
    pub(crate) provided: Provided,
    pub(crate) expectations: Expectations,
    pub(crate) subscribers: Subscribers,
    /// What may be aborted.
    pub(crate) changes: Changes,
    /// Which calls have deadlines, and which run past them.
    pub(crate) deadlines: Deadlines,
    pub(crate) journal: Journal,
    pub(crate) history: Mutex<History>,
    /// How long load hooks may take.
    pub(crate) load_deadline: Duration,
    /// Values that outlive versions.
    pub(crate) cells: Cells,
    pub(crate) state: StateSettings,
    /// Where they are saved.
    pub(crate) state_path: Option<PathBuf>,
    /// By which its source is known among those that are watched together, once it is.
    pub(crate) member: OnceLock<MemberId>,
    /// To the swapper.
    pub(crate) requests: Sender<Request>,
    pub(crate) is_closed: AtomicBool,
    /// The process whose threads serve this engine.
    pub(crate) process_id: u32,
    /// What it is in a registry of modules; `None` of an engine by itself.
    pub(crate) module: Option<Weak<Member>>,
}

impl Core {
    /// Makes a call in the version that is current now, which stays mapped until it returns.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    #[inline(always)]
    pub(crate) unsafe fn call_current(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        if let Some(quick) = self.slot.enter_quickly() {
            if let Some(export) = quick.version.exports.get(call.name)
                && check::agrees(call.signature, export.signature, export.hash)
            {
                // SAFETY:
                // 1. Signature: just compared; without one there are no arguments and `out` is null.
                // 2. Mapped: the version is entered until `leave`.
                let code = unsafe { run(quick.version, export, call.arguments, call.out) };
                let called = match code == ShimStatus::Done as u32 {
                    true => Ok(()),
                    false => Err(failed(quick.version, call.name, code)),
                };
                self.slot.leave(quick);
                return called;
            }
            self.slot.leave(quick);
        }
        // SAFETY: the contract of this function.
        unsafe { self.call_slowly(call.name, call.signature, call.arguments, call.out) }
    }

    /// As `call_current`, where the quick way is closed, and of what it leaves out.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`.
    #[cold]
    #[inline(never)]
    unsafe fn call_slowly(
        &self,
        // One by one: on the quick way they then stay in registers.
        name: &str,
        signature: Option<(&'static Signature, u64)>,
        arguments: *mut u8,
        out: *mut u8,
    ) -> Result<(), Box<CallError>> {
        let call = RawCall { name, signature, arguments, out };
        let entered = self.slot.enter();
        // SAFETY: the contract of this function; and the version is entered until this returns.
        unsafe { self.call_in(entered.version(), call) }
    }

    /// Makes a call in one version.
    ///
    /// # Safety
    ///
    /// As `Caller::call_raw`; and `version` is held by the caller until this returns.
    #[inline(always)]
    pub(crate) unsafe fn call_in(
        &self,
        version: &Version,
        call: RawCall<'_>,
    ) -> Result<(), Box<CallError>> {
        let Some(export) = version.exports.get(call.name) else {
            return Err(self.missing(version, call.name));
        };
        if !check::agrees(call.signature, export.signature, export.hash) {
            let RawCall { name, signature, arguments, out } = call;
            // SAFETY: the contract of this function.
            return unsafe { self.call_otherwise(version, name, signature, arguments, out, None) };
        }
        // SAFETY:
        // 1. Signature: just compared; without one there are no arguments and `out` is null.
        // 2. Mapped: the contract of this function.
        let code = unsafe { run(version, export, call.arguments, call.out) };
        if code == ShimStatus::Done as u32 { Ok(()) } else { Err(failed(version, call.name, code)) }
    }

    /// Makes a call that the quick ways leave out: of a function, or by a handle, with a deadline. Or says why it cannot be made.
    ///
    /// # Safety
    ///
    /// As `call_in`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn call_otherwise(
        &self,
        version: &Version,
        name: &str,
        signature: Option<(&'static Signature, u64)>,
        arguments: *mut u8,
        out: *mut u8,
        deadline: Option<Duration>,
    ) -> Result<(), Box<CallError>> {
        let Some(found) = version.exports.find(name) else {
            return Err(self.missing(version, name));
        };
        if !check::agrees(signature, found.export.signature, found.export.hash) {
            return Err(differs(version, name, signature, found.export));
        }
        let call = || {
            // SAFETY:
            // 1. Signature: just compared; without one there are no arguments and `out` is null.
            // 2. Mapped: the contract of this function.
            unsafe { run(version, found.export, arguments, out) }
        };
        let code = match deadline.or(found.deadline).filter(is_bounded) {
            Some(deadline) => self.timed(version, name, deadline, call),
            None => call(),
        };
        if code == ShimStatus::Done as u32 { Ok(()) } else { Err(failed(version, name, code)) }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn missing(&self, version: &Version, name: &str) -> Box<CallError> {
        // Acquire pairs with the Release in `Swapper::close`.
        if version.id == NO_VERSION && self.is_closed.load(Ordering::Acquire) {
            return Box::new(CallError::new(name, None, CallErrorKind::Closed));
        }
        let similar = version.similar(name);
        let kind = CallErrorKind::Missing { similar };
        Box::new(CallError::new(name, Some(version.id.number()), kind))
    }

    /// Asks the monitor to look now, and waits for what the swapper makes of it.
    pub(crate) fn reload(&self) -> Result<Verdict, ReloadError> {
        self.ask(|reply| Request::Look {
            trigger: Trigger::Manual,
            answer: Some(Answer { reply, forces: true }),
        })
    }

    /// As `reload`, without going over a pause.
    pub(crate) fn sync(&self) -> Result<Verdict, ReloadError> {
        self.ask(|reply| Request::Look {
            trigger: Trigger::Manual,
            answer: Some(Answer { reply, forces: false }),
        })
    }

    /// By which its source is known among those that are watched together; none where it has a monitor to itself.
    pub(crate) fn member(&self) -> MemberId {
        self.member.get().copied().unwrap_or_default()
    }

    /// Whether this is a forked child: the swapper stayed behind, and nobody would answer.
    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.process_id
    }

    /// Sends a request with room for its answer, and waits.
    pub(crate) fn ask(
        &self,
        request: impl FnOnce(Sender<Result<Verdict, ReloadError>>) -> Request,
    ) -> Result<Verdict, ReloadError> {
        self.verdict(&self.begin(request)?)
    }

    /// Sends a request with room for its answer, which [`verdict`](Self::verdict) waits for.
    pub(crate) fn begin(
        &self,
        request: impl FnOnce(Sender<Result<Verdict, ReloadError>>) -> Request,
    ) -> Result<Receiver<Result<Verdict, ReloadError>>, ReloadError> {
        if !can_wait() {
            return Err(ReloadError::new(self.current(), ReloadErrorKind::FromHook));
        }
        if self.is_forked() {
            return Err(ReloadError::new(self.current(), ReloadErrorKind::Forked));
        }
        let (reply, answer) = bounded(1);
        // A closed engine has no swapper: the request goes nowhere.
        self.requests.send(request(reply)).map_err(|_| closed())?;
        Ok(answer)
    }

    /// Waits for the answer to a request.
    pub(crate) fn verdict(
        &self,
        answer: &Receiver<Result<Verdict, ReloadError>>,
    ) -> Result<Verdict, ReloadError> {
        answer.recv().map_err(|_| match self.is_closed.load(Ordering::Acquire) {
            true => closed(),
            false => {
                let message = "the swapper's, while it dealt with this".to_owned();
                ReloadError::new(self.current(), ReloadErrorKind::Panicked { message })
            }
        })?
    }

    /// What this engine is in its registry of modules, to call another of them.
    fn as_module(&self, module: &str) -> Result<Arc<Member>, CallError> {
        if hook::refuses_calls() {
            return Err(from_hook(module));
        }
        let member = self.module.as_ref().ok_or(ModuleErrorKind::NoRegistry);
        let member = member.and_then(|member| member.upgrade().ok_or(ModuleErrorKind::Closed));
        member.map_err(|kind| calls::no_module(module, &kind))
    }

    /// Sends a request, and waits for its answer where that is possible.
    pub(crate) fn ask_swapper<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Option<T> {
        if self.is_forked() {
            return None;
        }
        let (reply, answer) = bounded(1);
        let is_sent = self.requests.send(request(reply)).is_ok();
        (is_sent && can_wait()).then(|| answer.recv().ok()).flatten()
    }

    /// Ends what is under way, before its commit, and waits until it has ended.
    pub(crate) fn abort(&self) -> Result<Aborted, AbortError> {
        let current = || Some(self.current()).filter(|current| *current != NO_VERSION);
        let fail = |kind| Err(AbortError { current: current(), kind });
        if !can_wait() {
            return fail(AbortErrorKind::FromHook);
        }
        if self.is_forked() {
            return fail(AbortErrorKind::Forked);
        }
        if self.is_closed.load(Ordering::Acquire) {
            return fail(AbortErrorKind::Closed);
        }
        // Past the swapper's queue: it may be in the very hook that is to be left.
        let endings = self.changes.abort();
        if endings.is_empty() {
            return fail(AbortErrorKind::NothingUnderWay);
        }
        // What waits with the swapper is not looked at by itself; a closed engine has dropped it.
        let _ = self.requests.send(Request::DropAborted);
        for ending in &endings {
            // It only ever ends.
            let _ = ending.ended.recv();
        }
        self.journal.flush();
        Ok(Aborted::new(current(), &endings))
    }

    /// Asks a replaced version to go.
    pub(crate) fn unload(
        self: &Arc<Self>,
        version: VersionId,
    ) -> Result<UnloadTicket, UnloadError> {
        let fail = |kind| UnloadError { version, kind };
        if !can_wait() || self.is_forked() {
            return Err(fail(UnloadErrorKind::NotHere));
        }
        let answer = self.ask_swapper(|reply| Request::Unload { version, reply });
        let unloading = answer.ok_or(fail(UnloadErrorKind::Closed))?.map_err(fail)?;
        Ok(UnloadTicket { version, unloading, core: Arc::clone(self) })
    }

    /// Tells subscribers, after what was written down about it is in the log.
    pub(crate) fn tell(&self, event: &Event) {
        self.journal.flush();
        self.subscribers.tell(event);
    }

    /// Writes down and tells that something was turned away.
    pub(crate) fn refused(&self, error: &Arc<ReloadError>) {
        {
            let mut history = self.history.lock();
            history.refused_count += 1;
            history.last_failure =
                Some(LastFailure { at: clock::wall(), error: Arc::clone(error) });
        }
        self.tell(&Event::Refused { error: Arc::clone(error) });
    }

    pub(crate) fn status(&self) -> Status {
        let history = self.history.lock();
        Status {
            name: self.name.clone(),
            source: self.source_name.clone(),
            current: self.current(),
            is_paused: history.is_paused,
            is_frozen: history.is_frozen,
            fallback: history.fallback.clone(),
            queued: history.queued,
            swap_count: history.swap_count,
            refused_count: history.refused_count,
            last_failure: history.last_failure.clone(),
            unreadable: history.unreadable.clone(),
            versions: history.versions(),
            log_path: self.journal.path().map(Into::into),
            lost_log_lines: self.journal.lost(),
            late_call_count: self.deadlines.late_count(),
        }
    }

    /// Takes what was saved, before the first version is there.
    pub(crate) fn load_state(&self) -> Result<(), StateFileError> {
        let Some(path) = &self.state_path else { return Ok(()) };
        let cells = state::load(path, &self.cells)?;
        let line = Line::info("state.loaded").field("path", path.display());
        self.journal.write(None, line.field("cells", cells));
        Ok(())
    }

    /// Saves all cells, if the host said where.
    pub(crate) fn save_state(&self) -> Result<(), StateFileError> {
        let Some(path) = &self.state_path else { return Ok(()) };
        let start = clock::now();
        let saved = state::save(path, &self.cells.all()).inspect_err(|error| {
            let line = Line::error("state.not_saved").field("path", path.display());
            self.journal.write(None, line.field("msg", error));
        })?;
        let line = Line::info("state.saved").field("path", path.display());
        let line = line.field("cells", saved.cells).field("bytes", saved.bytes);
        let line = line.field("save_us", clock::since(start).as_micros());
        self.journal.write(None, line);
        Ok(())
    }

    /// The cells, and those that it shares.
    pub(crate) fn states(&self) -> Vec<StateInfo> {
        let mut cells = self.cells.all();
        let current = self.slot.load();
        let used = current.context().map(|context| context.cells.all()).unwrap_or_default();
        cells.extend(used.into_iter().filter(|cell| cell.is_shared()));
        drop(current);
        cells.iter().filter_map(|cell| cell.info()).collect()
    }

    pub(crate) fn current(&self) -> VersionId {
        self.slot.load().id
    }
}

fn closed() -> ReloadError {
    ReloadError::new(NO_VERSION, ReloadErrorKind::Closed)
}

/// Whether this thread may wait for a swapper: it is none, and none waits for it.
pub(crate) fn can_wait() -> bool {
    !is_swapper_thread() && !hook::is_this_thread()
}

impl ModuleHost for Core {
    unsafe fn call_engine(&self, call: RawCall<'_>) -> Result<(), Box<CallError>> {
        if hook::refuses_calls() {
            return Err(Box::new(from_hook(call.name)));
        }
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { self.call_current(call) }
    }

    unsafe fn call_named(
        &self,
        calling: &ImageContext,
        module: &str,
        call: RawCall<'_>,
    ) -> Result<(), Box<CallError>> {
        let member = self.as_module(module)?;
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { calls::call(&member, calling, module, call) }
    }

    fn find_named(&self, module: &str) -> Result<(), CallError> {
        calls::find(&*self.as_module(module)?, module)
    }

    unsafe fn call_host(&self, call: RawCall<'_>) -> Result<(), CallError> {
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { self.provided.call_raw(call) }
    }

    fn reload(&self) -> Result<u64, CallError> {
        if hook::refuses_calls() {
            return Err(from_hook("reload"));
        }
        let refused = |error: ReloadError| {
            CallError::new("reload", None, CallErrorKind::Refused { message: error.to_string() })
        };
        Self::reload(self).map(|verdict| verdict.current().number()).map_err(refused)
    }

    fn cells(&self, are_shared: bool) -> &Cells {
        if are_shared { &SHARED } else { &self.cells }
    }

    fn module_panicked(&self, thread: &str, message: &str, location: &str) {
        let line = Line::error("module.panic").field("thread", thread).field("at", location);
        self.journal.write(None, line.field("msg", message));
    }
}

impl CellOwner for Core {
    fn torn(&self, cell: &Cell, by: &TornBy) -> Torn {
        let is_restored = self.state.torn == TornPolicy::Restore;
        // Linked code has one version.
        let version = by.version.unwrap_or_else(|| self.current());
        let line = Line::warn("state.torn").field("state", cell.title()).field("by", &by.place);
        let line = line.field("version", version.number());
        let becomes = if is_restored { "restored" } else { "kept" };
        self.journal.write(None, line.field("becomes", becomes));
        let (state, by) = (cell.title(), by.place.clone());
        self.subscribers.tell(&Event::StateTorn { state, by, version });
        if is_restored { Torn::Restored } else { Torn::Kept }
    }
}

/// Runs an export; what its shim answers.
///
/// # Safety
///
/// 1. `arguments` and `out` are what the export's signature says, as in `Caller::call_raw`.
/// 2. `version` is the export's, and held by the caller until this returns.
#[inline(always)]
pub(crate) unsafe fn run(
    version: &Version,
    export: &Export,
    arguments: *mut u8,
    out: *mut u8,
) -> u32 {
    let enter = || {
        // SAFETY: both parts of the contract.
        unsafe { (export.shim)(arguments, out) }
    };
    match version.linked_context() {
        None => enter(),
        Some(context) => with_linked_context(context, enter),
    }
}

/// Why a function that is there was not entered.
#[cold]
#[inline(never)]
fn differs(
    version: &Version,
    name: &str,
    wanted: Option<(&'static Signature, u64)>,
    found: &Export,
) -> Box<CallError> {
    let kind = check::refusal(wanted, found.signature);
    Box::new(CallError::new(name, Some(version.id.number()), kind))
}

/// Why a function that was entered gave no result.
#[cold]
#[inline(never)]
pub(crate) fn failed(version: &Version, name: &str, code: u32) -> Box<CallError> {
    let kind = failure::take(ShimStatus::from_code(code));
    Box::new(CallError::new(name, Some(version.id.number()), kind.expect("it is not done")))
}

#[cold]
fn from_hook(function: &str) -> CallError {
    let message = format!("{function}: this hook cannot call the engine, which may wait for it");
    CallError::new(function, None, CallErrorKind::Refused { message })
}
