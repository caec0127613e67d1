//! State on its way from the current version to the one that takes its place.
//!
//! What has the same form is the same cell for both. Everything else is locked, copied and brought to the new form beforehand;
//! the new cells become the engine's together with the version, and the old ones are unlocked when that is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotswap_module::__private::{difference, skeleton};
use hotswap_system::clock;

use super::Swapper;
use crate::audit::Line;
use crate::core::Core;
use crate::event::SwapReason;
use crate::journal::Tx;
use crate::load_error::LoadErrorKind;
use crate::services::ImageContext;
use crate::state::{
    self, Cell, CellOwner, Cells, Content, Entry, Exclusive, Job, Kinds, Late, Migrated, OldCalls,
    Plan, Resting, SHARED, Snapshot, StateKind, StatePolicy, StateProblem, TornPolicy, plan,
};
use crate::version::Version;

/// What a version has of state when it becomes current.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    moves: Vec<Move>,
    /// How long it took.
    pub(super) time: Duration,
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

/// Makes values of what is bytes: what cannot be one is a reason to refuse the version.
fn revive(context: &ImageContext) -> Result<(), LoadErrorKind> {
    for cell in context.cells.all().into_iter().filter(|cell| cell.rests()) {
        // Who has it locked makes it live.
        let Some(lock) = cell.lock_exclusively(Duration::ZERO) else { continue };
        lock.make_live().map_err(|message| refuse(&cell, StateProblem::Value { message }))?;
    }
    Ok(())
}

fn cells(core: &Core, are_shared: bool) -> &Cells {
    if are_shared { &SHARED } else { &core.cells }
}

fn refuse(cell: &Cell, problem: StateProblem) -> LoadErrorKind {
    LoadErrorKind::State { state: cell.title(), problem: Box::new(problem) }
}

impl Swapper {
    /// Prepares the state of a version, short of making it the engine's.
    pub(super) fn hand_over(
        &mut self,
        version: &Arc<Version>,
        tx: &Tx,
        reason: SwapReason,
    ) -> Result<Handover, LoadErrorKind> {
        let Some(context) = version.context() else { return Ok(Handover::default()) };
        let kinds = context.kinds();
        if let Some(kind) = kinds.ambiguous() {
            let problem = StateProblem::Ambiguous { version: kind.form.version };
            return Err(LoadErrorKind::State {
                state: kind.schema.clone(),
                problem: problem.into(),
            });
        }
        let start = clock::now();
        let current = self.core.slot.load();
        let moves = self.prepare(version, context, &current, tx, reason)?;
        Ok(Handover { moves, time: clock::since(start) })
    }

    fn prepare(
        &mut self,
        version: &Arc<Version>,
        context: &ImageContext,
        current: &Arc<Version>,
        tx: &Tx,
        reason: SwapReason,
    ) -> Result<Vec<Move>, LoadErrorKind> {
        let settings = self.core.state;
        let kinds = context.kinds();
        let is_fresh = settings.policy == StatePolicy::Fresh && reason != SwapReason::First;
        let differing = self.differing(kinds, context, current, is_fresh);
        if settings.old_calls == OldCalls::Supersede {
            differing.iter().for_each(|differs| differs.cell.supersede(true));
        }
        let moved = revive(context).and_then(|()| {
            self.move_all(version, context, current, tx, reason, &differing, is_fresh)
        });
        if moved.is_err() {
            differing.iter().for_each(|differs| differs.cell.supersede(false));
        }
        moved
    }

