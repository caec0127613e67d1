//! What a log tells: of each change where it came from, how it was built, what became of it and what callers felt; of each
//! engine what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::LogError;
use super::reader::{files, read};
use crate::log_line::LogLine;
use crate::status::VersionState;

/// What a log tells, read from its lines alone: nothing else is looked at.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Trail {
    /// Each change, in the order in which they began.
    pub changes: Vec<Change>,
    /// Each engine of each process, in the order in which they were opened.
    pub engines: Vec<EngineRun>,
}

/// A change: from the moment that it was seen, or offered, to what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The id that joins its lines.
    pub tx: String,
    /// The engine's name.
    pub engine: String,
    /// When it was seen.
    pub began: SystemTime,
    /// The number of its first line.
    pub seq: u64,
    /// The kind of source: `crate`, `file`, ..
    pub source: Option<String>,
    /// What had the source looked at: `poll`, `event`, `push`, `manual`, `start`, `offer`.
    pub trigger: Option<String>,
    /// The first file that changed, and how many more.
    pub cause: Option<String>,
    /// The fingerprint of the source, with its kind: `sha1:..`.
    pub fingerprint: Option<String>,
    /// SHA-256 of the library.
    pub content: Option<String>,
    /// The text that says which files it was built from, and what the compiler said.
    pub report: Option<String>,
    /// Where the library came from.
    pub built: Option<Built>,
    /// What became of it.
    pub outcome: Outcome,
    /// The version that was current when it was decided.
    pub current_before: Option<u64>,
    /// From its first line to its outcome.
    pub took: Duration,
    first_mono_us: Option<u64>,
}

/// Where a library came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Built {
    /// It was compiled, or that was tried, in this time.
    Compiled(Duration),
    /// It was built before, and was still in the store.
    Stored,
    /// Somebody offered a finished library.
    Offered,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It became current.
    Current {
        /// The version that it replaced; `None` for the first.
        from: Option<u64>,
        /// Its number.
        to: u64,
        /// How long the one write took that no call waits for.
        publish_time: Duration,
        /// How many calls were in the version before; they finished there.
        calls: u64,
        /// How long the version before was mapped after it; `None` while it is, or if it is for good.
        drained_after: Option<Duration>,
    },
    /// Its code was what ran already.
    Same {
        /// The version that runs it.
        version: u64,
    },
    /// The source was what it had been, after all.
    Unchanged,
    /// It did not build.
    NotBuilt {
        /// The first error.
        message: String,
    },
    /// It was built, and refused.
    Refused {
        /// The stable code of the reason.
        code: String,
        /// The reason.
        message: String,
    },
    /// The source could not be read.
    Unreadable {
        /// The reason.
        message: String,
    },
    /// Something newer was there before it was built.
    Superseded,
    /// It waits for swaps to be resumed.
    Paused,
    /// It waits for a version to go: too many are still in use.
    Queued,
    /// No line tells.
    Unknown {
        /// The last thing that is told of it.
        last_event: String,
        /// Whether nothing more can come: the engine was closed, or another process writes the log. Otherwise it is under way,
        /// or its process was killed.
        is_over: bool,
    },
}

/// One engine, from its start to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineRun {
    /// The engine's name.
    pub engine: String,
    /// The process, by its random id.
    pub boot: String,
    /// The process, by its number.
    pub pid: Option<u32>,
    /// The machine.
    pub host: String,
    /// The source, as it was given.
    pub source: Option<String>,
    /// When it was opened.
    pub started: SystemTime,
    /// Where it stands.
    pub state: RunState,
    /// Its versions; the one that became current last stands last.
    pub versions: Vec<RunVersion>,
}

/// Where an engine stands, as far as its log can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunState {
    /// It was not closed: it runs, or its process was killed just now.
    Running,
    /// It was closed.
    Stopped(SystemTime),
    /// Its process was killed: it was not closed, and another process writes the log.
    Killed,
}

