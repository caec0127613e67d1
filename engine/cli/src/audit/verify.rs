//! `hotswap audit verify`: whether the log is as it was written.

use std::path::Path;
use std::process::ExitCode;

use hotswap_engine::audit::{Findings, Severity, verify};
use serde_json::json;

use super::Report;
use crate::arguments::Format;
use crate::failure::Failure;
use crate::paint::Paint;

/// The exit code of a log that is as it was written, as far as that goes, and does not tell everything.
const UNPROVEN: u8 = 3;

pub(super) fn report(log: &Path, format: Format, paint: Paint) -> Result<Report, Failure> {
    let findings = verify(log)?;
    let code = match findings.severity() {
        None | Some(Severity::Note) => ExitCode::SUCCESS,
        Some(Severity::Unproven) => ExitCode::from(UNPROVEN),
        _ => ExitCode::FAILURE,
    };
    let text = match format {
        Format::Json => json_of(&findings),
        Format::Table => words(log, &findings, paint),
    };
    Ok(Report { text, code })
}

fn words(log: &Path, findings: &Findings, paint: Paint) -> String {
    let mut text = String::new();
    for finding in &findings.findings {
        let severity = finding.kind.severity();
        let label = format!("{severity:9}");
        let label = if severity == Severity::Broken { paint.bad(&label) } else { label };
        text += &format!("{label} {finding}\n");
    }
    let log = log.display();
    let lines = match (findings.lines, findings.files.len()) {
        (1, 1) => "1 line".to_owned(),
        (lines, 1) => format!("{lines} lines"),
        (lines, files) => format!("{lines} lines in {files} files"),
    };
    text += &match findings.severity() {
        None | Some(Severity::Note) => {
            format!("{}: {log}, {lines}, proven to the end\n", paint.good("as it was written"))
        }
        Some(Severity::Unproven) => {
            format!("as it was written, as far as that can be told: {log}, {lines}\n")
        }
        _ => {
            let from = match findings.first_broken_seq() {
                Some(seq) => format!("not to be trusted from line {seq:06} on"),
                None => "not to be trusted".to_owned(),
            };
            format!("{}: {log}, {lines}\n", paint.bad(&from))
        }
    };
    text
}

fn json_of(findings: &Findings) -> String {
    let all: Vec<_> = findings
        .findings
        .iter()
        .map(|finding| {
            json!({
                "path": finding.path,
                "line": finding.line,
                "seq": finding.seq,
                "severity": finding.kind.severity().to_string(),
                "code": finding.kind.code(),
                "msg": finding.kind.to_string(),
            })
        })
        .collect();
    let severity = findings.severity().filter(|severity| *severity > Severity::Note);
    let report = json!({
        "verdict": severity.map_or("proven".to_owned(), |severity| severity.to_string()),
        "first_broken_seq": findings.first_broken_seq(),
        "files": findings.files,
        "lines": findings.lines,
        "last_seq": findings.last_seq,
        "findings": all,
    });
    format!("{report}\n")
}
