//! Random schedules of edits, calls, guards and faults, against a model of what an engine promises.
//!
//! Everything under test is real: engine, monitor, swapper, store, log and libraries. The clock is stepped, builds are
//! made by a compiler that copies, and one step may fail before an action and is healed after it. A schedule follows
//! from its seed. After every action whatever can be seen is compared with the `model`.

mod action;
mod compiler;
mod log;
mod model;
mod random;
mod source;
mod text;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::mem::discriminant;
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::VersionState;
use hotswap_system::fault::{Operation, Site};

use self::action::{Action, Ask, Edit, Step};
use self::model::{Model, Said, Verdict, View};
use self::random::Random;
use self::text::{Library, Text};
use self::world::World;
use crate::deadline::until;
use crate::maps::thread_names;

/// How many libraries there are.
const NUMBERS: u64 = 6;

/// How long what nobody waits for may take in real time: the swap after a tick, the end of a version after its guard.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the schedule of this seed. From the middle on, steps fail.
///
/// The clock, the faults and the mappings are those of the whole process, which must be for nothing else.
///
/// # Panics
///
/// At the first action after which engine and model disagree; the actions up to there are on standard output.
pub fn run(seed: u64, actions: u64) {
    println!("seed {seed:#x}, {actions} actions; to run it again:");
    println!(
        "HOTSWAP_SEED={seed:#x} HOTSWAP_ACTIONS={actions} cargo test -p hotswap-tests --test simulate by_hand -- --nocapture"
    );
    let mut schedule = Schedule::begin();
    let mut random = Random::new(seed);
    for number in 0..actions {
        let step = Step::random(&mut random, schedule.model(), number >= actions / 2);
        println!("{number}: {step:?}");
        schedule.take(step);
    }
    schedule.end();
}

/// A schedule under way.
struct Schedule {
    /// What may be true; more than one after a fault that left open what became of it.
    models: Vec<Model>,
    world: World,
    /// The steps that each kind of action was seen to take.
    sites: Vec<(Action, BTreeMap<Site, u64>)>,
}

impl Schedule {
    fn begin() -> Self {
        let models = vec![Model::new()];
        let mut schedule = Self { models, world: World::new(), sites: Vec::new() };
        schedule.write_good();
        schedule.without_a_fault(&Action::Reopen);
        schedule
    }

    /// What may be true. In what decides on the next step all are alike.
    fn model(&self) -> &Model {
        self.models.first().expect("there is always one")
    }

    /// Writes what any engine opens.
    fn write_good(&mut self) {
        let text = Text { library: Some(Library::Numbered(1)), comment: 0 };
        self.without_a_fault(&Action::Write(Edit { text: Some(text), is_renamed: false }));
    }

    fn take(&mut self, Step { action, fault }: Step) {
        if action == Action::Reopen {
            self.know_records();
        }
        match fault.and_then(|choice| self.choose(&action, choice)) {
            Some((site, number)) => self.with_a_fault(&action, site, number),
            None => self.without_a_fault(&action),
        }
        if self.model().current.is_none() {
            // What lay in the source could not be opened.
            self.write_good();
            self.know_records();
            self.without_a_fault(&Action::Reopen);
        }
    }

    /// Takes away what the next engine would find, where nobody knows what that is.
    fn know_records(&mut self) {
        if !self.model().knows_records {
            self.world.forget_records();
            for model in &mut self.models {
                model.knows_records = true;
                model.served.clear();
                model.quarantined.clear();
            }
        }
    }

    fn without_a_fault(&mut self, action: &Action) {
        self.world.count();
        let said = self.world.perform(action);
        self.learn(action);
        self.agree(action, said);
    }

    /// After an action during which nothing failed: engine and model say the same, and look the same.
    fn agree(&mut self, action: &Action, said: Said) {
        let before = self.model().clone();
        self.expect(said, |model| model.perform(action));
        let model = self.model();
        if model.current.is_none() {
            return;
        }
        let (is_certain, is_done) = (self.models.len() == 1, is_answered_when_done(action));
        // What comes of some looks cannot be seen; but what is asked afterwards is answered afterwards.
        let is_hidden = matches!(action, Action::Look(Ask::Tick, _, interruption)
            if model.version == before.version
                && (model.source != before.decided || interruption.is_some()));
        if is_done || is_certain {
            self.see(is_done);
        }
        if is_hidden || !(is_done || is_certain) {
            let verdict = self.world.ask(Ask::Sync);
            self.world.rest();
            self.expect(verdict, |model| model.look(Ask::Sync, None));
            self.see(is_certain);
        }
    }

