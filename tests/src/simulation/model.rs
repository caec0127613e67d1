//! What an engine promises: what is current, what is asked, what is answered.

use std::collections::{BTreeMap, BTreeSet};

use hotswap_engine::VersionState;

use super::action::{Action, Ask, Edit, Interruption, When};
use super::text::{Library, Text};

/// What became of what lies in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Swapped,
    Unchanged,
    Paused,
    NotBuilt,
    NotLoaded,
    RolledBack,
    /// By an engine before.
    Quarantined,
    NothingEarlier,
    Unreadable,
    /// What no model gives.
    Other(String),
}

/// What an action answers to who took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Verdict(Verdict),
    /// Whether a handle could be opened.
    Opened(bool),
    /// What a call answered in which somebody asked, and what was said to that.
    Nested(u64, Verdict),
    /// The version that a module was told to be current, if any.
    Told(Option<u64>),
}

/// What anybody can see at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) version: u64,
    pub(super) by_name: Option<u64>,
    pub(super) by_handle: Option<Option<u64>>,
    pub(super) guards: Vec<Option<u64>>,
    /// All versions that are not gone.
    pub(super) states: BTreeMap<u64, VersionState>,
    /// How many images of any engine are mapped.
    pub(super) mapped: Option<usize>,
    pub(super) is_paused: bool,
    pub(super) swaps: u64,
    pub(super) refusals: u64,
    pub(super) builds: Option<u64>,
}

/// A version that somebody guards, of this engine or one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Guarded {
    engine: u64,
    pub(super) version: u64,
    answer: Option<u64>,
}

/// The promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    /// What lies in the source.
    pub(super) source: Option<Text>,
    /// What lay there when it was removed last.
    pub(super) removed: Option<Text>,
    /// What was looked at and decided on last.
    pub(super) decided: Option<Text>,
    /// What the engine was given last.
    pub(super) handed: Option<Text>,
    /// `None` before the first version.
    pub(super) current: Option<Library>,
    pub(super) version: u64,
    /// The highest number that was given.
    pub(super) last: u64,
    /// What ran, and from which texts it came, beginning with the first.
    pub(super) ran: BTreeMap<u64, (Library, Vec<Text>)>,
    /// What replaced each other, without what was rolled back; the last is current.
    pub(super) path: Vec<u64>,
    /// What is kept mapped though it was replaced.
    pub(super) warm: Option<u64>,
    pub(super) is_paused: bool,
    /// What was given while swaps were paused, or turned away for a reason that may pass.
    pub(super) held: Option<Text>,
    /// What was turned away for good, or rolled back.
    pub(super) refused: BTreeMap<Text, Verdict>,
    /// What served, in any engine, and the text it came from; the latest first.
    pub(super) served: Vec<(Library, Text)>,
    /// What was rolled back, in any engine.
    pub(super) quarantined: BTreeSet<Text>,
    pub(super) has_handle: bool,
    pub(super) guards: Vec<Guarded>,
    /// Versions that the loader kept.
    pub(super) pinned: BTreeSet<u64>,
    /// What was built, or found not to build, by any engine.
    pub(super) known: BTreeSet<Text>,
    pub(super) engine: u64,
    pub(super) swaps: u64,
    pub(super) refusals: u64,
    pub(super) builds: u64,
    /// Whether no step has failed by which a build may not have been noted.
    pub(super) knows_builds: bool,
    /// Whether no step has failed by which an image may have been kept.
    pub(super) knows_images: bool,
    /// Whether no step has failed by which something may not have been noted for the next engine.
    pub(super) knows_records: bool,
}

impl Model {
    /// Before any engine was opened.
    pub(super) fn new() -> Self {
        Self {
            source: None,
            removed: None,
            decided: None,
            handed: None,
            current: None,
            version: 0,
            last: 0,
            ran: BTreeMap::new(),
            path: Vec::new(),
            warm: None,
            is_paused: false,
            held: None,
            refused: BTreeMap::new(),
            served: Vec::new(),
            quarantined: BTreeSet::new(),
            has_handle: false,
            guards: Vec::new(),
            pinned: BTreeSet::new(),
            known: BTreeSet::new(),
            engine: 0,
            swaps: 0,
            refusals: 0,
            builds: 0,
            knows_builds: true,
            knows_images: true,
            knows_records: true,
        }
    }

