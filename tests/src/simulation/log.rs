//! What a schedule leaves in hotswap.log.

use std::collections::BTreeSet;
use std::path::Path;

use hotswap_engine::audit::{Severity, verify};

use crate::log_lines::{LogLine, log_lines};

/// Checks that the log reads back, that its numbers go up by one, and that what was done was announced before.
///
/// A line that could not be written leaves nothing behind and takes no number; then some announcements may be missing.
///
/// # Panics
///
/// When it is otherwise.
pub(super) fn check(path: &Path) {
    let lines = log_lines(path);
    let numbers: Vec<_> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>(), "numbers go up by one");
    assert!(lines.iter().any(|line| line.event == "swap.commit"), "nothing was swapped");
    let findings = verify(path).expect("readable").findings;
    let broken: Vec<_> =
        findings.iter().filter(|finding| finding.kind.severity() == Severity::Broken).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    if !lines.iter().any(is_after_loss) {
        announced(&lines, "swap.intent", &["swap.commit"]);
        announced(&lines, "rollback.intent", &["rollback.done"]);
        announced(&lines, "load.intent", &["load.ok", "load.refused"]);
        announced(&lines, "build.intent", &["build.ok", "build.fail", "build.cancel"]);
    }
}

/// Whether lines before this one could not be written.
fn is_after_loss(line: &LogLine) -> bool {
    !line.field("lost_lines").is_empty()
}

/// Every outcome follows an intent of the same change, each intent has one outcome at the most.
fn announced(lines: &[LogLine], intent: &str, outcomes: &[&str]) {
    let mut open = BTreeSet::new();
    for line in lines {
        let tx = line.field("tx");
        if line.event == intent {
            assert!(!tx.is_empty() && open.insert(tx), "announced twice: {line:?}");
        } else if outcomes.contains(&line.event.as_str()) {
            assert!(open.remove(tx), "not announced: {line:?}");
        }
    }
}
