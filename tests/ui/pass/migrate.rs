//! Twin of ../migrate_items.rs, ../migrate_types.rs and ../migrate_versions.rs.

use std::fmt;

use hotswap_module::{migrate, state};

#[state(version = 1, name = "Counters")]
pub struct CountersV1 {
    pub calls: u64,
}

#[state(version = 2, name = "Counters")]
pub struct CountersV2 {
    pub calls: u64,
    pub name: String,
}

#[derive(Debug, Default)]
#[state(version = 4)]
#[migrate(auto, from = 3)]
pub struct Counters {
    pub calls: u64,
    #[migrate(renamed = "name")]
    pub title: String,
}

#[migrate(auto, from = 1)]
#[derive(Debug, Default)]
#[state(version = 2)]
pub struct MigrateFirst {
    pub calls: u64,
}

#[derive(Debug)]
pub struct Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no")
    }
}

type Answer = Result<Counters, Refusal>;

#[migrate(from = 1, down = back)]
fn plain(old: CountersV1) -> CountersV2 {
    CountersV2 { calls: old.calls, name: String::new() }
}

fn back(new: CountersV2) -> Result<CountersV1, &'static str> {
    if new.name.is_empty() { Ok(CountersV1 { calls: new.calls }) } else { Err("it has a name") }
}

#[migrate(from = 2)]
fn over_one(old: CountersV2) -> Answer {
    if old.calls == 0 { Err(Refusal) } else { Ok(Counters { calls: old.calls, title: old.name }) }
}

fn main() {
    assert_eq!(over_one(plain(CountersV1 { calls: 3 })).unwrap().calls, 3);
    over_one(CountersV2 { calls: 0, name: String::new() }).unwrap_err();
}