    /// Whether an action means anything now.
    pub(super) fn allows(&self, action: &Action) -> bool {
        match action {
            Action::Pause => !self.is_paused,
            Action::Resume => self.is_paused || self.held.is_some(),
            Action::OpenHandle => !self.has_handle,
            Action::DropHandle => self.has_handle,
            Action::Pin => self.guards.len() < 4,
            Action::Unpin(place) => *place < self.guards.len(),
            Action::Nested(..) | Action::FromModule(_) => self.answer().is_some(),
            // What was loaded again under its number and kept by the loader is not told apart from what was not.
            Action::RollBack(to) => {
                let leaves_process = to.is_none() && self.path.len() < 2;
                self.pinned.is_empty() && (self.knows_records || !leaves_process)
            }
            Action::Write(_) | Action::Look(..) | Action::Offer(_) | Action::Reopen => true,
        }
    }

    /// Does what an engine would do.
    pub(super) fn perform(&mut self, action: &Action) -> Said {
        match action {
            Action::Write(edit) => self.edit(*edit),
            Action::Look(ask, edit, interruption) => {
                if let Some(edit) = edit {
                    self.edit(*edit);
                }
                let verdict = self.look(*ask, *interruption);
                if *ask != Ask::Tick {
                    return Said::Verdict(verdict);
                }
            }
            Action::Pause => self.is_paused = true,
            Action::Resume => {
                self.is_paused = false;
                if let Some(text) = self.held.take() {
                    self.swap(text);
                }
            }
            Action::OpenHandle => {
                self.has_handle = self.answer().is_some();
                return Said::Opened(self.has_handle);
            }
            Action::DropHandle => self.has_handle = false,
            Action::Pin => {
                let (engine, version, answer) = (self.engine, self.version, self.answer());
                self.guards.push(Guarded { engine, version, answer });
            }
            Action::Unpin(place) => drop(self.guards.remove(*place)),
            Action::Offer(library) => return Said::Verdict(self.offer(*library)),
            Action::RollBack(version) => return Said::Verdict(self.roll_back(*version)),
            Action::Nested(ask, edit) => {
                let before = self.answer().unwrap_or_default();
                self.edit(*edit);
                return Said::Nested(before, self.look(*ask, None));
            }
            Action::FromModule(edit) => {
                self.edit(*edit);
                let verdict = self.look(Ask::Reload, None);
                let is_good = matches!(verdict, Verdict::Swapped | Verdict::Unchanged);
                return Said::Told(is_good.then_some(self.version));
            }
            Action::Reopen => return Said::Verdict(self.open()),
        }
        Said::Nothing
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        if edit.text.is_none() {
            self.removed = self.source.or(self.removed);
        }
        self.source = edit.text;
    }

    /// A new engine on what earlier ones left; not open when the verdict is not `Swapped`.
    fn open(&mut self) -> Verdict {
        self.begin();
        let verdict = match self.look(Ask::Sync, None) {
            Verdict::Unreadable => self.fall_back(0).unwrap_or(Verdict::Unreadable),
            verdict => verdict,
        };
        self.swaps = 0;
        verdict
    }

    /// As if the source could not be read, or not compiled, when a new engine was opened.
    pub(super) fn fallen_back(&self, place: usize) -> Self {
        let mut model = self.clone();
        model.begin();
        model.fall_back(place);
        model.swaps = 0;
        model
    }

    /// The same, where that is because what lies in the source is in quarantine.
    pub(super) fn kept_out(&self, place: usize) -> Option<Self> {
        let text = self.source.filter(|text| self.quarantined.contains(text))?;
        let mut model = self.fallen_back(place);
        (model.decided, model.handed) = (Some(text), Some(text));
        model.refused.insert(text, Verdict::Quarantined);
        Some(model)
    }

