//! What nobody uses any more is unmapped, and so is everything in the end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, never};
use hotswap_system::clock::{self, Timer};
use hotswap_system::thread::panic_text;

use super::Swapper;
use crate::audit::Line;
use crate::deadline::OverdueCall;
use crate::event::Event;
use crate::image::{Closed, Image};
use crate::leftovers;
use crate::pin::PinKind;
use crate::slot;
use crate::stage;
use crate::status::{VersionInfo, VersionState};
use crate::unload::{UnloadErrorKind, Unloading};
use crate::version::{Retired, Version};
use crate::version_id::VersionId;

/// How long it is until threads are asked once more to destroy what a version left on them: one that is in a call
/// when it is asked does not notice.
///
/// 100 ms: a look costs a microsecond per thread, and a call that comes by some more.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The longest such time: for threads that never call again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(10);

/// What is left of a version: its image, until no thread has anything of it.
pub(super) struct Closing {
    id: VersionId,
    image: Image,
    was_current: bool,
}

/// How far the end of an engine has come.
#[derive(Debug)]
pub(super) enum Ending {
    /// Who dropped it waits.
    Awaited(Sender<()>),
    /// Nobody waits; something is mapped still.
    Told,
}

impl Ending {
    /// Who waits.
    pub(super) fn into_waiter(self) -> Option<Sender<()>> {
        match self {
            Self::Awaited(done) => Some(done),
            Self::Told => None,
        }
    }
}

impl Swapper {
    /// Lets go of a version that was replaced, as soon as no call is in it.
    pub(super) fn drain(&mut self, replaced: Arc<Version>) {
        self.draining.add(replaced);
        self.look_at_calls();
    }

    /// Lets go of replaced versions that no call is in any more. The last reference sends the image back here.
    pub(super) fn look_at_calls(&mut self) {
        self.draining.release(slot::records, |version| version.holds.has_guards());
    }

    /// Asks a version to go: it is kept no longer.
    pub(super) fn unload_when_free(&mut self, id: VersionId) -> Result<Unloading, UnloadErrorKind> {
        if id == self.core.current() {
            return Err(UnloadErrorKind::Current);
        }
        if let Some(version) = self.lineage.cool(id) {
            self.cool(version);
        }
        self.unload_retired();
        let known = self.core.history.lock().latest(id);
        let (state, holds) = known.ok_or(UnloadErrorKind::Unknown)?;
        // What has no sender is disconnected.
        let (waits, done) = bounded(1);
        let is_awaited = !self.core.history.lock().is_left_to_expired(&holds);
        if is_awaited && !matches!(state, VersionState::Unloaded | VersionState::Pinned) {
            self.unloads.push((Arc::clone(&holds), waits));
        }
        Ok(Unloading { holds, done })
    }

    /// A version that was kept is kept no longer.
    pub(super) fn cool(&mut self, version: Arc<Version>) {
        let id = version.id;
        self.core.history.lock().became(id, VersionState::Draining);
        let line = Line::info("version.cold").field("version", id.number());
        self.core.journal.write(None, line);
        self.drain(version);
    }

    /// Sets the timer for the next version that is in use for too long.
    pub(super) fn watch_drain(&mut self) {
        let next = self.core.history.lock().next_overdue(self.drain_deadline);
        self.overdue = timer(next);
    }

    /// Says which versions are in use for longer than the drain deadline, and by whom.
    pub(super) fn tell_overdue(&mut self) {
        let overdue = self.core.history.lock().overdue(self.drain_deadline);
        for VersionInfo { id, pins, .. } in overdue {
            let names: Vec<_> = pins.iter().map(ToString::to_string).collect();
            let line = Line::warn("version.overdue").field("version", id.number());
            let line = line.field("pins", names.join(", "));
            let text = format!("{id} was replaced long ago and is still in use; it stays mapped");
            self.core.journal.write(None, line.field("msg", text));
            self.core.tell(&Event::Overdue { version: id, held_by: pins });
        }
        self.watch_drain();
    }

    /// Sets the timer for the next call that may run past its deadline.
    pub(super) fn watch_calls(&mut self) {
        self.calls_due = timer(self.core.deadlines.due_in());
    }

