//! From the end of an edit to the first call of the new code, step by step, beside bare cargo and the compiler's front end.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;
use hotswap_engine::{Engine, Event, LogLine, log_lines};

use crate::command::{cargo_in, run};
use crate::module_crate::{ModuleCrate, Size};
use crate::timed::Timed;
use crate::{Outcome, Workshop};

/// How long an edit may take to get live before the bench is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// One step on the way of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Until somebody noticed.
    Detect,
    /// Until it had stood still.
    Settle,
    /// Until there was a library.
    Build,
    /// Until it lay in the store, and the engine was told.
    Store,
    /// Until it was read and checked.
    Verify,
    /// Until it had a name of its own.
    Stage,
    /// Until it was loaded and connected.
    Load,
    /// Until it was current, the log said so, and a call had run in it.
    Publish,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Detect,
        Self::Settle,
        Self::Build,
        Self::Store,
        Self::Verify,
        Self::Stage,
        Self::Load,
        Self::Publish,
    ];

    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Settle => "settle",
            Self::Build => "build",
            Self::Store => "store",
            Self::Verify => "verify",
            Self::Stage => "stage",
            Self::Load => "load",
            Self::Publish => "publish",
        }
    }

    /// The line of hotswap.log that ends it.
    const fn last_line(self) -> Option<&'static str> {
        match self {
            Self::Detect => Some("detect.change"),
            Self::Settle => Some("detect.settled"),
            Self::Build => Some("build.ok"),
            Self::Store => Some("notify.sent"),
            Self::Verify => Some("verify.ok"),
            Self::Stage => Some("stage.ok"),
            Self::Load => Some("load.ok"),
            Self::Publish => None,
        }
    }
}

/// How long one edit took.
#[derive(Debug, Clone)]
pub struct EditToLive {
    /// From the end of the write until a call gave the new answer.
    pub total: Duration,
    /// Its steps, by the times of the lines in hotswap.log; they add up to the total, but for the resolution of the log.
    pub steps: [Duration; 8],
}

impl EditToLive {
    /// From the notification of the engine to the first call.
    #[must_use]
    pub fn artifact_to_callable(&self) -> Duration {
        self.steps[4..].iter().sum()
    }
}

/// An engine on a generated crate.
#[derive(Debug)]
pub struct LiveCrate {
    module: ModuleCrate,
    engine: Engine,
    events: Receiver<Event>,
    log: PathBuf,
    edits: u64,
}

impl LiveCrate {
    /// Generates the crate and opens it. Blocks for the first build. `period` is how often it is looked at; without, events
    /// wake the engine, which looks every second all the same.
    ///
    /// # Errors
    ///
    /// When it does not build.
    pub fn open(workshop: &Workshop, size: Size, period: Option<Duration>) -> Outcome<Self> {
        let role = if period.is_some() { "polled" } else { "live" };
        let module = ModuleCrate::new(workshop, role, size)?;
        let log = module.directory().with_extension("log");
        let engine =
            Engine::builder(module.directory()).target_dir(workshop.target("live")).log_file(&log);
        let engine = match period {
            Some(period) => engine.poll_every(period),
            None => engine.wake_on_events(),
        };
        let engine = engine.open()?;
        let events = engine.subscribe();
        Ok(Self { module, engine, events, log, edits: 0 })
    }

    /// Edits it, and waits until a call gives the new answer.
    ///
    /// # Errors
    ///
    /// When the edit does not build, or is not live within two minutes.
    pub fn edit(&mut self) -> Outcome<EditToLive> {
        self.edits += 1;
        // What an edit before left: its old version is gone by now.
        while self.events.try_recv().is_ok() {}
        self.module.edit(self.edits)?;
        let (start, written) = (Instant::now(), SystemTime::now());
        loop {
            match self.events.recv_timeout(PATIENCE)? {
                Event::Swapped { .. } => break,
                Event::Refused { error } => return Err(error.to_string().into()),
                _ => {}
            }
        }
        let answer: u64 = self.engine.call_with("version", ())?;
        let total = start.elapsed();
        if answer != self.edits {
            return Err(format!("version {answer} answers, {} was written", self.edits).into());
        }
        Ok(EditToLive { total, steps: self.steps(written, total)? })
    }