    /// Keeps the models that say what was said.
    fn expect<T: PartialEq + Debug>(&mut self, said: T, say: impl Fn(&mut Model) -> T) {
        let before = self.models.clone();
        let wanted: Vec<T> = self.models.iter_mut().map(say).collect();
        let mut is_wanted = wanted.iter().map(|wanted| *wanted == said);
        self.models.retain(|_| is_wanted.next() == Some(true));
        assert!(
            !self.models.is_empty(),
            "said: {said:?}\nwanted: {wanted:?}\nthe models were {before:?}"
        );
    }

    /// Keeps the models that look as the engine does: at once, or some time later.
    fn see(&mut self, at_once: bool) {
        let is_wanted = |view: &View| self.models.iter().any(|model| model.view() == *view);
        let view = if at_once { self.view() } else { self.eventually(is_wanted) };
        assert!(is_wanted(&view), "seen: {view:?}\nthe models are {:?}", self.models);
        self.models.retain(|model| model.view() == view);
    }

    /// An action during which one step fails: wholly done or not at all. Healed and asked, the engine is where it
    /// would have been.
    fn with_a_fault(&mut self, action: &Action, site: Site, number: u64) {
        println!("   with a fault: {site}, passing {number}");
        self.world.count();
        self.world.inject(site, number);
        let said = self.world.perform(action);
        let has_failed = self.world.heal();
        println!("   said {said:?}, {}", if has_failed { "failed" } else { "passed by" });
        if !has_failed {
            return self.agree(action, said);
        }
        let before = self.models.clone();
        let may_keep = site.file.ends_with("engine/src/image.rs");
        for model in &mut self.models {
            model.knows_builds = false;
            model.knows_records = false;
            model.knows_images &= !may_keep;
        }
        if *action == Action::Reopen {
            return self.reopened_with_a_fault(action, said);
        }
        let is_swapped = said == Said::Verdict(Verdict::Swapped);
        let mut possible: Vec<Model> = Vec::new();
        for model in &self.models {
            let mut done = model.clone();
            done.perform(action);
            let undone = if is_swapped { Vec::new() } else { undone(model, action, site) };
            // What could not be read is not in quarantine.
            let mut unread = Model { quarantined: BTreeSet::new(), ..model.clone() };
            unread.perform(action);
            let outcomes = undone.into_iter().chain([done, unread]);
            possible.extend(outcomes);
        }
        self.world.forget_quarantine();
        possible.iter_mut().for_each(|model| model.quarantined.clear());
        // Which versions the loader keeps after a fault of its own is not the model's to say, nor how often
        // something was turned away on the way there.
        let adopt = |model: &mut Model, view: &View| {
            model.refusals = view.refusals;
            let is_kept = |state: &VersionState| may_keep && *state == VersionState::Pinned;
            let kept = view.states.iter().filter(|(_, state)| is_kept(state));
            model.pinned.extend(kept.map(|(version, _)| *version));
        };
        let is_possible = |model: &Model, view: &View| {
            let mut model = model.clone();
            adopt(&mut model, view);
            model.view() == *view
        };
        let seen = self.eventually(|view| possible.iter().any(|model| is_possible(model, view)));
        let verdict = self.world.ask(Ask::Sync);
        self.world.rest();
        let view = self.view();
        self.models.clear();
        for mut model in possible {
            let is_said = model.look(Ask::Sync, None) == verdict;
            if is_said && is_possible(&model, &view) {
                adopt(&mut model, &view);
                if !self.models.contains(&model) {
                    self.models.push(model);
                }
            }
        }
        assert!(
            !self.models.is_empty(),
            "neither old nor new: {seen:?}\nhealed and asked: {verdict:?}, {view:?}\nthe models were {before:?}"
        );
    }

