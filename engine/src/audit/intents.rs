//! What was about to be done, and has no outcome.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::finding::{Finding, FindingKind};
use crate::log_line::LogLine;

/// Which line announces what, and which lines of the same change may be its outcome.
const OUTCOMES: &[(&str, &[&str])] = &[
    ("fetch.intent", &["fetch.ok", "fetch.refused"]),
    ("build.intent", &["build.ok", "build.fail", "build.cancel"]),
    ("load.intent", &["load.ok", "load.refused", "swap.abort", "rollback.impossible"]),
    ("migrate.intent", &["migrate.ok", "migrate.fail", "swap.abort", "rollback.impossible"]),
    (
        "group.intent",
        &[
            "swap.commit",
            "swap.abort",
            "swap.refused",
            "swap.queued",
            "build.same",
            "verify.refused",
            "stage.refused",
            "load.refused",
            "migrate.fail",
        ],
    ),
    ("swap.intent", &["swap.commit", "swap.abort"]),
    ("rollback.intent", &["rollback.done", "rollback.impossible"]),
    (
        "offer.intent",
        &[
            "swap.commit",
            "swap.abort",
            "verify.refused",
            "stage.refused",
            "load.refused",
            "migrate.fail",
        ],
    ),
];

/// Announcements that wait for their outcomes.
#[derive(Debug, Default)]
pub(super) struct Intents {
    /// By change and event.
    open: BTreeMap<(String, &'static str), Open>,
    /// The process that writes.
    boot: String,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    line: u64,
    seq: u64,
    engine: String,
    boot: String,
}

impl Intents {
    /// Takes a line into account.
    pub(super) fn add(&mut self, path: &Path, number: u64, line: &LogLine) {
        let text = |key| line.field(key).unwrap_or_default().to_owned();
        match line.event.as_str() {
            "log.open" => self.boot = text("boot"),
            "engine.stop" => {
                // Whatever it was at ended with it.
                let engine = text("engine");
                self.open.retain(|_, open| open.engine != engine || open.boot != self.boot);
            }
            event => {
                let tx = text("tx");
                if let Some((intent, _)) = OUTCOMES.iter().find(|(intent, _)| *intent == event) {
                    let (engine, boot) = (text("engine"), self.boot.clone());
                    let path = path.to_owned();
                    let open = Open { path, line: number, seq: line.seq, engine, boot };
                    self.open.insert((tx, intent), open);
                } else {
                    for (intent, outcomes) in OUTCOMES {
                        if outcomes.contains(&event) {
                            self.open.remove(&(tx.clone(), *intent));
                        }
                    }
                }
            }
        }
    }

    /// Those that have none.
    pub(super) fn unfinished(&self) -> Vec<Finding> {
        let mut findings: Vec<_> = self
            .open
            .iter()
            .map(|((tx, event), open)| Finding {
                path: open.path.clone(),
                line: open.line,
                seq: Some(open.seq),
                kind: FindingKind::Unfinished {
                    event: (*event).to_owned(),
                    tx: tx.clone(),
                    is_over: open.boot != self.boot,
                },
            })
            .collect();
        findings.sort_by_key(|finding| finding.seq);
        findings
    }
}
