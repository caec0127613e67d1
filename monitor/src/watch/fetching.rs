//! Before a look: what is to be looked at lies there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::select;
use hotswap_artifact::{
    Attachment, Bell, BuildErrorKind, Fingerprint, Host, Outcome, Pause, ScanError, Trigger, Woken,
};
use hotswap_system::clock;

use super::{Interrupted, Round, Watch};
use crate::build::backend_for;
use crate::build::supervised::SupervisedBackend;
use crate::supply::{Delivery, DeliveryError, Supply};
use crate::{Scan, Scanner, Step};

/// How much is new.
pub(super) enum Renewed {
    /// What lay at the same place was replaced.
    Files,
    /// All of it, and it comes from here.
    Everything(PathBuf),
}

/// What was done before a look.
pub(super) enum Supplied {
    /// Nothing: it lies where it lay.
    Same,
    /// Files were replaced, by this source; or others are looked at from here on.
    Renewed(Renewed),
    /// What was fetched is refused, now or before.
    Refused(Fingerprint, BuildErrorKind),
}

impl Watch {
    /// Has fetched what there is to fetch, and told.
    pub(super) fn refresh(&mut self, round: &Round) -> Result<Supplied, ScanError> {
        let is_asked = self.is_asked(round) || !matches!(round.trigger, Trigger::Poll);
        self.tell_assurances(round);
        let Some(supply) = &mut self.supply else { return Ok(Supplied::Same) };
        let choice = match supply.choose(is_asked) {
            // What was fetched is whole. That there is nothing to be had any more, or for now, is a matter of the next look.
            Err(_) if self.memory.is_fetched_anew => return Ok(Supplied::Same),
            choice => choice?,
        };
        let Some(choice) = choice else {
            return Ok(match &self.memory.refused {
                Some((fingerprint, kind)) => Supplied::Refused(*fingerprint, kind.clone()),
                None => Supplied::Same,
            });
        };
        let (kind, name) = (supply.kind(choice), supply.name(choice));
        let is_told_of_choice = supply.is_chain() && supply.is_switch(choice);
        let is_fetched = supply.is_fetched(choice);
        let passed = supply.passed().map(|error| Arc::new(error.clone()));
        self.observer.source_kind = kind;
        if is_told_of_choice {
            let step = Step::Chosen { kind, name: name.clone(), passed };
            self.announce(round, step);
        }
        if is_fetched {
            self.announce(round, Step::FetchStarted { name: name.clone() });
        }
        let begin = clock::now();
        let delivered = self.supply.as_mut().map(|supply| supply.deliver(choice));
        match delivered {
            Some(Ok(delivery)) => {
                self.memory.refused = None;
                self.memory.is_fetched_anew = delivery.fetched.is_some();
                if let Some(note) = &delivery.fetched {
                    let step = Step::Fetched {
                        name: name.clone(),
                        fingerprint: note.fingerprint,
                        note: note.text.clone(),
                        release: note.release,
                        elapsed: clock::since(begin),
                    };
                    self.announce(round, step);
                }
                let is_elsewhere = self.take(delivery);
                Ok(Supplied::Renewed(match is_elsewhere {
                    true => Renewed::Everything(PathBuf::from(name)),
                    false => Renewed::Files,
                }))
            }
            Some(Err(DeliveryError::Refused(error))) => {
                let told = Arc::new(error.clone());
                self.announce(round, Step::FetchRefused { name, error: told });
                let fingerprint = choice.fingerprint();
                let kind = BuildErrorKind::Refused { error };
                self.memory.refused = Some((fingerprint, kind.clone()));
                Ok(Supplied::Refused(fingerprint, kind))
            }
            Some(Err(DeliveryError::Unavailable { told, error })) => {
                self.announce(round, Step::FetchRefused { name, error: Arc::new(told) });
                Err(error)
            }
            None => Ok(Supplied::Same),
        }
    }

