//! What each command does and says.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_millis;
use serde_json::{Value, json};

use crate::abort::AbortedChange;
use crate::audit::{Line, chain};
use crate::control::{Asked, Controlled};
use crate::core::Core;
use crate::error::ReloadError;
use crate::history::Transition;
use crate::request::{Asker, Request};
use crate::state::StateInfo;
use crate::status::{Status, VersionInfo};
use crate::unload::UnloadOutcome;
use crate::verdict::Verdict;
use crate::version_id::VersionId;

/// How long `unload` waits before it says who holds the version.
const UNLOAD_PATIENCE: Duration = Duration::from_secs(2);

/// Whether a command changes nothing, so that nobody needs to know later who asked.
fn only_looks(command: &str) -> bool {
    matches!(command, "status" | "versions" | "history" | "state")
}

impl Controlled for Core {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn answer(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Value, String> {
        if let Some(module) = asked.module {
            return Err(format!("this is one engine and no registry: it has no module {module}"));
        }
        if !only_looks(asked.command) {
            note(self, asked);
        }
        answer(self, asked.command, asked.version, Asker::Control(asked.peer))
    }
}

/// Writes down who asks for what, before it is done.
pub(super) fn note(core: &Core, asked: &Asked<'_>) {
    let line = Line::info("manual.request")
        .field("command", asked.command)
        .maybe("version", asked.version)
        .field("uid", asked.peer.user)
        .field("by_pid", asked.peer.process)
        .maybe("reason", asked.reason);
    core.journal.intent(None, line);
}

/// Does what was asked.
fn answer(
    core: &Arc<Core>,
    command: &str,
    version: Option<u64>,
    by: Asker,
) -> Result<Value, String> {
    let target = || version.map(VersionId).ok_or(format!("{command} needs a \"version\""));
    match command {
        "status" => Ok(status(&core.status())),
        "versions" => Ok(core.status().versions.iter().map(info).collect()),
        "history" => Ok(core.history.lock().transitions().iter().map(transition).collect()),
        "state" => Ok(core.states().iter().map(state).collect()),
        "reload" => verdict(core.reload()),
        "rollback" => {
            let target = version.map(VersionId);
            verdict(core.ask(|reply| Request::RollBack { target, by, reply }))
        }
        "stay-on" => {
            let target = target()?;
            verdict(core.ask(|reply| Request::StayOn { target, by, reply }))
        }
        "abort" => {
            let aborted = core.abort().map_err(|error| error.to_string())?;
            Ok(json!({
                "message": aborted.to_string(),
                "current": aborted.current.map(VersionId::number),
                "aborted": aborted.changes.iter().map(change).collect::<Value>(),
            }))
        }
        "unload" => {
            let ticket = core.unload(target()?).map_err(|error| error.to_string())?;
            Ok(match ticket.wait(UNLOAD_PATIENCE) {
                UnloadOutcome::Unloaded => said(format!("{} is gone", ticket.version())),
                UnloadOutcome::HeldBy(pins) => {
                    let pins: Vec<_> = pins.iter().map(ToString::to_string).collect();
                    let holders = pins.join(", ");
                    said(format!("{} goes when it is let go: {holders}", ticket.version()))
                }
            })
        }
        "pause" => Ok(done(core, Request::Pause, "changes wait for resume")),
        "resume" => Ok(done(core, Request::Resume, "changes go live again")),
        "freeze" => Ok(done(core, Request::Freeze, "nothing changes what runs any more")),
        "clear-quarantine" => {
            let count =
                core.ask_swapper(|reply| Request::ClearQuarantine { by, reply }).unwrap_or(0);
            Ok(said(format!("{count} may be tried again, with the next reload")))
        }
        _ => Err(format!(
            "there is no command {command:?}: status, versions, history, state, reload, rollback, stay-on, \
             abort, unload, pause, resume, freeze, clear-quarantine"
        )),
    }
}

fn change(change: &AbortedChange) -> Value {
    json!({
        "stage": change.stage.name(),
        "fingerprint": change.fingerprint.map(|fingerprint| fingerprint.to_string()),
    })
}

pub(super) fn said(text: impl Display) -> Value {
    json!({ "message": text.to_string() })
}

fn done(
    core: &Core,
    request: impl FnOnce(crossbeam_channel::Sender<()>) -> Request,
    text: &str,
) -> Value {
    core.ask_swapper(request);
    said(format!("{}; {text}", core.current()))
}

pub(super) fn verdict(verdict: Result<Verdict, ReloadError>) -> Result<Value, String> {
    let verdict = verdict.map_err(|error| chain(&error))?;
    Ok(json!({
        "message": verdict.to_string(),
        "current": verdict.current().number(),
        "swapped": verdict.is_swapped(),
    }))
}

fn time(time: SystemTime) -> String {
    format_rfc3339_millis(time).to_string()
}

pub(super) fn status(status: &Status) -> Value {
    let failure = status.last_failure.as_ref().map(|failure| {
        json!({
            "at": time(failure.at),
            "error": chain(&*failure.error),
        })
    });
    json!({
        "engine": status.name,
        "source": status.source,
        "pid": hotswap_system::process::id(),
        "current": status.current.number(),
        "paused": status.is_paused,
        "frozen": status.is_frozen,
        "queued": status.queued.map(|fingerprint| fingerprint.to_string()),
        "swaps": status.swap_count,
        "refused": status.refused_count,
        "late_calls": status.late_call_count,
        "last_failure": failure,
        "unreadable": status.unreadable.as_ref().map(|error| chain(&**error)),
        "fallback": status.fallback.as_ref().map(|error| chain(&**error)),
        "log": status.log_path.as_ref().map(|path| path.display().to_string()),
        "lost_log_lines": status.lost_log_lines,
        "versions": status.versions.iter().map(info).collect::<Value>(),
    })
}

fn info(version: &VersionInfo) -> Value {
    let pin = |pin: &crate::pin::Pin| {
        json!({
            "kind": pin.kind.to_string(),
            "origin": pin.origin,
            "age_ms": u64::try_from(pin.age.as_millis()).unwrap_or(u64::MAX),
        })
    };
    json!({
        "version": version.id.number(),
        "state": version.state.to_string(),
        "since": time(version.since),
        "fingerprint": version.fingerprint.map(|fingerprint| fingerprint.to_string()),
        "sha256": version.content.map(|content| content.to_string()),
        "release": version.release,
        "bytes": version.bytes,
        "heap_bytes": version.heap_bytes,
        "build_ms": u64::try_from(version.build_time.as_millis()).unwrap_or(u64::MAX),
        "report": version.report.as_ref().map(|path| path.display().to_string()),
        "pins": version.pins.iter().map(pin).collect::<Value>(),
    })
}

fn state(state: &StateInfo) -> Value {
    let value = state.json.as_deref().and_then(|json| serde_json::from_str(json).ok());
    json!({
        "state": state.schema,
        "name": state.name,
        "version": state.version,
        "shared": state.is_shared,
        "bytes": state.bytes,
        "writes": state.writes,
        "torn_by": state.torn_by,
        "value": value.unwrap_or(Value::Null),
    })
}

fn transition(transition: &Transition) -> Value {
    json!({
        "at": time(transition.at),
        "from": transition.from.map(VersionId::number),
        "to": transition.to.number(),
        "reason": transition.reason.to_string(),
        "cause": transition.cause.first.as_ref().map(|_| transition.cause.to_string()),
    })
}