    /// Says which calls run past their deadlines. From now on nobody waits for them.
    pub(super) fn tell_overdue_calls(&mut self) {
        for call in self.core.look_at_deadlines() {
            let OverdueCall { version, function, thread, deadline, age } = call;
            let line = Line::warn("call.overdue")
                .field("version", version.number())
                .field("function", &function)
                .field("thread", &thread)
                .field("deadline_us", deadline.as_micros())
                .field("age_us", age.as_micros())
                .field("msg", "it goes on, and holds its version; nobody waits for it");
            self.core.journal.write(None, line);
            let function = function.to_string();
            self.core.tell(&Event::CallOverdue { version, function, thread, deadline, age });
        }
        self.wait_for_nobody_expired();
        self.watch_calls();
    }

    /// Who waits for a version that nobody holds but calls past their deadlines is told.
    fn wait_for_nobody_expired(&mut self) {
        if self.unloads.is_empty() {
            return;
        }
        let history = self.core.history.lock();
        self.unloads.retain(|(holds, _)| !history.is_left_to_expired(holds));
    }

    /// Unmaps what has been sent back until now.
    pub(super) fn unload_retired(&mut self) {
        while let Ok(retired) = self.retired.try_recv() {
            self.unload(retired);
        }
    }

    /// A call of a replaced version ended, or a thread destroyed what it had of one.
    pub(super) fn answer_bell(&mut self) {
        self.look_at_calls();
        self.wait_for_nobody_expired();
        self.look_at_leftovers();
    }

    /// Takes back what nobody can enter any more, and has it do what it does before it goes.
    pub(super) fn unload(&mut self, retired: Retired) {
        if let Some(retired) = self.before_unload(retired) {
            self.begin_closing(retired);
        }
    }

    /// Unmaps an image as soon as no thread of it runs and no other has anything of it.
    pub(super) fn begin_closing(&mut self, retired: Retired) {
        let Retired { id, image, was_current, .. } = retired;
        let Some(image) = image else {
            // Linked code, which stays.
            self.mapped_count -= 1;
            return;
        };
        let context = Arc::clone(image.context());
        let closing = Closing { id, image, was_current };
        if context.kept_by().is_some() {
            context.let_go(!self.is_closing());
            // Its code may run at any time: what it left on threads stays, until they end.
            return self.unmap(closing);
        }
        self.closing.push(closing);
        // An engine that has ended has no use for its state.
        context.let_go(!self.is_closing());
        self.asked = 0;
        self.look_at_leftovers();
    }

    /// Unmaps the images that are clear, and has the threads that have something of the others destroy it.
    pub(super) fn look_at_leftovers(&mut self) {
        let threads: Vec<_> = self
            .closing
            .iter()
            .flat_map(|closing| closing.image.context().begin_closing())
            .collect();
        // What its constructors left on this thread.
        leftovers::clear_closing();
        let is_clear = |closing: &mut Closing| closing.image.context().is_clear();
        let clear: Vec<_> = self.closing.extract_if(.., is_clear).collect();
        clear.into_iter().for_each(|closing| self.unmap(closing));
        slot::ask(&threads);
        self.asked = if self.closing.is_empty() { 0 } else { self.asked + 1 };
        self.ask_again = match self.asked {
            0 => clock::never(),
            asked => clock::after(clock::backoff(ASK_AGAIN, asked, ASK_AGAIN_MAX)),
        };
    }

