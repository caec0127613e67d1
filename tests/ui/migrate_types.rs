//! Steps whose types do not fit. Twin: pass/migrate.rs

use hotswap_module::{migrate, state};

#[state(version = 1, name = "Counters")]
pub struct CountersV1 {
    pub calls: u64,
}

#[state(version = 2)]
pub struct Counters {
    pub calls: u64,
}

#[state(version = 1)]
pub struct Other {
    pub calls: u64,
}

pub struct Plain;

pub struct NotShown;

#[migrate(from = 1)]
fn plain(_: CountersV1) -> Plain {
    Plain
}

#[migrate(from = 1)]
fn not_shown(_: CountersV1) -> Result<Counters, NotShown> {
    Err(NotShown)
}

#[migrate(from = 1, down = other_back)]
fn wrong_way_back(old: CountersV1) -> Counters {
    Counters { calls: old.calls }
}

fn other_back(new: Counters) -> Other {
    Other { calls: new.calls }
}

fn main() {}