/// A version of an engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunVersion {
    /// Its number.
    pub version: u64,
    /// Where it stands.
    pub state: VersionState,
    /// When it became current.
    pub since: SystemTime,
    /// The fingerprint of its source, with its kind.
    pub fingerprint: Option<String>,
    /// SHA-256 of the library.
    pub content: Option<String>,
    /// Its number among the releases of its source, where it has one.
    pub release: Option<u64>,
    /// The text that says which files it was built from, and what the compiler said; `None` of what was not built here.
    pub report: Option<String>,
    /// The change that brought it.
    pub tx: String,
}

/// Reads what a log tells, with the files beside it that were put aside. Blocks for as long as that takes.
///
/// Whether it can be believed is [`verify`](super::verify())'s to say; what is no line is passed over.
///
/// # Errors
///
/// When a file cannot be read.
pub fn trail(path: impl AsRef<Path>) -> Result<Trail, LogError> {
    let mut reader = TrailReader::default();
    read(&files(path.as_ref())?, |found| found.line.iter().for_each(|line| reader.add(line)))?;
    Ok(reader.trail)
}

/// The lines of one change, and what became of the version that it replaced.
///
/// # Errors
///
/// When a file cannot be read.
pub fn story(path: impl AsRef<Path>, tx: &str) -> Result<Vec<LogLine>, LogError> {
    let mut lines: Vec<LogLine> = Vec::new();
    let mut replaced = None;
    read(&files(path.as_ref())?, |found| {
        let Ok(line) = found.line else { return };
        let text = |key| line.field(key).map(str::to_owned);
        let is_its_own = text("tx").as_deref() == Some(tx);
        if is_its_own && BECAME_CURRENT.contains(&line.event.as_str()) {
            replaced = text("from").map(|from| (text("engine"), Some(from)));
        }
        let is_its_end = matches!(line.event.as_str(), "version.unloaded" | "version.pinned")
            && replaced == Some((text("engine"), text("version")));
        if is_its_end {
            replaced = None;
        }
        if is_its_own || is_its_end {
            lines.push(line);
        }
    })?;
    Ok(lines)
}

/// The lines that tell that a version became current.
const BECAME_CURRENT: [&str; 2] = ["swap.commit", "rollback.done"];

/// Puts lines together.
#[derive(Default)]
struct TrailReader {
    trail: Trail,
    /// Where the change of an id is.
    changes: BTreeMap<String, usize>,
    /// Where the engine of a name is, of the process that writes now.
    engines: BTreeMap<String, usize>,
    /// Which change replaced a version, by engine and number.
    replaced: BTreeMap<(usize, u64), (usize, u64)>,
    boot: String,
    pid: Option<u32>,
    host: String,
}

impl TrailReader {
    fn add(&mut self, line: &LogLine) {
        let text = |key| line.field(key).map(str::to_owned);
        match (line.event.as_str(), line.field("engine")) {
            ("log.open", _) => {
                let boot = text("boot").unwrap_or_default();
                if boot != self.boot {
                    self.killed();
                }
                self.boot = boot;
                self.pid = line.field("pid").and_then(|pid| pid.parse().ok());
                self.host = text("host").unwrap_or_default();
            }
            ("engine.start", Some(name)) => {
                self.engines.insert(name.to_owned(), self.trail.engines.len());
                self.trail.engines.push(EngineRun {
                    engine: name.to_owned(),
                    boot: self.boot.clone(),
                    pid: self.pid,
                    host: self.host.clone(),
                    source: text("path"),
                    started: line.time,
                    state: RunState::Running,
                    versions: Vec::new(),
                });
            }
            ("engine.stop", Some(name)) => {
                if let Some(index) = self.engines.get(name) {
                    self.trail.engines[*index].state = RunState::Stopped(line.time);
                }
                self.over(|change| change.engine == name);
            }
            ("version.unloaded" | "version.pinned", Some(name)) => self.version_ended(name, line),
            ("version.warm" | "version.cold", Some(name)) => self.version_kept(name, line),
            (_, Some(name)) => self.of_a_change(name, line),
            (_, None) => {}
        }
    }

