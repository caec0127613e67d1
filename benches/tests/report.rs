//! The report is written by one command, and says what it should.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The plots, by the names of their files.
const PLOTS: [&str; 10] = [
    "calls",
    "detection",
    "edits",
    "events",
    "latency",
    "load",
    "look",
    "memory_kept",
    "memory_unloaded",
    "poll_frequency",
];

#[test]
fn a_quick_report_stands_alone_and_has_every_figure() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_report"))
        .args(["--quick", "--out"])
        .arg(directory.path())
        .output()
        .expect("it was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(directory.path().join("report.html")).expect("it was written");
    stands_alone(&page);
    let links: BTreeSet<&str> = attributes(&page, "href=\"#").collect();
    let ids: BTreeSet<&str> = attributes(&page, " id=\"").collect();
    assert!(links.len() > 5, "{links:?}");
    assert!(links.is_subset(&ids), "{links:?} lead to {ids:?}");
    let markdown = fs::read_to_string(directory.path().join("report.md")).expect("it was written");
    for plot in PLOTS {
        assert!(ids.contains(plot), "the page has no {plot}");
        assert!(markdown.contains(&format!("]({plot}.svg)")), "the Markdown has no {plot}");
        is_a_picture(&directory.path().join(plot).with_extension("svg"));
    }
    for section in
        ["figures", "calls", "latency", "polling", "detection", "edits", "load", "memory", "state"]
    {
        assert!(ids.contains(section), "the page has no section {section}");
    }
    every_figure_has_its_floor(&markdown);
}

/// What follows the text, up to the next quote, wherever it stands.
fn attributes<'a>(page: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    page.split(text).skip(1).filter_map(|rest| rest.split('"').next())
}

fn stands_alone(page: &str) {
    // A namespace is a name and not an address.
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http:", "https:", "<script", "<link", "<img", "@import", "url(", " src="] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
}

fn is_a_picture(path: &Path) {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text.trim_end().ends_with("</svg>"), "{}", path.display());
    assert!(text.contains("aria-label=\""), "{} has no name", path.display());
    assert!(text.matches("<text").count() > 8, "{} says nothing", path.display());
    assert!(!text.contains("NaN"), "{}", path.display());
}

fn every_figure_has_its_floor(markdown: &str) {
    let mut tables = markdown.split("## Figures to reach");
    let table = tables.nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the table");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .skip(2)
        .collect();
    assert!(rows.len() >= 15, "{table}");
    for row in rows {
        let [what, floor, ours, ratio, target, verdict, command] = row[..] else {
            panic!("not seven columns: {row:?}");
        };
        assert!(floor.contains(": ") && ours.contains(": "), "{what}: {floor}, {ours}");
        assert!(ratio.ends_with('x'), "{what}: {ratio}");
        assert!(target.starts_with('\u{2264}'), "{what}: {target}");
        assert!(["met", "not met"].contains(&verdict), "{what}: {verdict}");
        assert!(command.starts_with("`cargo "), "{what}: {command}");
    }
}
