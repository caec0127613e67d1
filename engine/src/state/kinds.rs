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
    pub(crate) takes: Takes,
    pub(crate) gives: Gives,
    pub(crate) shim: Shim,
}

/// What a step takes.
#[derive(Debug, Clone)]
pub(crate) enum Takes {
    /// A value of this layout, as bytes.
    Bytes(String),
    /// Any value of the version, as JSON: fields are found by name.
    AnyJson,
    /// A value of this layout, as JSON.
    Json(String),
}

/// What a step gives.
#[derive(Debug, Clone)]
pub(crate) enum Gives {
    /// A value of this layout.
    Value(String),
    /// These fields, as JSON: by name and shape.
    Fields(Vec<(String, String)>),
}

impl StepKind {
    /// Whether it reads values as JSON.
    pub(crate) fn reads_json(&self) -> bool {
        !matches!(self.takes, Takes::Bytes(_))
    }

    /// Whether it takes values of this shape.
    pub(crate) fn fits(&self, form: &str) -> bool {
        match &self.takes {
            Takes::Bytes(layout) | Takes::Json(layout) => shape(layout) == form,
            Takes::AnyJson => true,
        }
    }

    /// Whether what it gives is a value of this shape.
    pub(crate) fn leads_to(&self, form: &str) -> bool {
        match &self.gives {
            Gives::Value(layout) => shape(layout) == form,
            // All fields are there; those that it has beside them are dropped.
            Gives::Fields(given) => fields_of(form).is_some_and(|wanted| {
                wanted.iter().all(|(name, kind)| given.iter().any(|(n, k)| n == name && k == kind))
            }),
        }
    }

    /// The fields that it gives and a value of this shape has no place for.
    pub(crate) fn dropped(&self, form: &str) -> Vec<String> {
        let Gives::Fields(given) = &self.gives else { return Vec::new() };
        let wanted = fields_of(form).unwrap_or_default();
        let is_gone = |name: &&String| !wanted.iter().any(|(kept, _)| kept == *name);
        given.iter().map(|(name, _)| name).filter(is_gone).cloned().collect()
    }
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
            Kind::Step | Kind::StepBack => {
                let (from, to) = step_versions(record.extra);
                // The text of a signature without arguments, as the one of a type has it.
                let text = |desc| Signature { arguments: &[], result: desc }.full_text();
                let (old, new) = (signature.arguments.first(), text(signature.result));
                let is_back = record.kind == Kind::StepBack;
                let takes = match old.map(|desc| text(desc)) {
                    Some(old) if is_back => Takes::Json(old),
                    Some(old) => Takes::Bytes(old),
                    None => Takes::AnyJson,
                };
                let gives = match is_back {
                    true => Gives::Fields(fields_of(&shape(&new)).unwrap_or_default()),
                    false => Gives::Value(new),
                };
                let schema = record.name.clone();
                self.steps.push(StepKind { schema, from, to, takes, gives, shim });
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

    /// The types of a schema.
    pub(crate) fn types_of(&self, schema: &str) -> impl Iterator<Item = &StateKind> {
        self.types.iter().filter(move |kind| kind.schema == schema)
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

/// The fields of a struct, by name and shape: `None` where the shape is no struct's with names.
fn fields_of(shape: &str) -> Option<Vec<(String, String)>> {
    let (_, inside) = shape.split_once('{')?;
    let inside = inside.strip_suffix('}')?;
    let mut depth = 0_usize;
    let is_between = |character: char| {
        match character {
            '{' | '[' | '(' | '<' => depth += 1,
            '}' | ']' | ')' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    };
    let fields = inside.split(is_between).filter(|field| !field.is_empty());
    fields
        .map(|field| {
            let (name, kind) = field.split_once(':')?;
            let is_name = !name.contains(['{', '(', '[', '<', '=']);
            is_name.then(|| (name.to_owned(), kind.to_owned()))
        })
        .collect()
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

    #[test]
    fn a_shape_tells_the_fields_of_a_struct() {
        let fields = |shape| fields_of(shape).map(|fields| fields.len());
        let found =
            fields_of("()->World{at:Point{x:f32,y:f32},all:Vec<(u8,[u8;4])>}").expect("a struct");
        assert_eq!(found[0], ("at".to_owned(), "Point{x:f32,y:f32}".to_owned()));
        assert_eq!(found[1], ("all".to_owned(), "Vec<(u8,[u8;4])>".to_owned()));
        assert_eq!(fields("()->Nothing{}"), Some(0));
        assert_eq!(fields("()->u64"), None);
        assert_eq!(fields("()->Way{There{x:u8},Back{x:u8}}"), None);
    }
}
