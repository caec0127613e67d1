//! `hotswap audit show`: the whole story of one change.

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use hotswap_engine::audit::{Built, Change, Outcome, story, trail};
use hotswap_engine::{LogLevel, LogLine};

use super::{Report, words};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::paint::Paint;

/// Keys that stand in every line of a story, and say nothing there.
const EVERYWHERE: [&str; 6] = ["mono_us", "engine", "tx", "msg", "prev", "h"];

pub(super) fn report(
    wanted: &str,
    log: &Path,
    format: Format,
    paint: Paint,
) -> Result<Report, Failure> {
    let trail = trail(log)?;
    let change = find(&trail.changes, wanted)?;
    let lines = story(log, &change.tx)?;
    let text = match format {
        Format::Json => lines.iter().map(|line| line.to_json() + "\n").collect(),
        Format::Table => head(change) + "\n" + &body(change, &lines, paint),
    };
    Ok(text.into())
}

/// The change of this id, or the only one whose id ends like this, or the last one that brought this version.
fn find<'a>(changes: &'a [Change], wanted: &str) -> Result<&'a Change, Failure> {
    if let Some(change) = changes.iter().find(|change| change.tx == wanted) {
        return Ok(change);
    }
    let number = wanted.strip_prefix('v').and_then(|number| number.parse::<u64>().ok());
    if let Some(number) = number {
        let brought = |change: &&Change| matches!(change.outcome, Outcome::Current { to, .. } if to == number);
        return changes.iter().rev().find(brought).ok_or_else(|| {
            anyhow!("the log tells of no change that made {wanted} current; `hotswap audit list` has all").into()
        });
    }
    let similar: Vec<_> = changes.iter().filter(|change| change.tx.ends_with(wanted)).collect();
    match similar[..] {
        [change] => Ok(change),
        [] => {
            Err(anyhow!("the log tells of no change {wanted}; `hotswap audit list` has all").into())
        }
        _ => Err(anyhow!("{} changes end in {wanted}: write more of the id", similar.len()).into()),
    }
}

/// What there is to say of it, one thing a line.
fn head(change: &Change) -> String {
    let of = match &change.source {
        Some(kind) => format!("{} ({kind})", change.engine),
        None => change.engine.clone(),
    };
    let mut rows = vec![
        ("change", format!("{} of {of}", change.tx)),
        ("seen", format!("{} UTC, {}", words::time(change.began), words::why(change))),
        ("source", change.fingerprint.clone().unwrap_or_else(|| "not told".to_owned())),
    ];
    if let Some(content) = &change.content {
        rows.push(("library", format!("sha256:{content}")));
    }
    if let (Some(Built::Offered), Some(path)) = (change.built, &change.cause) {
        rows.push(("built", format!("offered as {path}")));
    } else if change.built.is_some() {
        rows.push(("built", words::built(change)));
    }
    if let Some(report) = &change.report {
        rows.push(("files", format!("{report} names them, and what the compiler said")));
    }
    rows.push(("result", words::outcome(change)));
    if !change.took.is_zero() {
        let took = crate::span::readable(change.took);
        rows.push(("took", format!("{took} from the first line to the result")));
    }
    rows.into_iter().map(|(name, value)| format!("{name:8} {value}\n")).collect()
}

/// Its lines, with the time since the first.
fn body(change: &Change, lines: &[LogLine], paint: Paint) -> String {
    let moment = |line: &LogLine| line.field("mono_us").and_then(|us| us.parse::<u64>().ok());
    let first = lines.first().and_then(moment).unwrap_or_default();
    let width = lines.iter().map(|line| line.event.len()).max().unwrap_or_default();
    let mut text = String::new();
    for line in lines {
        let since = Duration::from_micros(moment(line).unwrap_or(first).saturating_sub(first));
        let event = format!("{:width$}", line.event);
        let event = if line.level == LogLevel::Info { event } else { paint.bad(&event) };
        text += &format!(
            "{:+9.3} s  {:06}  {event}  {}\n",
            since.as_secs_f64(),
            line.seq,
            words_of(change, line)
        );
    }
    text
}

/// What a line says: its message, and what is only in its keys. What the head says already is left out.
fn words_of(change: &Change, line: &LogLine) -> String {
    let is_news = |(key, value): &&(String, String)| match key.as_str() {
        "fp" => change.fingerprint.as_deref() != Some(value),
        "sha256" => change.content.as_deref() != Some(value),
        "report" => change.report.as_deref() != Some(value),
        key => !EVERYWHERE.contains(&key),
    };
    let keys = line.fields.iter().filter(is_news);
    let mut words: Vec<String> = keys.map(|(key, value)| format!("{key}={value}")).collect();
    words.extend(line.field("msg").map(|message| message.replace('\n', "\n                     ")));
    words.join("  ")
}
