//! What runs, what drains and who holds it, what failed last.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hotswap_artifact::{ContentHash, Fingerprint, ScanError};

use crate::error::ReloadError;
use crate::pin::Pin;
use crate::version_id::VersionId;

/// One version, as it is now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VersionInfo {
    /// Its number. A version that was loaded again while threads had something of its earlier image is listed for each.
    pub id: VersionId,
    /// Where it stands in its life.
    pub state: VersionState,
    /// What its source looked like; `None` for linked code.
    pub fingerprint: Option<Fingerprint>,
    /// SHA-256 of the library; `None` for linked code.
    pub content: Option<ContentHash>,
    /// Its number among the releases of its source, where it has one; the highest, where it was released more than once.
    pub release: Option<u64>,
    /// Length of the library in bytes.
    pub bytes: u64,
    /// Bytes of heap memory that it has, net of what crossed: see [`docs::limits`](crate::docs::limits). Of one that is gone, what it
    /// left behind; 0 for linked code, whose memory is the host's.
    pub heap_bytes: u64,
    /// When it became current.
    pub since: SystemTime,
    /// How long its build took; zero when it was prebuilt.
    pub build_time: Duration,
    /// Where its report lies, if it was built here: a text with the fingerprint of its source, the SHA-1 and path of each file
    /// that this covers, and what the compiler said. Of what was built last it is there some milliseconds after the swap; it
    /// may be gone when some hundred others were built.
    pub report: Option<PathBuf>,
    /// Who holds it, beyond being current.
    pub pins: Vec<Pin>,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VersionState {
    /// New calls run in it.
    Current,
    /// Replaced, and kept mapped, ready for a rollback. Calls that began in it may still run.
    Warm,
    /// Replaced, and still in use.
    Draining,
    /// Replaced, out of use, and mapped for good: the loader kept it.
    Pinned,
    /// Gone: no executable mapping is left.
    Unloaded,
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Current => "current",
            Self::Warm => "warm",
            Self::Draining => "draining",
            Self::Pinned => "pinned",
            Self::Unloaded => "unloaded",
        })
    }
}

/// The last time that something was turned away.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LastFailure {
    /// When.
    pub at: SystemTime,
    /// What and why.
    pub error: Arc<ReloadError>,
}

/// A whole engine, as it is now. Its `Display` is for people.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The engine's name in the log.
    pub name: String,
    /// The source, as it was given; `linked` for linked code.
    pub source: String,
    /// The current version.
    pub current: VersionId,
    /// Whether automatic swaps are paused.
    pub is_paused: bool,
    /// Whether nothing changes what runs any more.
    pub is_frozen: bool,
    /// What waits for a version to go, so that it can become current ([`CapPolicy::Queue`](crate::CapPolicy::Queue)).
    pub queued: Option<Fingerprint>,
    /// Swaps since it was opened, the first version not counted.
    pub swap_count: u64,
    /// Newcomers turned away since it was opened.
    pub refused_count: u64,
    /// The last of them.
    pub last_failure: Option<LastFailure>,
    /// Why the source cannot be looked at now, for as long as that lasts: it is gone, or down, or what lies there is not believed or
    /// too old ([`ScanError::fetch_error`](crate::ScanError::fetch_error)). What runs goes on.
    pub unreadable: Option<Arc<ScanError>>,
    /// Calls that came back after their deadlines since it was opened ([`docs::deadlines`](crate::docs::deadlines)).
    pub late_call_count: u64,
    /// Why `open` started with what served last in an earlier process, for as long as that runs: what lies in the source
    /// could not.
    pub fallback: Option<Arc<ReloadError>>,
    /// The versions of this engine: the current one, those that are kept or drain, and the latest that are gone.
    pub versions: Vec<VersionInfo>,
    /// The log file that is written, if any.
    pub log_path: Option<PathBuf>,
    /// Log lines that were never written since the log was opened: the disk was full, or did not answer. The next
    /// line that could be written says how many are missing before it.
    pub lost_log_lines: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paused = match (self.is_frozen, self.is_paused) {
            (true, _) => ", frozen",
            (false, true) => ", paused",
            (false, false) => "",
        };
        writeln!(
            f,
            "{} from {}: {} is current{paused}, {} swaps, {} refused",
            self.name, self.source, self.current, self.swap_count, self.refused_count
        )?;
        for version in &self.versions {
            write!(f, "  {:<5} {:<9}", version.id.to_string(), version.state)?;
            if let Some(fingerprint) = version.fingerprint {
                write!(f, " {}", &fingerprint.to_string()[..12])?;
            }
            if let Some(release) = version.release {
                write!(f, " release {release}")?;
            }
            for pin in &version.pins {
                write!(f, "  held by {pin}")?;
            }
            writeln!(f)?;
        }
        if let Some(error) = &self.fallback {
            writeln!(f, "  {} served last; the source cannot run: {error}", self.current)?;
        }
        if let Some(error) = &self.unreadable {
            writeln!(f, "  {error}: {}", error.error)?;
        }
        if let Some(fingerprint) = self.queued {
            let short = &fingerprint.to_string()[..12];
            writeln!(f, "  {short} waits: as many versions are in use as may be")?;
        }
        match &self.last_failure {
            Some(failure) => write!(f, "  last refusal: {}", failure.error),
            None => write!(f, "  nothing was refused"),
        }
    }
}
