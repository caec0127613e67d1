//! State on its way from the current version to the one that takes its place.
//!
//! What has the same form is the same cell for both. Everything else is locked, copied and brought to the new form beforehand;
//! the new cells become the engine's together with the version, and the old ones are unlocked when that is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hotswap_artifact::Stage;
use hotswap_module::__private::{difference, skeleton};
use hotswap_system::clock;

use super::{Newcomer, Swapper};
use crate::audit::Line;
use crate::core::Core;
use crate::event::SwapReason;
use crate::load_error::LoadErrorKind;
use crate::services::ImageContext;
use crate::state::{
    self, Cell, CellOwner, Cells, Content, Entry, Exclusive, Failed, Job, Kinds, Late, Migrated,
    OldCalls, Plan, Resting, SHARED, Snapshot, StateKind, StatePolicy, StateProblem, TornPolicy,
    Worker, plan,
};
use crate::version::Version;

/// What a version has of state when it becomes current.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    moves: Vec<Move>,
    /// How long it took.
    time: Duration,
}

/// A cell that another takes the place of. As long as this lives the old one is locked.
#[derive(Debug)]
struct Move {
    old: Exclusive,
    new: Arc<Cell>,
    is_shared: bool,
    is_done: bool,
}

impl Drop for Move {
    fn drop(&mut self) {
        // Before the lock is released.
        self.old.cell().supersede(self.is_done);
    }
}

/// A cell of another form than the newcomer wants.
struct Differs<'a> {
    cell: Arc<Cell>,
    wanted: &'a StateKind,
    is_shared: bool,
}

/// What a new cell is made from.
struct Source {
    resting: Resting,
    plan: Plan,
    /// Writes that are lost with it.
    lost: Option<u64>,
}

fn cells(core: &Core, are_shared: bool) -> &Cells {
    if are_shared { &SHARED } else { &core.cells }
}

fn refuse(cell: &Cell, problem: StateProblem) -> LoadErrorKind {
    LoadErrorKind::State { state: cell.title(), problem: Box::new(problem) }
}

impl Swapper {
    /// Prepares the state of a version, short of making it the engine's. A migration that is under way ends when the newcomer is aborted.
    pub(super) fn hand_over(
        &self,
        version: &Arc<Version>,
        newcomer: &Newcomer,
    ) -> Result<Handover, LoadErrorKind> {
        let Some(context) = version.context() else { return Ok(Handover::default()) };
        context.kinds().check()?;
        let start = clock::now();
        let settings = self.core.state;
        let change = Change {
            core: &self.core,
            version,
            context,
            current: self.core.slot.load(),
            newcomer,
            is_fresh: settings.policy == StatePolicy::Fresh && newcomer.reason != SwapReason::First,
            until: start + settings.deadline,
        };
        let moves = change.prepare()?;
        Ok(Handover { moves, time: clock::since(start) })
    }
}

/// One version that wants the state of another.
struct Change<'a> {
    core: &'a Core,
    version: &'a Arc<Version>,
    context: &'a ImageContext,
    current: Arc<Version>,
    newcomer: &'a Newcomer,
    /// Whether it begins with first values.
    is_fresh: bool,
    until: Instant,
}

