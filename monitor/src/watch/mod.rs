//! What is done about one source: probe, settle, build, check, store, notify.

mod attempt;
mod during;
mod fetching;
pub(crate) mod group;
mod quiet;
mod recall;
mod settle;
mod supervise;
mod unreadable;
mod waiting;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};
use hotswap_artifact::{
    Artifact, BuildError, BuildErrorKind, Cause, Fingerprint, Group, Notification, Outcome,
    ScanError, Source, Stage, Ticket, Trigger, UnderWay,
};
use hotswap_system::clock;
use hotswap_system::fault::{self, Operation};

use crate::aborted::Aborted;
use crate::build::supervised::SupervisedBackend;
use crate::events::{Events, Told};
use crate::known_bad::KnownBad;
use crate::observation::Observer;
use crate::requests::Requests;
use crate::scan::{Extent, cause_of};
use crate::shared::queue::{Permit, Place};
use crate::supply::Supply;
use crate::{BuildSettings, Scan, Scanner, Step, StopSignal};
use attempt::{Attempt, Verdict};
use fetching::{Renewed, Supplied};
use supervise::{Rest, Retry};
use waiting::Parked;

pub(crate) use settle::SettleTime;
pub use settle::{SETTLE_MAX, SETTLE_MIN};
pub(crate) use waiting::Awaited;

/// After how many periods everything is looked at, where events speak for files.
///
/// Ten: what no event told of, as with a write through mapped memory, is found that much later, and a
/// poll costs little more than a tenth.
pub(crate) const SWEEP_PERIODS: u32 = 10;

/// One source, and all that is known of it.
pub(crate) struct Watch {
    pub(crate) source_name: String,
    /// Absolute.
    pub(crate) source: Source,
    /// What has to be fetched or chosen first; `source` is then what came of it.
    pub(crate) supply: Option<Supply>,
    /// Whether `source` is something to scan.
    pub(crate) is_supplied: bool,
    pub(crate) settings: BuildSettings,
    pub(crate) scanner: Scanner,
    pub(crate) backend: SupervisedBackend,
    /// Whether the backend is the user's, and good for whatever there is.
    pub(crate) has_own_backend: bool,
    pub(crate) observer: Observer,
    pub(crate) notifications: Sender<Notification>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) aborted: Arc<Aborted>,
    pub(crate) woken: Receiver<()>,
    pub(crate) stop: StopSignal,
    pub(crate) poll_every: Duration,
    pub(crate) settle: SettleTime,
    pub(crate) events: EventsState,
    /// What events told before the last look.
    pub(crate) told: Told,
    pub(crate) memory: Memory,
    /// Where it stands among those on one thread; `None` on its own.
    pub(crate) place: Option<Place>,
    /// That it may build now.
    pub(crate) permit: Option<Permit>,
    /// What goes on in a later round.
    pub(crate) parked: Option<Parked>,
    /// Who changes with it, until that is told.
    pub(crate) group: Option<Arc<Group>>,
    /// What a look on the shared thread panicked with.
    pub(crate) broken: Option<String>,
}

/// Whether events of the file system wake the thread.
pub(crate) enum EventsState {
    Off,
    /// As soon as it is known what there is to watch.
    Wanted,
    On(Events),
}

/// What the thread remembers from one look to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// The number of the last change.
    change: u64,
    /// The number of the next change, when something of it was told already.
    announced: Option<u64>,
    /// What was fetched last, when it was refused.
    refused: Option<(Fingerprint, BuildErrorKind)>,
    /// Whether what was fetched last is still to be dealt with.
    is_fetched_anew: bool,
    /// Whether the backend is that of another source.
    is_backend_old: bool,
    /// What was handed over last.
    handed_over: Option<Artifact>,
    /// Whether it was told by what the sources are believed.
    is_assurance_told: bool,
    /// What the last decision was about: as long as the source looks like this,
    /// there is nothing to do.
    decided: Option<Fingerprint>,
    known_bad: KnownBad,
    /// Why the source could not be read at the last look.
    unreadable: Option<(PathBuf, String)>,
    /// The last ticket that was answered; `None` before the first answer, which
    /// is owed to the start.
    answered: Option<Ticket>,
    /// How often in a row the build touched its own sources.
    own_touches: u32,
    /// Whether the next build must not trust what the compiler left behind.
    is_output_doubted: bool,
    /// When to try again what failed for a reason outside the source.
    retry: Option<Retry>,
    /// When a look last found something.
    moved: Option<Instant>,
    /// When everything was looked at.
    swept: Option<Instant>,
    /// Up to which of the scanner's looks events follow it.
    followed: u64,
    /// How often in a row the thread panicked, without a round that came to its end.
    panics: u32,
    /// Until when nothing is done after a panic.
    rest: Option<Rest>,
    /// What moved during a build, and is to be dealt with at once.
    again: Option<(Trigger, Cause)>,
    /// What was found to differ since the last change was concluded, by paths that are the same for all sources.
    differing: BTreeSet<PathBuf>,
    /// Of these, by which all others were looked for since.
    searched: BTreeSet<PathBuf>,
}

