//! What a schedule is made of.

use super::NUMBERS;
use super::model::Model;
use super::random::Random;
use super::text::{Library, Text};

/// One thing that happens to the source or the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// The source is edited, and nobody looks yet.
    Write(Edit),
    /// The monitor looks at the source, which may have been edited right before, and may be edited meanwhile.
    Look(Ask, Option<Edit>, Option<Interruption>),
    Pause,
    Resume,
    /// Opens a handle to `version`.
    OpenHandle,
    DropHandle,
    /// Takes a guard.
    Pin,
    /// Drops the guard at this place in the list of those that there are.
    Unpin(usize),
    Offer(Library),
    /// Goes back to a version that ran, by default to the one before.
    RollBack(Option<u64>),
    /// A call of the module calls back the host, which edits the source and asks.
    Nested(Ask, Edit),
    /// A call of the module asks for a reload.
    FromModule(Edit),
    /// The engine is dropped and opened again on the same directories and the same log.
    Reopen,
}

/// Who has the monitor look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The end of a period.
    Tick,
    Sync,
    Reload,
}

/// A change of the source; `None` removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) text: Option<Text>,
    /// Whether another file takes its place, as editors do it; else the file is written in place.
    pub(super) is_renamed: bool,
}

/// An edit while the monitor is at work. It does not happen when the monitor never gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interruption {
    pub(super) when: When,
    pub(super) edit: Edit,
}

/// Where the monitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// It waits for the source to stand still.
    Settling,
    /// A build has begun, and has read nothing.
    Begun,
    /// A build has read the source.
    Read,
    /// A build has begun, and goes on until it is told to stop.
    Superseding,
}

/// An action and, if it is to fail at a step, which: a number from which one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) fault: Option<u64>,
}

impl Step {
    /// The next step, somewhat likely to lead somewhere.
    pub(super) fn random(random: &mut Random, model: &Model, may_fail: bool) -> Self {
        let action = Action::random(random, model);
        let can_fail = match &action {
            Action::Look(_, _, None)
            | Action::Offer(_)
            | Action::RollBack(_)
            | Action::Resume
            | Action::Unpin(_)
            | Action::Reopen => true,
            Action::Look(_, _, Some(_))
            | Action::Write(_)
            | Action::Pause
            | Action::OpenHandle
            | Action::DropHandle
            | Action::Pin
            | Action::Nested(..)
            | Action::FromModule(_) => false,
        };
        let fault = (may_fail && can_fail && random.once_in(2)).then(|| random.below(1 << 32));
        Self { action, fault }
    }
}

impl Action {
    fn random(random: &mut Random, model: &Model) -> Self {
        loop {
            let action = match random.below(39) {
                0..=2 => Self::Write(Edit::random(random, model)),
                3..=14 => {
                    let edit = (!random.once_in(4)).then(|| Edit::random(random, model));
                    Self::Look(Ask::random(random), edit, None)
                }
                15..=17 => {
                    let edit = Edit::fresh(random);
                    let mut interruption = Interruption {
                        when: When::random(random),
                        edit: Edit::random(random, model),
                    };
                    if random.once_in(4) {
                        interruption.edit.text = None;
                    }
                    Self::Look(Ask::random(random), Some(edit), Some(interruption))
                }
                18 | 19 => Self::Pause,
                20..=23 => Self::Resume,
                24 => Self::OpenHandle,
                25 => Self::DropHandle,
                26 | 27 => Self::Pin,
                28 | 29 => Self::Unpin(random.below(4) as usize),
                30 | 31 => Self::Offer(library(random)),
                32 => {
                    let ask = if random.once_in(2) { Ask::Sync } else { Ask::Reload };
                    Self::Nested(ask, Edit::random(random, model))
                }
                33 => Self::FromModule(Edit::random(random, model)),
                34..=36 => {
                    let to = 1 + random.below(model.last);
                    Self::RollBack((!random.once_in(2)).then_some(to))
                }
                _ => Self::Reopen,
            };
            if model.allows(&action) {
                return action;
            }
        }
    }
}

impl Ask {
    fn random(random: &mut Random) -> Self {
        match random.below(5) {
            0 | 1 => Self::Tick,
            2 | 3 => Self::Sync,
            _ => Self::Reload,
        }
    }
}

impl When {
    fn random(random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::Settling,
            1 => Self::Begun,
            2 => Self::Read,
            _ => Self::Superseding,
        }
    }
}

impl Edit {
    fn random(random: &mut Random, model: &Model) -> Self {
        let text = match random.below(10) {
            // What was removed comes back.
            0..=4 if model.source.is_none() => model.removed,
            // Written again as it is, or removed once more.
            0 => model.source,
            // What was there when it was good last: an edit is taken back.
            1 => model.handed,
            // What runs.
            2 => Some(Text { library: model.current, comment: random.below(3) }),
            3 => None,
            4 => Some(Text { library: None, comment: random.below(3) }),
            _ => Some(Text { library: Some(library(random)), comment: random.below(3) }),
        };
        Self { text, is_renamed: random.once_in(3) }
    }

    /// An edit that is seldom known from before.
    fn fresh(random: &mut Random) -> Self {
        let library = (!random.once_in(5)).then(|| library(random));
        let text = Text { library, comment: 3 + random.below(20) };
        Self { text: Some(text), is_renamed: random.once_in(3) }
    }
}

fn library(random: &mut Random) -> Library {
    match random.below(10) {
        0 => Library::Damaged,
        1 => Library::Lacking,
        _ => Library::Numbered(1 + random.below(NUMBERS)),
    }
}
