//! The one write that makes a version current, what comes before it and what follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotswap_system::clock;

use super::handover::Handover;
use super::{CausePath, Newcomer, Sha1, Swapper};
use crate::audit::Line;
use crate::event::{Event, SwapReason};
use crate::history::Transition;
use crate::pin::PinKind;
use crate::slot;
use crate::verdict::Verdict;
use crate::version::Version;
use crate::version_id::{NO_VERSION, VersionId};

/// A version that became current this moment.
pub(super) struct Published {
    pub(super) current: Arc<Version>,
    /// What it replaced.
    pub(super) old: Arc<Version>,
    /// How many references on that others have.
    users: usize,
    pub(super) publish_time: Duration,
}

impl Swapper {
    /// Makes a version current.
    pub(super) fn publish(
        &mut self,
        version: Arc<Version>,
        newcomer: &Newcomer,
        handover: Handover,
    ) -> Verdict {
        self.begin_publish(&version, newcomer, &handover);
        let published = self.write(version);
        let migrate_time = handover.finish();
        self.end_publish(published, newcomer, migrate_time)
    }

    /// Everything before the write. From here on the version must become current.
    pub(super) fn begin_publish(
        &mut self,
        version: &Arc<Version>,
        newcomer: &Newcomer,
        handover: &Handover,
    ) {
        let Newcomer { tx, reason, cause, .. } = newcomer;
        let to = version.id;
        let from = Some(self.core.current()).filter(|current| *current != NO_VERSION);
        if *reason == SwapReason::RolledBack {
            // Goes on where it cannot be written down: it must be possible in any case.
            let line = Line::info("rollback.intent").maybe("from", from.map(VersionId::number));
            let line = line.field("to", to.number()).maybe("by", newcomer.by);
            self.core.journal.intent(Some(tx), line);
        }
        {
            let mut history = self.core.history.lock();
            history.became_current(version);
            history.fallback = None;
            let (at, cause) = (clock::wall(), cause.clone());
            history.changed(Transition { at, from, to, reason: *reason, cause });
        }
        // Relaxed: read again only by the drop of the last reference, which orders itself after this.
        version.was_current.store(true, Ordering::Relaxed);
        self.last = self.last.max(to);
        self.lineage.became_current(version, newcomer.artifact.clone());
        version.siblings.clear();
        self.draining.forget_companions(version);
        handover.bind(&self.core, version);
    }

    /// The one write.
    pub(super) fn write(&self, version: Arc<Version>) -> Published {
        let start = clock::now();
        let current = Arc::clone(&version);
        let old = self.core.slot.publish(version);
        let publish_time = clock::since(start);
        // A version counts what is not a call, and our own reference; the number is for the log.
        let users = Arc::strong_count(&old) - 1;
        Published { current, old, users, publish_time }
    }

    /// Everything after it.
    pub(super) fn end_publish(
        &mut self,
        published: Published,
        newcomer: &Newcomer,
        migrate_time: Duration,
    ) -> Verdict {
        let Published { current, old, users, publish_time } = published;
        let Newcomer { tx, reason, cause, .. } = newcomer;
        let (from, to) = (Some(old.id).filter(|from| *from != NO_VERSION), current.id);
        let provenance = current.provenance.clone();
        let file = current.image.as_ref().map(|image| image.path().to_owned());
        self.core.note_restore_points();
        let held_by = old.holds.list();
        let calls_old = slot::callers(Arc::as_ptr(&old)).len();
        let threads = held_by.iter().filter(|pin| pin.kind == PinKind::Thread).count();
        let users = users + calls_old + threads;
        let done = match reason {
            SwapReason::RolledBack => "rollback.done",
            _ => "swap.commit",
        };
        let line = Line::info(done)
            .maybe("from", from.map(VersionId::number))
            .field("to", to.number())
            .maybe("fp", provenance.fingerprint.map(Sha1))
            .maybe("sha256", provenance.content)
            .field("cause", CausePath(cause))
            .field("trig", reason)
            .field("build_ms", provenance.build_time.as_millis())
            .field("load_us", provenance.load_time.as_micros())
            .field("migrate_us", migrate_time.as_micros())
            .field("swap_us", publish_time.as_micros())
            .field("calls_old", calls_old)
            .field("outcome", "ok")
            .field("msg", format!("{to} is current"))
            .maybe("release", newcomer.artifact.release);
        self.core.journal.write(Some(tx), line);
        self.core.tell(&Event::Swapped {
            from,
            to,
            reason: *reason,
            build_time: provenance.build_time,
            publish_time,
        });
        if let Some(from) = from.filter(|_| users > 0) {
            let pins: Vec<_> = held_by.iter().map(ToString::to_string).collect();
            let line = Line::info("version.draining").field("version", from.number());
            self.core
                .journal
                .write(Some(tx), line.field("calls", calls_old).field("pins", pins.join(", ")));
            self.core.tell(&Event::Draining { version: from, held_by });
        }
        self.keep_or_drain(tx, old);
        self.watch_drain();
        self.after_swap(current, from);
        // What nobody used is gone before anybody is told that the swap is done.
        self.unload_retired();
        if let Some(file) = file {
            self.note_served(tx, to, &newcomer.artifact, &file);
        }
        Verdict::Swapped { from, to }
    }
}
