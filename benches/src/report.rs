//! One report of all that is measured: a page and a table, with plots.

mod axis;
mod bars;
mod canvas;
mod figure;
mod figures;
mod findings;
mod html;
mod lines;
mod markdown;
mod palette;
mod plan;
mod quantity;
mod sections;

use std::fs;
use std::path::Path;

use crate::machine::Machine;
use crate::{Outcome, Workshop};

use figure::Figure;
use findings::Findings;

pub use plan::Plan;

/// A report before it is written: [`html`] and [`markdown`] say the same.
#[derive(Debug)]
struct Report {
    machine: Machine,
    /// What a person types to get it again.
    command: String,
    is_quick: bool,
    /// The figures to reach.
    figures: Vec<Figure>,
    sections: Vec<Section>,
}

/// One subject.
#[derive(Debug)]
struct Section {
    /// Where links go to.
    id: &'static str,
    title: &'static str,
    /// What is measured, and how to read it: one paragraph each.
    text: Vec<String>,
    plots: Vec<Plot>,
    tables: Vec<Table>,
    /// What measures this subject alone.
    command: &'static str,
}

/// A picture: one file beside the Markdown, and inline in the page.
#[derive(Debug)]
struct Plot {
    /// The file's name without its extension.
    name: &'static str,
    /// What it shows, for those who do not see it.
    caption: String,
    svg: String,
}

#[derive(Debug)]
struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Measures everything and writes `report.html`, `report.md` and one SVG file per plot. Blocks for some ten minutes, or some
/// two by a quick plan; says on standard error what it is about.
///
/// # Errors
///
/// When something cannot be measured, or the directory not be written.
pub fn write(plan: &Plan, directory: &Path) -> Outcome<()> {
    let machine = Machine::here();
    let findings = Findings::measure(plan, &Workshop::open()?)?;
    let report = Report {
        machine,
        command: plan.command().to_owned(),
        is_quick: plan.is_quick,
        figures: figures::figures(&findings),
        sections: sections::sections(&findings),
    };
    fs::create_dir_all(directory)?;
    for plot in report.sections.iter().flat_map(|section| &section.plots) {
        fs::write(directory.join(plot.name).with_extension("svg"), &plot.svg)?;
    }
    fs::write(directory.join("report.md"), markdown::markdown(&report))?;
    fs::write(directory.join("report.html"), html::html(&report))?;
    Ok(())
}
