//! Whoever changes a log is found out: every line, every byte, every place.

use std::fs;
use std::path::{Path, PathBuf};

use hotswap_engine::ContentHash;
use hotswap_engine::audit::{Finding, FindingKind, Findings, Outcome, Severity, trail, verify};
use hotswap_tests::{again, is_isolated, log_lines, prebuilt};

/// The log of an engine that swapped twice, in a directory of its own.
struct Log {
    directory: tempfile::TempDir,
    text: String,
}

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("hotswap.log");
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
        for number in [2, 1] {
            engine.offer(prebuilt::numbered(number)).expect("swaps");
        }
        drop(engine);
        let text = fs::read_to_string(&log).expect("readable");
        Self { directory, text }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("hotswap.log")
    }

    fn lines(&self) -> Vec<&str> {
        self.text.lines().collect()
    }

    /// What is found when the log says this instead.
    fn findings_of(&self, text: impl AsRef<[u8]>) -> Findings {
        fs::write(self.path(), text).expect("writable");
        verify(self.path()).expect("readable")
    }

    /// As `findings_of` these lines.
    fn findings_of_lines(&self, lines: &[&str]) -> Findings {
        self.findings_of(lines.join("\n") + "\n")
    }
}

fn codes(findings: &Findings) -> Vec<&'static str> {
    findings.findings.iter().map(|finding| finding.kind.code()).collect()
}

fn broken(findings: &Findings) -> Vec<&Finding> {
    let all = findings.findings.iter();
    all.filter(|finding| finding.kind.severity() == Severity::Broken).collect()
}

#[test]
fn au_4_a_log_that_nobody_touched_is_proven_to_its_end() {
    let log = Log::new();
    let findings = verify(log.path()).expect("readable");
    assert_eq!(findings.findings, []);
    assert_eq!(findings.severity(), None);
    assert_eq!(findings.lines, log.lines().len() as u64);
    assert_eq!(findings.last_seq, Some(findings.lines));
    assert_eq!(findings.files, [log.path()]);
    // Without its head the same log may have had more lines.
    fs::remove_file(log.directory.path().join("hotswap.log.head")).expect("it was written");
    let findings = verify(log.path()).expect("readable");
    assert_eq!(codes(&findings), ["no_head"]);
    assert_eq!(findings.severity(), Some(Severity::Unproven));
    assert!(findings.findings[0].to_string().contains("end unproven"), "{findings:#?}");
}

/// Bytes of every column of every line, changed to others: also to those that have a meaning in a line.
#[test]
fn au_4_every_changed_byte_is_found() {
    const OTHERS: [u8; 10] = [b'0', b'a', b' ', b'=', b'"', b'\\', b'\n', 0, 0x7f, 0xff];
    let log = Log::new();
    let bytes = log.text.as_bytes();
    // A step that has no factor in common with their number: all come at all places, over the lines.
    for (number, index) in (0..bytes.len()).step_by(3).enumerate() {
        let mut changed = bytes.to_vec();
        changed[index] = OTHERS[number % OTHERS.len()];
        if changed == bytes {
            continue;
        }
        let line = bytes[..index].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let findings = log.findings_of(&changed);
        let told = format!("line {line}, byte {index}: {:#?}", findings.findings);
        assert_eq!(findings.severity(), Some(Severity::Broken), "{told}");
        // A newline that was changed makes one of two lines: then it is the one behind them that tells.
        let wanted = line..=line + 2;
        assert!(findings.first_broken_seq().is_none_or(|seq| wanted.contains(&seq)), "{told}");
    }
}

#[test]
fn au_4_every_removed_line_is_found() {
    let log = Log::new();
    let lines = log.lines();
    for index in 0..lines.len() {
        let mut left = lines.clone();
        left.remove(index);
        let findings = log.findings_of_lines(&left);
        let seq = index as u64 + 1;
        assert_eq!(findings.first_broken_seq().expect("found"), seq.max(2), "{findings:#?}");
        let expected = match index {
            0 => FindingKind::BeginsInside,
            last if last == lines.len() - 1 => FindingKind::CutOff { head: seq },
            _ => FindingKind::Missing { first: seq, last: seq },
        };
        assert_eq!(broken(&findings)[0].kind, expected, "{findings:#?}");
    }
}

#[test]
fn au_4_every_moved_or_copied_line_is_found() {
    let log = Log::new();
    let lines = log.lines();
    for index in 1..lines.len() - 1 {
        let mut moved = lines.clone();
        moved.swap(index, index + 1);
        let findings = log.findings_of_lines(&moved);
        let [finding] = broken(&findings)[..] else { panic!("{findings:#?}") };
        let behind = index as u64 + 2;
        assert_eq!(finding.kind, FindingKind::Moved { behind }, "{findings:#?}");
        assert_eq!((finding.line, finding.seq), (behind, Some(behind - 1)));
        let mut copied = lines.clone();
        copied.insert(index + 1, lines[index - 1]);
        let findings = log.findings_of_lines(&copied);
        let [finding] = broken(&findings)[..] else { panic!("{findings:#?}") };
        assert_eq!(finding.kind, FindingKind::Copied, "{findings:#?}");
    }
}