impl Change<'_> {
    fn prepare(&self) -> Result<Vec<Move>, LoadErrorKind> {
        let differing = self.differing();
        if self.core.state.old_calls == OldCalls::Supersede {
            differing.iter().for_each(|differs| differs.cell.supersede(true));
        }
        let moved = self.revive().and_then(|()| self.move_all(&differing));
        if moved.is_err() {
            differing.iter().for_each(|differs| differs.cell.supersede(false));
        }
        moved
    }

    /// Whether it is a way back, which must be possible in any case.
    fn is_back(&self) -> bool {
        self.newcomer.reason == SwapReason::RolledBack
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(clock::now())
    }

    /// Makes values of what is bytes: what cannot be one is a reason to refuse the version.
    fn revive(&self) -> Result<(), LoadErrorKind> {
        for cell in self.context.cells.all().into_iter().filter(|cell| cell.rests()) {
            // Who has it locked makes it live.
            let Some(lock) = cell.lock_exclusively(Duration::ZERO) else { continue };
            lock.make_live().map_err(|message| refuse(&cell, StateProblem::Value { message }))?;
        }
        Ok(())
    }

    /// The cells that cannot be handed on as they are, in an order that all engines share.
    fn differing(&self) -> Vec<Differs<'_>> {
        let used = self.current.context().map(|context| context.cells.all()).unwrap_or_default();
        let mut differing = Vec::new();
        for wanted in self.context.kinds().wanted() {
            for is_shared in [false, true] {
                for cell in cells(self.core, is_shared).of(&wanted.schema) {
                    let is_used = !is_shared || used.iter().any(|known| Arc::ptr_eq(known, &cell));
                    let is_new = self.is_fresh && !is_shared;
                    if is_used && (cell.form != wanted.form || is_new) {
                        differing.push(Differs { cell, wanted, is_shared });
                    } else if !is_shared {
                        cell.add_glue(self.context.glue(wanted.shim));
                        self.context.cells.keep(cell);
                    }
                }
            }
        }
        differing
    }

    fn move_all(&self, differing: &[Differs<'_>]) -> Result<Vec<Move>, LoadErrorKind> {
        // All are locked before the first is copied: what they hold belongs together.
        let mut locked = Vec::new();
        for differs in differing {
            self.may_move(differs)?;
            let deadline_ms = self.core.state.deadline.as_millis();
            let lock = differs.cell.lock_exclusively(self.left());
            let busy = || refuse(&differs.cell, StateProblem::Busy { deadline_ms });
            locked.push((differs, lock.ok_or_else(busy)?));
        }
        let mut moves = Vec::new();
        for (differs, old) in locked {
            let Differs { cell, wanted, is_shared } = differs;
            let new = if old.has_value() && !self.is_fresh {
                self.migrated(differs, &old)?
            } else {
                let (form, owner) = (wanted.form.clone(), self.owner(*is_shared));
                Arc::new(Cell::new(&wanted.schema, &cell.name, form, Content::Empty, owner))
            };
            new.add_glue(self.context.glue(wanted.shim));
            self.context.cells.keep(Arc::clone(&new));
            moves.push(Move { old, new, is_shared: *is_shared, is_done: false });
        }
        Ok(moves)
    }

    fn owner(&self, is_shared: bool) -> Option<Weak<dyn CellOwner>> {
        cells(self.core, is_shared).owner()
    }

    /// What can be refused without looking at the value.
    fn may_move(&self, differs: &Differs<'_>) -> Result<(), LoadErrorKind> {
        let Differs { cell, wanted, is_shared } = differs;
        let (from, to) = (cell.form.version, wanted.form.version);
        if *is_shared && cell.is_served_by_others(self.context.engine_address()) {
            return Err(refuse(cell, StateProblem::InUse { from, to }));
        }
        if self.core.state.policy == StatePolicy::Refuse {
            return Err(refuse(cell, StateProblem::Refused { from, to }));
        }
        Ok(())
    }

    /// A new cell with the value of an old one, in another form.
    fn migrated(&self, differs: &Differs<'_>, old: &Exclusive) -> Result<Arc<Cell>, LoadErrorKind> {
        let Differs { cell, wanted, is_shared } = differs;
        let (from, to) = (cell.form.version, wanted.form.version);
        let tx = Some(&self.newcomer.tx);
        let source = self.source(differs, old)?;
        let numbers =
            |line: Line| line.field("state", cell.title()).field("from", from).field("to", to);
        let line = numbers(Line::info("migrate.intent"));
        let line = line.field("steps", source.plan.versions(from));
        self.core.journal.write(tx, line);
        let one_way =
            source.plan.one_way(&cell.form, &wanted.schema, self.context.kinds()).is_some();
        let snapshot = (one_way && !self.is_back())
            .then(|| Snapshot { form: cell.form.clone(), resting: source.resting.clone() });
        let start = clock::now();
        let job = Job {
            name: cell.name.clone(),
            value: source.resting,
            wanted: (*wanted).clone(),
            plan: source.plan,
            owner: self.owner(*is_shared),
        };
        let Migrated { cell: new, dropped, bytes } = self.work(cell, job)?;
        *new.snapshot.lock() = snapshot;
        let line = numbers(Line::info("migrate.ok"))
            .field("bytes", bytes)
            .field("dropped", dropped.len())
            .field("migrate_us", clock::since(start).as_micros())
            .maybe("fields", (!dropped.is_empty()).then(|| dropped.join(",")))
            .maybe("lost", source.lost);
        self.core.journal.write(tx, line);
        Ok(new)
    }

    /// What the new value is made from, and how.
    fn source(&self, differs: &Differs<'_>, old: &Exclusive) -> Result<Source, LoadErrorKind> {
        let Differs { cell, wanted, .. } = differs;
        let from = cell.form.version;
        let kinds = self.context.kinds();
        let current = self.current.context().map(|context| context.kinds());
        let Some(plan) = plan(&cell.form, wanted, kinds, current) else {
            let snapshot = cell.snapshot.lock();
            let fits = |snapshot: &&Snapshot| self.is_back() && snapshot.form == wanted.form;
            let Some(snapshot) = snapshot.as_ref().filter(fits) else {
                return Err(refuse(cell, no_path(current, differs)));
            };
            let (resting, plan) = (snapshot.resting.clone(), Plan::default());
            return Ok(Source { resting, plan, lost: Some(cell.writes()) });
        };
        if !self.core.state.allows_one_way
            && !self.is_back()
            && let Some((from, to)) = plan.one_way(&cell.form, &wanted.schema, kinds)
        {
            return Err(refuse(cell, StateProblem::OneWay { from, to }));
        }
        // Only a derived step needs to know fields by name.
        let wants_json = plan.legs.first().is_some_and(|leg| leg.step.reads_json());
        let unreadable = |message: String| {
            let message = format!("version {from} of it cannot be copied: {message}");
            refuse(cell, StateProblem::Value { message })
        };
        let resting = old.copy(wants_json).unwrap_or_else(|| Ok(Resting::default()));
        Ok(Source { resting: resting.map_err(unreadable)?, plan, lost: None })
    }

    /// Has the steps run, on a thread of their own.
    fn work(&self, cell: &Cell, job: Job) -> Result<Migrated, LoadErrorKind> {
        self.newcomer.under_way.enter(Stage::Migrating);
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_abandoned);
        let worker = Worker {
            what: format!("migrate {}", cell.title()),
            versions: vec![Arc::clone(self.version), Arc::clone(&self.current)],
            deadline: self.left(),
            memory_bytes: self.core.state.memory_bytes,
        };
        let aborted = self.newcomer.under_way.aborted();
        let done = worker.run(aborted, move || state::migrate(&job, &seen));
        self.newcomer.under_way.enter(Stage::Loading);
        is_abandoned.store(done.is_err(), Ordering::Relaxed);
        let problem = match done {
            Ok(Ok(migrated)) => return Ok(migrated),
            Ok(Err(Failed { step: Some((from, to)), message })) => {
                StateProblem::Step { from, to, message }
            }
            Ok(Err(Failed { step: None, message })) => StateProblem::Value { message },
            Err(Late::Deadline) => {
                StateProblem::Deadline { deadline_ms: self.core.state.deadline.as_millis() }
            }
            Err(Late::Memory) => StateProblem::Memory { limit_bytes: self.core.state.memory_bytes },
            Err(Late::Ended) => StateProblem::Value { message: "its thread ended".to_owned() },
            Err(Late::Thread(error)) => return Err(LoadErrorKind::Thread { error }),
            Err(Late::Aborted) => return Err(LoadErrorKind::Aborted),
        };
        Err(refuse(cell, problem))
    }
}

