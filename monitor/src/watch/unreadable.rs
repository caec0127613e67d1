//! A source that cannot be looked at, told once, and that it can be again.

use std::sync::Arc;

use hotswap_artifact::{Cause, FetchErrorKind, Outcome, ScanError};

use super::{Interrupted, Round, Watch};
use crate::Step;

impl Watch {
    pub(super) fn unreadable(
        &mut self,
        round: &Round,
        error: ScanError,
    ) -> Result<(), Interrupted> {
        let error = Arc::new(error);
        let (step, text) = why_unreadable(&error);
        let reason = (error.path.clone(), text);
        if self.memory.unreadable.as_ref() != Some(&reason) {
            let change = self.change(round.trigger, Cause::default());
            self.tell(&change, step);
            self.memory.unreadable = Some(reason);
        }
        if self.is_asked(round) || self.group.is_some() {
            self.notify(round, None, Outcome::Unreadable(error))?;
        }
        Ok(())
    }

    pub(super) fn readable(&mut self, round: &Round) {
        if self.memory.unreadable.take().is_some() {
            let (number, trigger) = (self.memory.change, round.trigger);
            self.observer.tell(number, trigger, Step::Readable {});
        }
    }
}

/// How it is told that a source cannot be looked at, and by what one such time is known from another: that what lies there is old
/// is said once, however old it gets.
fn why_unreadable(error: &Arc<ScanError>) -> (Step, String) {
    let text = error.error.to_string();
    match error.fetch_error() {
        Some(said) if said.kind == FetchErrorKind::Stale => {
            (Step::Stale { error: Arc::clone(error) }, String::new())
        }
        Some(said) if said.kind == FetchErrorKind::Refused => {
            (Step::Refused { error: Arc::clone(error) }, text)
        }
        _ => (Step::Unreadable { error: Arc::clone(error) }, text),
    }
}