    /// Another process writes the log: what was not closed before did not live to say so.
    fn killed(&mut self) {
        for run in &mut self.trail.engines {
            if run.state == RunState::Running {
                run.state = RunState::Killed;
            }
        }
        self.engines.clear();
        self.over(|_| true);
    }

    /// What has no outcome by now has none.
    fn over(&mut self, of: impl Fn(&Change) -> bool) {
        for change in self.trail.changes.iter_mut().filter(|change| of(change)) {
            if let Outcome::Unknown { is_over, .. } = &mut change.outcome {
                *is_over = true;
            }
        }
    }

    /// A replaced version is kept ready, or is no longer: what it is held for counts from then on.
    fn version_kept(&mut self, engine: &str, line: &LogLine) {
        let Some(index) = self.engines.get(engine).copied() else { return };
        let Some(number) = number(line, "version") else { return };
        let is_warm = line.event == "version.warm";
        let state = if is_warm { VersionState::Warm } else { VersionState::Draining };
        let versions = &mut self.trail.engines[index].versions;
        if let Some(version) = versions.iter_mut().find(|version| version.version == number) {
            version.state = state;
        }
        if let Some((_, since_us)) = self.replaced.get_mut(&(index, number)) {
            *since_us = self::number(line, "mono_us").unwrap_or(*since_us);
        }
    }

    fn version_ended(&mut self, engine: &str, line: &LogLine) {
        let Some(index) = self.engines.get(engine).copied() else { return };
        let Some(number) = number(line, "version") else { return };
        let is_gone = line.event == "version.unloaded";
        let state = if is_gone { VersionState::Unloaded } else { VersionState::Pinned };
        let versions = &mut self.trail.engines[index].versions;
        if let Some(version) = versions.iter_mut().find(|version| version.version == number) {
            version.state = state;
        }
        if let Some((change, since_us)) = self.replaced.remove(&(index, number))
            && is_gone
            && let Outcome::Current { drained_after, .. } = &mut self.trail.changes[change].outcome
        {
            let now_us = self::number(line, "mono_us").unwrap_or(since_us);
            *drained_after = Some(Duration::from_micros(now_us.saturating_sub(since_us)));
        }
    }

    fn of_a_change(&mut self, engine: &str, line: &LogLine) {
        let Some(tx) = line.field("tx") else { return };
        let run = self.engines.get(engine).copied();
        let index = *self.changes.entry(tx.to_owned()).or_insert_with(|| {
            self.trail.changes.push(Change::begin(tx, engine, line));
            self.trail.changes.len() - 1
        });
        let change = &mut self.trail.changes[index];
        change.learn(line);
        let Some(run) = run else { return };
        let current = |version: &&RunVersion| version.state == VersionState::Current;
        let versions = &mut self.trail.engines[run].versions;
        let before = versions.iter().rev().find(current).map(|version| version.version);
        // What is told after that is of what it replaced.
        if !matches!(line.event.as_str(), "version.draining" | "quarantine.add" | "notify.sent") {
            change.current_before = before;
        }
        if let Outcome::Current { from, to, .. } = &change.outcome
            && BECAME_CURRENT.contains(&line.event.as_str())
        {
            if let Some(from) = from {
                let since_us = number(line, "mono_us").unwrap_or_default();
                self.replaced.insert((run, *from), (index, since_us));
            }
            for version in versions.iter_mut().filter(|version| Some(version.version) == *from) {
                version.state = VersionState::Draining;
            }
            // It may have been current before.
            self.replaced.remove(&(run, *to));
            versions.retain(|version| version.version != *to);
            versions.push(RunVersion {
                version: *to,
                state: VersionState::Current,
                since: line.time,
                fingerprint: change.fingerprint.clone(),
                content: change.content.clone(),
                release: number(line, "release"),
                report: change.report.clone(),
                tx: tx.to_owned(),
            });
        }
    }
}