impl Memory {
    /// What differed was dealt with.
    fn forget_differing(&mut self) {
        self.differing.clear();
        self.searched.clear();
    }

    fn is_handed_over(&self, fingerprint: Fingerprint) -> bool {
        self.handed_over.as_ref().is_some_and(|artifact| artifact.fingerprint == fingerprint)
    }

    /// The number of the next change.
    fn announce(&mut self) -> u64 {
        *self.announced.get_or_insert_with(|| {
            self.change += 1;
            self.change
        })
    }
}

/// Why a round does not go on.
pub(crate) enum Interrupted {
    /// The watch is told to end, or nobody listens any more.
    Stopped,
    /// It waits for something, and not here: a later round goes on with what is parked.
    Parked,
}

/// One look and what follows from it.
struct Round {
    trigger: Trigger,
    /// Tickets up to this are answered: they were issued before the last scan
    /// started.
    through: Ticket,
}

/// What a look found that is to be dealt with.
struct Found {
    scan: Scan,
    cause: Cause,
    /// The change that it belongs to, if that began in an earlier round.
    parked: Option<Parked>,
}

/// A change under way.
#[derive(Clone)]
struct Change {
    number: u64,
    trigger: Trigger,
    cause: Cause,
    /// Others have it too, and may abort it.
    under_way: UnderWay,
}

impl Watch {
    /// One look, and all that follows from it.
    fn round(&mut self, trigger: Trigger) -> Result<(), Interrupted> {
        let mut round = Round { trigger, through: Ticket::default() };
        match self.begin(&mut round)? {
            Some(found) => self.carry_out(&mut round, found),
            None => Ok(()),
        }
    }

    /// Looks. What there is to be done, if anything; all else is told and answered.
    fn begin(&mut self, round: &mut Round) -> Result<Option<Found>, Interrupted> {
        let parked = self.parked.take();
        let again = self.memory.again.take();
        match (&parked, &again) {
            (Some(Parked { change: Change { trigger, .. }, .. }), _)
            | (None, Some((trigger, _))) => {
                round.trigger = *trigger;
            }
            (None, None) => self.memory.announced = None,
        }
        self.released(round, parked.as_ref().map(|parked| &parked.change))?;
        let scan = match self.glance(round)? {
            Ok(scan) => scan,
            Err(error) => {
                if parked.is_some() || again.is_some() {
                    self.memory.decided = None;
                }
                return self.unreadable(round, error).map(|()| None);
            }
        };
        self.readable(round);
        if parked.is_none()
            && again.is_none()
            && self.memory.decided == Some(scan.fingerprint)
            && !self.is_retry(round, &scan)
            && self.released_anew(scan.fingerprint).is_none()
        {
            return self.nothing_new(round, &scan).map(|()| None);
        }
        let cause = match again {
            Some((_, cause)) if scan.changed.is_empty() => cause,
            _ => scan.cause(),
        };
        Ok(Some(Found { scan, cause, parked }))
    }

