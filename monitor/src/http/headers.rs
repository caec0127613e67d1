//! What a server says of its answer, as far as it is gone by.

use std::time::Duration;

use hotswap_trust::Timestamp;
use ureq::http::header::{
    AGE, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, RETRY_AFTER,
};

/// The longest validator that is kept, in bytes. Those of servers have some dozens.
const VALIDATOR_BYTES_MAX: usize = 1024;

/// The longest that a server may have itself left alone: no server decides for how long nobody looks.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60 * 60);

/// By what a server knows which answer the client has. They decide nothing but whether bytes are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Validators {
    pub(super) etag: Option<HeaderValue>,
    pub(super) modified: Option<HeaderValue>,
}

impl Validators {
    /// Those of an answer; `None` when it has none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let short =
            |name| headers.get(name).filter(|value| value.len() <= VALIDATOR_BYTES_MAX).cloned();
        let validators = Self { etag: short(ETAG), modified: short(LAST_MODIFIED) };
        (validators != Self::default()).then_some(validators)
    }
}

/// For how long the answer is said to be good without being asked for again.
pub(super) fn fresh_for(headers: &HeaderMap) -> Duration {
    let mut fresh = Duration::ZERO;
    for directive in list(headers, CACHE_CONTROL) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" | "no-store" => return Duration::ZERO,
            "max-age" => fresh = seconds(value.trim_matches('"')).unwrap_or_default(),
            _ => {}
        }
    }
    let age = text(headers, AGE).and_then(seconds).unwrap_or_default();
    fresh.saturating_sub(age).min(SILENCE_MAX)
}

/// For how long the server wants to be left alone.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?;
    let wait = seconds(value).or_else(|| Some(date(value)?.since(now)))?;
    (!wait.is_zero()).then_some(wait.min(SILENCE_MAX))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// A number of seconds; one that is too large is as much as there can be. *Source*: RFC 9111, 1.2.2.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form that servers must send. *Source*: RFC 9110, 5.6.7.
fn date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.append(name, value(text));
        }
        headers
    }

    #[test]
    fn long_validators_are_no_validators() {
        let long = "x".repeat(VALIDATOR_BYTES_MAX + 1);
        assert_eq!(Validators::of(&headers(&[(ETAG, &long)])), None);
        let both = headers(&[(ETAG, &long), (LAST_MODIFIED, "yesterday")]);
        let validators = Validators::of(&both).unwrap();
        assert_eq!((validators.etag, validators.modified.unwrap().len()), (None, 9));
    }

    #[test]
    fn an_answer_is_good_for_as_long_as_it_says_and_an_hour_at_most() {
        let fresh = |pairs: &[(HeaderName, &str)]| fresh_for(&headers(pairs)).as_secs();
        assert_eq!(fresh(&[]), 0);
        assert_eq!(fresh(&[(CACHE_CONTROL, "public, Max-Age=60")]), 60);
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=\"60\""), (AGE, "20")]), 40);
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=60"), (AGE, "99")]), 0);
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=60, no-cache")]), 0);
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=60"), (CACHE_CONTROL, "no-store")]), 0);
        assert_eq!(fresh(&[(CACHE_CONTROL, "max-age=99999999999999999999999")]), 3600);
        for nonsense in ["max-age", "max-age=-1", "max-age=1e9", "max-age=", "x-max-age=60"] {
            assert_eq!(fresh(&[(CACHE_CONTROL, nonsense)]), 0, "{nonsense}");
        }
    }

    #[test]
    fn a_server_is_left_alone_for_as_long_as_it_says_and_an_hour_at_most() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let wait = |text: &str| {
            retry_after(&headers(&[(RETRY_AFTER, text)]), now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(wait("Mon, 06 Nov 2094 08:49:37 GMT"), Some(3600));
        assert_eq!(wait("86400"), Some(3600));
        // Over already, or nothing that can be read.
        for text in ["Sun, 06 Nov 1994 08:48:37 GMT", "soon", "-1", "Sunday", "Sun, 99 Xyz 1994"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }
}
