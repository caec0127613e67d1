//! Replace the native code behind `engine.call("f1")` while the program runs.
//!
//! ```no_run
//! use hotswap_engine::Engine;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let engine = Engine::open("sample-engine")?;
//!     loop {
//!         engine.call("f1")?;
//!         std::thread::sleep(std::time::Duration::from_secs(1));
//!     }
//! }
//! ```
//!
//! While that runs, edit `sample-engine/src/lib.rs`: a second later the same process executes the
//! new code. A broken edit prints its error to whoever subscribed and disturbs nothing.
//!
//! # What is promised
//!
//! * A call runs wholly in one version; calls under way finish in theirs. A swap waits for no call, and no
//!   call waits for a swap.
//! * A newcomer becomes current by one write of a pointer, after everything about it was checked. Whatever fails
//!   before that leaves the current version as it was.
//! * Nothing a module is called with can be of a wrong type: signatures and layouts are compared, all the way down.
//! * A version is unmapped when nothing uses it any more, and it is looked whether it really is gone.
//!
//! [`docs::limits`] says what is not promised.

#![doc(html_root_url = "https://docs.rs/hotswap-engine")]

mod abort;
pub mod audit;
mod budget;
mod builder;
mod cap;
mod check;
#[cfg(not(feature = "control"))]
#[path = "control/absent.rs"]
mod control;
#[cfg(feature = "control")]
mod control;
mod core;
mod deadline;
pub mod docs;
mod engine;
mod error;
mod event;
mod expectation;
mod export;
mod exports;
mod failure;
mod function;
mod guard;
mod heap;
mod history;
mod hook;
mod image;
mod inspection;
mod journal;
mod leftovers;
mod libraries;
mod linkage;
mod load_error;
mod log_line;
mod modules;
mod opening;
mod pin;
#[cfg(test)]
mod properties;
mod provide;
mod request;
mod services;
mod shared;
mod siblings;
mod slot;
mod stage;
mod state;
mod status;
mod swapper;
mod sync;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod unload;
mod verdict;
mod verify;
mod version;
mod version_id;
#[cfg(not(feature = "monitor"))]
#[path = "watch/absent.rs"]
mod watch;
#[cfg(feature = "monitor")]
#[path = "watch/monitored.rs"]
mod watch;

pub use abort::{AbortError, AbortErrorKind, Aborted, AbortedChange};
pub use audit::Level as LogLevel;
pub use builder::{Code, EngineBuilder};
pub use cap::{CapPolicy, Crowd};
pub use engine::{Engine, Hold};
pub use error::{OpenError, OpenErrorKind, ReloadError, ReloadErrorKind};
pub use event::{Event, SwapReason};
pub use export::ExportInfo;
pub use function::{Function, FunctionType};
pub use guard::Guard;
pub use history::Transition;
pub use hook::HookKind;
pub use hotswap_artifact::{
    Assurance, Attachment, Bell, BuildError, BuildErrorKind, Cause, Chain, ChainLink, Collection,
    ContentHash, Diagnostics, Directory, Fetch, FetchError, FetchErrorKind, Fetched, FetchedSource,
    Fingerprint, FingerprintHasher, Host, ModuleName, ModuleNameError, OrElse, Pause, ScanError,
    Source, Stage, StringSource, Trigger, WhenDown, Woken,
};
pub use hotswap_module::{
    ABI_NUMBER, Abi, Argument, Arguments, CallError, CallErrorKind, Caller, Interface, Linked,
    RUSTC, StateError, StateErrorKind, TARGET,
};
#[cfg(feature = "delivery")]
pub use hotswap_monitor::delivery;
#[cfg(feature = "http")]
pub use hotswap_monitor::http;
#[cfg(feature = "sqlite")]
pub use hotswap_monitor::sqlite;
#[cfg(feature = "monitor")]
pub use hotswap_monitor::{
    BuildBackend, BuildJob, Built, Linker, Profile, Recipe, Sandbox, SandboxLevel, SandboxLimits,
    StopSignal, Tool,
};
pub use inspection::{Inspection, InspectionError};
pub use load_error::{LoadError, LoadErrorKind};
pub use log_line::{LogLine, LogLineError, LogLineErrorKind, LogLines, log_lines};
pub use modules::{
    ModuleCalls, ModuleError, ModuleErrorKind, ModuleStatus, ModuleUser, Modules, ModulesBuilder,
    ModulesGuard,
};
pub use opening::Opening;
pub use pin::{Pin, PinKind};
pub use provide::HostFunction;
pub use state::{OldCalls, StateFileError, StateInfo, StatePolicy, StateProblem, TornPolicy};
pub use status::{LastFailure, Status, VersionInfo, VersionState};
pub use unload::{UnloadError, UnloadErrorKind, UnloadOutcome, UnloadTicket};
pub use verdict::Verdict;
pub use version_id::VersionId;
