//! Where hotswap.log lies: put aside by the engine or by others, shortened, copied; the chain goes on through all of it.

use std::fs;
use std::path::{Path, PathBuf};

use hotswap_engine::audit::{FindingKind, Severity, verify};
use hotswap_engine::{Engine, LogLine};
use hotswap_tests::{again, is_isolated, log_lines, prebuilt};

/// A directory for a log.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("hotswap.log")
    }

    /// The names of all files, but for the head.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "hotswap.log.head");
        names.sort();
        names
    }
}

/// Writes eight lines.
fn swap(engine: &Engine, number: u64) {
    engine.offer(prebuilt::numbered(number)).expect("swaps");
}

/// What is found when the engine is gone.
fn codes(log: &Path) -> Vec<&'static str> {
    let findings = verify(log).expect("readable").findings;
    findings.iter().map(|finding| finding.kind.code()).collect()
}

#[test]
fn a_long_log_is_put_aside_and_the_chain_goes_on() {
    let place = Place::new();
    let log = place.log();
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log);
    let engine = engine.log_bytes_max(4_000).log_files_max(2).open().expect("opens");
    (0..8).for_each(|number| swap(&engine, number % 2 + 1));
    drop(engine);
    assert_eq!(place.files(), ["hotswap.log", "hotswap.log.1", "hotswap.log.2"]);
    let mut before: Option<hotswap_tests::LogLine> = None;
    for name in ["hotswap.log.2", "hotswap.log.1", "hotswap.log"] {
        let lines = log_lines(&place.path(name));
        let (first, last) = (&lines[0], lines.last().expect("lines"));
        assert_eq!((first.event.as_str(), first.field("schema")), ("log.open", "1"));
        assert_eq!(first.field("reason"), "rotated");
        if let Some(before) = before {
            assert_eq!(first.field("last_seq"), before.seq.to_string());
            assert_eq!(first.field("last_h"), before.field("h"));
            assert_eq!(first.field("prev"), before.field("h"));
            assert_eq!(before.event, "log.rotate");
            assert_eq!(before.field("to"), place.path("hotswap.log.1").display().to_string());
            assert!(before.field("dropped").ends_with("hotswap.log.2"), "{before:?}");
        }
        if name != "hotswap.log" {
            let bytes = fs::metadata(place.path(name)).expect("there").len();
            assert!((4_000..6_000).contains(&bytes), "{name} has {bytes} bytes");
        }
        before = Some(last.clone());
    }
    // What was dropped is told, and no reason to doubt the rest.
    assert_eq!(codes(&log), ["begins_late"]);
    let findings = verify(&log).expect("readable");
    assert_eq!(findings.severity(), Some(Severity::Note));
    assert_eq!(findings.files.len(), 3);
    // A file in the middle is missed.
    fs::remove_file(place.path("hotswap.log.1")).expect("removable");
    assert_eq!(codes(&log), ["begins_late", "missing"]);
}

#[test]
fn an_old_log_is_put_aside() {
    let place = Place::new();
    let log = place.log();
    let engine = || {
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log);
        engine.log_age_max(std::time::Duration::from_secs(24 * 3_600)).open().expect("opens")
    };
    drop(engine());
    assert_eq!(place.files(), ["hotswap.log"], "it is young");
    // As old as its first line: a line of somebody else's, for the engine's cannot be changed unseen.
    let text = fs::read_to_string(&log).expect("readable");
    let old = "2026-01-31T12:00:00.000000Z 000000 INFO  somebody.else\n".to_owned();
    fs::write(&log, old + &text).expect("writable");
    drop(engine());
    assert_eq!(place.files(), ["hotswap.log", "hotswap.log.1"]);
    assert_eq!(codes(&log), ["foreign"]);
}

