//! An idle look on a thread that has many sources to look at: it takes no time, and tells nobody.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hotswap_artifact::Source;
use hotswap_system::clock;
use hotswap_system::thread::panic_text;

use super::{EventsState, Watch};
use crate::events::Told;
use crate::scan::Extent;
use crate::supply::Supply;

impl Watch {
    /// Whether a round that nobody asked for would find nothing to do. Where that cannot be told without reading,
    /// asking cargo or fetching, the answer is no.
    pub(crate) fn is_quiet(&mut self) -> bool {
        // Unwind safety: the next round begins with what is to be done after a panic.
        catch_unwind(AssertUnwindSafe(|| self.finds_nothing())).unwrap_or_else(|payload| {
            self.broken = Some(panic_text(payload));
            false
        })
    }

    /// Whether a look may take long, because it asks over a network.
    pub(crate) fn is_slow(&self) -> bool {
        self.supply.as_ref().is_some_and(Supply::is_slow)
    }

    /// Has the next look ask for everything, whatever events say: one may be on its way.
    pub(crate) fn doubt(&mut self) {
        self.memory.swept = None;
    }

    /// Whether there is something to compare a look with.
    pub(crate) fn has_looked(&self) -> bool {
        self.memory.decided.is_some() || self.parked.is_some() || self.memory.again.is_some()
    }

    /// What was found to differ since the last change was concluded, by paths that are the same for all sources.
    pub(crate) fn differing(&self) -> &BTreeSet<PathBuf> {
        &self.memory.differing
    }

    fn finds_nothing(&mut self) -> bool {
        let expected = match &self.parked {
            Some(parked) => parked.settled,
            None => self.memory.decided,
        };
        let Some(decided) = expected else { return false };
        if self.memory.again.is_some()
            || self.memory.unreadable.is_some()
            || self.is_retry_due(decided)
        {
            return false;
        }
        let nothing = Told::default();
        let mut extent = Extent::Told(&nothing);
        match &self.events {
            EventsState::Wanted => return false,
            EventsState::On(events) if events.has_told() => return false,
            EventsState::On(_) if !self.is_sweep_due() => {}
            EventsState::On(_) | EventsState::Off => extent = Extent::Everything,
        }
        if let Some(supply) = &mut self.supply {
            match supply.choose(false) {
                Ok(None) if self.memory.refused.is_some() => return true,
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return false,
            }
        }
        let is_everything = matches!(extent, Extent::Everything);
        let is_same = self.scanner.unchanged(extent) == Some(decided);
        if is_same && is_everything {
            self.memory.swept = Some(clock::now());
        }
        is_same
    }

    /// Whether something has to be done before there is a library.
    pub(super) fn is_compiled(&self) -> bool {
        self.has_own_backend || !matches!(self.source, Source::Prebuilt(_))
    }
}
