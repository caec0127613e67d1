//! What a schedule leaves in hotswap.log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::log_lines::{LogLine, log_lines};

/// Checks that the log reads back, that its numbers increase, and that what was done was announced before.
///
/// Steps that fail may have torn a line or lost some; then only the lines that are whole are looked at.
///
/// # Panics
///
/// When it is otherwise.
pub(super) fn check(path: &Path, is_whole: bool) {
    let lines = if is_whole {
        let lines = log_lines(path);
        let numbers: Vec<_> = lines.iter().map(|line| line.seq).collect();
        assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>(), "numbers go up by one");
        lines
    } else {
        let text = fs::read_to_string(path).expect("it was written");
        let mut lines: Vec<_> = text.lines().filter_map(LogLine::parse).collect();
        // The half of a line may look like a whole one; its number is given again, by the line that tells of the loss.
        let again: BTreeSet<_> =
            lines.iter().filter(|&line| is_after_loss(line)).map(|line| line.seq).collect();
        lines.retain(|line| is_after_loss(line) || !again.contains(&line.seq));
        let is_up = |pair: &[LogLine]| pair[0].seq < pair[1].seq;
        assert!(lines.windows(2).all(is_up), "numbers go up");
        lines
    };
    assert!(lines.iter().any(|line| line.event == "swap.commit"), "nothing was swapped");
    if !lines.iter().any(is_after_loss) {
        announced(&lines, "swap.intent", &["swap.commit"]);
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