/// As logrotate does it: the next line goes to a new file of the old name.
#[test]
fn a_log_that_was_moved_away_is_followed() {
    let place = Place::new();
    let log = place.log();
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    fs::rename(&log, place.path("hotswap.log.1")).expect("renamed");
    swap(&engine, 2);
    let lines = log_lines(&log);
    assert_eq!((lines[0].event.as_str(), lines[0].field("reason")), ("log.open", "renamed"));
    // Asked for, it comes without a line; with `create`, logrotate has made the file.
    fs::rename(&log, place.path("hotswap.log-20260131")).expect("renamed");
    fs::write(&log, "").expect("made");
    engine.reopen_log().expect("it can be opened");
    assert_eq!(log_lines(&log).len(), 1);
    // Nothing to follow.
    engine.reopen_log().expect("as before");
    assert_eq!(log_lines(&log).len(), 1);
    swap(&engine, 1);
    drop(engine);
    assert_eq!(codes(&log), [""; 0]);
    assert_eq!(verify(&log).expect("readable").files.len(), 3);
    // Also while no process writes it.
    fs::rename(&log, place.path("hotswap.log.2")).expect("renamed");
    drop(prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens"));
    assert_eq!(codes(&log), [""; 0], "{:#?}", verify(&log));
    let first = &log_lines(&log)[0];
    assert!(first.seq > 1 && first.field("last_seq") == (first.seq - 1).to_string(), "{first:?}");
}

#[test]
fn a_log_that_cannot_be_opened_again_is_an_error() {
    let place = Place::new();
    let log = place.log();
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    fs::rename(&log, place.path("hotswap.log.1")).expect("renamed");
    fs::create_dir(&log).expect("made");
    let error = engine.reopen_log().expect_err("a directory is no log");
    assert_eq!(error.to_string(), format!("cannot reopen the log {}", log.display()));
    let error = engine.offer(prebuilt::numbered(2)).expect_err("nor can it be announced");
    assert!(error.to_string().contains("cannot write the log"), "{error}");
    fs::remove_dir(&log).expect("empty");
    swap(&engine, 2);
    drop(engine);
    assert_eq!(codes(&log), ["lost"]);
}

/// What copies and truncates loses lines: it is not supported, and told.
#[test]
fn a_log_that_becomes_shorter_is_an_alert() {
    let place = Place::new();
    let log = place.log();
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    swap(&engine, 2);
    let before = log_lines(&log);
    let file = fs::File::options().write(true).open(&log).expect("ours");
    file.set_len(0).expect("cut");
    swap(&engine, 1);
    drop(engine);
    let lines = log_lines(&log);
    assert_eq!((lines[0].event.as_str(), lines[0].level.as_str()), ("log.truncated", "ALERT"));
    assert_eq!(lines[0].field("last_seq"), before.last().expect("lines").seq.to_string());
    let findings = verify(&log).expect("readable");
    assert_eq!(findings.severity(), Some(Severity::Broken));
    let alert = |kind: &FindingKind| matches!(kind, FindingKind::Alert { .. });
    assert!(findings.findings.iter().any(|finding| alert(&finding.kind)), "{findings:#?}");
}

/// The same lines with the same values, in the same order.
#[test]
fn copies_say_what_the_log_says() {
    let place = Place::new();
    let log = place.log();
    let (json, plain) = (place.path("hotswap.json"), place.path("notified.txt"));
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log);
    let engine = engine.log_json(&json).log_plain(&plain).open().expect("opens");
    swap(&engine, 2);
    engine.offer(place.path("nothing\nthere.so")).expect_err("there is none");
    drop(engine);
    let text = fs::read_to_string(&log).expect("readable");
    let lines: Vec<LogLine> = text.lines().map(|line| line.parse().expect("a line")).collect();
    let objects = fs::read_to_string(&json).expect("readable");
    let objects: Vec<serde_json::Value> =
        objects.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // The first line is written while the log is opened, and so is copied as well.
    assert_eq!(objects.len(), lines.len());
    for (object, line) in objects.iter().zip(&lines) {
        let text = |key: &str| match &object[key] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!((text("seq"), text("event")), (line.seq.to_string(), line.event.clone()));
        assert_eq!(text("level"), line.level.to_string());
        assert!(line.to_string().starts_with(&text("time")), "{object}");
        for (key, value) in &line.fields {
            assert_eq!(text(key), *value, "{object}");
        }
        assert_eq!(object.as_object().expect("an object").len(), line.fields.len() + 4);
    }
    assert!(objects.iter().any(|object| object["swap_us"].is_u64()));
    let plain = fs::read_to_string(&plain).expect("readable");
    assert!(plain.contains("INFO:root:v2 is current\n"), "{plain}");
    assert!(plain.contains("ERROR:root:cannot read "), "{plain}");
    let is_one = |line: &str| line.split(':').nth(1) == Some("root");
    assert!(plain.lines().all(is_one), "{plain}");
}

