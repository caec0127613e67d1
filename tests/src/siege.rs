//! An engine on releases that somebody tampers with: what it has to stand, and what it has to do afterwards.

use std::error::Error;

use hotswap_engine::{Engine, EngineBuilder, Source};

use crate::log_lines::LogLine;
use crate::release_world::{Carrier, ReleaseWorld};

/// An engine that runs release 1, whose `version` gives 1, and the world that it has it from.
#[derive(Debug)]
pub struct Siege {
    /// Where releases lie.
    pub world: ReleaseWorld,
    /// The engine.
    pub engine: Engine,
    /// How many lines the log had when all was well.
    well: usize,
}

impl Siege {
    /// Release 1 runs.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn begin(carrier: Carrier) -> Self {
        Self::with(ReleaseWorld::new(carrier), ReleaseWorld::source)
    }

    /// The same of a source of the test's own.
    ///
    /// # Panics
    ///
    /// When release 1 does not run.
    #[must_use]
    pub fn with(mut world: ReleaseWorld, source: impl FnOnce(&ReleaseWorld) -> Source) -> Self {
        world.publish(1);
        let source = source(&world);
        Self::open(world, |world| world.engine_of(source))
    }

    /// The same of an engine of the test's own, on what it has published.
    ///
    /// # Panics
    ///
    /// When it does not open.
    #[must_use]
    pub fn open(world: ReleaseWorld, engine: impl FnOnce(&ReleaseWorld) -> EngineBuilder) -> Self {
        let engine = engine(&world).open();
        let engine = engine.unwrap_or_else(|error| panic!("{}", chain(&error)));
        Self::of(world, engine)
    }

    /// The same of an engine that runs.
    #[must_use]
    pub fn of(world: ReleaseWorld, engine: Engine) -> Self {
        Self { world, engine, well: 0 }
    }

    /// The process ends, as far as the disk tells.
    pub fn end(self) -> ReleaseWorld {
        let Self { world, engine, .. } = self;
        drop(engine);
        world
    }

    /// What runs.
    ///
    /// # Panics
    ///
    /// When a call fails.
    #[must_use]
    #[track_caller]
    pub fn version(&self) -> u64 {
        version(&self.engine)
    }

    /// Nothing of what lies there now is taken: what ran goes on, and the reason is told, to who asks and in the log. `KEY` in
    /// the words stands for the key's number.
    ///
    /// # Panics
    ///
    /// When any of that is not so.
    #[track_caller]
    pub fn withstands(&self, what: &str, said: &[&str]) {
        let id = self.world.key.id().to_string();
        let said: Vec<String> = said.iter().map(|word| word.replace("KEY", &id)).collect();
        let says = |text: &str| said.iter().all(|word| text.contains(word.as_str()));
        let (before, number) = (self.version(), self.engine.version());
        for _ in 0..2 {
            let Err(error) = self.engine.sync() else {
                panic!("{what}: {} runs, or it is nothing new", self.version())
            };
            let text = chain(&error);
            assert!(says(&text), "{what}: {said:?}: {text}");
            assert_eq!((self.version(), self.engine.version()), (before, number), "{what}: {text}");
        }
        // It may have been said before, and is not said twice.
        let lines = self.world.lines().split_off(self.well);
        let is_told = |line: &LogLine| {
            line.level != "INFO" && says(&line.fields.values().cloned().collect::<String>())
        };
        assert!(lines.iter().any(is_told), "{what}: {said:?} is not in the log: {lines:#?}");
    }

    /// The next good publication installs, from a good server.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn recovers(&mut self, what: &str) {
        self.world.server.behave();
        let next = self.version() % 3 + 1;
        self.world.publish(next);
        if let Err(error) = self.engine.sync() {
            panic!("{what}: what came afterwards is not taken: {}", chain(&error));
        }
        assert_eq!(self.version(), next, "{what}");
        self.well = self.world.lines().len();
    }
}

/// What `version` gives.
///
/// # Panics
///
/// When the call fails.
#[must_use]
#[track_caller]
pub fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("it is exported")
}

/// An error with all its causes, as people see it.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
