//! The module of `tests/modules/counted.rs`: one schema, five versions.

use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_engine::{
    Engine, EngineBuilder, LoadErrorKind, ReloadError, ReloadErrorKind, StateProblem,
};

use crate::deadline::PATIENCE;
use crate::prebuilt;
use crate::prebuilt::{Kind, library, source};

/// How many versions of the schema there are.
pub const SCHEMAS: u64 = 5;

/// The source of the module whose cells have this version of the schema.
///
/// # Panics
///
/// When there is no such version.
#[must_use]
pub fn source_of(schema: u64) -> String {
    assert!((1..=SCHEMAS).contains(&schema), "there are {SCHEMAS} versions");
    let whole = source("counted.rs");
    let exports = whole.find("// exports").expect("the part that all have");
    let end = match schema {
        SCHEMAS => exports,
        earlier => whole.find(&format!("// {}\n", earlier + 1)).expect("a part per version"),
    };
    let field = match schema {
        1 | 2 => "&mut counters.calls",
        3 | 4 => "&mut counters.total",
        _ => "&mut counters.sums.entry(0).or_default().total",
    };
    format!(
        "{}{}\ntype Counters = Counters{schema};\nconst SCHEMA: u64 = {schema};\n\nfn field(counters: &mut Counters) -> &mut u64 {{\n    {field}\n}}\n",
        &whole[..end],
        &whole[exports..],
    )
}

/// The library of [`source_of`].
#[must_use]
pub fn counted(schema: u64) -> PathBuf {
    counted_with(&format!("counted_{schema}"), schema, |source| source)
}

/// The same with another `name` and source.
#[must_use]
pub fn counted_with(name: &str, schema: u64, edit: impl FnOnce(String) -> String) -> PathBuf {
    library(name, &edit(source_of(schema)), Kind::Module)
}

/// What a module meets that asks its host to wait.
#[derive(Debug)]
pub struct Gate {
    entered: Receiver<()>,
    leave: Sender<()>,
}

impl Gate {
    /// Waits until a call is at the gate.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn wait(&self) {
        self.entered.recv_timeout(PATIENCE).expect("a call arrives");
    }

    /// Lets one go on.
    ///
    /// # Panics
    ///
    /// When none waits.
    pub fn open(&self) {
        self.leave.send(()).expect("a call waits");
    }
}

/// An engine on one of these modules, which may ask its host to `wait`.
pub fn builder(library: &Path) -> (EngineBuilder, Gate) {
    let (enter, entered) = bounded(16);
    let (leave, left) = bounded::<()>(16);
    let builder = prebuilt::engine(library).provide("wait", move || {
        enter.send(()).expect("the test listens");
        left.recv_timeout(PATIENCE).expect("the test lets it go on");
    });
    (builder, Gate { entered, leave })
}

/// Why state had a version refused.
///
/// # Panics
///
/// When it was refused for another reason.
#[must_use]
pub fn problem(error: &ReloadError) -> &StateProblem {
    match &error.kind {
        ReloadErrorKind::Load(error) => match &error.kind {
            LoadErrorKind::State { problem, .. } => problem,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Threads that call in bursts: a burst each, whenever they are told to. In between they leave the processor to the swaps.
#[derive(Debug)]
pub struct Counting {
    threads: Vec<thread::JoinHandle<u64>>,
    bursts: Sender<()>,
}

/// How many calls a burst has.
const BURST: usize = 40;

impl Counting {
    /// `function` is `increment`, or `try_increment`, of which only those calls count that wrote.
    #[must_use]
    pub fn start(engine: &Engine, count: usize, function: &'static str) -> Self {
        let (bursts, told) = bounded::<()>(count);
        let threads = (0..count).map(|_| {
            let (engine, told) = (engine.clone(), told.clone());
            let call = move || match function {
                "increment" => engine.call_with::<u64>(function, ()).map(|_| 1),
                _ => {
                    let written = engine.call_with::<Option<u64>>(function, ());
                    written.map(|total| u64::from(total.is_some()))
                }
            };
            thread::spawn(move || {
                let calls = told.iter().flat_map(|()| 0..BURST);
                calls.map(|_| call().expect("no call fails")).sum()
            })
        });
        let threads = threads.collect();
        Self { threads, bursts }
    }

    /// Has all threads call, from now on, for a while. Does not wait for them, unless they have not begun the burst before.
    ///
    /// # Panics
    ///
    /// When a call failed.
    pub fn burst(&self) {
        self.threads.iter().for_each(|_| self.bursts.send(()).expect("no call failed"));
    }

    /// Ends them; how many calls have written.
    ///
    /// # Panics
    ///
    /// When a call failed.
    #[must_use]
    pub fn stop(self) -> u64 {
        drop(self.bursts);
        self.threads.into_iter().map(|thread| thread.join().expect("no call failed")).sum()
    }
}
