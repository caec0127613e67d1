//! The way from the form that a value has to the form that a version wants.

use std::collections::{BTreeSet, VecDeque};

use super::kinds::{Form, Kinds, StateKind, StepKind, shape};

/// Whose code a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The version that is to become current.
    Newcomer,
    /// The version that is.
    Current,
}

/// One step on the way.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) whose: Whose,
    pub(crate) step: StepKind,
}

/// A way. Nothing to do where the forms differ in nothing that a value's bytes show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) legs: Vec<Leg>,
}

impl Plan {
    /// The first step up that no step leads back from: versions from and to.
    pub(crate) fn one_way(&self, schema: &str, newcomer: &Kinds) -> Option<(u16, u16)> {
        let ups = self.legs.iter().map(|leg| &leg.step).filter(|step| step.from < step.to);
        ups.map(|step| (step.from, step.to)).find(|(from, to)| {
            !newcomer.steps_of(schema).any(|back| back.from == *to && back.to == *from)
        })
    }

    /// The versions that it passes: `1 -> 2 -> 3`.
    pub(crate) fn versions(&self, from: u16) -> String {
        self.legs.iter().fold(from.to_string(), |text, leg| format!("{text} -> {}", leg.step.to))
    }
}

/// The shortest way, by the steps of both versions; those of the newcomer come first. `None` when there is none.
pub(crate) fn plan(
    from: &Form,
    wanted: &StateKind,
    newcomer: &Kinds,
    current: Option<&Kinds>,
) -> Option<Plan> {
    let goal = (wanted.form.version, shape(&wanted.form.text));
    let start = (from.version, shape(&from.text));
    if start == goal {
        // The same bytes in another layout: another compiler's, say.
        return Some(Plan::default());
    }
    let steps: Vec<Leg> = newcomer
        .steps_of(&wanted.schema)
        .map(|step| (Whose::Newcomer, step))
        .chain(
            current
                .into_iter()
                .flat_map(|kinds| kinds.steps_of(&wanted.schema))
                .map(|step| (Whose::Current, step)),
        )
        .map(|(whose, step)| Leg { whose, step: step.clone() })
        .collect();
    let mut seen = BTreeSet::from([start.clone()]);
    let mut waiting = VecDeque::from([(start, Vec::<usize>::new())]);
    while let Some(((version, form), way)) = waiting.pop_front() {
        for (index, leg) in steps.iter().enumerate() {
            let fits = leg.step.from == version
                && leg.step.old.as_ref().is_none_or(|old| shape(old) == form);
            if !fits {
                continue;
            }
            let next = (leg.step.to, shape(&leg.step.new));
            let mut way = way.clone();
            way.push(index);
            if next == goal {
                let legs = way.into_iter().map(|index| steps[index].clone()).collect();
                return Some(Plan { legs });
            }
            if seen.insert(next.clone()) {
                waiting.push_back((next, way));
            }
        }
    }
    None
}
