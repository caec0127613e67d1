//! What a version says of its state: its types, and the steps between them.

use std::alloc::Layout;
use std::any::Any;
use std::sync::{Arc, Weak};

use hotswap_module::__private::{Exported, Kind, Shim, step_versions};
use hotswap_module::Signature;

use super::problem::StateProblem;
use crate::load_error::LoadErrorKind;

/// The form of a cell's value: equal forms, equal layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) version: u16,
    /// The whole layout, as text.
    pub(crate) text: String,
    pub(crate) layout: Layout,
}

/// A state type of a version.
#[derive(Debug, Clone)]
pub(crate) struct StateKind {
    pub(crate) schema: String,
    pub(crate) form: Form,
    pub(crate) shim: Shim,
    /// Its result is the type.
    pub(crate) signature: &'static Signature,
}

/// One step of a migration.
#[derive(Debug, Clone)]
pub(crate) struct StepKind {
    pub(crate) schema: String,
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// What it takes; `None` for a derived step, which finds fields by name.
    pub(crate) old: Option<String>,
    /// What it gives.
    pub(crate) new: String,
    pub(crate) shim: Shim,
}

/// The state types and steps of one version.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    types: Vec<StateKind>,
    steps: Vec<StepKind>,
}

/// Code that serves the values of one form, and the version that it is part of.
#[derive(Debug, Clone)]
pub(crate) struct Glue {
    /// Which image, by its number.
    pub(crate) image: u64,
    /// Whose, by the engine's address.
    pub(crate) engine: usize,
    pub(crate) shim: Shim,
    pub(crate) version: Weak<dyn Any + Send + Sync>,
}

impl Glue {
    /// Keeps the code mapped; `None` when it is about to go.
    pub(crate) fn hold(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.version.upgrade()
    }
}

impl Kinds {
    /// Adds what a record announces, if it is about state.
    pub(crate) fn add(&mut self, record: &Exported, shim: Shim, signature: &'static Signature) {
        match record.kind {
            Kind::State => {
                let desc = signature.result;
                let layout = Layout::from_size_align(desc.size, desc.align);
                let Ok(layout) = layout else { return };
                let form =
                    Form { version: record.extra as u16, text: signature.full_text(), layout };
                let schema = record.name.clone();
                self.types.push(StateKind { schema, form, shim, signature });
            }
            Kind::Step => {
                let (from, to) = step_versions(record.extra);
                // The text of a signature without arguments, as the one of a type has it.
                let text = |desc| Signature { arguments: &[], result: desc }.full_text();
                self.steps.push(StepKind {
                    schema: record.name.clone(),
                    from,
                    to,
                    old: signature.arguments.first().map(|desc| text(desc)),
                    new: text(signature.result),
                    shim,
                });
            }
            _ => {}
        }
    }

    /// The types that cells are made of: of each schema the highest version.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &StateKind> {
        self.types.iter().filter(|kind| {
            let others = self.types.iter().filter(|other| other.schema == kind.schema);
            others.map(|other| other.form.version).max() == Some(kind.form.version)
        })
    }

    /// The type that cells of a schema are made of.
    pub(crate) fn wanted_of(&self, schema: &str) -> Option<&StateKind> {
        self.wanted().find(|kind| kind.schema == schema)
    }

    /// Whether there are any types.
    pub(crate) fn has_types(&self) -> bool {
        !self.types.is_empty()
    }

    /// The type of a schema that has this form.
    pub(crate) fn of_form(&self, schema: &str, form: &Form) -> Option<&StateKind> {
        self.types.iter().find(|kind| kind.schema == schema && kind.form == *form)
    }

    /// Refuses two types of one schema and version: a cell would be taken for a value of either.
    pub(crate) fn check(&self) -> Result<(), LoadErrorKind> {
        for (index, StateKind { schema, form, .. }) in self.types.iter().enumerate() {
            let version = form.version;
            let is_it =
                |other: &StateKind| other.schema == *schema && other.form.version == version;
            if self.types[..index].iter().any(is_it) {
                let problem = Box::new(StateProblem::Ambiguous { version });
                return Err(LoadErrorKind::State { state: schema.clone(), problem });
            }
        }
        Ok(())
    }

    /// The steps of a schema.
    pub(crate) fn steps_of(&self, schema: &str) -> impl Iterator<Item = &StepKind> {
        self.steps.iter().filter(move |step| step.schema == schema)
    }
}

/// A layout's text without sizes, alignments and offsets: what a value of it is as postcard, whatever compiler laid it out.
pub(crate) fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '#' | '@' => {
                while characters.next_if(|next| next.is_ascii_digit() || *next == '/').is_some() {}
            }
            other => shape.push(other),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_no_numbers_of_its_layout() {
        assert_eq!(
            shape("()->Point{x@0:u64#8/8,y@8:[u8#1/1;4]#4/1}#16/8"),
            "()->Point{x:u64,y:[u8;4]}"
        );
    }
}
