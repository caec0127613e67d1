//! The commands that ask and tell a running program: `status`, `rollback` and so on.

use std::io::{self, Read as _, Write as _, stdout};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use crate::arguments::{Color, ControlArguments, Format};
use crate::failure::Failure;
use crate::paint::Paint;
use crate::span::readable;
use crate::table::table;

/// The socket that `run` opens, and that the other commands look for.
pub(crate) const SOCKET: &str = "hotswap.sock";

/// Asks, and prints what is answered.
pub(crate) fn control(
    command: &str,
    version: Option<u64>,
    arguments: &ControlArguments,
    color: Color,
) -> Result<ExitCode, Failure> {
    let answer = &request(command, version, arguments)?;
    let text = match arguments.format {
        Format::Json => format!("{answer:#}\n"),
        Format::Table => {
            let (now, paint) = (SystemTime::now(), Paint::choose(color, &stdout()));
            match command {
                "status" => status(answer, now, paint),
                "versions" => versions(answer, now, paint),
                "history" => history(answer, now, paint),
                _ if answer.is_array() => verdicts(answer),
                _ => format!("{}\n", answer["message"].as_str().unwrap_or_default()),
            }
        }
    };
    print(&text)
}

/// Asks; what is answered.
pub(crate) fn request(
    command: &str,
    version: Option<u64>,
    arguments: &ControlArguments,
) -> Result<Value, Failure> {
    let request = json!({
        "command": command,
        "module": arguments.module.as_deref(),
        "version": version,
        "reason": arguments.reason.as_deref(),
    });
    answer(&arguments.socket, &request)
}

/// Sends a request; what is answered.
pub(crate) fn answer(socket: &Path, request: &Value) -> Result<Value, Failure> {
    let mut answer = ask(socket, request)?;
    match answer["error"].as_str() {
        Some(error) => Err(anyhow!("{error}").into()),
        None => Ok(answer["ok"].take()),
    }
}