    /// Unmaps what nothing leads into any more, and looks whether it is gone.
    fn unmap(&mut self, closing: Closing) {
        let Closing { id, image, was_current } = closing;
        let path = image.path().display().to_string();
        let holds = image.context().holds();
        let is_import = image.context().kept_by().is_some();
        let staged = image.path().to_owned();
        let start = clock::now();
        // Unwind safety: a library that is half closed counts as mapped for good.
        let closed = catch_unwind(AssertUnwindSafe(|| image.unload())).unwrap_or_else(|payload| {
            Closed::Kept(format!("closing it panicked: {}", panic_text(payload)))
        });
        match closed {
            Closed::NotYet(image) => {
                return self.closing.push(Closing { id, image, was_current });
            }
            Closed::Unloaded { .. } if !was_current => {
                let line = Line::info("load.undone").field("path", path);
                self.core.journal.write(None, line);
            }
            Closed::Unloaded { leaked_bytes } => {
                // What was loaded again meanwhile is not gone: only this image of it is.
                let is_over = self.core.history.lock().ended(&holds, VersionState::Unloaded);
                let event = if is_over { "version.unloaded" } else { "image.unloaded" };
                let line = Line::info(event).field("version", id.number());
                let line = line.field("unload_us", clock::since(start).as_micros());
                let line = line.field("path", path).maybe("leaked_bytes", leaked_bytes);
                self.core.journal.write(None, line);
                if let Some(bytes @ 1..) = leaked_bytes {
                    self.tell_leak(id, bytes);
                }
                if is_over {
                    self.core.tell(&Event::Unloaded { version: id });
                }
            }
            Closed::Kept(why) => {
                if !is_import {
                    holds.add(PinKind::Loader, path.clone());
                }
                let is_over = self.core.history.lock().ended(&holds, VersionState::Pinned);
                let event = if is_over { "version.pinned" } else { "image.pinned" };
                let line = Line::warn(event).field("version", id.number());
                self.core.journal.write(None, line.field("path", path).field("msg", why));
                if is_over {
                    self.core.tell(&Event::Pinned { version: id });
                }
            }
        }
        self.mapped_count -= 1;
        self.staged.retain(|known| *known != staged);
        // Who waits is told by being dropped, after what was written down.
        self.core.journal.flush();
        self.unloads.retain(|(waited_for, _)| !Arc::ptr_eq(waited_for, &holds));
    }

    /// Says what a version did not give back. It is gone, and nobody else can.
    fn tell_leak(&self, version: VersionId, bytes: u64) {
        let line = Line::warn("version.leaked").field("version", version.number());
        let line = line.field("leaked_bytes", bytes);
        let text = format!("{version} is gone and left {bytes} bytes of heap memory behind");
        self.core.journal.write(None, line.field("msg", text));
        self.core.tell(&Event::Leaked { version, bytes });
    }

    /// Begins the end of the engine: no more changes, no more calls by name; what guards and threads hold
    /// stays until they let go, and is unmapped then.
    pub(super) fn close(&mut self, done: Sender<()>) {
        self.ending = Some(Ending::Awaited(done));
        self.watch = None;
        self.notifications = never();
        self.held_back = None;
        // Release pairs with the Acquire in `Core::missing`.
        self.core.is_closed.store(true, Ordering::Release);
        let old = self.core.slot.publish(Arc::new(Version::none(self.retire.clone())));
        // What a call under way writes from here on is not in it; its failure is in the log.
        let _ = self.core.save_state();
        self.drain(old);
        self.lineage.end().into_iter().for_each(|version| self.drain(version));
        self.unload_retired();
    }

    /// Whether the engine is closed: nothing can become current any more.
    pub(super) fn is_closing(&self) -> bool {
        self.ending.is_some()
    }

    /// Goes on with the end, as far as that is possible without waiting; whether nothing is left to do.
    pub(super) fn has_ended(&mut self) -> bool {
        // A hook that returned just now may have been the last to hold its version.
        self.unload_retired();
        if let Some(Ending::Awaited(done)) = &self.ending {
            if self.hooks.delay_the_end() {
                return false;
            }
            let done = done.clone();
            self.unloads.clear();
            let line = Line::info("engine.stop").field("mapped", self.mapped_count);
            self.core.journal.write(None, line);
            self.core.tell(&Event::Stopped);
            self.leave();
            self.waiters.clear();
            // Requests that came too late are answered by dropping their replies.
            let requests = std::mem::replace(&mut self.requests, never());
            drop(requests);
            if self.is_empty() {
                // Answered when everything of this swapper's is gone, the log too.
                return true;
            }
            let _ = done.send(());
            self.ending = Some(Ending::Told);
        }
        self.is_empty()
    }

    /// Whether nothing is mapped, and no call is in anything that was.
    fn is_empty(&self) -> bool {
        self.mapped_count == 0 && self.draining.is_empty()
    }

    /// Leaves no file behind, whatever is still mapped: a mapping needs no name.
    fn leave(&self) {
        for path in &self.staged {
            // Most are gone already, with their images.
            let _ = hotswap_system::fs::remove_file(path);
        }
        for home in &self.homes {
            stage::leave(home);
        }
    }
}

/// A timer for what may never come.
#[track_caller]
fn timer(time: Option<Duration>) -> Timer {
    // No `map_or_else`: a timer says where it was set.
    match time {
        None => clock::never(),
        Some(time) => clock::after(time),
    }
}