    /// A new engine while one step failed. It may start with what served, when what failed was taken for gone.
    fn reopened_with_a_fault(&mut self, action: &Action, said: Said) {
        if said != Said::Verdict(Verdict::Swapped) {
            if self.models.iter().any(|model| model.clone().perform(action) == said) {
                return self.agree(action, said);
            }
            // It did not open, and left nothing behind: now it does.
            self.know_records();
            return self.without_a_fault(action);
        }
        let refusals = self.world.view().refusals;
        let before = std::mem::take(&mut self.models);
        for mut model in before {
            let places = 0..model.served.len();
            self.models.extend(places.clone().filter_map(|place| model.kept_out(place)));
            self.models.extend(places.map(|place| model.fallen_back(place)));
            if model.perform(action) == said {
                self.models.push(model);
            }
        }
        self.world.forget_quarantine();
        for model in &mut self.models {
            model.quarantined.clear();
            model.refusals = refusals;
        }
        self.see(false);
        let verdict = self.world.ask(Ask::Sync);
        self.world.rest();
        self.expect(verdict, |model| model.look(Ask::Sync, None));
        self.see(false);
    }

    /// Looks until what is seen is what is wanted, or time is up; what was seen last.
    fn eventually(&self, is_wanted: impl Fn(&View) -> bool) -> View {
        let end = Instant::now() + PATIENCE;
        loop {
            let view = self.view();
            if is_wanted(&view) || Instant::now() > end {
                return view;
            }
            thread::yield_now();
        }
    }

    /// What is seen, as far as the model can tell.
    fn view(&self) -> View {
        let mut view = self.world.view();
        view.builds = view.builds.filter(|_| self.model().knows_builds);
        view.mapped = view.mapped.filter(|_| self.model().knows_images);
        view
    }

    /// Notes which steps an action takes.
    fn learn(&mut self, action: &Action) {
        let counted = self.world.counted();
        let known =
            self.sites.iter_mut().find(|(known, _)| discriminant(known) == discriminant(action));
        match known {
            Some((_, sites)) => {
                for (site, count) in counted {
                    let most = sites.entry(site).or_default();
                    *most = count.max(*most);
                }
            }
            None => self.sites.push((action.clone(), counted)),
        }
    }

    /// One of the steps that this kind of action was seen to take.
    fn choose(&self, action: &Action, choice: u64) -> Option<(Site, u64)> {
        let known =
            self.sites.iter().find(|(known, _)| discriminant(known) == discriminant(action));
        let (_, sites) = known?;
        let (site, count) = sites.iter().nth(choice as usize % sites.len().max(1))?;
        // Mostly the first time: later ones are those of other actions of this kind.
        let number = if choice.is_multiple_of(3) { (choice >> 16) % *count } else { 0 };
        Some((*site, number))
    }

    /// Drops everything: nothing is left of it but the log, which reads back.
    fn end(mut self) {
        self.world.end();
        until("no thread of an engine is left", || {
            !thread_names().iter().any(|name| name.starts_with("hotswap-"))
        });
        if self.model().knows_images {
            assert_eq!(self.world.mapped(), 0, "images that are still mapped");
        }
        log::check(&self.world.log());
    }
}

/// Whether everything is as the action leaves it when it returns.
fn is_answered_when_done(action: &Action) -> bool {
    match action {
        Action::Write(_)
        | Action::Look(Ask::Sync | Ask::Reload, ..)
        | Action::Pause
        | Action::Resume
        | Action::OpenHandle
        | Action::DropHandle
        | Action::Pin
        | Action::Offer(_)
        | Action::RollBack(_) => true,
        // The call that swapped still had its version, and so may the engine before.
        Action::Look(Ask::Tick, ..)
        | Action::Unpin(_)
        | Action::Nested(..)
        | Action::FromModule(_)
        | Action::Reopen => false,
    }
}

/// Where an engine may be after an action of which a step failed, when it is not done.
fn undone(before: &Model, action: &Action, site: Site) -> Vec<Model> {
    let mut undone = before.clone();
    let mut text = None;
    match action {
        Action::Look(_, edit, _) => {
            if let Some(edit) = edit {
                undone.edit(*edit);
            }
            text = undone.source;
        }
        Action::Resume => {
            undone.is_paused = false;
            text = undone.held;
        }
        _ => {}
    }
    let mut outcomes = vec![undone.clone()];
    // The source could not be read in the middle of something: whatever comes back is new.
    outcomes.push(Model { decided: None, ..undone.clone() });
    if let Some(text) = text.filter(|text| text.library.is_some()) {
        let given = Model { decided: Some(text), handed: Some(text), held: None, ..undone };
        // For a reason that may pass.
        outcomes.push(Model { held: Some(text), ..given.clone() });
        // What the loader says is believed.
        if matches!(site.operation, Operation::Load | Operation::Symbol) {
            let mut refused = given;
            refused.refused.insert(text, Verdict::NotLoaded);
            outcomes.push(refused);
        }
    }
    outcomes
}
