//! The report as Markdown, with its plots as files beside it.

use std::fmt::Write as _;

use super::figure::{HEAD, TEXT};
use super::{Report, Table};

pub(super) fn markdown(report: &Report) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = write_report(&mut text, report);
    text
}

fn write_report(text: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    writeln!(text, "# What hot-swapping costs\n\n```console\n$ {}\n```\n", report.command)?;
    if report.is_quick {
        writeln!(text, "**Quick: too few samples to rely on any figure.**\n")?;
    }
    writeln!(
        text,
        "{}, {} cores, Linux {}, {}, {}, {}; load average at the start {}.\n",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.toolchain,
        machine.build,
        machine.at,
        machine.load_average
    )?;
    writeln!(text, "## Figures to reach\n\n{}\n", TEXT)?;
    let table = Table {
        title: String::new(),
        head: HEAD.map(str::to_owned).into(),
        rows: report.figures.iter().map(|figure| figure.cells().into()).collect(),
    };
    write_table(text, &table)?;
    for section in &report.sections {
        writeln!(text, "## {}\n", section.title)?;
        for paragraph in &section.text {
            writeln!(text, "{paragraph}\n")?;
        }
        for plot in &section.plots {
            writeln!(text, "![{}]({}.svg)\n", plot.caption, plot.name)?;
        }
        for table in &section.tables {
            writeln!(text, "{}\n", table.title)?;
            write_table(text, table)?;
        }
        writeln!(text, "Alone: `{}`\n", section.command)?;
    }
    Ok(())
}

fn write_table(text: &mut String, table: &Table) -> std::fmt::Result {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    writeln!(text, "{}", line(&table.head))?;
    writeln!(text, "|{}", " --- |".repeat(table.head.len()))?;
    for row in &table.rows {
        writeln!(text, "{}", line(row))?;
    }
    writeln!(text)
}
