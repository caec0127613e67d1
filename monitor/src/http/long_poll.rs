//! Asks a server to say when something changes. What it says makes monitors look, and is nothing that is gone by.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::select;
use hotswap_artifact::Attachment;
use hotswap_system::{clock, thread};
use parking_lot::Mutex;

use super::client::Question;
use super::headers::Validators;
use super::place::Asked;
use crate::{StopHandle, StopSignal};

/// How long a server is asked to wait. Proxies and load balancers end what is silent for a minute or half of one.
const WAIT: Duration = Duration::from_secs(25);

/// An answer that nothing changed, and that comes sooner than this, is one of a server that does not wait.
const PROMPT_MAX: Duration = Duration::from_secs(1);

/// How long to leave a server alone that does not wait, or fails: at first, and at the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A thread that waits for a server, as long as there is a monitor.
#[derive(Debug, Default)]
pub(super) struct LongPoll {
    /// The thread ends with this.
    running: Arc<Mutex<Option<StopHandle>>>,
}

impl LongPoll {
    /// Has a thread wait, if there is none, until the last monitor ends.
    pub(super) fn start(&self, asked: &Arc<Asked>, monitor: &Attachment) {
        let mut running = self.running.lock();
        if running.is_none() {
            let (handle, stop) = StopSignal::new();
            let asked = Arc::downgrade(asked);
            match thread::spawn("hotswap-http", move || run(&asked, &stop)) {
                Ok(_detached) => *running = Some(handle),
                Err(error) => log::warn!("no thread waits for a web server: {error}"),
            }
        }
        drop(running);
        let (asked, running) = (Arc::downgrade(asked), Arc::downgrade(&self.running));
        monitor.when_over(move || {
            if let (Some(asked), Some(running)) = (asked.upgrade(), running.upgrade())
                && !asked.client.is_wanted()
            {
                drop(running.lock().take());
            }
        });
    }
}

fn run(asked: &Weak<Asked>, stop: &StopSignal) {
    let mut waiter = Waiter::default();
    while !stop.is_stopped() {
        let Some(asked) = asked.upgrade() else { return };
        let pause = waiter.hear(&asked);
        let renewed = asked.renewed().clone();
        drop(asked);
        if pause.is_zero() {
            continue;
        }
        select! {
            recv(stop.channel()) -> _ => return,
            recv(renewed) -> _ => {}
            recv(clock::after(pause)) -> _ => {}
        }
    }
}

/// How it went until now.
#[derive(Default)]
pub(super) struct Waiter {
    /// What it was that is no more, when that was last told.
    gone: Option<Arc<Validators>>,
    /// How often in a row it was of no use to ask.
    in_vain: u32,
}

impl Waiter {
    /// Waits until the server says something, and makes monitors look if that is news. How long to leave it alone, unless
    /// something is read before.
    pub(super) fn hear(&mut self, asked: &Asked) -> Duration {
        let Some(known) = asked.validators() else { return PAUSE_MAX };
        if self.gone.as_ref().is_some_and(|gone| Arc::ptr_eq(gone, &known)) {
            // Told, and not read yet.
            self.gone = None;
            return PAUSE_MAX;
        }
        let begin = clock::now();
        let question = Question {
            path: asked.path.clone(),
            known: Some(&*known),
            wait: Some(WAIT),
            ..Question::default()
        };
        let status = asked.ask(&question).map(|response| response.status().as_u16());
        match status {
            Ok(304) if clock::since(begin) >= PROMPT_MAX => {
                self.in_vain = 0;
                Duration::ZERO
            }
            Ok(200 | 404 | 410) => {
                self.in_vain = 0;
                self.gone = Some(known);
                asked.client.ring();
                PAUSE_MIN
            }
            _ => {
                self.in_vain = self.in_vain.saturating_add(1);
                clock::backoff(PAUSE_MIN, self.in_vain, PAUSE_MAX)
            }
        }
    }
}
