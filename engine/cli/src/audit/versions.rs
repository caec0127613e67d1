//! `hotswap audit versions`: what runs now, from the log alone.

use std::collections::BTreeMap;
use std::path::Path;

use hotswap_engine::VersionState;
use hotswap_engine::audit::{EngineRun, RunState, RunVersion, trail};
use serde_json::json;

use super::{Report, words};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::table::table;

pub(super) fn report(log: &Path, format: Format, paint: Paint) -> Result<Report, Failure> {
    let trail = trail(log)?;
    let latest = latest(&trail.engines);
    let text = match format {
        Format::Json => latest.iter().map(|run| lines(run)).collect(),
        Format::Table if latest.is_empty() => "the log tells of no engine\n".to_owned(),
        Format::Table => {
            let parts: Vec<String> = latest.iter().map(|run| part(run, paint)).collect();
            parts.join("\n")
        }
    };
    Ok(text.into())
}

/// Those of the last process that had an engine of the name.
fn latest(runs: &[EngineRun]) -> Vec<&EngineRun> {
    let last: BTreeMap<&str, &str> =
        runs.iter().map(|run| (run.engine.as_str(), run.boot.as_str())).collect();
    let is_last = |run: &&EngineRun| last.get(run.engine.as_str()) == Some(&run.boot.as_str());
    runs.iter().filter(is_last).collect()
}

/// An engine in a sentence, and its versions below.
fn part(run: &EngineRun, paint: Paint) -> String {
    let pid = run.pid.map_or(String::new(), |pid| format!(" {pid}"));
    let (source, host) = (run.source.as_deref().unwrap_or("?"), &run.host);
    let of = format!("{}, from {source}, in process{pid} on {host}", run.engine);
    let started = words::time(run.started);
    let state = match run.state {
        RunState::Running => format!("running since {started} UTC, as far as its log tells"),
        RunState::Stopped(time) => format!("stopped at {} UTC", words::time(time)),
        _ => format!("killed some time after {started} UTC"),
    };
    let last = run.versions.last().map(|version| version.version);
    // Of an engine that ended it is of interest what ran last, though nothing of it is mapped.
    let is_shown = |version: &&RunVersion| {
        version.state != VersionState::Unloaded || Some(version.version) == last
    };
    let rows: Vec<_> = run
        .versions
        .iter()
        .filter(is_shown)
        .map(|version| {
            [
                format!("v{}", version.version),
                version_state(run, version),
                words::time(version.since),
                words::short(version.fingerprint.as_deref().unwrap_or("-")).to_owned()
                    + &version.release.map_or(String::new(), |number| format!(" release {number}")),
                words::short(version.content.as_deref().unwrap_or("-")).to_owned(),
                version.tx.clone(),
            ]
        })
        .collect();
    let gone = run.versions.len() - rows.len();
    let titles = ["VERSION", "STATE", "CURRENT SINCE (UTC)", "SOURCE", "LIBRARY", "CHANGE"];
    let mut text = format!("{of}: {state}\n");
    if rows.is_empty() {
        text += "  no version became current\n";
    } else {
        table(titles, &rows, paint).lines().for_each(|line| text += &format!("  {line}\n"));
    }
    match gone {
        0 => {}
        1 => text += "  1 more was replaced, and is unmapped\n",
        gone => text += &format!("  {gone} more were replaced, and are unmapped\n"),
    }
    text
}

fn version_state(run: &EngineRun, version: &RunVersion) -> String {
    let is_last = run.versions.last().is_some_and(|last| last.version == version.version);
    match run.state {
        RunState::Running => version.state.to_string(),
        _ if is_last => "was current".to_owned(),
        _ => format!("was {}", version.state),
    }
}

fn lines(run: &EngineRun) -> String {
    let (state, stopped) = match run.state {
        RunState::Running => ("running", None),
        RunState::Stopped(time) => {
            ("stopped", Some(humantime::format_rfc3339_micros(time).to_string()))
        }
        _ => ("killed", None),
    };
    let versions: Vec<_> = run
        .versions
        .iter()
        .map(|version| {
            json!({
                "version": version.version,
                "state": version.state.to_string(),
                "since": humantime::format_rfc3339_micros(version.since).to_string(),
                "fp": version.fingerprint,
                "sha256": version.content,
                "release": version.release,
                "report": version.report,
                "tx": version.tx,
            })
        })
        .collect();
    let run = json!({
        "engine": run.engine,
        "boot": run.boot,
        "pid": run.pid,
        "host": run.host,
        "path": run.source,
        "started": humantime::format_rfc3339_micros(run.started).to_string(),
        "state": state,
        "stopped": stopped,
        "versions": versions,
    });
    format!("{run}\n")
}
