//! Engines on one thread whose sources change together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use hotswap_engine::testing::{Seat, Together};
use hotswap_engine::{Engine, EngineBuilder, Event, ReloadError, ReloadErrorKind, Verdict};
use tempfile::TempDir;

use crate::deadline::PATIENCE;
use crate::log_lines::{LogLine, log_lines};
use crate::place::Place;
use crate::prebuilt::{self, Kind, numbered};

/// Texts of sources that compile to something else than the module of `numbered.rs` with that number.
pub mod odd {
    /// Its load hook says no.
    pub const VETO: u64 = 1_000;
    /// Its load hook panics.
    pub const PANIC: u64 = 1_001;
    /// It lacks `other`; its load hook lets it in.
    pub const SHORT: u64 = 1_002;
    /// Its load hook waits for the host.
    pub const GATED: u64 = 1_003;
    /// It has state.
    pub const STATE: u64 = 1_010;
    /// It has the same state in another form.
    pub const MIGRATED: u64 = 1_011;
    /// As that, with a step that fails.
    pub const BAD_STEP: u64 = 1_012;
}

/// What a source with this number compiles to.
#[must_use]
pub fn given(number: u64) -> PathBuf {
    let hooked = |name: &str, body: &str| {
        let source = prebuilt::source("hooked.rs").replace("BODY", body);
        prebuilt::library(&format!("member_{name}"), &source, Kind::Module)
    };
    match number {
        odd::VETO => hooked("veto", "Err(\"not today\".to_owned())"),
        odd::PANIC => hooked("panic", "panic!(\"in the hook\")"),
        odd::SHORT => hooked("short", "Ok(())"),
        odd::GATED => {
            hooked("gated", "hotswap_module::host().call(\"gate\").map_err(|it| it.to_string())")
        }
        odd::STATE => crate::counted::counted(1),
        odd::MIGRATED => crate::counted::counted(2),
        odd::BAD_STEP => crate::counted::counted_with("member_bad_step", 2, |source| {
            let body = "-> Result<Counters2, String> {\n    return Err(format!(\"{old:?}\"));\n";
            source
                .replace(
                    "fn to_2(old: Counters1) -> Counters2 {\n",
                    &format!("fn to_2(old: Counters1) {body}"),
                )
                .replace("    Counters2 { calls: old.calls, name: String::from(\"unnamed\") }", "")
        }),
        plain => numbered(plain),
    }
}

/// One of them.
#[derive(Debug)]
pub struct Member {
    place: Place,
    /// Its engine.
    pub engine: Engine,
    /// By which others know it.
    pub seat: Seat,
    /// What happens to it.
    pub events: Receiver<Event>,
}

impl Member {
    /// Has its source compile to this, by itself.
    pub fn edit(&self, number: u64) {
        self.place.edit(number);
    }

    /// Has its source compile to nothing.
    pub fn break_source(&self) {
        self.place.break_source();
    }

    /// What runs.
    ///
    /// # Panics
    ///
    /// When nothing does.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.engine.call_with("version", ()).expect("exported")
    }
}

/// Engines on one thread, named `a`, `b` and so on: dependencies before dependents.
#[derive(Debug)]
pub struct Members {
    /// Their thread.
    pub crew: Together,
    /// The engines.
    pub all: Vec<Member>,
    directory: TempDir,
    groups: u64,
    /// Has a message when a module is at the gate.
    pub at_gate: Receiver<()>,
    /// Lets one go on.
    pub gate: Sender<()>,
}

impl Members {
    /// So many engines, on the first version.
    #[must_use]
    pub fn open(count: u64) -> Self {
        Self::open_on(count, 1, |_, builder| builder)
    }

    /// So many engines on a version, with settings for each.
    ///
    /// # Panics
    ///
    /// When they cannot be opened.
    #[must_use]
    pub fn open_on(
        count: u64,
        number: u64,
        set: impl Fn(u64, EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let crew = Together::start().expect("a thread");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let (enter, at_gate) = unbounded();
        let (gate, released) = unbounded::<()>();
        let open = |at: u64| {
            let place = Place::new();
            place.edit(number);
            let letter = char::from(b'a' + u8::try_from(at % 26).expect("a letter"));
            let (enter, released) = (enter.clone(), released.clone());
            let builder = place
                .engine()
                .backend(place.compiler().giving(given))
                .log_file(&log)
                .name(letter.to_string())
                .settle(Duration::from_millis(10))
                .keep_versions(0)
                .load_deadline(PATIENCE)
                .provide("gate", move || {
                    enter.send(()).expect("the test listens");
                    let _closed = released.recv_timeout(PATIENCE);
                });
            let (builder, seat) = crew.seated(set(at, builder), at + 1);
            let (builder, events) = builder.subscribe();
            let engine = builder.open().expect("opens");
            Member { place, engine, seat, events }
        };
        let all = (0..count).map(open).collect();
        Self { crew, all, directory, groups: 0, at_gate, gate }
    }

    /// Has the sources of some compile to these, together, and gives what became of them.
    pub fn change(&mut self, edits: &[(usize, u64)]) -> Vec<Result<Verdict, ReloadError>> {
        self.begin_change(edits);
        self.ask(&edits.iter().map(|(at, _)| *at).collect::<Vec<_>>())
    }

    /// The same, and looks at nothing yet.
    pub fn begin_change(&mut self, edits: &[(usize, u64)]) {
        self.groups += 1;
        let seats: Vec<_> = edits.iter().map(|(at, _)| &self.all[*at].seat).collect();
        Seat::change_together(self.groups, &seats);
        edits.iter().for_each(|(at, number)| self.all[*at].edit(*number));
    }

    /// Has all of them compile to this, together.
    pub fn change_all(&mut self, number: u64) -> Vec<Result<Verdict, ReloadError>> {
        let edits: Vec<_> = (0..self.all.len()).map(|at| (at, number)).collect();
        self.change(&edits)
    }

    /// Has these looked at, and gives the verdicts.
    ///
    /// # Panics
    ///
    /// When asking does.
    pub fn ask(&self, whom: &[usize]) -> Vec<Result<Verdict, ReloadError>> {
        let ask = |at: &usize| {
            let engine = self.all[*at].engine.clone();
            thread::spawn(move || engine.sync())
        };
        let asking: Vec<_> = whom.iter().map(ask).collect();
        asking.into_iter().map(|asking| asking.join().expect("no panic")).collect()
    }

    /// What each of them runs.
    #[must_use]
    pub fn versions(&self) -> Vec<u64> {
        self.all.iter().map(Member::version).collect()
    }

    /// The log of all.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("hotswap.log")
    }

    /// The lines of an event, of all.
    #[must_use]
    pub fn lines(&self, event: &str) -> Vec<LogLine> {
        lines(&self.log(), event)
    }
}

fn lines(log: &Path, event: &str) -> Vec<LogLine> {
    log_lines(log).into_iter().filter(|line| line.event == event).collect()
}

/// Who kept a member out, and why.
///
/// # Panics
///
/// When nobody did.
#[track_caller]
#[must_use]
pub fn kept_out(verdict: &Result<Verdict, ReloadError>) -> (String, Arc<ReloadError>) {
    match verdict.as_ref().map_err(|error| &error.kind) {
        Err(ReloadErrorKind::Group { member, error }) => (member.clone(), Arc::clone(error)),
        other => panic!("{other:?}"),
    }
}
