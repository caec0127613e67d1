//! `hotswap modules`: what a database of modules holds, or a running program has loaded.

mod diff;
mod running;

use std::fmt::Write as _;
use std::io::stdout;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::anyhow;
use hotswap_engine::sqlite::{Code, DatabaseError, Module, ModuleDatabase, Revision};
use serde_json::{Value, json};

use crate::arguments::{Color, Format, ModulesArguments, ModulesCommand};
use crate::control::print;
use crate::failure::Failure;
use crate::paint::Paint;
use crate::publish::{published, user};
use crate::table::table;

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Other(error.into())
    }
}

/// Reads the database, or restores something in it, and prints what there is.
pub(crate) fn modules(arguments: &ModulesArguments, color: Color) -> Result<ExitCode, Failure> {
    let paint = Paint::choose(color, &stdout());
    let Some(path) = &arguments.database else {
        return print(&running::modules(arguments, paint)?);
    };
    let mut database = ModuleDatabase::open(path)?;
    let format = arguments.format;
    let text = match &arguments.command {
        None => list(&database.modules()?, format, paint),
        Some(ModulesCommand::Load { .. } | ModulesCommand::Unload { .. }) => {
            return Err(anyhow!("a database loads nothing: leave {} out", path.display()).into());
        }
        Some(ModulesCommand::Show { name, revision: None }) => {
            history(&database.revisions(name)?, format, paint)
        }
        Some(ModulesCommand::Show { name, revision }) => {
            let (revision, code) = database.code(name, *revision)?;
            show(name, &revision, &code, format)
        }
        Some(ModulesCommand::Diff { name, old, new }) => {
            let (old, new) = chosen(&database.revisions(name)?, name, *old, *new)?;
            let (before, after) =
                (database.code(name, Some(old))?, database.code(name, Some(new))?);
            diff::diff(&before, &after, paint)
        }
        Some(ModulesCommand::Restore { name, revision, by, why }) => {
            let by = by.clone().unwrap_or_else(user);
            let why = why.clone().unwrap_or_else(|| format!("revision {revision} again"));
            let restored = database.restore(name, *revision, &by, &why)?;
            match format {
                Format::Json => format!("{}\n", json(&restored)),
                Format::Table => published(name, &restored) + "\n",
            }
        }
    };
    print(&text)
}

fn list(modules: &[Module], format: Format, paint: Paint) -> String {
    if let Format::Json = format {
        let line = |module: &Module| {
            let mut value = json(&module.current);
            value["name"] = json!(module.name);
            value["revisions"] = json!(module.revisions);
            format!("{value}\n")
        };
        return modules.iter().map(line).collect();
    }
    if modules.is_empty() {
        return "the database has no modules\n".to_owned();
    }
    let row = |module: &Module| {
        let [revision, when, kind, bytes, by, why] = cells(&module.current);
        [module.name.clone(), revision, when, kind, bytes, by, why]
    };
    let rows: Vec<_> = modules.iter().map(row).collect();
    table(["MODULE", "REVISION", "PUBLISHED (UTC)", "KIND", "BYTES", "BY", "WHY"], &rows, paint)
}

fn history(revisions: &[Revision], format: Format, paint: Paint) -> String {
    match format {
        Format::Json => revisions.iter().map(|revision| format!("{}\n", json(revision))).collect(),
        Format::Table => {
            let rows: Vec<_> = revisions.iter().map(cells).collect();
            table(["REVISION", "PUBLISHED (UTC)", "KIND", "BYTES", "BY", "WHY"], &rows, paint)
        }
    }
}

fn show(name: &str, revision: &Revision, code: &Code, format: Format) -> String {
    if let Format::Json = format {
        let mut value = json(revision);
        value["name"] = json!(name);
        if let Code::Text(text) = code {
            value["text"] = json!(text);
        }
        return format!("{value}\n");
    }
    let mut text = format!(
        "{}\npublished {}\nsha256 {}\n",
        plain(&format!("{name} {revision}")),
        time(revision),
        plain(&revision.sha256)
    );
    for line in &revision.dependencies {
        text += &format!("depends on {}\n", plain(line));
    }
    text += "\n";
    text += &diff::files(code)
        .iter()
        .map(|(name, content)| match name {
            Some(name) => format!("== {}\n{content}\n", plain(name)),
            None => format!("{content}\n"),
        })
        .collect::<String>();
    text
}

/// The two revisions to compare: the one before the last and the last, unless it is said.
fn chosen(
    revisions: &[Revision],
    name: &str,
    old: Option<u64>,
    new: Option<u64>,
) -> Result<(u64, u64), Failure> {
    let last = revisions.first().map_or(0, |revision| revision.number);
    let new = new.unwrap_or(last);
    let before = || revisions.iter().map(|revision| revision.number).find(|number| *number < new);
    match old.or_else(before) {
        Some(old) => Ok((old, new)),
        None => Err(anyhow!("there is no revision of {name} before {new} to compare with").into()),
    }
}

fn cells(revision: &Revision) -> [String; 6] {
    [
        revision.number.to_string(),
        time(revision),
        plain(&revision.kind),
        revision.bytes.to_string(),
        plain(&revision.by),
        plain(&revision.why),
    ]
}

fn time(revision: &Revision) -> String {
    rfc3339(revision.published)
}

/// A time that anybody may have written; calendars of four digits end with the year 9999.
fn rfc3339(time: SystemTime) -> String {
    let mut text = String::new();
    match write!(text, "{}", humantime::format_rfc3339_seconds(time)) {
        Ok(()) => text,
        Err(_) => "after 9999".to_owned(),
    }
}

/// A text that others wrote, on one line and without a terminal's commands.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn json(revision: &Revision) -> Value {
    json!({
        "revision": revision.number,
        "kind": revision.kind,
        "bytes": revision.bytes,
        "sha256": revision.sha256,
        "published": time(revision),
        "by": revision.by,
        "why": revision.why,
        "dependencies": revision.dependencies,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_time_that_no_calendar_has_is_printed() {
        let at = |milliseconds| rfc3339(UNIX_EPOCH + Duration::from_millis(milliseconds));
        assert_eq!(at(253_402_300_799_000), "9999-12-31T23:59:59Z");
        assert_eq!(at(253_402_300_800_000), "after 9999");
        // The latest that a row can hold.
        assert_eq!(at(i64::MAX.cast_unsigned()), "after 9999");
    }

    #[test]
    fn what_others_wrote_commands_no_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
