//! The way from the form that a value has to the form that a version wants.

use std::collections::{BTreeSet, VecDeque};

use super::kinds::{Form, Gives, Kinds, StateKind, StepKind, shape};

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
    /// Whose values the fields become that a derived way back gives; `None` for any other step.
    pub(crate) lands: Option<StateKind>,
}

/// A way. Nothing to do where the forms differ in nothing that a value's bytes show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) legs: Vec<Leg>,
}

impl Plan {
    /// The first step up that no step leads back from, of a value of this form: versions from and to.
    pub(crate) fn one_way(
        &self,
        start: &Form,
        schema: &str,
        newcomer: &Kinds,
    ) -> Option<(u16, u16)> {
        let mut before = shape(&start.text);
        for StepKind { from, to, gives, .. } in self.legs.iter().map(|leg| &leg.step) {
            let leads_back = |back: &StepKind| {
                let is_value = matches!(back.gives, Gives::Value(_));
                back.from == *to && back.to == *from && (is_value || back.leads_to(&before))
            };
            if from < to && !newcomer.steps_of(schema).any(leads_back) {
                return Some((*from, *to));
            }
            if let Gives::Value(layout) = gives {
                before = shape(layout);
            }
        }
        None
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
    let both = || [(Whose::Newcomer, Some(newcomer)), (Whose::Current, current)];
    let both = || both().into_iter().filter_map(|(whose, kinds)| Some((whose, kinds?)));
    let steps: Vec<(Whose, &StepKind)> = both()
        .flat_map(|(whose, kinds)| kinds.steps_of(&wanted.schema).map(move |step| (whose, step)))
        .collect();
    let types = |version| {
        let all = both().flat_map(|(_, kinds)| kinds.types_of(&wanted.schema));
        [wanted].into_iter().chain(all).filter(move |kind| kind.form.version == version)
    };
    let mut seen = BTreeSet::from([start.clone()]);
    let mut waiting = VecDeque::from([(start, Vec::<Leg>::new())]);
    while let Some(((version, form), way)) = waiting.pop_front() {
        for (whose, step) in &steps {
            if step.from != version || !step.fits(&form) {
                continue;
            }
            let landings: Vec<(String, Option<&StateKind>)> = match &step.gives {
                Gives::Value(layout) => vec![(shape(layout), None)],
                Gives::Fields(_) => types(step.to)
                    .map(|kind| (shape(&kind.form.text), Some(kind)))
                    .filter(|(form, _)| step.leads_to(form))
                    .collect(),
            };
            for (form, lands) in landings {
                let next = (step.to, form);
                let mut legs = way.clone();
                legs.push(Leg { whose: *whose, step: (*step).clone(), lands: lands.cloned() });
                if next == goal {
                    return Some(Plan { legs });
                }
                if seen.insert(next.clone()) {
                    waiting.push_back((next, legs));
                }
            }
        }
    }
    None
}