/// Prints an answer.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    match stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to stdout").into())
        }
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Whether a program listens there.
pub(crate) fn is_served(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

fn ask(socket: &Path, request: &Value) -> Result<Value, anyhow::Error> {
    let mut stream = UnixStream::connect(socket).with_context(|| {
        format!(
            "no program listens at {}; start one with `hotswap run`, or name its socket with --socket",
            socket.display()
        )
    })?;
    let mut exchange = || -> io::Result<Vec<u8>> {
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().context("the program went away before it answered")?;
    if answer.is_empty() {
        return Err(anyhow!("the program turned the request away: too many at a time, or it ends"));
    }
    serde_json::from_slice(&answer).context("the answer is no JSON: is this a hotswap program?")
}

fn status(status: &Value, now: SystemTime, paint: Paint) -> String {
    let text = |key: &str| status[key].as_str().unwrap_or_default();
    let number = |key: &str| status[key].as_u64().unwrap_or_default();
    let switch = match (status["frozen"].as_bool(), status["paused"].as_bool()) {
        (Some(true), _) => ", frozen",
        (_, Some(true)) => ", paused",
        _ => "",
    };
    let mut lines = format!(
        "{} from {}, process {}: v{} is current{switch}\n{} swaps, {} refused since it started; log in {}\n",
        text("engine"),
        text("source"),
        number("pid"),
        number("current"),
        number("swaps"),
        number("refused"),
        status["log"].as_str().unwrap_or("no file"),
    );
    if let Some(error) = status["fallback"].as_str() {
        let first = error.lines().next().unwrap_or_default();
        lines.push_str(&format!(
            "it served last, and what lies in the source cannot run: {first}\n"
        ));
    }
    if let Some(error) = status["unreadable"].as_str() {
        let first = error.lines().next().unwrap_or_default();
        lines.push_str(&format!("the source cannot be looked at: {first}\n"));
    }
    let failure = &status["last_failure"];
    if let Some(error) = failure["error"].as_str() {
        let first = error.lines().next().unwrap_or_default();
        lines.push_str(&format!("last refusal {}: {first}\n", ago(&failure["at"], now)));
    }
    if number("late_calls") > 0 {
        lines
            .push_str(&format!("{} calls came back after their deadlines\n", number("late_calls")));
    }
    if let Some(fingerprint) = status["queued"].as_str() {
        let short: String = fingerprint.chars().take(12).collect();
        lines.push_str(&format!("{short} waits: as many versions are in use as may be\n"));
    }
    if number("lost_log_lines") > 0 {
        lines.push_str(&format!("{} log lines were lost\n", number("lost_log_lines")));
    }
    format!("{lines}\n{}", versions(&status["versions"], now, paint))
}

fn versions(versions: &Value, now: SystemTime, paint: Paint) -> String {
    let row = |version: &Value| {
        let pins = version["pins"].as_array().into_iter().flatten();
        let pins: Vec<_> = pins.map(holder).collect();
        let fingerprint = version["fingerprint"].as_str().unwrap_or("-");
        let built = version["build_ms"].as_u64().filter(|time| *time > 0);
        [
            format!("v{}", version["version"]),
            version["state"].as_str().unwrap_or_default().to_owned(),
            ago(&version["since"], now),
            built.map_or("-".to_owned(), |time| readable(Duration::from_millis(time))),
            bytes(version["bytes"].as_u64().unwrap_or_default()),
            bytes(version["heap_bytes"].as_u64().unwrap_or_default()),
            fingerprint.chars().take(12).collect::<String>()
                + &version["release"]
                    .as_u64()
                    .map_or(String::new(), |number| format!(" release {number}")),
            if pins.is_empty() { "-".to_owned() } else { pins.join("; ") },
        ]
    };
    let rows: Vec<_> = versions.as_array().into_iter().flatten().map(row).collect();
    let titles =
        ["VERSION", "STATE", "CURRENT SINCE", "BUILT IN", "LIBRARY", "HEAP", "SOURCE", "HELD BY"];
    table(titles, &rows, paint)
}

/// So many bytes as people read them: rounded up, so that what is there is never nothing.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let is_too_long = |power: &u32| count.div_ceil(1 << (10 * power)) >= 10_000;
    let power = (0..3).find(|power| !is_too_long(power)).unwrap_or(3);
    format!("{} {}", count.div_ceil(1 << (10 * power)), UNITS[power as usize])
}

fn holder(pin: &Value) -> String {
    let age = Duration::from_millis(pin["age_ms"].as_u64().unwrap_or_default());
    let [kind, origin] = ["kind", "origin"].map(|key| pin[key].as_str().unwrap_or_default());
    format!("{kind} {origin} for {}", readable(age))
}

/// What became of each module.
fn verdicts(verdicts: &Value) -> String {
    let line = |verdict: &Value| {
        let said = verdict["message"].as_str().or(verdict["error"].as_str()).unwrap_or_default();
        format!("{}: {said}\n", verdict["module"].as_str().unwrap_or_default())
    };
    verdicts.as_array().into_iter().flatten().map(line).collect()
}

fn history(history: &Value, now: SystemTime, paint: Paint) -> String {
    let row = |transition: &Value| {
        let from = transition["from"].as_u64();
        [
            ago(&transition["at"], now),
            from.map_or("-".to_owned(), |from| format!("v{from}")),
            format!("v{}", transition["to"]),
            transition["reason"].as_str().unwrap_or_default().to_owned(),
            transition["cause"].as_str().unwrap_or("-").to_owned(),
        ]
    };
    let rows: Vec<_> = history.as_array().into_iter().flatten().map(row).collect();
    table(["WHEN", "FROM", "TO", "WHY", "WHAT CHANGED"], &rows, paint)
}

/// A time as people say it.
fn ago(time: &Value, now: SystemTime) -> String {
    let time = time.as_str().and_then(|time| humantime::parse_rfc3339(time).ok());
    // A clock that was set back meanwhile.
    let span = time.map(|time| now.duration_since(time).unwrap_or_default());
    span.map_or("-".to_owned(), |span| format!("{} ago", readable(span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-01-31T12:00:10Z").unwrap()
    }

    #[test]
    fn a_status_reads_well() {
        let answer = json!({
            "engine": "game", "source": "game", "pid": 7, "current": 2, "paused": true, "frozen": false,
            "swaps": 1, "refused": 1, "log": "hotswap.log", "lost_log_lines": 0,
            "last_failure": { "at": "2026-01-31T12:00:08Z", "error": "error[E0425]\nand more" },
            "fallback": "cannot read game\nand more", "unreadable": "game: it expired\nand more",
            "versions": [
                {
                    "version": 1, "state": "warm", "since": "2026-01-31T12:00:00Z", "build_ms": 160,
                    "bytes": 421_000, "heap_bytes": 20,
                    "fingerprint": "0123456789abcdef", "release": 7, "pins": [
                        { "kind": "guard", "origin": "src/main.rs:7:5 on main", "age_ms": 4000 }
                    ],
                },
                {
                    "version": 2, "state": "current", "since": "2026-01-31T12:00:05Z", "build_ms": 0,
                    "bytes": 421_001, "heap_bytes": 123_456_789,
                    "fingerprint": null, "pins": [],
                },
            ],
        });
        let expected = "\
game from game, process 7: v2 is current, paused
1 swaps, 1 refused since it started; log in hotswap.log
it served last, and what lies in the source cannot run: cannot read game
the source cannot be looked at: game: it expired
last refusal 2.0 s ago: error[E0425]

VERSION  STATE    CURRENT SINCE  BUILT IN  LIBRARY  HEAP     SOURCE                  HELD BY
v1       warm     10.0 s ago     160 ms    412 KiB  20 B     0123456789ab release 7  guard src/main.rs:7:5 on main for 4.0 s
v2       current  5.0 s ago      -         412 KiB  118 MiB  -                       -
";
        assert_eq!(status(&answer, now(), Paint::Plain), expected);
    }

    #[test]
    fn a_history_reads_well() {
        let answer = json!([
            { "at": "2026-01-31T12:00:00Z", "from": null, "to": 1, "reason": "start", "cause": null },
            { "at": "2026-01-31T12:00:09Z", "from": 1, "to": 2, "reason": "poll", "cause": "src/lib.rs +2" },
        ]);
        let expected = "\
WHEN        FROM  TO  WHY    WHAT CHANGED
10.0 s ago  -     v1  start  -
1.0 s ago   v1    v2  poll   src/lib.rs +2
";
        assert_eq!(history(&answer, now(), Paint::Plain), expected);
    }
}
