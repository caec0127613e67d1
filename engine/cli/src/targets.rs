//! Which functions are called, and what was said about those that fail.

use std::collections::BTreeMap;

use hotswap_engine::{CallError, CallErrorKind, Engine, Function, VersionId};

use crate::caller::{Round, Target};

/// A function that the user named, with a handle once it is known to be `fn()`.
type NamedFunction = (String, Option<Function<fn()>>);

/// What is called in every round.
pub(crate) enum Targets {
    /// The functions that the user named: a version that changes one with a handle is refused.
    Named(Vec<NamedFunction>),
    /// Whatever the current version exports as `fn()`.
    Exported,
}

impl Targets {
    /// The functions of these names, or all if there are none.
    pub(crate) fn new(names: &[String]) -> Self {
        if names.is_empty() {
            Self::Exported
        } else {
            Self::Named(names.iter().map(|name| (name.clone(), None)).collect())
        }
    }

    /// The calls of the next round.
    pub(crate) fn round(&mut self, engine: &Engine) -> Round {
        let targets: Vec<_> = match self {
            Self::Named(functions) => {
                functions.iter_mut().map(|(name, handle)| named(engine, name, handle)).collect()
            }
            Self::Exported => exported(engine).map(Target::Named).collect(),
        };
        let needs_guard = targets.iter().any(|target| matches!(target, Target::Named(_)));
        Round { guard: needs_guard.then(|| engine.pin()), targets }
    }
}

/// A function that is missing, or gives a result, is called by name; the call tells
/// what is wrong, and a later version may put it right.
fn named(engine: &Engine, name: &str, handle: &mut Option<Function<fn()>>) -> Target {
    if handle.is_none() {
        *handle = engine.function(name).ok();
    }
    match handle {
        Some(function) => Target::Checked(function.clone()),
        None => Target::Named(name.to_owned()),
    }
}

/// The exports without arguments and result.
fn exported(engine: &Engine) -> impl Iterator<Item = String> {
    engine.exports().into_iter().filter(|export| export.signature == "()").map(|export| export.name)
}

/// Remembers what was said, so that a function that fails every second is one line per version.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: BTreeMap<String, CallError>,
    nothing_to_call: Option<VersionId>,
}

impl Complaints {
    /// The error as a line, unless it is what was said last about this function.
    pub(crate) fn about(&mut self, error: &CallError) -> Option<String> {
        let is_known = self
            .last
            .insert(error.function.clone(), error.clone())
            .is_some_and(|last| last == *error);
        (!is_known).then(|| error.to_string())
    }

    /// A line when a version has nothing to call, once per version.
    pub(crate) fn about_nothing(&mut self, version: VersionId) -> Option<String> {
        (self.nothing_to_call.replace(version) != Some(version)).then(|| {
            format!("{version} exports no fn() that could be called; name a function with --call, or add one")
        })
    }
}

/// Whether a call failed since nobody reads what it prints.
pub(crate) fn is_broken_pipe(error: &CallError) -> bool {
    matches!(&error.kind, CallErrorKind::Panicked { message, .. }
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panicked(version: u64, message: &str) -> CallError {
        let kind = CallErrorKind::Panicked { message: message.to_owned(), location: None };
        CallError::new("f1", Some(version), kind)
    }

    #[test]
    fn an_error_is_said_once_per_version() {
        let mut complaints = Complaints::default();
        let said = complaints.about(&panicked(7, "oh")).unwrap();
        assert_eq!(said, "f1: panicked in v7: oh");
        assert!(complaints.about(&panicked(7, "oh")).is_none());
        assert!(complaints.about(&panicked(7, "no")).is_some());
        assert!(complaints.about(&panicked(8, "no")).is_some());
    }

    #[test]
    fn the_panic_of_a_closed_pipe_is_known() {
        let message = "failed printing to stdout: Broken pipe (os error 32)";
        assert!(is_broken_pipe(&panicked(1, message)));
        assert!(!is_broken_pipe(&panicked(1, "Broken pipe")));
    }
}
