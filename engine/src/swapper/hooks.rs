//! Hooks that nothing waits for: what a module does when it became current, and when it is about to go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use hotswap_module::VersionChange;
use hotswap_system::clock::{self, Timer};
use hotswap_system::thread;

use super::Swapper;
use crate::audit::Line;
use crate::event::Event;
use crate::hook::{Failed, HookKind, Moment, still_running};
use crate::pin::{Holds, PinKind};
use crate::version::{Retired, Version};
use crate::version_id::{NO_VERSION, VersionId};

/// The hooks that run now.
pub(super) struct HookRuns {
    runs: Vec<Run>,
    next: u64,
    tell: Sender<Finished>,
    pub(super) finished: Receiver<Finished>,
    /// Has a message when one may be past its deadline.
    pub(super) overdue: Timer,
    deadline: Duration,
}

/// The hooks of one moment of one version, on a thread of their own.
struct Run {
    number: u64,
    kind: HookKind,
    version: VersionId,
    names: String,
    began: Instant,
    is_late: bool,
    /// What goes when they have returned.
    retired: Option<Retired>,
}

/// A run that has ended; nothing of its thread is in the image any more.
pub(super) struct Finished {
    number: u64,
    failed: Vec<Failed>,
}

impl HookRuns {
    pub(super) fn new(deadline: Duration) -> Self {
        let (tell, finished) = unbounded();
        Self { runs: Vec::new(), next: 0, tell, finished, overdue: clock::never(), deadline }
    }

    /// Whether the end of the engine waits for hooks, which have time left: the last ones of a version, or others after which it
    /// can have its last ones.
    pub(super) fn delay_the_end(&self) -> bool {
        self.runs.iter().any(|run| !run.is_late)
    }

    /// A run of these hooks, which begins now.
    fn run(&mut self, moment: &Moment, version: VersionId, retired: Option<Retired>) -> Run {
        self.next += 1;
        Run {
            number: self.next,
            kind: moment.kind,
            version,
            names: moment.names(),
            began: clock::now(),
            is_late: false,
            retired,
        }
    }

    fn take(&mut self, number: u64) -> Option<Run> {
        let at = self.runs.iter().position(|run| run.number == number)?;
        let run = self.runs.swap_remove(at);
        self.watch();
        Some(run)
    }

    /// Sets the timer for the next run that is past its deadline.
    fn watch(&mut self) {
        let waiting = self.runs.iter().filter(|run| !run.is_late);
        let left = waiting.map(|run| self.deadline.saturating_sub(clock::since(run.began))).min();
        self.overdue = left.map_or_else(clock::never, clock::after);
    }
}

impl Swapper {
    /// Runs the hooks of a version that became current.
    pub(crate) fn after_swap(&mut self, version: Arc<Version>, from: Option<VersionId>) {
        let (id, holds) = (version.id, Arc::clone(&version.holds));
        let change = VersionChange::new(from.map(VersionId::number), Some(id.number()));
        let moment = version.moment(HookKind::AfterSwap, change);
        if moment.hooks.is_empty() {
            return;
        }
        let run = self.hooks.run(&moment, id, None);
        // One that got no thread has been told.
        let _ = self.start_hooks(run, holds, move || {
            // SAFETY: this thread holds the version.
            let failed = unsafe { moment.enter_all() };
            drop(version);
            failed
        });
    }

    /// Runs the hooks of a version that nobody can enter any more, which goes when they have returned; gives it back if there is
    /// nothing to wait for.
    pub(super) fn before_unload(&mut self, mut retired: Retired) -> Option<Retired> {
        let Some(mut moment) = retired.before_unload.take() else { return Some(retired) };
        let holds = Arc::clone(&retired.holds);
        let current = Some(self.core.current()).filter(|current| *current != NO_VERSION);
        moment.change.to = current.map(VersionId::number);
        let run = self.hooks.run(&moment, retired.id, Some(retired));
        // SAFETY: the run has the image, and is kept until this is over.
        let work = move || unsafe { moment.enter_all() };
        self.start_hooks(run, holds, work).and_then(|run| run.retired)
    }

    /// Starts a thread for hooks, which hold their version by name. Gives the run back, and says so, when there is no thread.
    fn start_hooks(
        &mut self,
        run: Run,
        holds: Arc<Holds>,
        work: impl FnOnce() -> Vec<Failed> + Send + 'static,
    ) -> Option<Run> {
        let Run { number, kind, version, .. } = run;
        let tell = self.hooks.tell.clone();
        let hold = holds.add(PinKind::Hook, format!("{kind} of {version}"));
        let held = Arc::clone(&holds);
        let body = move || {
            let failed = work();
            held.remove(hold);
            // Nobody listens when the engine is gone.
            let _ = tell.send(Finished { number, failed });
        };
        // Before it runs: it may be over at once.
        self.hooks.runs.push(run);
        self.hooks.watch();
        let error = thread::spawn(format!("hotswap-{kind}-{version}"), body).err()?;
        holds.remove(hold);
        let run = self.hooks.take(number)?;
        let reason = format!("got no thread: {error}");
        self.tell_hook(kind, version, Failed { name: run.names.clone(), reason });
        Some(run)
    }

    /// Hooks have returned: what failed is told, and the version that waited for them goes.
    pub(super) fn hooks_finished(&mut self, finished: Finished) {
        let Some(run) = self.hooks.take(finished.number) else { return };
        for failed in finished.failed {
            self.tell_hook(run.kind, run.version, failed);
        }
        if let Some(retired) = run.retired {
            self.begin_closing(retired);
        }
    }

    /// Says which hooks are past their deadline. They hold their version until they return.
    pub(super) fn tell_late_hooks(&mut self) {
        let deadline = self.hooks.deadline;
        let is_late = |run: &&mut Run| !run.is_late && clock::since(run.began) >= deadline;
        let late: Vec<_> = self
            .hooks
            .runs
            .iter_mut()
            .filter(is_late)
            .map(|run| {
                run.is_late = true;
                let reason = still_running(deadline);
                (run.kind, run.version, Failed { name: run.names.clone(), reason })
            })
            .collect();
        late.into_iter().for_each(|(kind, version, failed)| self.tell_hook(kind, version, failed));
        self.hooks.watch();
    }

    fn tell_hook(&self, kind: HookKind, version: VersionId, Failed { name, reason }: Failed) {
        let text = format!("{kind} {name} of {version} {reason}");
        let line = Line::warn("hook.failed").field("version", version.number());
        let line = line.field("hook", kind).field("name", &name).field("msg", text);
        self.core.journal.write(None, line);
        self.core.tell(&Event::HookFailed { version, hook: kind, name, reason });
    }
}