    fn begin(&mut self) {
        self.engine += 1;
        (self.version, self.last, self.warm) = (0, 0, None);
        self.ran.clear();
        self.path.clear();
        (self.decided, self.handed, self.held) = (None, None, None);
        self.refused.clear();
        self.pinned.clear();
        (self.swaps, self.refusals) = (0, 0);
        self.is_paused = false;
        self.has_handle = false;
        self.current = None;
    }

    /// Starts with what served: the latest, or one before.
    fn fall_back(&mut self, place: usize) -> Option<Verdict> {
        let (library, text) = *self.good().get(place)?;
        Some(self.publish(library, text))
    }

    /// What served, is not what runs, and came from nothing that was turned away; the latest first.
    fn good(&self) -> Vec<(Library, Text)> {
        let is_bad = |text| self.quarantined.contains(text) || self.refused.contains_key(text);
        let served = self
            .served
            .iter()
            .filter(|(library, text)| Some(*library) != self.current && !is_bad(text));
        served.copied().collect()
    }

    /// The monitor looks at what lies in the source. Without anybody who asks it has nothing to say about what it knows.
    pub(super) fn look(&mut self, ask: Ask, interruption: Option<Interruption>) -> Verdict {
        let Some(text) = self.source else { return Verdict::Unreadable };
        let is_news = self.decided != Some(text);
        if !is_news && ask == Ask::Tick {
            return Verdict::Unchanged;
        }
        if let Some(interruption) = interruption
            && self.is_reached(interruption.when, text)
        {
            self.builds += u64::from(interruption.when != When::Settling);
            // Whatever was about to be decided no longer counts.
            self.edit(interruption.edit);
            self.decided = None;
            return self.look(ask, None);
        }
        self.decided = Some(text);
        // What was given to the engine before is neither looked up nor built again.
        if self.handed != Some(text) && self.known.insert(text) {
            self.builds += 1;
        }
        let Some(library) = text.library else {
            self.refusals += u64::from(is_news);
            return Verdict::NotBuilt;
        };
        let is_paused = self.is_paused && ask != Ask::Reload;
        if self.handed.replace(text) != Some(text) {
            self.held = None;
            return if self.current == Some(library) {
                self.is_same(text)
            } else if let Some(verdict) = self.refused.get(&text) {
                verdict.clone()
            } else if self.quarantined.contains(&text) {
                self.keep_out(text)
            } else if is_paused {
                self.held = Some(text);
                Verdict::Paused
            } else {
                self.swap(text)
            };
        }
        match self.held {
            Some(_) if is_paused => Verdict::Paused,
            Some(text) => {
                self.held = None;
                self.swap(text)
            }
            None => self.refused.get(&text).cloned().unwrap_or(Verdict::Unchanged),
        }
    }

    /// What an engine before rolled back does not run, unless nothing else can.
    fn keep_out(&mut self, text: Text) -> Verdict {
        self.refused.insert(text, Verdict::Quarantined);
        if self.current.is_some() {
            return Verdict::Quarantined;
        }
        self.fall_back(0).unwrap_or_else(|| {
            self.refused.remove(&text);
            self.swap(text)
        })
    }

    fn is_reached(&self, when: When, text: Text) -> bool {
        let is_news = self.decided != Some(text);
        let is_built = self.handed != Some(text) && !self.known.contains(&text);
        is_news && (when == When::Settling || is_built)
    }

    /// What came from the source becomes current, unless it is current already or cannot be.
    fn swap(&mut self, text: Text) -> Verdict {
        match text.library {
            Some(Library::Damaged) | None => {
                self.refused.insert(text, Verdict::NotLoaded);
                self.refusals += 1;
                Verdict::NotLoaded
            }
            Some(Library::Lacking) if self.has_handle => {
                self.held = Some(text);
                self.refusals += 1;
                Verdict::NotLoaded
            }
            Some(library) if self.current == Some(library) => self.is_same(text),
            Some(library) => self.publish(library, text),
        }
    }

    /// What is offered by name becomes current even if it is.
    fn offer(&mut self, library: Library) -> Verdict {
        if library == Library::Damaged || (library == Library::Lacking && self.has_handle) {
            self.refusals += 1;
            return Verdict::NotLoaded;
        }
        self.publish(library, Text::of_offered(library))
    }

