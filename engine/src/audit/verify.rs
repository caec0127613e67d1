//! Whether a log is as it was written.

use std::path::{Path, PathBuf};

use super::LogError;
use super::chain::{Chain, Joint};
use super::finding::{Finding, FindingKind, Severity};
use super::head::Head;
use super::intents::Intents;
use super::reader::{Found, files, read};
use super::writer::CHECKPOINT_LINES;
use crate::log_line::{LogLine, LogLineError, LogLineErrorKind};

/// How many lines there may be without a checkpoint: some more than it is written after, since what the log has to say
/// of itself comes in one piece with it.
const UNCHECKED_LINES_MAX: u64 = CHECKPOINT_LINES + 10;

/// What [`verify`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Findings {
    /// The files that were read, oldest first.
    pub files: Vec<PathBuf>,
    /// How many lines are in them.
    pub lines: u64,
    /// The number of the last line; `None` of an empty log.
    pub last_seq: Option<u64>,
    /// Everything there is to say, in the order of the files.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// The worst of them; `None` when there is nothing to say.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.kind.severity()).max()
    }

    /// The number of the first line from which on the log cannot be trusted.
    #[must_use]
    pub fn first_broken_seq(&self) -> Option<u64> {
        let broken = self.findings.iter();
        let broken = broken.filter(|finding| finding.kind.severity() == Severity::Broken);
        let seq = |finding: &Finding| match finding.kind {
            FindingKind::Missing { first, .. } => Some(first),
            FindingKind::CutOff { .. } => finding.seq.map(|seq| seq + 1),
            _ => finding.seq,
        };
        broken.filter_map(seq).min()
    }
}

/// Checks a log, with the files beside it that were put aside: that every line says what was written, that none
/// is missing, moved or added, that the end is where the head says, and that what was begun has an outcome.
///
/// Only reads. Blocks for as long as reading takes. While a process writes the log, its last lines may be unproven.
///
/// What this proves, and what not: [`crate::docs::log`].
///
/// # Errors
///
/// When a file cannot be read.
pub fn verify(path: impl AsRef<Path>) -> Result<Findings, LogError> {
    let path = path.as_ref();
    let files = files(path)?;
    // Before the lines: a process that writes meanwhile is ahead of it then, and not behind.
    let head = Head::read(path).map_err(LogError::at("read", path))?;
    let mut check = Check::new(head);
    read(&files, |found| check.add(found))?;
    let findings = check.end(path);
    let last_seq = (check.lines > 0).then_some(check.end.seq);
    Ok(Findings { files, lines: check.lines, last_seq, findings })
}

/// What is known of the lines before the next.
struct Check {
    head: Option<Head>,
    findings: Vec<Finding>,
    intents: Intents,
    lines: u64,
    /// The highest number, and the hash of that line.
    end: Chain,
    /// Where that line is.
    last: Option<(PathBuf, u64)>,
    /// Numbers that were passed over, and are not found yet.
    missing: Vec<(u64, u64)>,
    unchecked_lines: u64,
    /// What is no line and may be explained by the next: where it is, and how long.
    torn: Option<(Finding, u64)>,
    /// Whether that line was changed: then the next is not expected to follow it.
    is_changed: bool,
}

impl Check {
    fn new(head: Option<Head>) -> Self {
        Self {
            head,
            findings: Vec::new(),
            intents: Intents::default(),
            lines: 0,
            end: Chain::START,
            last: None,
            missing: Vec::new(),
            unchecked_lines: 0,
            torn: None,
            is_changed: false,
        }
    }

    fn add(&mut self, found: Found<'_>) {
        let Found { path, number, line } = found;
        match line {
            Ok(line) => match Joint::of(&line) {
                Some(joint) => self.line(path, number, &line, joint),
                None => {
                    let bytes = line.to_string().len() as u64;
                    self.foreign(path, number, "it ends in no hash".to_owned(), bytes);
                }
            },
            Err(LogLineError { kind: LogLineErrorKind::Torn, .. }) => {
                self.explain(None);
                self.find(path, number, None, FindingKind::TornEnd);
            }
            Err(error) => {
                let reason = format!("column {}, {}", error.column, error.kind);
                self.foreign(path, number, reason, error.line_bytes);
            }
        }
    }

    fn find(&mut self, path: &Path, line: u64, seq: Option<u64>, kind: FindingKind) {
        self.findings.push(Finding { path: path.to_owned(), line, seq, kind });
    }

    fn foreign(&mut self, path: &Path, line: u64, reason: String, bytes: u64) {
        self.explain(None);
        let kind = FindingKind::Foreign { reason };
        self.torn = Some((Finding { path: path.to_owned(), line, seq: None, kind }, bytes));
    }

    /// What was no line is one that was torn, if the next line says so.
    fn explain(&mut self, next: Option<&LogLine>) {
        let Some((mut finding, bytes)) = self.torn.take() else { return };
        let keys = ["recovered", "torn_bytes"];
        let told = next.and_then(|line| keys.iter().find_map(|key| line.field(key)));
        if told.is_some_and(|told| told.parse() == Ok(bytes)) {
            finding.kind = FindingKind::Torn { bytes };
        }
        self.findings.push(finding);
    }

