//! Every event of hotswap.log, and the keys that each of its lines has.

/// An event of hotswap.log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEvent {
    /// Its dotted name.
    pub name: &'static str,
    /// What every line of it has, besides what all lines have. There may be more; new keys come behind the others.
    pub keys: &'static [&'static str],
    /// What it says.
    pub says: &'static str,
}

const fn event(name: &'static str, keys: &'static [&'static str], says: &'static str) -> LogEvent {
    LogEvent { name, keys, says }
}

/// All events, in the order of the documentation: [`crate::docs::log`].
pub const EVENTS: &[LogEvent] = &[
    event("log.open", &["schema", "host", "pid", "boot", "reason"], "a process, or a file, begins"),
    event("log.rotate", &["bytes"], "the file is put aside (`to`), or could not be (`err`)"),
    event("log.checkpoint", &["last_seq", "last_h", "lines"], "the end of the chain so far"),
    event("log.recovered", &["lost_lines", "msg"], "ALERT: lines before it could not be written"),
    event("log.truncated", &["last_seq", "msg"], "ALERT: lines at the end are gone"),
    event("log.altered", &["last_seq", "head_seq", "msg"], "ALERT: the last line was replaced"),
    event("log.stalled", &["stalled_ms", "msg"], "the log did not answer for so long"),
    event("log.head", &["outcome", "err", "msg"], "the head cannot be written"),
    event("log.copy", &["path", "outcome", "err", "msg"], "a copy cannot be written"),
    event("engine.start", &["engine", "src", "path", "rustc", "abi"], "an engine is opened"),
    event("engine.stop", &["engine", "mapped"], "it is closed; so many images are still held"),
    event("engine.freeze", &["engine", "version"], "nothing changes what runs any more"),
    event("control.open", &["engine", "path"], "the control socket is there"),
    event("module.load", &["engine", "by"], "a registry has it now; who asked for it first"),
    event("module.in_use", &["engine", "users"], "somebody wanted it unloaded, and these use it"),
    event("module.unload", &["engine"], "somebody wants it unloaded; it ends"),
    event(
        "source.trust",
        &["engine", "tx", "src", "path", "trust", "what"],
        "by what the code of this source is believed; `trust` is the level, L0 to L2",
    ),
    event(
        "source.chosen",
        &["engine", "tx", "src", "path"],
        "of a chain, this source has it; `err` and `msg`: one before it cannot be asked",
    ),
    event("fetch.intent", &["engine", "tx", "src", "path", "trig"], "code is about to be fetched"),
    event(
        "fetch.ok",
        &["engine", "tx", "src", "path", "rev", "fetch_us", "outcome"],
        "it was fetched; `msg` is what its publisher says, `release` its number",
    ),
    event(
        "fetch.refused",
        &["engine", "tx", "src", "path", "outcome", "err", "msg"],
        "it is no module, not believed, or cannot be had now",
    ),
    event(
        "detect.change",
        &["engine", "tx", "fp", "src", "trig", "cause", "msg"],
        "the source is another; `msg` is `received notification of fingerprint change (<sha1>)`",
    ),
    event("detect.settled", &["engine", "tx", "fp", "settle_ms"], "it stands still"),
    event("detect.unchanged", &["engine", "tx", "fp", "cause"], "it is what it was, after all"),
    event(
        "detect.known_bad",
        &["engine", "tx", "fp", "outcome", "err", "msg"],
        "it did not build before, and is not built again",
    ),
    event("detect.unreadable", &["engine", "tx", "err", "msg"], "the source cannot be read"),
    event(
        "detect.stale",
        &["engine", "tx", "src", "path", "err", "msg"],
        "what lies there expired, or the clock is wrong: it cannot be told to be the newest",
    ),
    event("detect.readable", &["engine", "tx"], "it can be read again, and is not old"),
    event("detect.events", &["engine", "tx", "err", "msg"], "no events of the file system; polled"),
    event("build.cached", &["engine", "tx", "fp", "sha256", "bytes", "outcome"], "built before"),
    event(
        "build.intent",
        &["engine", "tx", "fp"],
        "it is about to be compiled; `sandbox` says what confines that, and is there for foreign code only",
    ),
    event("build.ok", &["engine", "tx", "fp", "build_ms", "outcome"], "it compiles"),
    event(
        "build.fail",
        &["engine", "tx", "fp", "build_ms", "outcome", "err", "msg"],
        "it does not",
    ),
    event(
        "build.cancel",
        &["engine", "tx", "fp", "build_ms", "cause", "msg"],
        "something newer came",
    ),
    event(
        "store.ok",
        &["engine", "tx", "fp", "sha256", "bytes", "store_us"],
        "the library is kept",
    ),
    event("notify.sent", &["engine", "tx", "fp"], "the engine was told"),
    event("offer.intent", &["engine", "tx", "path"], "somebody offers a library"),
    event(
        "verify.ok",
        &["engine", "tx", "sha256", "bytes", "exports", "rustc", "verify_us"],
        "the file was read and checked",
    ),
    event("verify.refused", &["engine", "tx", "outcome", "err", "msg"], "it was refused"),
    event("build.same", &["engine", "tx", "version"], "its code runs already, in this version"),
    event("stage.ok", &["engine", "tx", "path", "stage_us"], "it has a file of its own"),
    event(
        "stage.edited",
        &["engine", "tx", "sha256", "loaded_sha256", "msg"],
        "its copy is not asked to stay mapped for good, as the library is",
    ),
    event("stage.refused", &["engine", "tx", "outcome", "err", "msg"], "it could not get one"),
    event(
        "load.intent",
        &["engine", "tx", "to"],
        "it is about to be loaded, which runs code of it",
    ),
    event("load.ok", &["engine", "tx", "load_us"], "it is loaded and checked"),
    event("load.refused", &["engine", "tx", "outcome", "err", "msg"], "it was refused"),
    event(
        "load.libraries",
        &["engine", "tx", "libraries", "msg"],
        "libraries that came with it, and stay when it goes",
    ),
    event("load.undone", &["engine", "path"], "what was refused is unmapped"),
    event("swap.paused", &["engine", "tx", "fp"], "it waits for swaps to be resumed"),
    event("swap.queued", &["engine", "tx", "fp"], "it waits for a version to go"),
    event(
        "swap.refused",
        &["engine", "tx", "fp", "err", "msg"],
        "the engine is frozen, too many versions are in use, or what changed with it cannot become current",
    ),
    event(
        "group.intent",
        &["engine", "tx", "group", "members"],
        "it is about to become current together with what changed with it, or not at all",
    ),
    event("swap.intent", &["engine", "tx", "to"], "it is about to become current"),
    event("swap.abort", &["engine", "tx", "outcome", "err", "msg"], "it did not, after all"),
    event(
        "swap.commit",
        &[
            "engine",
            "tx",
            "to",
            "cause",
            "trig",
            "build_ms",
            "load_us",
            "migrate_us",
            "swap_us",
            "calls_old",
            "outcome",
            "msg",
        ],
        "it is current; so many calls were in the version before (`from`)",
    ),
    event(
        "migrate.intent",
        &["engine", "tx", "state", "from", "to", "steps"],
        "a copy of state is about to be brought to another version",
    ),
    event(
        "migrate.ok",
        &["engine", "tx", "state", "from", "to", "bytes", "dropped", "migrate_us"],
        "it was; so many fields are gone (`fields`), so many writes are lost (`lost`)",
    ),
    event(
        "migrate.fail",
        &["engine", "tx", "outcome", "err", "msg"],
        "it was not; the state is what it was",
    ),
    event(
        "state.torn",
        &["engine", "state", "by", "version", "becomes"],
        "a panic of this version left it half written, maybe",
    ),
    event("state.loaded", &["engine", "path", "cells"], "what was saved is there again"),
    event("state.saved", &["engine", "path", "cells", "bytes", "save_us"], "state is on the disk"),
    event("state.not_saved", &["engine", "path", "msg"], "it is not; what was saved before stays"),
    event(
        "floor.passed",
        &["engine", "tx", "fp", "release", "floor", "err", "msg"],
        "a release below the floor of its source is not gone back to",
    ),
    event(
        "rollback.intent",
        &["engine", "tx", "from", "to", "by"],
        "a version that ran is about to become current again",
    ),
    event(
        "rollback.done",
        &["engine", "tx", "from", "to", "trig", "swap_us", "calls_old", "outcome", "msg"],
        "it is; keys as of `swap.commit`",
    ),
    event(
        "rollback.impossible",
        &["engine", "tx", "from", "err", "msg", "by"],
        "ALERT: there is no way back, and why",
    ),
    event(
        "open.fallback",
        &["engine", "tx", "fp", "sha256", "err", "msg"],
        "what served last is started with, and why",
    ),
    event(
        "quarantine.add",
        &["engine", "tx", "fp", "reason", "until"],
        "this source is not tried again until it is edited, or until a restart",
    ),
    event("quarantine.hit", &["engine", "tx", "fp", "reason"], "it came again, and was not tried"),
    event(
        "record.fail",
        &["engine", "tx", "err", "msg"],
        "what is to outlast the process was not noted",
    ),
    event(
        "quarantine.clear",
        &["engine", "fp", "by"],
        "it may be tried again, and who asked for that",
    ),
    event(
        "version.draining",
        &["engine", "tx", "version", "calls", "pins"],
        "somebody is still in it",
    ),
    event("version.warm", &["engine", "tx", "version"], "it was replaced, and is kept ready"),
    event("version.cold", &["engine", "version"], "it is kept ready no longer"),
    event(
        "version.overdue",
        &["engine", "version", "pins", "msg"],
        "it is in use past the drain deadline",
    ),
    event(
        "version.many",
        &["engine", "tx", "count", "max", "policy", "pins", "msg"],
        "so many versions besides are in use, and another came",
    ),
    event(
        "version.unloaded",
        &["engine", "version", "unload_us", "path"],
        "unmapped, and proved to be; `leaked_bytes` where that can be told",
    ),
    event(
        "version.leaked",
        &["engine", "version", "leaked_bytes", "msg"],
        "it left so much heap memory behind",
    ),
    event("version.pinned", &["engine", "version", "path", "msg"], "the loader kept it"),
    event(
        "call.overdue",
        &["engine", "version", "function", "thread", "deadline_us", "age_us", "msg"],
        "a call runs past its deadline, and goes on",
    ),
    event(
        "call.late",
        &["engine", "version", "function", "thread", "deadline_us", "took_us", "calls"],
        "so many calls of a function came back late, and this one took longest",
    ),
    event(
        "image.unloaded",
        &["engine", "version", "unload_us", "path"],
        "an earlier image of a version that was loaded again is unmapped",
    ),
    event(
        "image.pinned",
        &["engine", "version", "path", "msg"],
        "an earlier image of a version that was loaded again was kept by the loader",
    ),
    event(
        "hook.failed",
        &["engine", "version", "hook", "name", "msg"],
        "an `after_swap` or `before_unload` hook failed, or takes too long",
    ),
    event("manual.pause", &["engine"], "swaps are paused"),
    event("manual.resume", &["engine"], "swaps go on"),
    event(
        "manual.stay_on",
        &["engine", "version", "by"],
        "this version runs until swaps are resumed",
    ),
    event(
        "manual.request",
        &["engine", "command", "uid", "by_pid"],
        "somebody asks by the control socket (`version`, `reason`)",
    ),
    event("module.panic", &["engine", "thread", "at", "msg"], "on a thread that a module started"),
    event(
        "monitor.panic",
        &["engine", "tx", "err", "msg"],
        "a defect of the monitor; it starts over",
    ),
    event("monitor.stop", &["engine", "msg"], "the monitor ended; changes are no longer seen"),
    event("swapper.panic", &["engine", "err", "msg"], "a defect of the swapper; it goes on"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the documentation are these, one for each event.
    #[test]
    fn the_documentation_has_every_event() {
        let prose = include_str!("../docs/log.md");
        let rows: Vec<&str> = prose.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = EVENTS
            .iter()
            .map(|event| {
                format!("| `{}` | {} | {} |", event.name, event.keys.join(", "), event.says)
            })
            .collect();
        let missing: Vec<_> = expected.iter().filter(|row| !rows.contains(&row.as_str())).collect();
        assert!(missing.is_empty(), "rows that are missing: {missing:#?}");
        assert_eq!(rows.len(), expected.len(), "rows of no event");
    }

    #[test]
    fn an_event_stands_there_once() {
        for (index, event) in EVENTS.iter().enumerate() {
            assert!(EVENTS[..index].iter().all(|other| other.name != event.name), "{}", event.name);
        }
    }
}
