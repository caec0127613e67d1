//! The report as one page that needs nothing from anywhere else.

use std::fmt::Write as _;

use super::figure::{HEAD, TEXT};
use super::{Report, Section, Table};

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = include_str!("page.css");

pub(super) fn html(report: &Report) -> String {
    let mut page = String::new();
    // Writing into a String does not fail.
    let _ = write_page(&mut page, report);
    page
}

fn write_page(page: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>What hot-swapping costs</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>"
    )?;
    writeln!(page, "<h1>What hot-swapping costs</h1>")?;
    if report.is_quick {
        writeln!(page, "<p class=\"warning\">Quick: too few samples to rely on any figure.</p>")?;
    }
    writeln!(page, "<p class=\"command\"><code>$ {}</code></p>", escaped(&report.command))?;
    writeln!(page, "<dl class=\"machine\">")?;
    let cores = machine.cores.to_string();
    for (name, value) in [
        ("processor", machine.processor.as_str()),
        ("cores", &cores),
        ("kernel", &machine.kernel),
        ("toolchain", &machine.toolchain),
        ("build", machine.build),
        ("measured at", &machine.at),
        ("load average before", &machine.load_average),
    ] {
        writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(value))?;
    }
    writeln!(page, "</dl>\n<nav><a href=\"#figures\">figures to reach</a>")?;
    for section in &report.sections {
        writeln!(
            page,
            "<a href=\"#{}\">{}</a>",
            section.id,
            escaped(&section.title.to_lowercase())
        )?;
    }
    writeln!(page, "</nav>")?;
    write_figures(page, report)?;
    for section in &report.sections {
        write_section(page, section)?;
    }
    writeln!(page, "</main>\n</body>\n</html>")
}

fn write_figures(page: &mut String, report: &Report) -> std::fmt::Result {
    let met = report.figures.iter().filter(|figure| figure.is_met()).count();
    writeln!(
        page,
        "<section id=\"figures\">\n<h2>Figures to reach</h2>\n<p><strong>{met} of {} are met.</strong> {TEXT}</p>",
        report.figures.len()
    )?;
    writeln!(page, "<div class=\"wide\"><table class=\"figures\">\n<thead><tr>")?;
    // The command stands below the figure.
    for name in &HEAD[..HEAD.len() - 1] {
        write!(page, "<th>{name}</th>")?;
    }
    writeln!(page, "</tr></thead>\n<tbody>")?;
    for figure in &report.figures {
        let [what, _, _, ratio, target, verdict, _] = figure.cells().map(|cell| escaped(&cell));
        let class = if figure.is_met() { "met" } else { "missed" };
        let mark = if figure.is_met() { "\u{2713}" } else { "\u{2717}" };
        write!(page, "<tr><td>{what}<small><code>{}</code></small></td>", escaped(figure.command))?;
        for reading in [&figure.floor, &figure.ours] {
            write!(
                page,
                "<td><strong>{}</strong> {}<small>{}</small></td>",
                escaped(&reading.shown()),
                escaped(&reading.what),
                escaped(&reading.spread)
            )?;
        }
        writeln!(
            page,
            "<td class=\"number\">{ratio}</td><td class=\"number\">{target}</td>\
             <td><span class=\"verdict {class}\">{mark} {verdict}</span></td></tr>"
        )?;
    }
    writeln!(page, "</tbody></table></div>\n</section>")
}

fn write_section(page: &mut String, section: &Section) -> std::fmt::Result {
    writeln!(page, "<section id=\"{}\">\n<h2>{}</h2>", section.id, escaped(section.title))?;
    for paragraph in &section.text {
        writeln!(page, "<p>{}</p>", with_code(paragraph))?;
    }
    for plot in &section.plots {
        let svg = plot.svg.trim();
        writeln!(
            page,
            "<figure id=\"{}\">\n{svg}\n<figcaption>{}</figcaption>\n</figure>",
            plot.name,
            with_code(&plot.caption)
        )?;
    }
    // Beside a plot a table is for those who want to know more.
    let attribute = if section.plots.is_empty() { " open" } else { "" };
    for table in &section.tables {
        write_table(page, table, attribute)?;
    }
    writeln!(
        page,
        "<p class=\"command\">Alone: <code>$ {}</code></p>\n</section>",
        escaped(section.command)
    )
}

fn write_table(page: &mut String, table: &Table, attribute: &str) -> std::fmt::Result {
    let title = with_code(&table.title);
    writeln!(
        page,
        "<details{attribute}><summary>{title}</summary>\n<div class=\"wide\"><table>\n<thead><tr>"
    )?;
    for cell in &table.head {
        write!(page, "<th>{}</th>", with_code(cell))?;
    }
    writeln!(page, "</tr></thead>\n<tbody>")?;
    for row in &table.rows {
        let cells: String =
            row.iter().map(|cell| format!("<td>{}</td>", with_code(cell))).collect();
        writeln!(page, "<tr>{cells}</tr>")?;
    }
    writeln!(page, "</tbody></table></div></details>")
}

/// Escaped, with what stands between back-ticks as code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}