impl Change {
    fn begin(tx: &str, engine: &str, line: &LogLine) -> Self {
        Self {
            tx: tx.to_owned(),
            engine: engine.to_owned(),
            began: line.time,
            seq: line.seq,
            source: None,
            trigger: None,
            cause: None,
            fingerprint: None,
            content: None,
            report: None,
            built: None,
            outcome: Outcome::Unknown { last_event: line.event.clone(), is_over: false },
            current_before: None,
            took: Duration::ZERO,
            first_mono_us: number(line, "mono_us"),
        }
    }

    /// Takes one of its lines into account.
    fn learn(&mut self, line: &LogLine) {
        let text = |key| line.field(key).map(str::to_owned);
        let message = || text("msg").unwrap_or_default();
        let keep = |known: &mut Option<String>, key| {
            if let Some(value) = line.field(key) {
                *known = Some(value.to_owned());
            }
        };
        keep(&mut self.source, "src");
        keep(&mut self.trigger, "trig");
        keep(&mut self.fingerprint, "fp");
        keep(&mut self.content, "sha256");
        keep(&mut self.report, "report");
        if let Some(cause) = line.field("cause").filter(|_| self.cause.is_none()) {
            self.cause = Some(cause.strip_prefix("file:").unwrap_or(cause).to_owned());
        }
        let outcome = match line.event.as_str() {
            "offer.intent" => {
                self.built = Some(Built::Offered);
                (self.trigger, self.cause) = (Some("offer".to_owned()), text("path"));
                return;
            }
            "build.ok" => {
                self.built = Some(Built::Compiled(milliseconds(line, "build_ms")));
                return;
            }
            "build.cached" => {
                self.built = Some(Built::Stored);
                return;
            }
            "detect.unchanged" => Outcome::Unchanged,
            "detect.known_bad" => Outcome::NotBuilt { message: message() },
            "detect.unreadable" | "detect.stale" => Outcome::Unreadable { message: message() },
            "build.fail" => {
                self.built = Some(Built::Compiled(milliseconds(line, "build_ms")));
                Outcome::NotBuilt { message: message() }
            }
            "build.cancel" => Outcome::Superseded,
            "build.same" => Outcome::Same { version: number(line, "version").unwrap_or_default() },
            "swap.paused" => Outcome::Paused,
            "swap.queued" => Outcome::Queued,
            "verify.refused"
            | "stage.refused"
            | "load.refused"
            | "migrate.fail"
            | "swap.refused"
            | "swap.abort"
            | "rollback.impossible"
            | "fetch.refused" => {
                Outcome::Refused { code: text("err").unwrap_or_default(), message: message() }
            }
            "quarantine.hit" => {
                let code = text("reason").unwrap_or_default();
                Outcome::Refused { message: format!("refused before: {code}"), code }
            }
            "swap.commit" | "rollback.done" => Outcome::Current {
                from: number(line, "from"),
                to: number(line, "to").unwrap_or_default(),
                publish_time: Duration::from_micros(number(line, "swap_us").unwrap_or_default()),
                calls: number(line, "calls_old").unwrap_or_default(),
                drained_after: None,
            },
            event => {
                if let Outcome::Unknown { last_event, .. } = &mut self.outcome {
                    *last_event = event.to_owned();
                }
                return;
            }
        };
        self.outcome = outcome;
        if let (Some(first), Some(now)) = (self.first_mono_us, number(line, "mono_us")) {
            self.took = Duration::from_micros(now.saturating_sub(first));
        }
    }
}

fn number(line: &LogLine, key: &str) -> Option<u64> {
    line.field(key)?.parse().ok()
}

fn milliseconds(line: &LogLine, key: &str) -> Duration {
    Duration::from_millis(number(line, key).unwrap_or_default())
}