/// Also a line that somebody made up with a hash that is right.
#[test]
fn au_4_an_inserted_or_replaced_line_is_found() {
    let log = Log::new();
    let lines = log.lines();
    let made_up = |line: &str| {
        let (text, _) = line.rsplit_once(" h=").expect("it ends in a hash");
        let text = text.replace("msg=", "note=");
        let seal = ContentHash::of(text.as_bytes()).to_string();
        format!("{text} h={}", &seal[..32])
    };
    let index = lines.iter().position(|line| line.contains(" msg=")).expect("it swapped");
    let replaced = made_up(lines[index]);
    assert_ne!(replaced, lines[index]);
    let mut forged = lines.clone();
    forged[index] = &replaced;
    let findings = log.findings_of_lines(&forged);
    let [finding] = broken(&findings)[..] else { panic!("{findings:#?}") };
    assert_eq!(finding.kind, FindingKind::Unlinked);
    assert_eq!(finding.seq, Some(index as u64 + 2), "the line behind it");
    // As the last line there is none behind it, but the head.
    let last = made_up(&lines[lines.len() - 1].replace("engine.stop", "engine.halt"));
    let mut forged = lines.clone();
    *forged.last_mut().expect("lines") = &last;
    assert_eq!(codes(&log.findings_of_lines(&forged)), ["head_differs"]);
    // No line at all.
    for foreign in ["garbage", "2026-01-31T12:00:00.000000Z 000003 INFO  swap.commit tx=a-1-2"] {
        let mut forged = lines.clone();
        forged.insert(3, foreign);
        let findings = log.findings_of_lines(&forged);
        assert_eq!(codes(&findings), ["foreign"], "{findings:#?}");
        assert_eq!((findings.findings[0].line, findings.findings[0].seq), (4, None));
    }
}

/// Cut at any byte: between lines only the head knows.
#[test]
fn au_4_a_log_that_was_cut_is_found() {
    let log = Log::new();
    for bytes in (1..log.text.len()).step_by(7) {
        let findings = log.findings_of(&log.text[..bytes]);
        assert_eq!(findings.severity(), Some(Severity::Broken), "{bytes}: {findings:#?}");
        let kind = &findings.findings.iter().find(|finding| finding.kind.code() == "cut_off");
        assert!(kind.is_some(), "{bytes}: {findings:#?}");
    }
    let findings = log.findings_of("");
    assert_eq!(codes(&findings), ["cut_off"], "nothing is left");
}

/// Says where it stands, and what is left of the change that was under way when the process was killed.
#[test]
fn au_3_an_intent_of_a_killed_process_has_no_outcome() {
    const NAME: &str = "au_3_an_intent_of_a_killed_process_has_no_outcome";
    let log = hotswap_tests::build_directory().join("killed").join("hotswap.log");
    if is_isolated(NAME) {
        let library = prebuilt::named("killer.rs");
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
        // Kills the process while it is loaded.
        let verdict = engine.offer(library);
        panic!("it goes on: {verdict:?}");
    }
    // Of an earlier run.
    let _ = fs::remove_dir_all(log.parent().expect("a directory"));
    fs::create_dir_all(log.parent().expect("a directory")).expect("writable");
    let _built = (prebuilt::named("killer.rs"), prebuilt::numbered(1));
    let killed = again(NAME, &[]).output().expect("starts");
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(killed.status.signal(), Some(9), "{killed:?}");
    let unfinished = |log: &Path| -> Vec<(String, bool)> {
        let findings = verify(log).expect("readable");
        assert!(broken(&findings).is_empty(), "{findings:#?}");
        let kinds = findings.findings.into_iter().map(|finding| finding.kind);
        kinds
            .filter_map(|kind| match kind {
                FindingKind::Unfinished { event, is_over, .. } => Some((event, is_over)),
                _ => None,
            })
            .collect()
    };
    let told =
        |is_over| [("offer.intent".to_owned(), is_over), ("load.intent".to_owned(), is_over)];
    assert_eq!(unfinished(&log), told(false));
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    drop(engine);
    assert_eq!(unfinished(&log), told(true));
    let outcome = Outcome::Unknown { last_event: "load.intent".to_owned(), is_over: true };
    let changes = trail(&log).expect("readable").changes;
    assert!(changes.iter().any(|change| change.outcome == outcome), "{changes:#?}");
    // The numbers and the chain go on.
    let lines = log_lines(&log);
    assert_eq!(lines.last().map(|line| line.seq), Some(lines.len() as u64));
    assert_eq!(lines.iter().filter(|line| line.event == "log.open").count(), 2);
}

