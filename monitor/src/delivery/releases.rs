//! The releases of one module, as a monitor sees them.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotswap_artifact::{
    Assurance, Attachment, Fetch, FetchError, FetchErrorKind, Fetched, Fingerprint, Host,
    ModuleName, Pause, Source, Woken,
};
use hotswap_trust::{
    Level, News, StateError, StateErrorKind, Subject, Timestamp, Trust, TrustErrorKind, TrustState,
    TrustStore, Wanted,
};
use parking_lot::Mutex;

use super::cache::Cache;
use super::error::{ReleasesError, ReleasesErrorKind};
use super::hand_over::HandOver;
use super::homes::Homes;
use super::mirrors::{Mirrors, all_failed, told};
use super::release::{Ground, Offer, Release};
use super::{Base as _, Place, ReleaseDirectory};

/// How often a release is looked for anew when another process accepted one meanwhile.
///
/// 3: processes that accept releases in turn do so a few times a day.
const LOOKS_MAX: u32 = 3;

/// The releases of a module on a channel, from one place or several that have the same: a source like a directory.
///
/// At each look a place is asked for its manifest, and that is checked by whom the host [trusts](Trust). When it is another
/// than what was handed out, its files are fetched into the cache, all of them or none, each checked as it comes; they are
/// copied from there, and hashed as they are copied; and only then the release is remembered. What is refused changes nothing:
/// the next good release is taken.
///
/// The first place gives the source its name. What is remembered of releases belongs to that name, the module and the channel.
#[derive(Debug)]
pub struct Releases {
    module: String,
    trust: Trust,
    places: Vec<Arc<dyn Place>>,
    homes: Homes,
    subject: Subject,
    monitors: Mutex<Vec<Attachment>>,
    /// The floor that was read last.
    floor: Mutex<Option<u64>>,
    /// Held while something is fetched, which may take long.
    looks: Mutex<Looks>,
    /// How many monitors began. Beside the looks: one that begins waits for none.
    begun: AtomicU64,
}

/// What looks found.
#[derive(Debug)]
struct Looks {
    mirrors: Mirrors,
    /// What is handed out next.
    offer: Option<Offer>,
    /// How many monitors had begun when something was handed out last.
    handed_out: Option<u64>,
}

impl Releases {
    /// The releases of this module in these places, by whom the host trusts. Reads nothing but environment variables.
    ///
    /// # Errors
    ///
    /// When no module or channel can have that name, there is no place, or this user has no home directory and the host did not
    /// say where to keep releases and what is remembered of them.
    pub fn new(
        module: impl Into<String>,
        places: impl IntoIterator<Item = Arc<dyn Place>>,
        trust: Trust,
    ) -> Result<Self, ReleasesError> {
        let module = module.into();
        let places: Vec<_> = places.into_iter().collect();
        match Self::homes(&module, &places, &trust) {
            Ok((homes, first)) => Ok(Self {
                subject: Subject::new(first.name(), &module, trust.wanted_channel()),
                module,
                trust,
                homes,
                monitors: Mutex::default(),
                floor: Mutex::default(),
                looks: Mutex::new(Looks {
                    mirrors: Mirrors::new(places.iter().cloned()),
                    offer: None,
                    handed_out: None,
                }),
                begun: AtomicU64::new(0),
                places,
            }),
            Err(kind) => Err(ReleasesError { module, kind }),
        }
    }

    fn homes(
        module: &str,
        places: &[Arc<dyn Place>],
        trust: &Trust,
    ) -> Result<(Homes, Arc<dyn Place>), ReleasesErrorKind> {
        let channel = trust.wanted_channel();
        if !ModuleName::is_part(module) {
            return Err(ReleasesErrorKind::Module);
        }
        if !ModuleName::is_part(channel) {
            return Err(ReleasesErrorKind::Channel { channel: channel.to_owned() });
        }
        let first = places.first().ok_or(ReleasesErrorKind::NoPlace)?;
        let homes = Homes::of(trust).ok_or(ReleasesErrorKind::NoHome)?;
        Ok((homes, Arc::clone(first)))
    }

    /// The same, from other places. The first has to have the name of the first before.
    #[cfg(feature = "http")]
    pub(crate) fn moved_to(mut self, places: Vec<Arc<dyn Place>>) -> Self {
        self.looks.get_mut().mirrors = Mirrors::new(places.iter().cloned());
        self.places = places;
        self
    }