#[test]
fn a_copy_that_cannot_be_written_is_told_once() {
    let place = Place::new();
    let log = place.log();
    let copy = place.path("hotswap.json");
    fs::create_dir(&copy).expect("made");
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).log_json(&copy);
    // What is no file is not put aside either.
    let engine = engine.log_bytes_max(2_000).open().expect("a copy is no reason to refuse");
    swap(&engine, 2);
    fs::remove_dir(&copy).expect("empty");
    swap(&engine, 1);
    drop(engine);
    let logs = verify(&log).expect("readable").files;
    let told: Vec<_> = logs.iter().flat_map(|log| log_lines(log)).collect();
    let told: Vec<_> = told.iter().filter(|line| line.event == "log.copy").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].field("path"), copy.display().to_string());
    assert!(fs::read_to_string(&copy).expect("readable").contains("engine.stop"));
}

/// An announcement is on the disk before what it announces.
#[test]
fn a_synced_log_brings_announcements_to_the_disk() {
    use hotswap_system::fault::{Operation, watch};

    hotswap_tests::isolated("a_synced_log_brings_announcements_to_the_disk", || {
        let place = Place::new();
        let watching = watch();
        let syncs = || {
            let passed = watching.passed().into_iter();
            let is_of_the_log = |file: &str| file.ends_with("audit/writer.rs");
            passed
                .filter(|(site, _)| site.operation == Operation::Sync && is_of_the_log(site.file))
                .map(|(_, count)| count)
                .sum::<u64>()
        };
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(place.log());
        let engine = engine.log_synced().open().expect("opens");
        let before = syncs();
        assert!(before > 0);
        swap(&engine, 2);
        assert_eq!(syncs() - before, 2, "of load.intent and swap.intent");
    });
}

/// Two processes at once: each writes a file of its own, and both are whole.
#[test]
fn two_processes_never_mix_their_lines() {
    const NAME: &str = "two_processes_never_mix_their_lines";
    let directory = hotswap_tests::build_directory().join("two-processes");
    let log = directory.join("hotswap.log");
    let swaps = |engine: &Engine| (0..20).for_each(|number| swap(engine, number % 2 + 1));
    let open = || prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    if is_isolated(NAME) {
        return swaps(&open());
    }
    // Of an earlier run.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("writable");
    let engine = open();
    let other = again(NAME, &[]).spawn().expect("starts");
    let beside = directory.join(format!("hotswap-{}.log", other.id()));
    swaps(&engine);
    let output = other.wait_with_output().expect("ends");
    assert!(output.status.success(), "{output:?}");
    // Held until then: the other one found it taken.
    drop(engine);
    for log in [&log, &beside] {
        assert_eq!(codes(log), [""; 0], "{}", log.display());
        let lines = log_lines(log);
        assert_eq!(lines.iter().filter(|line| line.event == "swap.commit").count(), 21);
    }
    let first = &log_lines(&beside)[0];
    assert_eq!(first.field("instead_of"), log.display().to_string());
}
