//! `hotswap audit list`: one line for each change.

use std::collections::BTreeSet;
use std::path::Path;

use hotswap_engine::audit::{Built, Change, Outcome, trail};
use serde_json::{Value, json};

use super::{Report, words};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::table::table;

pub(super) fn report(log: &Path, format: Format, paint: Paint) -> Result<Report, Failure> {
    let trail = trail(log)?;
    let text = match format {
        Format::Json => trail.changes.iter().map(|change| format!("{}\n", json(change))).collect(),
        Format::Table if trail.changes.is_empty() => "the log tells of no change\n".to_owned(),
        Format::Table => rows(&trail.changes, paint),
    };
    Ok(text.into())
}

fn rows(changes: &[Change], paint: Paint) -> String {
    let engines: BTreeSet<&str> = changes.iter().map(|change| change.engine.as_str()).collect();
    let is_one = engines.len() == 1;
    let rows: Vec<_> = changes
        .iter()
        .map(|change| {
            let tx =
                if is_one { change.tx.clone() } else { format!("{} {}", change.engine, change.tx) };
            [
                words::time(change.began),
                tx,
                words::why(change),
                words::short(change.fingerprint.as_deref().unwrap_or("-")).to_owned(),
                words::built(change),
                words::outcome(change),
            ]
        })
        .collect();
    table(["WHEN (UTC)", "CHANGE", "WHY", "SOURCE", "BUILT", "WHAT BECAME OF IT"], &rows, paint)
}

pub(super) fn json(change: &Change) -> Value {
    let built = match change.built {
        Some(Built::Compiled(time)) => {
            json!({"how": "compiled", "ms": time.as_millis() as u64})
        }
        Some(Built::Stored) => json!({"how": "stored"}),
        Some(Built::Offered) => json!({"how": "offered"}),
        _ => Value::Null,
    };
    let outcome = match &change.outcome {
        Outcome::Current { from, to, publish_time, calls, drained_after, .. } => json!({
            "is": "current", "from": from, "to": to, "swap_us": publish_time.as_micros() as u64,
            "calls_old": calls, "drained_us": drained_after.map(|time| time.as_micros() as u64),
        }),
        Outcome::Same { version } => json!({"is": "same", "version": version}),
        Outcome::Unchanged => json!({"is": "unchanged"}),
        Outcome::NotBuilt { message } => json!({"is": "not_built", "msg": message}),
        Outcome::Refused { code, message } => json!({"is": "refused", "err": code, "msg": message}),
        Outcome::Unreadable { message } => json!({"is": "unreadable", "msg": message}),
        Outcome::Superseded => json!({"is": "superseded"}),
        Outcome::Paused => json!({"is": "paused"}),
        Outcome::Queued => json!({"is": "queued"}),
        Outcome::Unknown { last_event, is_over } => {
            json!({"is": "unknown", "last_event": last_event, "is_over": is_over})
        }
        _ => Value::Null,
    };
    json!({
        "tx": change.tx,
        "engine": change.engine,
        "time": humantime::format_rfc3339_micros(change.began).to_string(),
        "seq": change.seq,
        "src": change.source,
        "trig": change.trigger,
        "cause": change.cause,
        "fp": change.fingerprint,
        "sha256": change.content,
        "current_before": change.current_before,
        "built": built,
        "outcome": outcome,
        "took_us": change.took.as_micros() as u64,
    })
}
