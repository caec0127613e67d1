//! `hotswap state show`: what outlives the versions of a running program.

use std::io::stdout;
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::Value;

use crate::arguments::{Color, Format, StateShowArguments};
use crate::control::{print, request};
use crate::failure::Failure;
use crate::paint::Paint;
use crate::table::table;

/// How much of a value stands in a line, in characters.
const VALUE_MAX: usize = 60;

/// Asks for the cells, and prints them.
pub(crate) fn show(arguments: &StateShowArguments, color: Color) -> Result<ExitCode, Failure> {
    let answer = request("state", None, &arguments.control)?;
    let mut cells: Vec<Value> = answer.as_array().cloned().unwrap_or_default();
    if let Some(schema) = &arguments.schema {
        cells.retain(|cell| cell["state"] == *schema.as_str());
        if cells.is_empty() {
            return Err(anyhow!(
                "the program has no state {schema:?}; `hotswap state show` lists what it has"
            )
            .into());
        }
    }
    print(&match arguments.control.format {
        Format::Json => format!("{:#}\n", Value::Array(cells)),
        Format::Table if arguments.schema.is_some() => cells.iter().map(whole).collect(),
        Format::Table if cells.is_empty() => "no state has a value\n".to_owned(),
        Format::Table => list(&cells, Paint::choose(color, &stdout())),
    })
}

/// How people name a cell.
fn title(cell: &Value) -> String {
    let [schema, name] = ["state", "name"].map(|key| cell[key].as_str().unwrap_or_default());
    let shared = if cell["shared"] == true { " (shared)" } else { "" };
    match name {
        "" => format!("{schema}{shared}"),
        name => format!("{schema} {name:?}{shared}"),
    }
}

fn size(cell: &Value) -> String {
    match cell["bytes"].as_u64() {
        None => "locked".to_owned(),
        Some(1) => "1 byte".to_owned(),
        Some(bytes) => format!("{bytes} bytes"),
    }
}

fn list(cells: &[Value], paint: Paint) -> String {
    let row = |cell: &Value| {
        let value = match &cell["value"] {
            Value::Null => "-".to_owned(),
            value => value.to_string(),
        };
        let is_long = value.chars().count() > VALUE_MAX;
        let mut shown: String = value.chars().take(VALUE_MAX).collect();
        if is_long {
            shown.push_str("..");
        }
        if let Some(by) = cell["torn_by"].as_str() {
            shown = format!("torn by {by}: {shown}");
        }
        [title(cell), cell["version"].to_string(), size(cell), cell["writes"].to_string(), shown]
    };
    let rows: Vec<_> = cells.iter().map(row).collect();
    table(["STATE", "VERSION", "SIZE", "WRITES", "VALUE"], &rows, paint)
}

fn whole(cell: &Value) -> String {
    let torn = cell["torn_by"].as_str().map_or_else(String::new, |by| format!(", torn by {by}"));
    let head = format!(
        "{}: version {}, {}, {} writes{torn}",
        title(cell),
        cell["version"],
        size(cell),
        cell["writes"]
    );
    match &cell["value"] {
        Value::Null => format!("{head}\nJSON cannot carry its value\n"),
        value => format!("{head}\n{value:#}\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_read_well() {
        let cells = [
            json!({ "state": "Counters", "name": "", "version": 2, "shared": false, "bytes": 9, "writes": 5, "torn_by": null, "value": { "calls": 5 } }),
            json!({ "state": "World", "name": "left", "version": 1, "shared": true, "bytes": 100, "writes": 1, "torn_by": "step (src/lib.rs:7)", "value": vec![7; 40] }),
            json!({ "state": "Busy", "name": "", "version": 1, "shared": false, "bytes": null, "writes": 1, "torn_by": null, "value": null }),
        ];
        let expected = "\
STATE                  VERSION  SIZE       WRITES  VALUE
Counters               2        9 bytes    5       {\"calls\":5}
World \"left\" (shared)  1        100 bytes  1       torn by step (src/lib.rs:7): [7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7..
Busy                   1        locked     1       -
";
        assert_eq!(list(&cells, Paint::Plain), expected);
        assert_eq!(
            whole(&cells[0]),
            "Counters: version 2, 9 bytes, 5 writes\n{\n  \"calls\": 5\n}\n"
        );
    }
}
