//! What one revision has that another has not.

use std::collections::BTreeSet;

use hotswap_engine::ContentHash;
use hotswap_engine::sqlite::{Code, Revision};
use similar::{ChangeTag, TextDiff};

use super::plain;
use crate::paint::Paint;

/// How many lines around a change are shown.
const CONTEXT_LINES: usize = 3;

/// The lines that differ, file by file.
pub(super) fn diff(
    (old, before): &(Revision, Code),
    (new, after): &(Revision, Code),
    paint: Paint,
) -> String {
    let (before, after) = (files(before), files(after));
    let names: BTreeSet<&Option<String>> =
        before.iter().chain(&after).map(|(name, _)| name).collect();
    let mut text = String::new();
    for name in names {
        let content = |files: &[(Option<String>, String)]| {
            let found = files.iter().find(|(found, _)| found == name);
            found.map(|(_, content)| content.clone()).unwrap_or_default()
        };
        let (before, after) = (content(&before), content(&after));
        if before == after {
            continue;
        }
        let name = name.as_deref().map(|name| format!(" {}", plain(name))).unwrap_or_default();
        text += &format!("--- revision {}{name}\n+++ revision {}{name}\n", old.number, new.number);
        text += &lines(&before, &after, paint);
    }
    if old.dependencies != new.dependencies {
        let list = |revision: &Revision| format!("{}\n", revision.dependencies.join("\n"));
        text += &format!(
            "--- revision {} [dependencies]\n+++ revision {} [dependencies]\n",
            old.number, new.number
        );
        text += &lines(&list(old), &list(new), paint);
    }
    if text.is_empty() {
        text = format!("revisions {} and {} hold the same code\n", old.number, new.number);
    }
    text
}

/// What a revision consists of, as text: a file without a name, or the files of a crate.
pub(super) fn files(code: &Code) -> Vec<(Option<String>, String)> {
    match code {
        Code::Text(text) => vec![(None, text.clone())],
        Code::Library(bytes) => vec![(None, binary(bytes))],
        Code::Release(manifest) => vec![(None, String::from_utf8_lossy(manifest).into_owned())],
        Code::Crate(archive) => archive
            .files()
            .map(|(name, content)| {
                let text = std::str::from_utf8(content);
                let text = text.map_or_else(|_| binary(content), str::to_owned);
                (Some(name.to_string_lossy().into_owned()), text)
            })
            .collect(),
    }
}

fn binary(bytes: &[u8]) -> String {
    format!("binary, {} bytes, sha256 {}\n", bytes.len(), ContentHash::of(bytes))
}

fn lines(before: &str, after: &str, paint: Paint) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for group in diff.grouped_ops(CONTEXT_LINES) {
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let line = plain(change.value().trim_end_matches('\n'));
            text += &match change.tag() {
                ChangeTag::Equal => format!("  {line}\n"),
                ChangeTag::Delete => paint.bad(&format!("- {line}")) + "\n",
                ChangeTag::Insert => paint.good(&format!("+ {line}")) + "\n",
            };
        }
        text += &paint.faint("..");
        text += "\n";
    }
    text
}