    /// Settles, decides and concludes.
    fn carry_out(&mut self, round: &mut Round, found: Found) -> Result<(), Interrupted> {
        let Found { mut scan, mut cause, mut parked } = found;
        // One turn a change: inputs that move during a build begin the next.
        loop {
            if scan.is_refused()
                && let Some(kind) = scan.problem
            {
                return self.refuse_fetched(round, scan.fingerprint, kind);
            }
            let stands = parked.as_ref().is_some_and(|parked| parked.stands(&scan));
            let known = self.memory.differing.len();
            let change = match parked.take() {
                Some(parked) => parked.change,
                None => self.change(round.trigger, cause),
            };
            let mut settled = match stands || change.under_way.is_aborted() {
                true => Ok(scan),
                false => self.settle(&change, round, scan)?,
            };
            // Opened since the look: what was seen may be half of it.
            while !change.under_way.is_aborted() && self.released(round, Some(&change))? {
                settled = match self.look(round)? {
                    Ok(scan) => self.settle(&change, round, scan)?,
                    Err(error) => Err(error),
                };
            }
            if self.place.is_some() && self.memory.differing.len() > known {
                // Others may differ by that as well.
                return Err(self.park(&change, Awaited::Release, None));
            }
            let attempted = match settled {
                Ok(settled) if change.under_way.is_aborted() => {
                    let fingerprint = settled.fingerprint;
                    Attempt::Done(Verdict::Aborted { fingerprint, elapsed: None })
                }
                Ok(settled) => self.decide(&change, round, &settled)?,
                Err(error) => Attempt::Unreadable(error),
            };
            // The next build need not wait until this one is told of.
            self.permit = None;
            match attempted {
                Attempt::Done(verdict) => return self.conclude(&change, round, verdict),
                Attempt::Unreadable(error) => {
                    return self.conclude(&change, round, Verdict::Unreadable(error));
                }
                Attempt::Discarded(_, moved) if self.place.is_some() => {
                    // Others may be concerned as well.
                    self.memory.moved = Some(clock::now());
                    self.memory.again = Some((round.trigger, moved));
                    return Ok(());
                }
                Attempt::Discarded(next, moved) => {
                    drop(change);
                    self.memory.moved = Some(clock::now());
                    scan = next;
                    cause = moved;
                    if self.released(round, None)? {
                        scan = match self.look(round)? {
                            Ok(scan) => scan,
                            Err(error) => {
                                self.memory.decided = None;
                                return self.unreadable(round, error);
                            }
                        };
                    }
                }
            }
        }
    }

    /// Looks at everything. Whatever was asked for until now is answered by what it finds.
    fn look(&mut self, round: &mut Round) -> Result<Result<Scan, ScanError>, Interrupted> {
        self.memory.swept = None;
        self.glance(round)
    }

    /// Looks at what events named, and at everything that they do not speak for; at everything when
    /// somebody asks, and from time to time.
    fn glance(&mut self, round: &mut Round) -> Result<Result<Scan, ScanError>, Interrupted> {
        let asked = self.requests.take();
        round.through = asked.issued;
        self.told = match &self.events {
            EventsState::On(events) => events.take_told(),
            EventsState::Off | EventsState::Wanted => Told::anything(),
        };
        let is_alone = |trigger| matches!(trigger, Trigger::Poll | Trigger::Event);
        let is_enough = is_alone(round.trigger)
            && asked.trigger.is_none_or(is_alone)
            && !self.is_asked(round)
            && !self.told.is_anything()
            && !self.is_sweep_due();
        let renewed = match self.refresh(round) {
            Ok(Supplied::Same) => None,
            Ok(Supplied::Renewed(renewed)) => Some(renewed),
            Ok(Supplied::Refused(fingerprint, kind)) => {
                return Ok(Ok(Scan::refused(fingerprint, kind)));
            }
            Err(_) if self.stop.is_stopped() => return Err(Interrupted::Stopped),
            Err(error) => return Ok(Err(error)),
        };
        let mut scanned = if is_enough && renewed.is_none() {
            self.scanner.scan_extent(Extent::Told(&self.told))
        } else {
            self.memory.swept = Some(clock::now());
            self.scanner.scan()
        };
        if self.stop.is_stopped() {
            return Err(Interrupted::Stopped);
        }
        if let (Some(Renewed::Everything(name)), Ok(scan)) = (renewed, &mut scanned) {
            scan.changed.push(name);
        }
        if let (Some(place), Ok(scan)) = (&self.place, &scanned) {
            place.reads.set(self.scanner.witness());
            let paths = scan.changed.iter().map(|name| self.scanner.common_path(name));
            self.memory.differing.extend(paths);
        }
        self.follow(round.trigger, scanned.is_ok());
        Ok(scanned)
    }

