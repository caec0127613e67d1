//! What the log has as keys, numbers and hashes, for people.

use std::time::{Duration, SystemTime};

use hotswap_engine::audit::{Built, Change, Outcome};

use crate::span;

/// How many digits of a hash tell it apart.
const HASH_DIGITS: usize = 12;

/// `2026-01-31 12:00:00`, UTC.
pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', "")
}

/// The first digits of a hash, without its kind.
pub(super) fn short(hash: &str) -> &str {
    let digits = hash.rsplit(':').next().unwrap_or(hash);
    digits.get(..HASH_DIGITS).unwrap_or(digits)
}

/// Why a change came: who looked, and what had changed.
pub(super) fn why(change: &Change) -> String {
    let cause = change.cause.as_deref().filter(|cause| *cause != "start");
    // Of a library that somebody offers `show` tells where it lies.
    let is_offer = change.built == Some(Built::Offered);
    let cause = cause.map(|cause| match cause.rsplit_once('/') {
        Some((_, name)) if is_offer => name,
        _ => cause,
    });
    match (change.trigger.as_deref(), cause) {
        (Some(trigger), Some(cause)) => format!("{trigger}: {cause}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => "not told".to_owned(),
    }
}

/// How the library came to be.
pub(super) fn built(change: &Change) -> String {
    match change.built {
        Some(Built::Compiled(_)) if change.source.as_deref() == Some("prebuilt") => {
            "prebuilt".to_owned()
        }
        Some(Built::Compiled(time)) => {
            let tried = matches!(change.outcome, Outcome::NotBuilt { .. });
            let verb = if tried { "failed after" } else { "compiled in" };
            format!("{verb} {}", span::readable(time))
        }
        Some(Built::Stored) => "built before".to_owned(),
        Some(Built::Offered) => "offered".to_owned(),
        _ => "-".to_owned(),
    }
}

/// What became of it, and what callers felt.
pub(super) fn outcome(change: &Change) -> String {
    let stays =
        change.current_before.map_or(String::new(), |version| format!("v{version} stays: "));
    match &change.outcome {
        Outcome::Current { from: None, to, .. } => format!("v{to} is current, the first"),
        Outcome::Current { from: Some(from), to, .. } => {
            let again = if to < from { " again" } else { "" };
            format!("v{to} is current{again}: {}", cost(change))
        }
        Outcome::Same { version } => format!("v{version} stays: the same code, nothing to swap"),
        Outcome::Unchanged => format!("{stays}the source is what it was"),
        Outcome::NotBuilt { message } => {
            format!("{stays}it does not build: {}", first_line(message))
        }
        Outcome::Refused { message, .. } => format!("{stays}refused: {}", refusal(change, message)),
        Outcome::Unreadable { message } => {
            format!("{stays}the source cannot be read: {}", first_line(message))
        }
        Outcome::Superseded => format!("{stays}something newer was saved meanwhile"),
        Outcome::Queued => format!("{stays}it waits, too many versions are in use"),
        Outcome::Paused => format!("{stays}it waits, swaps are paused"),
        Outcome::Unknown { last_event, is_over: true } => {
            format!("no outcome: its process ended after {last_event}")
        }
        Outcome::Unknown { last_event, is_over: false } => {
            format!("no outcome yet: under way since {last_event}, or its process was killed")
        }
        _ => "this program is older than the log".to_owned(),
    }
}

/// Why it was refused, without what stands in front of it already.
fn refusal(change: &Change, message: &str) -> String {
    let line = first_line(message);
    let stays = change.current_before.map(|version| format!("; v{version} stays current"));
    match stays.and_then(|stays| line.split_once(&stays).map(|(a, b)| format!("{a}{b}"))) {
        Some(shorter) => shorter,
        None => line.to_owned(),
    }
}

/// What a swap cost those who call.
pub(super) fn cost(change: &Change) -> String {
    let Outcome::Current { from: Some(from), publish_time, calls, drained_after, .. } =
        &change.outcome
    else {
        return "nothing: nobody could call before".to_owned();
    };
    let calls = match calls {
        0 => format!("no call was in v{from}"),
        1 => format!("1 call ended in v{from}"),
        calls => format!("{calls} calls ended in v{from}"),
    };
    let gone = match drained_after {
        Some(time) if *time > Duration::from_secs(1) => {
            format!(", which was held for {}", span::readable(*time))
        }
        Some(_) => String::new(),
        None => ", which is still mapped".to_owned(),
    };
    format!("swapped in {}, {calls}{gone}", span::readable(*publish_time))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