/// The half of a line that a crash leaves is kept, told, and no reason to doubt the rest.
#[test]
fn a_torn_line_is_told_and_the_chain_goes_on() {
    for bytes in [1, 30, 100, 3] {
        let log = Log::new();
        let last = log.lines().pop().expect("lines").len() + 1;
        let whole = log.text.len() - last;
        let torn = &log.text[..whole + bytes];
        fs::write(log.path(), torn).expect("writable");
        // As the head of a killed process may be.
        fs::remove_file(log.directory.path().join("hotswap.log.head")).expect("it was written");
        let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(log.path()).open();
        drop(engine.expect("opens"));
        let text = fs::read_to_string(log.path()).expect("readable");
        let behind = text.strip_prefix(torn).expect("it is kept").strip_prefix('\n');
        let open = behind.expect("on a line of its own").lines().next().expect("a line");
        assert!(open.contains(&format!(" recovered={bytes} ")), "{open}");
        let findings = verify(log.path()).expect("readable");
        assert_eq!(codes(&findings), ["torn"], "{findings:#?}");
        assert_eq!(findings.severity(), Some(Severity::Note));
    }
    // A line that lacks nothing but its newline is whole.
    let log = Log::new();
    fs::write(log.path(), log.text.trim_end()).expect("writable");
    drop(prebuilt::engine(&prebuilt::numbered(1)).log_file(log.path()).open().expect("opens"));
    assert_eq!(verify(log.path()).expect("readable").findings, []);
}

/// A log that was tampered with while nobody wrote it says so itself, before its head is written again.
#[test]
fn what_was_cut_off_between_two_processes_is_an_alert() {
    let log = Log::new();
    let lines = log.lines();
    let cut = lines[..lines.len() - 3].join("\n") + "\n";
    let changed = log.text.replace("engine.stop", "engine.halt");
    for (text, event) in [(cut, "log.truncated"), (changed, "log.altered")] {
        let log = Log::new();
        fs::write(log.path(), text).expect("writable");
        drop(prebuilt::engine(&prebuilt::numbered(1)).log_file(log.path()).open().expect("opens"));
        let _ = event;
        let told: Vec<_> = fs::read_to_string(log.path())
            .expect("readable")
            .lines()
            .filter(|line| line.contains(" ALERT "))
            .map(|line| line.split_ascii_whitespace().nth(3).unwrap_or_default().to_owned())
            .collect();
        assert_eq!(told, [event]);
        assert_eq!(verify(log.path()).expect("readable").severity(), Some(Severity::Broken));
    }
}

/// What somebody can make who knows how it is made: lines with these events, in a chain that is right.
fn forged(events: impl Iterator<Item = &'static str>) -> String {
    let mut prev = "0".repeat(32);
    let mut log = String::new();
    for (index, event) in events.enumerate() {
        let seq = index + 1;
        let text =
            format!("2026-01-31T12:00:00.000000Z {seq:06} INFO  {event} mono_us={seq} prev={prev}");
        prev = ContentHash::of(text.as_bytes()).to_string()[..32].to_owned();
        log += &format!("{text} h={prev}\n");
    }
    log
}

/// There is no key: who makes all of it anew must still have known what the engine would have written.
#[test]
fn a_log_without_checkpoints_is_not_the_engines() {
    let log = Log::new();
    fs::remove_file(log.directory.path().join("hotswap.log.head")).expect("it was written");
    let lines = |count| ["log.open"].into_iter().chain(std::iter::repeat_n("manual.pause", count));
    assert_eq!(codes(&log.findings_of(forged(lines(100)))), ["no_head"]);
    let findings = log.findings_of(forged(lines(300)));
    assert_eq!(codes(&findings), ["no_checkpoint", "no_head"]);
    assert_eq!(findings.first_broken_seq(), Some(111));
    // As docs::log says of who can rewrite everything.
    let with_checkpoints = lines(300).enumerate().map(|(index, event)| match index {
        100 | 200 | 300 => "log.checkpoint",
        _ => event,
    });
    assert_eq!(codes(&log.findings_of(forged(with_checkpoints))), ["no_head"]);
}

/// Every hundred lines one tells the end of the chain.
#[test]
fn checkpoints_come_every_hundred_lines() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("hotswap.log");
    let engine = prebuilt::engine(&prebuilt::numbered(1)).log_file(&log).open().expect("opens");
    for number in (0..40).map(|number| number % 2 + 1) {
        engine.offer(prebuilt::numbered(number)).expect("swaps");
    }
    drop(engine);
    let lines = log_lines(&log);
    let places: Vec<_> = (0..lines.len())
        .filter(|place| ["log.open", "log.checkpoint"].contains(&lines[*place].event.as_str()))
        .collect();
    assert!(places.len() > 3, "{places:?}");
    for pair in places.windows(2) {
        assert_eq!(pair[1] - pair[0], 101, "{places:?}");
        let (before, line) = (&lines[pair[1] - 1], &lines[pair[1]]);
        assert_eq!(line.field("last_seq"), before.seq.to_string());
        assert_eq!(line.field("last_h"), before.field("h"));
        assert_eq!(line.field("lines"), "100");
    }
    assert_eq!(verify(&log).expect("readable").findings, []);
}