    /// The releases of this module below a directory, by whom the host trusts. A relative path is taken from the working directory of
    /// now.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn in_directory(
        path: impl AsRef<Path>,
        module: &str,
        trust: Trust,
    ) -> Result<Self, ReleasesError> {
        let place = ReleaseDirectory::new(path).place(module, trust.wanted_channel());
        Self::new(module, [place], trust)
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// Where they lie. What these places have is checked by nobody.
    #[must_use]
    pub fn places(&self) -> &[Arc<dyn Place>] {
        &self.places
    }

    /// Whom the host trusts.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whether there is such a module, or was one that was accepted. Nothing is checked by this. Blocks while a place is asked.
    ///
    /// # Errors
    ///
    /// When no place can be asked, and none was ever accepted.
    pub fn is_there(&self) -> Result<bool, FetchError> {
        if self.remembered()?.1.counter() > 0 {
            return Ok(true);
        }
        let mut looks = self.looks.lock();
        let mut failures = Vec::new();
        for index in looks.mirrors.order(false) {
            match looks.mirrors.ask(index, &self.trust) {
                Ok(None) => {}
                // Whatever it is.
                Ok(Some(_)) => return Ok(true),
                Err(error) if error.kind == FetchErrorKind::Refused => {
                    return Ok(true);
                }
                Err(error) => failures.push(error),
            }
        }
        if failures.is_empty() { Ok(false) } else { Err(all_failed(failures)) }
    }

    /// What is remembered of this module, from the disk.
    fn remembered(&self) -> Result<(TrustStore, TrustState), FetchError> {
        let store = TrustStore::open(&self.homes.state);
        let loaded = store.and_then(|store| Ok((store.load(&self.subject)?, store)));
        let (state, store) = loaded.map_err(|error| unknown(&error))?;
        *self.floor.lock() = Some(state.floor());
        Ok((store, state))
    }

    fn host(&self) -> Option<Host> {
        self.monitors.lock().iter().rev().find_map(|monitor| monitor.host.clone())
    }

    /// How many monitors began. Relaxed: nothing else is told by it.
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether nobody waits any more for what is fetched.
    fn is_over(&self) -> bool {
        let monitors = self.monitors.lock();
        !monitors.is_empty() && monitors.iter().all(Attachment::is_over)
    }

    /// What has to be said of a release, for it to be one for this host.
    fn wanted(&self, release: &Release) -> Result<Wanted, FetchError> {
        let host = self.host();
        let verified = &release.verified;
        let is_for_one =
            verified.target.is_some() || verified.abi.is_some() || verified.toolchain.is_some();
        if host.is_none() && is_for_one {
            return Err(FetchError::refused(format!(
                "{} is for one kind of host, and this monitor was not told which kind it is for: \
                 only source that is for any can be taken",
                verified.described()
            )));
        }
        let Host { target, abi, toolchain, .. } = host.unwrap_or_else(|| Host::new("", "", ""));
        let mut wanted = Wanted::new(&self.module, target, abi, toolchain);
        self.trust.wanted_channel().clone_into(&mut wanted.channel);
        wanted.kind = self.trust.only_kind();
        wanted.floor = self.trust.lowest();
        Ok(wanted)
    }

    /// Asks the places in turn, until one has a release to go by.
    fn look(&self, looks: &mut Looks) -> Result<Option<Offer>, FetchError> {
        // Taken once: no step of this look goes by another time.
        let now = Timestamp::now();
        let (store, state) = self.remembered()?;
        let mut failures = Vec::new();
        let is_ordered = self.trust.level() == Level::L2;
        for place in looks.mirrors.order(is_ordered) {
            let asked = looks.mirrors.ask(place, &self.trust);
            let judged = asked.and_then(|found| match found {
                Some(release) => self.judge(release, &state, now, place).map(Some),
                None => Ok(None),
            });
            match judged {
                Ok(Some(offer)) => {
                    looks.mirrors.praise(place);
                    self.note_time(&store, &offer)?;
                    return Ok(Some(offer));
                }
                Ok(None) => {}
                Err(error) => {
                    looks.mirrors.pass_over(place);
                    failures.push(error);
                }
            }
        }
        if !failures.is_empty() {
            return Err(all_failed(failures));
        }
        if state.counter() > 0 {
            // Who only removes a file could otherwise end what was signed.
            let text = format!(
                "{} has no release of {} any more; release {} was accepted, and stays what is known",
                self.name(),
                self.module,
                state.counter()
            );
            return Err(FetchError::unavailable(text));
        }
        Ok(None)
    }

    fn judge(
        &self,
        release: Arc<Release>,
        state: &TrustState,
        now: Timestamp,
        place: usize,
    ) -> Result<Offer, FetchError> {
        let wanted = self.wanted(&release)?;
        match state.check(&release.verified, now, &wanted) {
            Ok(accepted) => Ok(Offer { release, ground: Ground::Placed { place, accepted } }),
            Err(error) => Err(match error.kind {
                TrustErrorKind::Expired { .. } | TrustErrorKind::ClockBack { .. } => {
                    FetchError::stale(error.to_string())
                }
                _ => FetchError::refused(error.to_string()),
            }),
        }
    }

    /// Remembers how late what was accepted before was still the newest. Its files were checked then.
    fn note_time(&self, store: &TrustStore, offer: &Offer) -> Result<(), FetchError> {
        let Ground::Placed { accepted, .. } = &offer.ground else { return Ok(()) };
        if accepted.news() != News::Unchanged {
            return Ok(());
        }
        match store.remember(&self.subject, accepted) {
            // Another process noted it, or something newer, which the next look finds.
            Err(StateError { kind: StateErrorKind::Changed { .. }, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(unknown(&error)),
        }
    }

    fn cache(&self, store: &TrustStore) -> Result<Cache, FetchError> {
        // One name for both: of a module on a channel, from a source.
        let path = store.path(&self.subject);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Cache::open(&self.homes.cache, &name)
    }

    /// The newest release that was accepted and is kept.
    fn kept(&self, why: &FetchError) -> Result<Vec<Offer>, FetchError> {
        let (store, state) = self.remembered()?;
        let kept = self.cache(&store)?.kept(&self.trust).into_iter();
        let is_good = |release: &Arc<Release>| {
            let wanted = self.wanted(release);
            wanted.is_ok_and(|wanted| state.check_kept(&release.verified, &wanted).is_ok())
        };
        let offer = |release| Offer { release, ground: Ground::Kept(why.clone()) };
        Ok(kept.filter(is_good).map(offer).collect())
    }

    /// Hands out what was found last, or what is there now.
    fn hand_out(&self, looks: &mut Looks, directory: &Path) -> Result<Offer, FetchError> {
        let mut found = looks.offer.take();
        for _ in 0..LOOKS_MAX {
            let offer = match found.take() {
                Some(offer) => offer,
                None => self
                    .look(looks)
                    .map_err(of_a_place)?
                    .ok_or_else(|| FetchError::unavailable(format!("{} is gone", self.name())))?,
            };
            let (store, _) = self.remembered()?;
            let cache = self.cache(&store)?;
            let is_over = || self.is_over();
            let mut hand_over = HandOver {
                cache: &cache,
                trust: &self.trust,
                module: &self.module,
                directory,
                mirrors: &mut looks.mirrors,
                is_over: &is_over,
            };
            let accepted = match &offer.ground {
                Ground::Kept(_) => {
                    // An attempt before this may have left something.
                    hand_over.clear()?;
                    hand_over.copy(&offer.release)?;
                    return Ok(offer);
                }
                Ground::Placed { place, accepted } => {
                    hand_over.fetch(&offer.release, *place)?;
                    accepted
                }
            };
            match store.remember(&self.subject, accepted) {
                Ok(()) => {
                    *self.floor.lock() = Some(accepted.state().floor());
                    return Ok(offer);
                }
                // Another process accepted a release since this one was checked: perhaps a newer one.
                Err(StateError { kind: StateErrorKind::Changed { .. }, .. }) => {
                    hand_over.clear()?;
                }
                Err(error) => return Err(unknown(&error)),
            }
        }
        Err(FetchError::unavailable(format!(
            "other processes accept releases of {} all the time",
            self.subject
        )))
    }

    /// Hands out the newest release that is kept and undamaged, for this reason.
    fn hand_out_kept(
        &self,
        looks: &mut Looks,
        directory: &Path,
        mut why: FetchError,
    ) -> Result<Offer, FetchError> {
        for offer in self.kept(&why)? {
            looks.offer = Some(offer);
            match self.hand_out(looks, directory) {
                Ok(offer) => return Ok(offer),
                Err(error) => why = and(&why, &error),
            }
        }
        Err(why)
    }
}

impl Fetch for Releases {
    fn kind(&self) -> &'static str {
        self.places.first().map_or("releases", |place| place.kind())
    }

    fn name(&self) -> &str {
        self.places.first().map_or(&self.module, |place| place.name())
    }

    /// What served because somebody else was believed, or of another channel, is nothing to go back to.
    fn lasting_name(&self) -> Cow<'_, str> {
        format!("{} {}", self.name(), self.trust.lasting_name()).into()
    }

    /// While nothing was handed out, what is kept answers for places that are down, lie, or have nothing that is current.
    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        let mut looks = self.looks.lock();
        let looks = &mut *looks;
        looks.offer = match self.look(looks) {
            Err(error) if looks.handed_out != Some(self.begun()) => {
                let kept = self.kept(&error).unwrap_or_default();
                Some(kept.into_iter().next().ok_or(error)?)
            }
            found => found?,
        };
        Ok(looks.offer.as_ref().map(|offer| offer.release.fingerprint()))
    }

    fn refresh(&self) {
        self.places.iter().for_each(|place| place.refresh());
    }

    fn is_slow(&self) -> bool {
        self.places.iter().any(|place| place.is_remote())
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let mut looks = self.looks.lock();
        let looks = &mut *looks;
        // Before: of a monitor that begins meanwhile nothing is handed out by this.
        let begun = self.begun();
        let why = looks.offer.as_ref().and_then(Offer::why_kept).cloned();
        let offer = match self.hand_out(looks, directory) {
            Err(error) if looks.handed_out != Some(begun) => {
                let why = why.map_or_else(|| error.clone(), |why| and(&why, &error));
                self.hand_out_kept(looks, directory, why)?
            }
            handed_out => handed_out?,
        };
        looks.handed_out = Some(begun);
        let Offer { release, .. } = &offer;
        let code = super::hand_over::code(release, &self.module, directory);
        let mut fetched = Fetched::new(release.fingerprint(), code);
        fetched.note = offer.note();
        fetched.release = Some(release.verified.counter);
        fetched.content = release.content()?;
        fetched.is_foreign = release.is_built();
        Ok(fetched)
    }

    fn attach(&self, monitor: &Attachment) {
        let mut monitors = self.monitors.lock();
        monitors.retain(|monitor| !monitor.is_over());
        monitors.push(monitor.clone());
        drop(monitors);
        self.begun.fetch_add(1, Ordering::Relaxed);
        for place in &self.places {
            place.attach(monitor);
        }
    }

    fn wait(&self, pause: &Pause<'_>) -> Woken {
        match self.places.first() {
            Some(first) => first.wait(pause),
            None => pause.sleep(pause.period()),
        }
    }

    /// Where what is remembered cannot be read the floor may be anywhere: nothing with a number is gone back to.
    fn floor(&self) -> u64 {
        let known = *self.floor.lock();
        let read = || self.remembered().map_or(u64::MAX, |(_, state)| state.floor());
        known.unwrap_or_else(read).max(self.trust.lowest())
    }

    fn assurance(&self) -> Option<Assurance> {
        let channel = self.trust.wanted_channel();
        let text = format!("{}, channel {channel}", self.trust.described());
        Some(Assurance::new(self.trust.level().name(), text))
    }
}

impl From<Releases> for Source {
    fn from(releases: Releases) -> Self {
        Self::fetched(releases)
    }
}

/// A failure, and another that came of it. The release that was asked for is no reason.
fn and(first: &FetchError, second: &FetchError) -> FetchError {
    FetchError::unavailable(format!("{}; {}", told(first), told(second)))
}

/// A refusal of what a place says while something is fetched is none of the release that was asked for: that may be right at the next
/// attempt.
fn of_a_place(mut error: FetchError) -> FetchError {
    error.kind = FetchErrorKind::Unavailable;
    error
}

/// What is remembered cannot be read or written, and nothing is taken without it.
fn unknown(error: &StateError) -> FetchError {
    FetchError::unavailable(error.to_string())
}