    /// Tells once by what the sources are believed.
    fn tell_assurances(&mut self, round: &Round) {
        if std::mem::replace(&mut self.memory.is_assurance_told, true) {
            return;
        }
        let assurances = self.supply.as_ref().map(Supply::assurances).unwrap_or_default();
        for (kind, name, assurance) in assurances {
            self.announce(round, Step::Assured { kind, name, assurance });
        }
    }

    /// Tells a step of the change that is about to be found.
    fn announce(&mut self, round: &Round, step: Step) {
        let number = self.memory.announce();
        self.observer.tell(number, round.trigger, step);
    }

    /// From here on this is what is scanned and built. Whether it lies elsewhere than before, or is built otherwise.
    fn take(&mut self, Delivery { source, settings, .. }: Delivery) -> bool {
        if self.is_supplied && self.source == source && self.settings == settings {
            return false;
        }
        self.is_supplied = true;
        self.source = source;
        self.settings = settings;
        self.scanner = Scanner::with_stop(&self.source, &self.settings, self.stop.clone());
        self.memory.followed = 0;
        self.memory.is_backend_old = true;
        true
    }

    /// Has the backend be that of the source. Not before: one that built is told how that ended.
    pub(super) fn renew_backend(&mut self) {
        if std::mem::take(&mut self.memory.is_backend_old) && !self.has_own_backend {
            let is_fetched = self.supply.as_ref().is_some_and(Supply::has_fetched);
            let backend = backend_for(&self.source, is_fetched, &self.settings);
            self.backend = SupervisedBackend::new(backend);
        }
    }

    /// What was fetched is refused: nothing is built, and it is told once.
    pub(super) fn refuse_fetched(
        &mut self,
        round: &Round,
        fingerprint: Fingerprint,
        kind: BuildErrorKind,
    ) -> Result<(), Interrupted> {
        self.memory.decided = Some(fingerprint);
        self.memory.forget_differing();
        let error = self.failed(fingerprint, kind);
        self.memory.known_bad.remember(&error);
        let change = self.change(round.trigger, Default::default());
        self.notify(round, Some(&change), Outcome::Failed(error))
    }

    /// Waits between two looks as the source wants it.
    pub(super) fn pause(&self, supply: &Supply, period: Duration) -> Woken {
        let sleep = |time| {
            select! {
                recv(self.stop.channel()) -> _ => Woken::ByRequest,
                recv(self.woken) -> _ => Woken::ByRequest,
                recv(clock::after(time)) -> _ => Woken::ByTime,
            }
        };
        let begin = clock::now();
        let woken = supply.wait(&Pause::new(period, &sleep));
        match woken {
            // One that does not wait would keep a processor busy.
            Woken::ByTime => sleep(period.saturating_sub(clock::since(begin))),
            woken => woken,
        }
    }

    /// Has the sources ring when they change, and tells them what for.
    pub(crate) fn attach(&self, host: Option<Host>) {
        let Some(supply) = &self.supply else { return };
        let requests = Arc::downgrade(&self.requests);
        let bell = Bell::new(move || match requests.upgrade() {
            Some(requests) => {
                requests.push(Trigger::Push);
                true
            }
            None => false,
        });
        let (stop, end) = (self.stop.clone(), self.stop.clone());
        let attachment = Attachment::new(bell, host, move || stop.is_stopped());
        supply.attach(&attachment.telling_end(move |work| end.when_stopped(work)));
    }
}

impl Scan {
    /// Whether what was fetched is refused.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.problem, Some(BuildErrorKind::Refused { .. }))
    }

    /// What stands for a look at what was refused.
    pub(super) fn refused(fingerprint: Fingerprint, kind: BuildErrorKind) -> Self {
        Self {
            fingerprint,
            changed: Vec::new(),
            touched: Vec::new(),
            files: 0,
            problem: Some(kind),
            workspace_root: None,
            has_build_script: false,
        }
    }
}
