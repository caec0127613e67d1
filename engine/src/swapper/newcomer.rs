//! A library on its way, and what is known of it.

use hotswap_artifact::{Artifact, Cause, UnderWay};

use super::admission::Taken;
use crate::event::SwapReason;
use crate::journal::Tx;
use crate::request::Asker;
use crate::watch::Trial;

/// A library on its way to become current.
pub(super) struct Newcomer {
    pub(super) artifact: Artifact,
    /// Its file, where it was read already.
    pub(super) taken: Option<Taken>,
    /// Joins its lines in the log.
    pub(super) tx: Tx,
    pub(super) reason: SwapReason,
    pub(super) cause: Cause,
    /// Who asked for it, if it is gone back to.
    pub(super) by: Option<Asker>,
    /// Until it is committed it may be aborted.
    pub(super) under_way: UnderWay,
    /// Noted while it is loaded, if it is a release.
    pub(super) trial: Option<Trial>,
    /// How often in a row it was turned away for want of something.
    pub(super) failures: u32,
    /// Whether it waits for a version to go.
    pub(super) is_queued: bool,
    /// Whether it was told that it waits for others.
    pub(super) was_told: bool,
}

impl Newcomer {
    /// One whose file was not read yet, and that was never turned away.
    pub(super) fn new(artifact: Artifact, tx: Tx, reason: SwapReason, under_way: UnderWay) -> Self {
        Self {
            artifact,
            taken: None,
            tx,
            reason,
            cause: Cause::default(),
            by: None,
            under_way,
            trial: None,
            failures: 0,
            is_queued: false,
            was_told: false,
        }
    }
}
