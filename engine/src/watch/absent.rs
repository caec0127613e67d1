//! An engine without a monitor: prebuilt libraries are loaded once, and swapped by `offer`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_artifact::{Artifact, ContentHash, Fingerprint, Source, Ticket, Trigger};

use crate::error::OpenErrorKind;
use crate::swapper::Swapper;

/// There is nothing to watch with.
#[derive(Debug)]
pub(crate) enum Watch {}

/// There is nothing to hold.
#[derive(Debug)]
pub(crate) enum WatchHold {}

/// There is nothing to share.
#[derive(Debug, Clone)]
pub(crate) struct SharedWatch;

impl SharedWatch {
    pub(crate) fn start(_poll_every: Duration) -> Result<Self, OpenErrorKind> {
        Ok(Self)
    }
}

/// Settings that have no effect here.
#[derive(Debug, Default)]
pub(crate) struct WatchSettings {
    pub(crate) poll_every: Duration,
    pub(crate) settle: Option<Duration>,
    pub(crate) wakes_on_events: bool,
}

/// Nothing is built here.
pub(crate) fn build_report(_artifact: &Artifact) -> Option<PathBuf> {
    None
}

/// Nothing is noted.
#[derive(Debug)]
pub(crate) enum Trial {}

/// Nothing outlasts the process.
#[derive(Debug)]
pub(crate) enum Records {}

/// All releases may run: nothing has a number.
#[derive(Debug, Default)]
pub(crate) struct Floor(());

impl Floor {
    pub(crate) fn lowest(&self) -> u64 {
        0
    }
}

/// What served in an earlier process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) content: ContentHash,
}

/// What an earlier process put into quarantine.
#[derive(Debug)]
pub(crate) struct Quarantined {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Quarantined {
    pub(crate) fn new(fingerprint: Fingerprint, code: String, message: String) -> Self {
        Self { fingerprint, code, message }
    }
}

impl Records {
    pub(crate) fn served(&self) -> &[Served] {
        match *self {}
    }

    pub(crate) fn library(&self, _served: &Served) -> Option<Artifact> {
        match *self {}
    }

    pub(crate) fn note_served(
        &mut self,
        _artifact: &Artifact,
        _copy: &Path,
    ) -> io::Result<Option<Artifact>> {
        match *self {}
    }

    pub(crate) fn note_released(&mut self, _content: ContentHash, _release: u64) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn begin_trial(&mut self, _artifact: &Artifact) -> io::Result<Option<Trial>> {
        match *self {}
    }

    pub(crate) fn end_trials(&mut self) -> io::Result<Vec<Quarantined>> {
        match *self {}
    }

    pub(crate) fn quarantined(&mut self, _artifact: &Artifact) -> Option<Quarantined> {
        match *self {}
    }

    pub(crate) fn reason(&self, _fingerprint: Fingerprint) -> Option<Quarantined> {
        match *self {}
    }

    pub(crate) fn quarantine(
        &mut self,
        _artifact: &Artifact,
        _why: &Quarantined,
    ) -> io::Result<bool> {
        match *self {}
    }

    pub(crate) fn forget(&self, _fingerprint: Fingerprint) {
        match *self {}
    }

    pub(crate) fn clear(&self) -> Vec<Fingerprint> {
        match *self {}
    }
}

impl Watch {
    /// Loads a prebuilt library; any other source needs a monitor.
    pub(crate) fn start(
        swapper: &mut Swapper,
        source: &Source,
        _settings: WatchSettings,
        _shared: Option<&SharedWatch>,
    ) -> Result<(), OpenErrorKind> {
        let Source::Prebuilt(path) = source else {
            return Err(OpenErrorKind::NoMonitor);
        };
        swapper.end_trials();
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
