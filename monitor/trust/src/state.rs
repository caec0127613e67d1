//! What a client remembers of the releases that it accepted, and what it takes because of it.

mod store;

use std::time::Duration;

use hotswap_artifact::ContentHash;

use crate::level::Level;
use crate::manifest::{Manifest, Previous};
use crate::signed::Verified;
use crate::timestamp::Timestamp;
use crate::wanted::Wanted;

pub use self::store::{Damage, StateError, StateErrorKind, Subject, TrustStore};

/// How far the number of a release may be above that of the one accepted before.
///
/// 100 million: who counts in seconds may pause for three years. Without a limit one signature over the highest number there is
/// would be the last that any client ever accepts.
pub const COUNTER_JUMP_MAX: u64 = 100_000_000;

/// How far the clock may be behind the time remembered without being told.
///
/// A day: time zones mistaken for each other, and corrections of a clock that was never set.
pub const CLOCK_BACK_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How much later a release that is no news has to be found current before that is remembered: a poll should write nothing.
const TIME_STEP: Duration = Duration::from_secs(60 * 60);

/// What a client remembers of one module on one channel of one source. Nothing at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrustState {
    /// The release accepted last, which has the highest number of all that were.
    latest: Option<Previous>,
    /// The highest floor that an accepted release had.
    floor: u64,
    /// The latest time at which a release was found to be current. Never past the expiry of that release.
    time: Timestamp,
}

/// A release that passed every check, and what is to be remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    news: News,
    clock_back: Option<Duration>,
    before: TrustState,
    after: TrustState,
}

/// What a release is to who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// The one that the host named.
    Pinned,
    /// Nothing was accepted before, so that no earlier one is known that it would have to follow.
    First,
    /// The one after that accepted last.
    Next,
    /// A later one; what was released between, this client never saw.
    Gap {
        /// The number accepted last.
        accepted: u64,
        /// The number that the new release follows.
        previous: u64,
    },
    /// The one accepted last.
    Unchanged,
}

/// A release is not taken; what was accepted before stays, and the next good one is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{release} is not taken: {kind}")]
#[non_exhaustive]
pub struct TrustError {
    /// The release, who signed it, and where it is from.
    pub release: String,
    /// What is wrong.
    pub kind: TrustErrorKind,
}

/// Why a release is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustErrorKind {
    /// It is for something else.
    #[error("its {what} is {found:?}, and {wanted:?} was asked for")]
    Other {
        /// What differs: module, channel, kind, target, abi or toolchain.
        what: &'static str,
        /// What was asked for.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// It is older than what was accepted.
    #[error(
        "release {accepted} was accepted already; what is older is not taken from a source (`rollback` goes back to what is kept)"
    )]
    Older {
        /// The number accepted last.
        accepted: u64,
    },
    /// It is below the floor.
    #[error("releases below {floor} may not run any more")]
    BelowFloor {
        /// The lowest that may.
        floor: u64,
    },
    /// It is kept, and newer than all that was accepted.
    #[error("it was never accepted: the last was release {accepted}")]
    NotAccepted {
        /// The number accepted last; 0 when there was none.
        accepted: u64,
    },
    /// There are two releases of this number.
    #[error(
        "its manifest is {found}, and another one of this number, {accepted}, was accepted: it was published twice, or somebody else has the key"
    )]
    Conflict {
        /// The manifest that was accepted.
        accepted: ContentHash,
        /// This one.
        found: ContentHash,
    },
    /// It does not follow what was accepted.
    #[error("it follows {}, which is not on the way from release {accepted}, accepted last, with manifest {hash}: publish it again on top of that one", follows(.found))]
    Fork {
        /// The number accepted last.
        accepted: u64,
        /// Its manifest.
        hash: ContentHash,
        /// What the release says that it follows.
        found: Option<Previous>,
    },
    /// Its number is too far above that of the one accepted last.
    #[error(
        "its number is more than {COUNTER_JUMP_MAX} above {accepted}, accepted last; if that is meant, forget what is remembered of this source"
    )]
    Jump {
        /// The number accepted last.
        accepted: u64,
    },
    /// It is past its expiry.
    #[error("it expired at {expires}, and it is {now}{}: publish it again, with a later expiry", clock(*.is_remembered))]
    Expired {
        /// When it expired.
        expires: Timestamp,
        /// What time it is taken to be.
        now: Timestamp,
        /// Whether that time is remembered, and the clock says an earlier one.
        is_remembered: bool,
    },
    /// The clock is behind, so that it cannot be told whether what is there is still current.
    #[error(
        "the clock says {now}, and it was {remembered} already: set it; until then only releases that are new are taken"
    )]
    ClockBack {
        /// What the clock says.
        now: Timestamp,
        /// The time that is remembered.
        remembered: Timestamp,
    },
}

fn follows(found: &Option<Previous>) -> String {
    match found {
        Some(Previous { counter, hash }) => format!("release {counter} with manifest {hash}"),
        None => "no other".to_owned(),
    }
}

fn clock(is_remembered: bool) -> &'static str {
    if is_remembered { " (remembered; the clock says an earlier time: set it)" } else { "" }
}