    /// Another text of what runs.
    fn is_same(&mut self, text: Text) -> Verdict {
        if let Some((_, texts)) = self.ran.get_mut(&self.version)
            && !texts.contains(&text)
        {
            texts.push(text);
        }
        Verdict::Unchanged
    }

    fn publish(&mut self, library: Library, text: Text) -> Verdict {
        self.warm = (self.version > 0).then_some(self.version);
        self.last += 1;
        self.ran.insert(self.last, (library, vec![text]));
        self.path.push(self.last);
        self.becomes_current(self.last, library)
    }

    fn becomes_current(&mut self, version: u64, library: Library) -> Verdict {
        (self.version, self.current) = (version, Some(library));
        let text = self.ran[&version].1[0];
        self.served.retain(|(served, _)| *served != library);
        self.served.insert(0, (library, text));
        self.served.truncate(8);
        self.swaps += 1;
        Verdict::Swapped
    }

    /// What is left is not tried again; what is gone back to may be.
    fn roll_back(&mut self, to: Option<u64>) -> Verdict {
        let Some(to) = to.or_else(|| self.path.iter().rev().nth(1).copied()) else {
            return self.leave_process();
        };
        if to == self.version {
            return Verdict::Unchanged;
        }
        let (library, texts) = self.ran[&to].clone();
        if library == Library::Lacking && self.has_handle {
            self.refusals += 1;
            return Verdict::NotLoaded;
        }
        let left = self.version;
        for text in &texts {
            self.refused.remove(text);
            self.quarantined.remove(text);
        }
        match self.path.iter().position(|version| *version == to) {
            Some(place) => {
                self.path.truncate(place + 1);
                self.warm = None;
            }
            // One that was left: it comes after what is current, which is kept.
            None => {
                self.path.push(to);
                self.warm = Some(self.version);
            }
        }
        let verdict = self.becomes_current(to, library);
        self.quarantine(left);
        verdict
    }

    /// Goes back to what served before anything that ran here.
    fn leave_process(&mut self) -> Verdict {
        let Some((library, text)) = self.good().first().copied() else {
            self.refusals += 1;
            return Verdict::NothingEarlier;
        };
        if library == Library::Lacking && self.has_handle {
            self.refusals += 1;
            return Verdict::NotLoaded;
        }
        let left = self.version;
        self.path.clear();
        let verdict = self.publish(library, text);
        self.warm = None;
        self.quarantine(left);
        verdict
    }

    fn quarantine(&mut self, left: u64) {
        for text in self.ran[&left].1.clone() {
            self.held.take_if(|held| *held == text);
            self.refused.insert(text, Verdict::RolledBack);
            self.quarantined.insert(text);
            self.served.retain(|(_, served)| *served != text);
        }
    }

    /// What a call of `version` gives now.
    fn answer(&self) -> Option<u64> {
        self.current.and_then(Library::answer)
    }

    /// What anybody sees.
    pub(super) fn view(&self) -> View {
        let mut states = BTreeMap::from([(self.version, VersionState::Current)]);
        states.extend(self.warm.map(|version| (version, VersionState::Warm)));
        for guard in self.guards.iter().filter(|guard| guard.engine == self.engine) {
            states.entry(guard.version).or_insert(VersionState::Draining);
        }
        states.extend(self.pinned.iter().map(|version| (*version, VersionState::Pinned)));
        let current = (self.engine, self.version);
        let guarded = self.guards.iter().map(|guard| (guard.engine, guard.version));
        let warm = self.warm.map(|version| (self.engine, version));
        let mapped: BTreeSet<_> = guarded.chain([current]).chain(warm).collect();
        View {
            version: self.version,
            by_name: self.answer(),
            by_handle: self.has_handle.then(|| self.answer()),
            guards: self.guards.iter().map(|guard| guard.answer).collect(),
            states,
            mapped: self.knows_images.then_some(mapped.len()),
            is_paused: self.is_paused,
            swaps: self.swaps,
            refusals: self.refusals,
            builds: self.knows_builds.then_some(self.builds),
        }
    }
}
