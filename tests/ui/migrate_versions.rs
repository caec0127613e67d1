//! Steps that lead from elsewhere than they say, or elsewhere than up. Twin: pass/migrate.rs

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

#[migrate(from = 3)]
fn another_version(old: CountersV1) -> Counters {
    Counters { calls: old.calls }
}

#[migrate(from = 1)]
fn another_schema(old: Other) -> Counters {
    Counters { calls: old.calls }
}

#[migrate(from = 2)]
fn down(new: Counters) -> CountersV1 {
    CountersV1 { calls: new.calls }
}

fn main() {}
