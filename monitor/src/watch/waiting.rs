//! Between two rounds, and for what a round waits.

use std::time::{Duration, Instant};

use crossbeam_channel::{never, select};
use hotswap_artifact::{Fingerprint, Trigger, UnderWay, Woken};
use hotswap_system::clock;

use super::supervise::Rest;
use super::{Change, Interrupted, Round, Watch};
use crate::Scan;
use crate::supply::Supply;

/// A change that waits between two rounds, so that no thread does.
pub(crate) struct Parked {
    pub(super) change: Change,
    /// What stood still, if it did.
    pub(super) settled: Option<Fingerprint>,
    pub(super) awaited: Awaited,
}

/// What a change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The end of the last hold.
    Release,
    /// The end of another one's build.
    Permit,
}

impl Parked {
    /// Whether a look finds what stood still before, untouched.
    pub(super) fn stands(&self, scan: &Scan) -> bool {
        self.settled == Some(scan.fingerprint) && scan.changed.is_empty() && scan.touched.is_empty()
    }
}

impl Watch {
    /// Waits for a request or the end of the period.
    pub(super) fn wait(&self) -> Result<Trigger, Interrupted> {
        if let Some(Rest { until }) = self.memory.rest {
            return self.rest(until);
        }
        let period = self.poll_every.min(self.until_retry());
        let mut due = match &self.supply {
            Some(supply) if !self.requests.is_held() => {
                let period = period.min(supply.until_retry());
                let woken = self.pause(supply, period);
                if self.stop.is_stopped() {
                    return Err(Interrupted::Stopped);
                }
                if !self.requests.is_held() {
                    let asked = self.requests.take().trigger;
                    return Ok(asked.unwrap_or(match woken {
                        Woken::ByChange => Trigger::Event,
                        Woken::ByTime | Woken::ByRequest => Trigger::Poll,
                    }));
                }
                clock::never()
            }
            Some(_) => clock::never(),
            None => clock::after(period),
        };
        loop {
            select! {
                recv(self.stop.channel()) -> _ => return Err(Interrupted::Stopped),
                recv(due) -> _ => {
                    if !self.requests.is_held() {
                        return Ok(Trigger::Poll);
                    }
                    // The end of the last hold is a request.
                    due = clock::never();
                }
                recv(self.woken) -> _ => {
                    if let Some(trigger) = self.asked() {
                        return Ok(trigger);
                    }
                }
            }
        }
    }

    /// Waits for the time of the next round, or for somebody who asks.
    pub(super) fn rest(&self, until: Option<Instant>) -> Result<Trigger, Interrupted> {
        let time = |until: Instant| clock::after(until.saturating_duration_since(clock::now()));
        let due = until.map_or_else(clock::never, time);
        select! {
            recv(self.stop.channel()) -> _ => Err(Interrupted::Stopped),
            recv(due) -> _ => Ok(Trigger::Poll),
            recv(self.woken) -> _ => Ok(self.requests.take().trigger.unwrap_or(Trigger::Poll)),
        }
    }

    /// Why somebody asks for a look. What is asked for under a hold stays asked for; a token whose
    /// request was taken up by an earlier scan means nothing.
    pub(crate) fn asked(&self) -> Option<Trigger> {
        if self.requests.is_held() {
            return None;
        }
        // The token of what is taken up here.
        let _none = self.woken.try_recv();
        self.requests.take().trigger
    }

    /// Whether nothing is done after a panic, unless somebody asks or its time has come.
    pub(crate) fn is_resting(&self) -> bool {
        self.memory.rest.is_some()
    }

    /// When something is to be tried again, if that is before the next look.
    pub(crate) fn due(&self) -> Option<Instant> {
        if let Some(rest) = &self.memory.rest {
            return rest.until;
        }
        if self.memory.again.is_some() {
            return Some(clock::now());
        }
        let of_supply = self.supply.as_ref().map_or(Duration::MAX, Supply::until_retry);
        clock::now().checked_add(self.until_retry().min(of_supply))
    }

    /// What its change waits for, if that is so outside of a round.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        self.parked.as_ref().map(|parked| parked.awaited)
    }

    /// The change that waits outside of a round.
    pub(crate) fn parked_change(&self) -> Option<&UnderWay> {
        self.parked.as_ref().map(|parked| &parked.change.under_way)
    }

    /// Whether a hold is open.
    pub(crate) fn is_held(&self) -> bool {
        self.requests.is_held()
    }

    /// Leaves the change for a later round.
    pub(super) fn park(
        &mut self,
        change: &Change,
        awaited: Awaited,
        settled: Option<Fingerprint>,
    ) -> Interrupted {
        self.parked = Some(Parked { change: change.clone(), settled, awaited });
        Interrupted::Parked
    }

    /// Whether a build may begin. If not, its turn in the queue will come.
    pub(super) fn may_build(&mut self) -> bool {
        let Some(place) = &self.place else { return true };
        if self.permit.is_none() && self.is_compiled() {
            self.permit = place.ask();
            return self.permit.is_some();
        }
        true
    }

    /// Waits until no hold is open, or the change that waits is aborted. Whether there was one, and the source is to
    /// be looked at again.
    pub(super) fn released(
        &mut self,
        round: &mut Round,
        change: Option<&Change>,
    ) -> Result<bool, Interrupted> {
        if self.place.is_some() && self.requests.is_held() {
            return match change {
                Some(change) if change.under_way.is_aborted() => Ok(true),
                Some(change) => Err(self.park(change, Awaited::Release, None)),
                None => {
                    self.requests.push(round.trigger);
                    Err(Interrupted::Parked)
                }
            };
        }
        let nobody = never();
        let aborted = change.map_or(&nobody, |change| change.under_way.aborted());
        let mut was_held = false;
        while self.requests.is_held() {
            was_held = true;
            select! {
                recv(self.stop.channel()) -> _ => return Err(Interrupted::Stopped),
                recv(aborted) -> _ => return Ok(true),
                recv(self.woken) -> _ => {}
            }
        }
        if was_held && let Some(trigger) = self.requests.take().trigger {
            round.trigger = trigger;
        }
        Ok(was_held)
    }
}