    /// Whether everything is to be looked at, whatever events say.
    fn is_sweep_due(&self) -> bool {
        let period = self.poll_every.saturating_mul(SWEEP_PERIODS);
        self.memory.swept.is_none_or(|swept| clock::since(swept) >= period)
    }

    /// Has the events of what was found wake the thread.
    fn follow(&mut self, trigger: Trigger, is_readable: bool) {
        let is_new = self.memory.followed != self.scanner.looks();
        if let EventsState::Wanted = self.events {
            let hub = self.place.as_ref().map(|place| &place.hub);
            self.events = match Events::start(Arc::clone(&self.requests), hub) {
                Ok(events) => EventsState::On(events),
                Err(problem) => {
                    self.observer.tell(self.memory.change, trigger, Step::Events { problem });
                    EventsState::Off
                }
            };
        } else if is_readable && !is_new {
            return;
        }
        self.memory.followed = self.scanner.looks();
        let EventsState::On(events) = &mut self.events else { return };
        let problems = events.follow(self.scanner.interest());
        self.scanner.vouch(&events.reach());
        for problem in problems {
            self.observer.tell(self.memory.change, trigger, Step::Events { problem });
        }
    }

    /// What is to be done about a settled source: nothing, or a build.
    fn decide(
        &mut self,
        change: &Change,
        round: &mut Round,
        scan: &Scan,
    ) -> Result<Attempt, Interrupted> {
        self.renew_backend();
        let fingerprint = scan.fingerprint;
        self.memory.decided = Some(fingerprint);
        // Before anything is built, or found that was built of the same.
        if let Some(error) = self.supply.as_ref().and_then(Supply::edited) {
            return Ok(self.fetch_anew(error));
        }
        if let Some(same) = self.memory.handed_over.clone()
            && same.fingerprint == fingerprint
            && let Some(error) = self.replaced(&same)
        {
            return Ok(self.fetch_anew(error));
        }
        let verdict = if let Some(artifact) = self.released_anew(fingerprint) {
            Verdict::Recalled { artifact, elapsed: Duration::ZERO, warnings: 0 }
        } else if self.memory.is_handed_over(fingerprint) {
            Verdict::Unchanged(fingerprint)
        } else if let Some(error) = self.known_bad(fingerprint) {
            Verdict::KnownBad(error)
        } else {
            return match self.recall(round, scan)? {
                Some(attempt) => Ok(attempt),
                None => self.attempt(change, round, scan),
            };
        };
        Ok(Attempt::Done(verdict))
    }

    /// Tells, and hands over, what became of a change.
    fn conclude(
        &mut self,
        change: &Change,
        round: &Round,
        verdict: Verdict,
    ) -> Result<(), Interrupted> {
        self.memory.forget_differing();
        match verdict {
            Verdict::Unchanged(fingerprint) => {
                let cause = change.cause.clone();
                self.tell(change, Step::Unchanged { fingerprint, cause });
                self.notify(round, Some(change), Outcome::Unchanged(fingerprint))
            }
            Verdict::KnownBad(error) => {
                let (fingerprint, known) = (error.fingerprint, Arc::clone(&error));
                self.tell(change, Step::KnownBad { fingerprint, error: known });
                self.notify(round, Some(change), Outcome::Failed(error))
            }
            Verdict::Recalled { artifact, elapsed, warnings } => {
                self.tell(change, Step::Cached { artifact: artifact.clone(), elapsed, warnings });
                self.offer(change, round, artifact)
            }
            Verdict::Built(finished) => self.finish(change, round, *finished),
            Verdict::Aborted { fingerprint, elapsed } => {
                self.end_aborted(change, round, fingerprint, elapsed)
            }
            Verdict::Unreadable(error) => {
                // Whatever comes back is new.
                self.memory.decided = None;
                self.unreadable(round, error)
            }
        }
    }

    /// Whether the last attempt failed for a reason outside the source, and
    /// somebody asks for another one, or it is time for one.
    fn is_retry(&self, round: &Round, scan: &Scan) -> bool {
        let is_undecided = !self.memory.is_handed_over(scan.fingerprint)
            && self.known_bad(scan.fingerprint).is_none();
        is_undecided && (self.is_asked(round) || self.is_retry_due(scan.fingerprint))
    }