/// What is said where no steps lead to what is wanted.
fn no_path(current: Option<&Kinds>, differs: &Differs<'_>) -> StateProblem {
    let Differs { cell, wanted, .. } = differs;
    let (from, to) = (cell.form.version, wanted.form.version);
    // The version that made it may be gone, with its description.
    let old = current.and_then(|kinds| kinds.of_form(&cell.schema, &cell.form));
    let (difference, skeleton) = match old {
        Some(old) => {
            let (old, new) = (old.signature, wanted.signature);
            // That the version is to be raised is said before it.
            let next = to.max(from.saturating_add(u16::from(from == to)));
            (difference(old, new), skeleton(&cell.schema, old, from, new, next))
        }
        None => (format!("- {}\n+ {}", cell.form.text, wanted.form.text), String::new()),
    };
    match from == to {
        true => StateProblem::SameVersion { version: from, difference, skeleton },
        false => StateProblem::NoPath { from, to, difference, skeleton },
    }
}

impl Handover {
    /// Makes the cells the engine's and the version's: from here on it must become current.
    pub(crate) fn bind(&self, core: &Core, version: &Version) {
        let Some(context) = version.context() else { return };
        for Move { new, is_shared, .. } in &self.moves {
            cells(core, *is_shared).put(Arc::clone(new));
        }
        let entries = context.kinds().wanted().filter_map(|kind| {
            let glue = context.glue(kind.shim);
            let cell = core.cells.find_or_add(&kind.schema, "", &kind.form, glue).ok()?;
            Some(Entry { is_shared: false, cell })
        });
        context.cells.set(entries.collect());
    }

    /// The version is current: what it took over in another form is not written any more. How long all of it took.
    pub(super) fn finish(mut self) -> Duration {
        for moved in &mut self.moves {
            moved.is_done = true;
        }
        self.time
    }
}

impl Core {
    /// Notes what all cells are, for a host that wants it back when one is torn.
    pub(crate) fn note_restore_points(&self) {
        if self.state.torn == TornPolicy::Restore {
            self.cells.all().iter().for_each(|cell| cell.note_restore_point(self.state.deadline));
        }
    }
}
