//! The places that have the same releases, and which of them to ask first.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotswap_artifact::{ContentHash, FetchError, FetchErrorKind};
use hotswap_system::clock;
use hotswap_trust::{SIGNED_BYTES_MAX, Trust};

use super::release::Release;
use super::{Answer, Place};

/// How long a place that failed, or lied, is asked after all others. Each time in a row it is twice as long.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// The longest such time: five minutes, so that a mirror that was repaired is of use again.
const PASSED_OVER_MAX: Duration = Duration::from_secs(5 * 60);

/// The places of one module.
#[derive(Debug)]
pub(super) struct Mirrors(Vec<Mirror>);

#[derive(Debug)]
struct Mirror {
    place: Arc<dyn Place>,
    /// The last manifest that it gave, by the hash of all its bytes, and what became of it.
    last: Option<(ContentHash, Result<Arc<Release>, FetchError>)>,
    failures: u32,
    passed_until: Option<Instant>,
}

impl Mirrors {
    pub(super) fn new(places: impl IntoIterator<Item = Arc<dyn Place>>) -> Self {
        let mirror = |place| Mirror { place, last: None, failures: 0, passed_until: None };
        Self(places.into_iter().map(mirror).collect())
    }

    /// All of them, by index, those that failed lately at the end. Where it can be told which release is the newest they
    /// take turns at random, so that none can hold back what the others have.
    pub(super) fn order(&self, is_shuffled: bool) -> Vec<usize> {
        let now = clock::now();
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        if is_shuffled {
            let random = RandomState::new();
            order.sort_by_cached_key(|index| {
                let mut hasher = random.build_hasher();
                hasher.write_usize(*index);
                hasher.finish()
            });
        }
        order.sort_by_key(|index| self.0[*index].passed_until.is_some_and(|until| now < until));
        order
    }

    pub(super) fn place(&self, index: usize) -> &Arc<dyn Place> {
        &self.0[index].place
    }

    /// What a place says that the newest release is, if that is to be believed. `None` when it has none.
    pub(super) fn ask(
        &mut self,
        index: usize,
        trust: &Trust,
    ) -> Result<Option<Arc<Release>>, FetchError> {
        let Mirror { place, last, .. } = &mut self.0[index];
        let read = match (place.manifest()?, &last) {
            (Answer::Absent, _) => {
                *last = None;
                return Ok(None);
            }
            // The same bytes are believed for the same reason, and held against the clock of now by who asks.
            (Answer::Same, Some((_, read))) => return read.clone().map(Some),
            (Answer::Same, None) => {
                let text =
                    format!("{} says that nothing changed, and gave nothing yet", place.name());
                return Err(FetchError::unavailable(text));
            }
            (Answer::Manifest(bytes), _) if bytes.len() > SIGNED_BYTES_MAX => {
                let text = format!(
                    "{} gives a manifest of more than {SIGNED_BYTES_MAX} bytes",
                    place.name()
                );
                return Err(FetchError::refused(text));
            }
            (Answer::Manifest(bytes), last) => {
                let hash = ContentHash::of(&bytes);
                match last {
                    Some((known, read)) if *known == hash => return read.clone().map(Some),
                    _ => (hash, Release::read(place.name(), bytes, trust).map(Arc::new)),
                }
            }
        };
        let (_, read) = last.insert(read);
        read.clone().map(Some)
    }

    /// It is as good as the others.
    pub(super) fn praise(&mut self, index: usize) {
        let mirror = &mut self.0[index];
        (mirror.failures, mirror.passed_until) = (0, None);
    }

    /// It failed or lied: others are asked first for a while.
    pub(super) fn pass_over(&mut self, index: usize) {
        let mirror = &mut self.0[index];
        mirror.failures = mirror.failures.saturating_add(1);
        let time = clock::backoff(PASSED_OVER, mirror.failures, PASSED_OVER_MAX);
        mirror.passed_until = Some(clock::now() + time);
        // However long its answer was said to be good for: it may be put right before.
        mirror.place.refresh();
    }
}

/// Why none of some places has what is wanted: the worst of it decides what kind of failure it is.
pub(super) fn all_failed(failures: Vec<FetchError>) -> FetchError {
    let severity = |error: &FetchError| match error.kind {
        FetchErrorKind::Unavailable => 0,
        FetchErrorKind::Stale => 1,
        _ => 2,
    };
    let worst = failures.iter().max_by_key(|error| severity(error)).map(|error| error.kind);
    if failures.len() == 1
        && let Some(only) = failures.first()
    {
        return only.clone();
    }
    let told: Vec<String> = failures.iter().map(told).collect();
    let text = format!("none of {} places has a release to go by: {}", told.len(), told.join("; "));
    match worst {
        Some(FetchErrorKind::Refused) => FetchError::refused(text),
        Some(FetchErrorKind::Stale) => FetchError::stale(text),
        _ => FetchError::unavailable(text),
    }
}

/// A failure and its causes in one line.
pub(super) fn told(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