    /// What was handed over last, if it is a release of another number now: by that it is decided what may run.
    fn released_anew(&self, fingerprint: Fingerprint) -> Option<Artifact> {
        let handed_over = self.memory.handed_over.as_ref()?;
        let release = self.supply.as_ref()?.release();
        let is_anew = handed_over.fingerprint == fingerprint && handed_over.release != release;
        is_anew.then(|| handed_over.clone())
    }

    /// The source looks as it did at the last decision.
    fn nothing_new(&mut self, round: &Round, scan: &Scan) -> Result<(), Interrupted> {
        let fingerprint = scan.fingerprint;
        self.memory.forget_differing();
        if !scan.touched.is_empty() {
            let change = self.change(round.trigger, cause_of(&scan.touched));
            let cause = change.cause.clone();
            self.tell(&change, Step::Unchanged { fingerprint, cause });
        }
        if !self.is_asked(round) {
            return Ok(());
        }
        let outcome = match self.known_bad(fingerprint) {
            Some(error) if !self.memory.is_handed_over(fingerprint) => Outcome::Failed(error),
            _ => Outcome::Unchanged(fingerprint),
        };
        self.notify(round, None, outcome)
    }

    /// Whether anybody waits for an answer.
    fn is_asked(&self, round: &Round) -> bool {
        self.memory.answered.is_none_or(|answered| answered < round.through)
    }

    fn change(&mut self, trigger: Trigger, cause: Cause) -> Change {
        let number = self.memory.announce();
        self.memory.announced = None;
        let under_way = UnderWay::new(Stage::Settling);
        Change { number, trigger, cause, under_way }
    }

    fn tell(&mut self, change: &Change, step: Step) {
        self.observer.tell(change.number, change.trigger, step);
    }

    /// Sends a message; waits for room in the channel, and ends all the same when
    /// it is told to.
    fn notify(
        &mut self,
        round: &Round,
        change: Option<&Change>,
        outcome: Outcome,
    ) -> Result<(), Interrupted> {
        let mut notification = Notification::new(
            change.map(|change| {
                change.under_way.enter(Stage::Waiting);
                (change.number, change.under_way.clone())
            }),
            round.trigger,
            round.through,
            change.map(|change| change.cause.clone()).unwrap_or_default(),
            outcome,
        );
        notification.group = self.group.take();
        fault::point(Operation::Send);
        let send = || {
            select! {
                recv(self.stop.channel()) -> _ => Err(Interrupted::Stopped),
                send(self.notifications, notification) -> sent => {
                    sent.map_err(|_nobody_listens| Interrupted::Stopped)
                }
            }
        };
        match &self.place {
            Some(place) if self.notifications.is_full() => place.line.aside(send),
            _ => send(),
        }?;
        self.memory.answered = Some(round.through);
        self.memory.is_fetched_anew = false;
        Ok(())
    }

    /// The end of a change that was aborted: it is remembered, told and answered.
    fn end_aborted(
        &mut self,
        change: &Change,
        round: &Round,
        fingerprint: Fingerprint,
        elapsed: Option<Duration>,
    ) -> Result<(), Interrupted> {
        self.aborted.add(fingerprint);
        self.memory.decided = Some(fingerprint);
        self.memory.retry = None;
        let cause = change.cause.clone();
        self.tell(change, Step::Aborted { fingerprint, cause, elapsed });
        let error = self.failed(fingerprint, BuildErrorKind::Aborted);
        self.notify(round, Some(change), Outcome::Failed(error))
    }

    /// Why this is not built, if it was refused or aborted before.
    fn known_bad(&self, fingerprint: Fingerprint) -> Option<Arc<BuildError>> {
        let aborted = || {
            let is_aborted = self.aborted.contains(fingerprint);
            is_aborted.then(|| self.failed(fingerprint, BuildErrorKind::Aborted))
        };
        self.memory.known_bad.get(fingerprint).or_else(aborted)
    }

    fn failed(&self, fingerprint: Fingerprint, kind: BuildErrorKind) -> Arc<BuildError> {
        Arc::new(BuildError::new(self.source_name.as_str(), fingerprint, kind))
    }
}