impl TrustState {
    /// The number of the release accepted last; 0 when there was none.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.latest.map_or(0, |latest| latest.counter)
    }

    /// SHA-256 of the manifest accepted last.
    #[must_use]
    pub fn manifest(&self) -> Option<ContentHash> {
        self.latest.map(|latest| latest.hash)
    }

    /// The lowest release that may run. It never falls.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The latest time at which a release was found to be current.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether a release that is kept may run again: it is not below the floor, and not above what was accepted.
    ///
    /// So going back is possible where being pushed back is not: a *source* can never offer an older release, and who goes back
    /// changes nothing here.
    #[must_use]
    pub fn may_run(&self, counter: u64) -> bool {
        (self.floor..=self.counter()).contains(&counter)
    }

    /// Checks the manifest of a release that is kept: in a cache, for when a source is down, or to go back to. It may have expired, for it is
    /// not taken for the newest. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the release is for something else, below the floor, never was accepted because it is above what was, or is another
    /// one of the number that was accepted last.
    pub fn check_kept(&self, verified: &Verified, wanted: &Wanted) -> Result<(), TrustError> {
        self.judge_kept(verified, wanted)
            .map_err(|kind| TrustError { release: verified.described(), kind })
    }

    fn judge_kept(&self, verified: &Verified, wanted: &Wanted) -> Result<(), TrustErrorKind> {
        wanted.must_be(verified)?;
        if verified.level() < Level::L2 {
            return Ok(());
        }
        let floor = self.floor.max(wanted.floor);
        if verified.counter < floor {
            return Err(TrustErrorKind::BelowFloor { floor });
        }
        match self.latest {
            Some(latest) if verified.counter < latest.counter => Ok(()),
            Some(latest) if verified.counter == latest.counter => latest.must_be(verified.hash()),
            _ => Err(TrustErrorKind::NotAccepted { accepted: self.counter() }),
        }
    }

    /// Checks a manifest against what was asked for and what is remembered. Changes nothing: what is to be remembered is written by
    /// [`TrustStore::remember`] when the files were checked as well.
    ///
    /// `now` is taken once, when a source begins to look, so that no later step goes by another time.
    ///
    /// Of a manifest that the host named by its hash only what it is for is checked: no other could take its place.
    ///
    /// # Errors
    ///
    /// When the release is for something else, older than what was accepted, below the floor, another one of the same number, on no
    /// way from what was accepted, too far above it, past its expiry, or nothing new while the clock is behind.
    pub fn check(
        &self,
        verified: &Verified,
        now: Timestamp,
        wanted: &Wanted,
    ) -> Result<Accepted, TrustError> {
        self.judge(verified, now, wanted)
            .map_err(|kind| TrustError { release: verified.described(), kind })
    }

    fn judge(
        &self,
        verified: &Verified,
        now: Timestamp,
        wanted: &Wanted,
    ) -> Result<Accepted, TrustErrorKind> {
        wanted.must_be(verified)?;
        if verified.level() < Level::L2 {
            let (before, after) = (*self, *self);
            return Ok(Accepted { news: News::Pinned, clock_back: None, before, after });
        }
        let floor = self.floor.max(wanted.floor);
        if verified.counter < floor {
            return Err(TrustErrorKind::BelowFloor { floor });
        }
        let news = self.news(verified, verified.hash())?;
        let clock_back = Some(self.time.since(now)).filter(|back| *back > CLOCK_BACK_MAX);
        let (time, is_remembered) = (self.time.max(now), self.time > now);
        if time > verified.expires {
            let expires = verified.expires;
            return Err(TrustErrorKind::Expired { expires, now: time, is_remembered });
        }
        // Of what is new it is known that it was signed after what was accepted. Of what is not new nothing vouches for the
        // clock, and by holding it back one release could be passed off as current for ever.
        if news == News::Unchanged && clock_back.is_some() {
            return Err(TrustErrorKind::ClockBack { now, remembered: self.time });
        }
        let is_noted = news == News::Unchanged && time.since(self.time) < TIME_STEP;
        let after = Self {
            latest: Some(Previous { counter: verified.counter, hash: verified.hash() }),
            floor: self.floor.max(verified.floor),
            time: if is_noted { self.time } else { time },
        };
        Ok(Accepted { news, clock_back, before: *self, after })
    }

    /// Where a release stands to the one accepted last.
    fn news(&self, manifest: &Manifest, hash: ContentHash) -> Result<News, TrustErrorKind> {
        let Some(latest) = self.latest else { return Ok(News::First) };
        let accepted = latest.counter;
        if manifest.counter < accepted {
            return Err(TrustErrorKind::Older { accepted });
        }
        if manifest.counter == accepted {
            return latest.must_be(hash).map(|()| News::Unchanged);
        }
        if manifest.counter - accepted > COUNTER_JUMP_MAX {
            return Err(TrustErrorKind::Jump { accepted });
        }
        match manifest.previous {
            Some(previous) if previous == latest => Ok(News::Next),
            Some(Previous { counter: previous, .. }) if previous > accepted => {
                Ok(News::Gap { accepted, previous })
            }
            found => Err(TrustErrorKind::Fork { accepted, hash: latest.hash, found }),
        }
    }
}

impl Previous {
    /// That a release of this number is this one.
    fn must_be(self, found: ContentHash) -> Result<(), TrustErrorKind> {
        if found == self.hash {
            return Ok(());
        }
        Err(TrustErrorKind::Conflict { accepted: self.hash, found })
    }
}

impl Wanted {
    fn must_be(&self, manifest: &Manifest) -> Result<(), TrustErrorKind> {
        match self.difference(manifest) {
            None => Ok(()),
            Some((what, wanted, found)) => Err(TrustErrorKind::Other { what, wanted, found }),
        }
    }
}

impl Accepted {
    /// What the release is to who asked.
    #[must_use]
    pub fn news(&self) -> News {
        self.news
    }

    /// How far the clock is behind the time remembered, when that is more than [`CLOCK_BACK_MAX`]: somebody should be told.
    #[must_use]
    pub fn clock_back(&self) -> Option<Duration> {
        self.clock_back
    }

    /// What is remembered once this is.
    #[must_use]
    pub fn state(&self) -> TrustState {
        self.after
    }
}
