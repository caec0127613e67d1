//! Cells, for people to look at.

use std::time::Duration;

use super::cell::Cell;
use super::value::Resting;

/// How long a cell that is locked for writing is waited for, to be looked at.
const PATIENCE: Duration = Duration::from_millis(200);

/// A cell as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateInfo {
    /// The schema.
    pub schema: String,
    /// Its name; empty for the one without.
    pub name: String,
    /// Which version of the schema it has.
    pub version: u16,
    /// Whether other engines may use it too.
    pub is_shared: bool,
    /// How many bytes its value takes as postcard. `None` where it is locked for writing for longer than 200 ms.
    pub bytes: Option<usize>,
    /// The value as JSON. `None` as with `bytes`, and where JSON cannot carry all of it.
    pub json: Option<String>,
    /// How often it was locked for writing since it came into use in this form.
    pub writes: u64,
    /// Who panicked while it was locked for writing, if anybody: the function, the place in it, and the version.
    pub torn_by: Option<String>,
}

impl Cell {
    /// What people may want to know; `None` before it has a value. Waits for who writes it, for a short time.
    pub(crate) fn info(&self) -> Option<StateInfo> {
        let value = match self.read(PATIENCE, true) {
            None if self.is_empty(Duration::ZERO) => return None,
            value => value.and_then(Result::ok),
        };
        let json = |value: &Resting| String::from_utf8(value.json.clone()).ok();
        Some(StateInfo {
            schema: self.schema.clone(),
            name: self.name.clone(),
            version: self.form.version,
            is_shared: self.is_shared(),
            bytes: value.as_ref().map(|value| value.bytes.len()),
            json: value.as_ref().and_then(json).filter(|json| !json.is_empty()),
            writes: self.writes(),
            torn_by: self.torn(),
        })
    }
}
