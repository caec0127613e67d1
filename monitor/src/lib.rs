//! Watches Rust source, builds it when it changes, and hands over the library.
//!
//! A [`Monitor`] owns one thread that looks at a [`Source`] every so often: the
//! directory of a crate, a single `.rs` file, or a library that somebody else
//! builds. When the bytes of anything that goes into the build differ, it waits
//! until the source stands still, builds it, makes sure that what was built is
//! what was fingerprinted, and sends a [`Notification`] with the [`Artifact`].
//! Loading it is somebody else's matter: this crate knows nothing of engines.
//!
//! # Limits
//!
//! - **Linux.** Process groups, inodes and `ctime` are taken for granted.
//! - **A writer that never stops starves the build.** What moves while it is built
//!   is discarded, however often.
//! - **A build script that writes into the sources** costs extra builds: bytes that
//!   differ every time are built for ever, bytes that are the same four times.
//! - **Inputs that nobody names are not seen**: what a procedural macro reads
//!   without telling the compiler, environment variables, system libraries.
//! - **The target directory belongs to monitors.** A cargo that is run in it by hand
//!   for another crate of the same name can pass its library off as this one's.
//! - **What was built before is not built again**, by another process either, and
//!   environment variables are no part of what was (`env!`, build scripts that ask
//!   for them): [`BuildSettings::reuse_builds`] switches that off.
//! - **A compiler wrapper in cargo's configuration** (`sccache`), an `include` there, or
//!   cargo's outputs for a target triple or in a build directory of their own: nothing
//!   is recorded, and every edit goes through cargo.
//! - **A process that leaves the build's process group** (a daemon that a build
//!   script starts) is not ended with it. In a [`Sandbox`] none can.
//! - **A host that is killed** takes its build along by way of `/bin/sh`; where there
//!   is none the build goes on, and so it does while a process that the host forked
//!   without executing anything lives.
//! - **Memory is limited by address space**, for each process, from right after the
//!   first has started; whether a compiler died of it is read from its words. What a
//!   build script prints is gathered by cargo, and only memory limits it.
//! - **Paths that are not UTF-8**: cargo cannot build in such a directory. A file
//!   with such a name inside a crate is an input like any other.
//! - **File systems that keep whole seconds**: a change that is taken back while
//!   the build runs, all within one second of a change before the build, is not
//!   noticed.
//!
//! # What it promises
//!
//! - No change is missed because of time stamps: size, mtime, ctime, inode and
//!   device decide whether a file is read, by *not equal*, and a file younger than
//!   [`RACY_WINDOW`] is always read.
//! - A library is handed over only if its inputs were the same before and after
//!   the build. An edit during a build leads to another one: the source is looked
//!   at on, and a build of what is no longer there is ended with all its processes
//!   as soon as what is newer stands still. An edit whose mtime was set back, which
//!   cargo alone takes for fresh, is compiled.
//! - What did not build is not built again until it differs; a touched file builds
//!   nothing; an idle look reads no file.
//! - What was built before with the same settings and toolchain, by this process or
//!   another that uses the same target directory, is taken from its store without a
//!   compiler, after its bytes were hashed again. A compiler's error that names a
//!   place is remembered there in the same way. What is torn, damaged or gone is
//!   built again.
//! - An edit of nothing but the crate's own sources goes to the compiler without cargo,
//!   as cargo ran it last: never when a manifest, a lock file, a configuration, another
//!   crate, what a build script reads, the toolchain or the environment differs.
//! - Who observes a change may end it ([`Step::Changed`], [`UnderWay`]): its settling, or its build with all its
//!   processes. What was ended is not built again before it differs, or is taken back.
//! - While a [`Hold`] is open no build begins; when the last one is dropped there is
//!   one, of the final content.
//! - A build is bounded in time, in output and, when asked for, in memory, each with
//!   its own reason. No process of it is left after its end, after a panic, or when
//!   the host is killed.
//! - What a source calls foreign ([`Fetched::is_foreign`]) is built in a [`Sandbox`]: without
//!   network, in an empty directory, with limits; what the kernel lacks is told, or refused.
//! - No method of [`Monitor`] blocks. Dropping it ends the looks, and a build with
//!   all its processes.
//!
//! # Many sources
//!
//! A [`SharedMonitor`] looks at many sources on one thread, at all of them after each period. A source that changed, or that
//! somebody asks for, has a thread while that is dealt with, at most four at a time; builds pass one queue. Everything
//! above holds for each of them. A source that takes its time to be looked at ([`Fetch::fingerprint`], a file system that does not
//! answer) holds up the looks at the others, unless it says so ([`Fetch::is_slow`]): four of those are asked at a time, on threads of
//! their own. Those that want [events](MonitorBuilder::wake_on_events) share one watcher
//! of the system.
//!
//! Sources that differ by the same files, or by files that lead from one to the other by way of a third, change as one
//! [`Group`]: they settle together, and are built one after the other, a module that others depend on before
//! those. What they share is compiled once, where they build into one target directory, as members of one workspace do. Each
//! sends exactly one notification with the group, whatever became of it, when that is known of all. Something newer begins
//! the group anew; what did not move is not built again. A [`Hold`] on one of them, or a build of one that began before,
//! is waited for, so that the group stays one. The first build of a source, and what was found after one of the others was
//! told of already, belongs to no group.
//!
//! # Features
//!
//! - `events` (off): with [`wake_on_events`](MonitorBuilder::wake_on_events) the
//!   file system's events (the crate `notify`) make the monitor look at once, and end
//!   its wait for a save that they call complete. They decide nothing: when all of them
//!   are lost, the next poll finds what was created, renamed or removed, and the tenth
//!   what was written in place.
//! - `delivery` (off): [`delivery`], releases that others wrote and signed.
//! - `publish` (off): releases are made, signed and put where hosts look for them.
//! - `http` (off): [`http`], such releases on web servers. A client is compiled in, with TLS, which takes a C compiler.
//! - `sqlite` (off): [`sqlite`], modules in a database. SQLite is compiled in, which takes a C compiler and some
//!   ten seconds, once.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use hotswap_monitor::{Monitor, Outcome};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let file = directory.path().join("rules.rs");
//! std::fs::write(&file, "#[unsafe(no_mangle)] pub extern \"C\" fn limit() -> u64 { 7 }")?;
//!
//! let (monitor, notifications) = Monitor::builder(&file)
//!     .poll_every(Duration::from_millis(250))
//!     .observe(|observation| println!("{observation:?}"))
//!     .start()?;
//!
//! match notifications.recv()?.outcome {
//!     Outcome::Ready(artifact) => println!("{} is ready", artifact.path.display()),
//!     Outcome::Failed(error) => panic!("{error}"),
//!     other => panic!("{other:?}"),
//! }
//! drop(monitor); // the thread has ended
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod aborted;
mod build;
mod builder;
mod claimed;
#[cfg(feature = "delivery")]
pub mod delivery;
mod events;
mod file_package;
#[doc(hidden)]
pub mod fuzz;
mod hold;
#[cfg(feature = "http")]
pub mod http;
mod known_bad;
mod monitor;
mod observation;
mod project;
#[cfg(test)]
mod properties;
mod requests;
mod scan;
mod settings;
mod shared;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod stop;
mod store;
mod supply;
mod watch;

pub use build::{
    BuildBackend, BuildJob, Built, CargoBackend, PrebuiltBackend, Recipe, RustcBackend, Sandbox,
    SandboxLimits, Tool,
};
pub use builder::{
    MonitorBuilder, NOTIFICATIONS_MAX, POLL_PERIOD_MAX, POLL_PERIOD_MIN, StartError, StartErrorKind,
};
pub use events::EventsProblem;
pub use hold::Hold;
pub use hotswap_artifact::*;
pub use hotswap_system::sandbox::Level as SandboxLevel;
pub use monitor::Monitor;
pub use observation::{Observation, Step};
pub use scan::{RACY_WINDOW, Scan, Scanner};
pub use settings::{BuildSettings, Linker, Profile};
pub use shared::SharedMonitor;
pub use stop::{StopHandle, StopSignal};
pub use store::records::{Quarantined, Records, Served};
pub use store::report::build_report;
pub use store::trial::Trial;
pub use supply::Floor;
pub use watch::{SETTLE_MAX, SETTLE_MIN};