    fn line(&mut self, path: &Path, number: u64, line: &LogLine, joint: Joint) {
        self.explain(Some(line));
        let mut kinds = Vec::new();
        let is_first_of_file = self.last.as_ref().is_none_or(|(last, _)| last != path);
        if is_first_of_file && line.event != "log.open" {
            kinds.push(FindingKind::BeginsInside);
        }
        let mut seq = line.seq;
        if !joint.is_intact {
            kinds.push(FindingKind::Changed);
            // What it says of its place cannot be trusted: it is taken for the one that belongs here.
            seq = if self.lines > 0 { self.end.seq + 1 } else { seq };
        } else if self.lines > 0 && seq <= self.end.seq {
            kinds.push(self.out_of_order(seq));
        } else if self.lines == 0 && seq > 1 {
            kinds.push(FindingKind::BeginsLate);
        } else if seq > self.end.seq + 1 {
            let (first, last) = (self.end.seq + 1, seq - 1);
            self.missing.push((first, last));
            kinds.push(FindingKind::Missing { first, last });
        } else if joint.prev != self.end.seal && !self.is_changed {
            kinds.push(FindingKind::Unlinked);
        }
        self.lines += 1;
        if seq > self.end.seq {
            self.end = Chain { seq, seal: joint.end.seal };
            self.is_changed = !joint.is_intact;
            self.last = Some((path.to_owned(), number));
        }
        if joint.is_intact {
            let head = self.head.filter(|head| head.end.seq == seq && head.end != joint.end);
            kinds.extend(head.map(|_| FindingKind::HeadDiffers));
            kinds.extend(self.told(line));
        }
        for kind in kinds {
            self.find(path, number, Some(seq), kind);
        }
        self.intents.add(path, number, line);
    }

    /// A number that was passed over comes late; any other is a copy.
    fn out_of_order(&mut self, seq: u64) -> FindingKind {
        let gap = self.missing.iter().position(|(first, last)| (*first..=*last).contains(&seq));
        let Some(gap) = gap else { return FindingKind::Copied };
        let (first, last) = self.missing.remove(gap);
        self.missing
            .extend([(first, seq - 1), (seq + 1, last)].into_iter().filter(|(a, b)| a <= b));
        FindingKind::Moved { behind: self.end.seq }
    }

    /// What the line itself says of the log.
    fn told(&mut self, line: &LogLine) -> Option<FindingKind> {
        let text = |key| line.field(key).unwrap_or_default();
        self.unchecked_lines += 1;
        match line.event.as_str() {
            "log.open" | "log.checkpoint" => self.unchecked_lines = 0,
            "log.truncated" | "log.altered" => {
                return Some(FindingKind::Alert { message: text("msg").to_owned() });
            }
            "log.recovered" => {
                return text("lost_lines").parse().ok().map(|lines| FindingKind::Lost { lines });
            }
            _ if self.unchecked_lines == UNCHECKED_LINES_MAX => {
                return Some(FindingKind::NoCheckpoint { lines: self.unchecked_lines });
            }
            _ => {}
        }
        None
    }

    /// What can only be told when all lines were seen.
    fn end(&mut self, log: &Path) -> Vec<Finding> {
        self.explain(None);
        let seq = (self.lines > 0).then_some(self.end.seq);
        let (path, line) = self.last.clone().unwrap_or_else(|| (log.to_owned(), 0));
        let end = match self.head {
            None => seq.map(|_| FindingKind::NoHead),
            Some(head) if head.end.seq > self.end.seq => {
                Some(FindingKind::CutOff { head: head.end.seq })
            }
            Some(head) if head.end.seq < self.end.seq => {
                Some(FindingKind::BehindHead { lines: self.end.seq - head.end.seq })
            }
            Some(_) => None,
        };
        if let Some(kind) = end {
            let seq = match (&kind, self.head) {
                (FindingKind::BehindHead { .. }, Some(head)) => Some(head.end.seq),
                _ => seq,
            };
            self.find(&path, line, seq, kind);
        }
        let mut findings = std::mem::take(&mut self.findings);
        // What was missing in one place and found in another is moved.
        let missing = &self.missing;
        findings.retain_mut(|finding| {
            let FindingKind::Missing { first, last } = &mut finding.kind else { return true };
            let within = |(from, to): &&(u64, u64)| *first <= *from && *to <= *last;
            let left: Vec<_> = missing.iter().filter(within).copied().collect();
            let (Some(from), Some(to)) =
                (left.iter().map(|(from, _)| *from).min(), left.iter().map(|(_, to)| *to).max())
            else {
                return false;
            };
            (*first, *last) = (from, to);
            true
        });
        findings.extend(self.intents.unfinished());
        findings
    }
}
