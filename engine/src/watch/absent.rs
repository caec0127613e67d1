//! An engine without a monitor: prebuilt libraries are loaded once, and swapped by `offer`.

use std::time::Duration;

use hotswap_artifact::{Fingerprint, Source, Ticket, Trigger};

use crate::error::OpenErrorKind;
use crate::swapper::Swapper;

/// There is nothing to watch with.
#[derive(Debug)]
pub(crate) enum Watch {}

/// There is nothing to hold.
#[derive(Debug)]
pub(crate) enum WatchHold {}

/// Settings that have no effect here.
#[derive(Debug, Default)]
pub(crate) struct WatchSettings {
    pub(crate) poll_every: Duration,
    pub(crate) settle: Option<Duration>,
    pub(crate) wakes_on_events: bool,
}

impl Watch {
    /// Loads a prebuilt library; any other source needs a monitor.
    pub(crate) fn start(
        swapper: &mut Swapper,
        source: &Source,
        _settings: WatchSettings,
    ) -> Result<(), OpenErrorKind> {
        let Source::Prebuilt(path) = source else {
            return Err(OpenErrorKind::NoMonitor);
        };
        let verdict = swapper.offer(path);
        if let Some(first) = swapper.first.take() {
            // The channel has room for this one answer.
            let _ = first.reply.send(verdict);
        }
        Ok(())
    }

    pub(crate) fn hold(&self) -> WatchHold {
        match *self {}
    }

    pub(crate) fn clear_aborted(&self) -> Vec<Fingerprint> {
        match *self {}
    }

    pub(crate) fn scan(&self, _trigger: Trigger) -> Ticket {
        match *self {}
    }
}
