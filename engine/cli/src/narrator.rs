//! The thread that prints what happens to an engine while it happens.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};
use hotswap_engine::Event;

use crate::narration;
use crate::progress::Progress;
use crate::screen::Screen;

/// What is told of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Everything that is worth a line.
    Everything,
    /// Only that a long build goes on: the command itself tells how it ends.
    Progress,
}

/// Prints until the engine has stopped.
pub(crate) struct Narrator {
    thread: JoinHandle<()>,
    /// Disconnected when the first version was told of, or nothing will be.
    first: Receiver<()>,
}

impl Narrator {
    /// Starts telling the events of the engine of this name.
    pub(crate) fn start(
        name: String,
        events: Receiver<Event>,
        screen: Arc<Screen>,
        told: Told,
    ) -> io::Result<Self> {
        let (tell_first, first) = bounded(0);
        let narrate = move || narrate(&name, &events, &screen, told, tell_first);
        let thread = thread::Builder::new().name("narrator".to_owned()).spawn(narrate)?;
        Ok(Self { thread, first })
    }

    /// Waits until the first version was told of, so that what it prints comes after that. Its
    /// event was sent before the engine was open, so this takes no time.
    pub(crate) fn after_first(&self) {
        // Nothing is ever sent: the end of the channel is the message.
        let _ = self.first.recv();
    }

    /// Waits until everything is told. The engine must have been dropped.
    pub(crate) fn finish(self) {
        // A panic of that thread has been printed already.
        let _ = self.thread.join();
    }
}

fn narrate(name: &str, events: &Receiver<Event>, screen: &Screen, told: Told, first: Sender<()>) {
    // Only the first build is counted: later, functions print to the same terminal.
    let mut first = Some(first);
    let mut progress: Option<Progress> = None;
    loop {
        let due = progress.as_ref().map_or_else(never, |progress| at(progress.due()));
        select! {
            recv(events) -> event => {
                let Ok(event) = event else { break };
                match &event {
                    Event::BuildStarted { .. } if first.is_some() => {
                        progress = Some(Progress::new(name, Instant::now(), screen.is_terminal()));
                    }
                    Event::Swapped { .. } | Event::Refused { .. } | Event::Changed { .. } | Event::Unchanged { .. } | Event::Unreadable { .. } => progress = None,
                    Event::Stopped => break,
                    // Nothing else starts or ends a build.
                    _ => {}
                }
                if progress.is_none() {
                    screen.end_progress();
                }
                if told == Told::Everything && let Some(text) = narration::tell(&event, screen.paint()) {
                    screen.print(&text);
                }
                if matches!(event, Event::Swapped { .. }) {
                    first = None;
                }
            }
            recv(due) -> _ => {
                if let Some(line) = progress.as_mut().and_then(|progress| progress.line(Instant::now())) {
                    screen.progress(&line);
                }
            }
        }
    }
    screen.end_progress();
}