    /// The cells that cannot be handed on as they are, in an order that all engines share.
    fn differing<'a>(
        &self,
        kinds: &'a Kinds,
        context: &ImageContext,
        current: &Version,
        is_fresh: bool,
    ) -> Vec<Differs<'a>> {
        let mine = current.context().map(|context| context.cells.all()).unwrap_or_default();
        let mut differing = Vec::new();
        for wanted in kinds.wanted() {
            for (is_shared, cells) in [(false, &self.core.cells), (true, &SHARED)] {
                for cell in cells.of(&wanted.schema) {
                    let is_used = !is_shared || mine.iter().any(|known| Arc::ptr_eq(known, &cell));
                    if is_used && (cell.form != wanted.form || (is_fresh && !is_shared)) {
                        differing.push(Differs { cell, wanted, is_shared });
                    } else if !is_shared {
                        cell.add_glue(context.glue(wanted.shim));
                        context.cells.keep(cell);
                    }
                }
            }
        }
        differing
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `prepare`, which gives all that it has"
    )]
    fn move_all(
        &mut self,
        version: &Arc<Version>,
        context: &ImageContext,
        current: &Arc<Version>,
        tx: &Tx,
        reason: SwapReason,
        differing: &[Differs<'_>],
        is_fresh: bool,
    ) -> Result<Vec<Move>, LoadErrorKind> {
        let deadline = self.core.state.deadline;
        let until = clock::now() + deadline;
        // All are locked before the first is copied: what they hold belongs together.
        let mut locked = Vec::new();
        for differs in differing {
            self.may_move(differs, context, is_fresh)?;
            let left = until.saturating_duration_since(clock::now());
            let busy = StateProblem::Busy { deadline_ms: deadline.as_millis() };
            let lock =
                differs.cell.lock_exclusively(left).ok_or_else(|| refuse(&differs.cell, busy))?;
            locked.push((differs, lock));
        }
        let mut moves = Vec::new();
        for (differs, old) in locked {
            let Differs { cell, wanted, is_shared } = differs;
            let new = match old.has_value() && !is_fresh {
                true => {
                    self.migrated(version, context, current, tx, reason, differs, &old, until)?
                }
                false => {
                    let (form, owner) = (wanted.form.clone(), self.owner(*is_shared));
                    Arc::new(Cell::new(&wanted.schema, &cell.name, form, Content::Empty, owner))
                }
            };
            new.add_glue(context.glue(wanted.shim));
            context.cells.keep(Arc::clone(&new));
            moves.push(Move { old, new, is_shared: *is_shared, is_done: false });
        }
        Ok(moves)
    }

    fn owner(&self, is_shared: bool) -> Option<std::sync::Weak<dyn CellOwner>> {
        cells(&self.core, is_shared).owner()
    }

    /// What can be refused without looking at the value.
    fn may_move(
        &self,
        differs: &Differs<'_>,
        context: &ImageContext,
        is_fresh: bool,
    ) -> Result<(), LoadErrorKind> {
        let Differs { cell, wanted, is_shared } = differs;
        let (from, to) = (cell.form.version, wanted.form.version);
        if *is_shared && cell.is_served_by_others(context.engine_address()) {
            return Err(refuse(cell, StateProblem::InUse { from, to }));
        }
        if self.core.state.policy == StatePolicy::Refuse && !is_fresh {
            return Err(refuse(cell, StateProblem::Refused { from, to }));
        }
        Ok(())
    }

    /// A new cell with the value of an old one, in another form.
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `move_all`, which gives all that it has"
    )]
    fn migrated(
        &mut self,
        version: &Arc<Version>,
        context: &ImageContext,
        current: &Arc<Version>,
        tx: &Tx,
        reason: SwapReason,
        differs: &Differs<'_>,
        old: &Exclusive,
        until: Instant,
    ) -> Result<Arc<Cell>, LoadErrorKind> {
        let Differs { cell, wanted, is_shared } = differs;
        let (from, to) = (cell.form.version, wanted.form.version);
        let source = self.source(context.kinds(), current, reason, differs, old)?;
        let numbers =
            |line: Line| line.field("state", cell.title()).field("from", from).field("to", to);
        let line = numbers(Line::info("migrate.intent"));
        let line = line.field("steps", source.plan.versions(from));
        self.core.journal.write(Some(tx), line);
        let one_way = source.plan.one_way(&wanted.schema, context.kinds()).is_some();
        let snapshot = (one_way && reason != SwapReason::RolledBack)
            .then(|| Snapshot { form: cell.form.clone(), resting: source.resting.clone() });
        let start = clock::now();
        let job = Job {
            name: cell.name.clone(),
            value: source.resting,
            wanted: (*wanted).clone(),
            plan: source.plan,
            owner: self.owner(*is_shared),
        };
        let Migrated { cell: new, dropped, bytes } =
            self.work(version, current, cell, job, until)?;
        *new.snapshot.lock() = snapshot;
        let line = numbers(Line::info("migrate.ok"))
            .field("bytes", bytes)
            .field("dropped", dropped.len())
            .field("migrate_us", clock::since(start).as_micros())
            .maybe("fields", (!dropped.is_empty()).then(|| dropped.join(",")))
            .maybe("lost", source.lost);
        self.core.journal.write(Some(tx), line);
        Ok(new)
    }

    /// What the new value is made from, and how.
    fn source(
        &self,
        kinds: &Kinds,
        current: &Version,
        reason: SwapReason,
        differs: &Differs<'_>,
        old: &Exclusive,
    ) -> Result<Source, LoadErrorKind> {
        let Differs { cell, wanted, .. } = differs;
        let from = cell.form.version;
        let current_kinds = current.context().map(|context| context.kinds());
        let Some(plan) = plan(&cell.form, wanted, kinds, current_kinds) else {
            let snapshot = cell.snapshot.lock();
            if let Some(snapshot) = snapshot.as_ref().filter(|_| reason == SwapReason::RolledBack)
                && snapshot.form == wanted.form
            {
                let resting = snapshot.resting.clone();
                let lost = Some(cell.writes());
                return Ok(Source { resting, plan: Plan::default(), lost });
            }
            return Err(refuse(cell, self.no_path(current_kinds, differs)));
        };
        if !self.core.state.allows_one_way
            && reason != SwapReason::RolledBack
            && let Some((from, to)) = plan.one_way(&wanted.schema, kinds)
        {
            return Err(refuse(cell, StateProblem::OneWay { from, to }));
        }
        // Only a derived step needs to know fields by name.
        let wants_json = plan.legs.first().is_some_and(|leg| leg.step.old.is_none());
        let value = |message: String| refuse(cell, StateProblem::Value { message });
        let unreadable =
            |message| value(format!("version {from} of it cannot be copied: {message}"));
        let resting = old.copy(wants_json).unwrap_or_else(|| Ok(Resting::default()));
        Ok(Source { resting: resting.map_err(unreadable)?, plan, lost: None })
    }

    fn no_path(&self, current: Option<&Kinds>, differs: &Differs<'_>) -> StateProblem {
        let Differs { cell, wanted, .. } = differs;
        let (from, to) = (cell.form.version, wanted.form.version);
        // The version that made it may be gone, with its description.
        let old = current.and_then(|kinds| kinds.of_form(&cell.schema, &cell.form));
        let (difference, skeleton) = match old {
            Some(old) => {
                let next = to.max(from + u16::from(from == to));
                let (old, new) = (old.signature, wanted.signature);
                (difference(old, new), skeleton(&cell.schema, old, from, new, next))
            }
            None => (format!("- {}\n+ {}", cell.form.text, wanted.form.text), String::new()),
        };
        match from == to {
            true => StateProblem::SameVersion { version: from, difference, skeleton },
            false => StateProblem::NoPath { from, to, difference, skeleton },
        }
    }

    /// Has the steps run, on a thread of their own.
    fn work(
        &self,
        version: &Arc<Version>,
        current: &Arc<Version>,
        cell: &Cell,
        job: Job,
        until: Instant,
    ) -> Result<Migrated, LoadErrorKind> {
        let deadline_ms = self.core.state.deadline.as_millis();
        let left = until.saturating_duration_since(clock::now());
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_abandoned);
        let versions = vec![Arc::clone(version), Arc::clone(current)];
        let what = format!("migrate {}", cell.title());
        let done = state::run(&what, versions, left, move || state::migrate(&job, &seen));
        let failed = match done {
            Ok(Ok(migrated)) => return Ok(migrated),
            Ok(Err(failed)) => failed,
            Err(Late::Deadline) => {
                is_abandoned.store(true, Ordering::Relaxed);
                return Err(refuse(cell, StateProblem::Deadline { deadline_ms }));
            }
            Err(Late::Thread(error)) => return Err(LoadErrorKind::Thread { error }),
            Err(Late::Ended) => {
                state::Failed { step: None, message: "its thread ended".to_owned() }
            }
        };
        let state::Failed { step, message } = failed;
        Err(refuse(
            cell,
            match step {
                Some((from, to)) => StateProblem::Step { from, to, message },
                None => StateProblem::Value { message },
            },
        ))
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

    /// The version is current: what it took over in another form is not written any more.
    pub(super) fn finish(mut self) {
        for moved in &mut self.moves {
            moved.is_done = true;
        }
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