    /// What the log says of the last change.
    fn steps(&self, written: SystemTime, total: Duration) -> Outcome<[Duration; 8]> {
        let lines: Vec<LogLine> =
            log_lines(BufReader::new(fs::File::open(&self.log)?)).flatten().collect();
        let last = lines.iter().rev().find(|line| line.event == "load.ok");
        let change = last.and_then(|line| line.field("tx")).ok_or("the log knows of no change")?;
        let mut before = Duration::ZERO;
        Ok(Step::ALL.map(|step| {
            let ended = |name: &str| {
                let mut of_change = lines.iter().filter(|line| line.field("tx") == Some(change));
                let line = of_change.rfind(|line| line.event == name)?;
                // The clock of the lines may have gone back.
                Some(line.time.duration_since(written).unwrap_or_default().min(total))
            };
            // A step without a line took no time of its own.
            let ended = step.last_line().map_or(Some(total), ended).unwrap_or(before).max(before);
            let time = ended - before;
            before = ended;
            time
        }))
    }
}

/// The same crate, built by a person: `cargo build`, and the compiler's front end alone.
#[derive(Debug)]
pub struct BareCrate {
    module: ModuleCrate,
    target: PathBuf,
    /// The compiler's command as cargo runs it, for a shell, made to write metadata only.
    front_end: String,
    edits: u64,
}

impl BareCrate {
    /// Generates the crate and builds it for the first time.
    ///
    /// # Errors
    ///
    /// When it does not build.
    pub fn open(workshop: &Workshop, size: Size) -> Outcome<Self> {
        let module = ModuleCrate::new(workshop, "bare", size)?;
        let target = workshop.target("bare");
        let metadata = workshop.directory("metadata")?;
        run(&mut cargo_in(module.directory(), &target))?;
        module.edit(1)?;
        let output = run(cargo_in(module.directory(), &target).arg("-vv"))?;
        let command = output.lines().find_map(|line| line.trim().strip_prefix("Running `"));
        let command =
            command.and_then(|line| line.strip_suffix('`')).ok_or("cargo ran no compiler")?;
        let front_end = front_end(command, &target, &metadata)?;
        let mut bare = Self { module, target, front_end, edits: 1 };
        bare.front_end()?;
        Ok(bare)
    }

    /// `cargo build` of an edit.
    ///
    /// # Errors
    ///
    /// When it does not build.
    pub fn cargo_build(&mut self) -> Outcome<Duration> {
        self.edits += 1;
        self.module.edit(self.edits)?;
        let mut command = cargo_in(self.module.directory(), &self.target);
        let start = Instant::now();
        run(&mut command)?;
        Ok(start.elapsed())
    }

    /// `rustc --emit=metadata` of an edit.
    ///
    /// # Errors
    ///
    /// When it does not compile.
    pub fn front_end(&mut self) -> Outcome<Duration> {
        self.edits += 1;
        self.module.edit(self.edits)?;
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("exec env {}", self.front_end))
            .current_dir(self.module.directory());
        let start = Instant::now();
        run(&mut command)?;
        Ok(start.elapsed())
    }
}

/// The command with other outputs: metadata only, and nothing where cargo's lie.
fn front_end(command: &str, target: &Path, metadata: &Path) -> Outcome<String> {
    let kept = command.replace("--emit=dep-info,link", "--emit=metadata");
    if kept == command {
        return Err(format!("the compiler is not asked for a library: {command}").into());
    }
    let outputs = format!("{}/debug/deps", target.display());
    let incremental = format!("incremental={}/debug/incremental", target.display());
    let metadata = metadata.display();
    Ok(kept
        .replace(&format!("--out-dir {outputs}"), &format!("--out-dir {metadata}"))
        .replace(&incremental, &format!("incremental={metadata}/incremental")))
}

/// For criterion: the floors, and an edit until it is live.
pub fn timed<'a>(bare: &'a mut BareCrate, live: &'a mut LiveCrate) -> [Timed<'a>; 3] {
    let bare = std::rc::Rc::new(std::cell::RefCell::new(bare));
    let front_end = std::rc::Rc::clone(&bare);
    [
        Timed::new("rustc --emit=metadata (floor)", move |rounds| {
            (0..rounds).map(|_| front_end.borrow_mut().front_end()).sum()
        }),
        Timed::new("cargo build", move |rounds| {
            (0..rounds).map(|_| bare.borrow_mut().cargo_build()).sum()
        }),
        Timed::new("edit to live", move |rounds| (0..rounds).map(|_| Ok(live.edit()?.total)).sum()),
    ]
}
