//! What `#[migrate]` cannot stand on, and what it cannot be told. Twin: pass/migrate.rs

use hotswap_module::{State, migrate, state};

#[state(version = 1, name = "Counters")]
pub struct CountersV1 {
    pub calls: u64,
}

#[state(version = 2)]
#[derive(Default)]
pub struct Counters {
    pub calls: u64,
    pub name: String,
}

#[migrate]
fn no_version(old: CountersV1) -> Counters {
    Counters { calls: old.calls, ..Counters::default() }
}

#[migrate(from = 0)]
fn zero(old: CountersV1) -> Counters {
    Counters { calls: old.calls, ..Counters::default() }
}

#[migrate(from = 1, up = other)]
fn unknown(old: CountersV1) -> Counters {
    Counters { calls: old.calls, ..Counters::default() }
}

#[migrate(auto, from = 1)]
fn derived(old: CountersV1) -> Counters {
    Counters { calls: old.calls, ..Counters::default() }
}

#[migrate(from = 1)]
fn nothing() -> Counters {
    Counters::default()
}

#[migrate(from = 1)]
fn borrowed(old: &CountersV1) -> Counters {
    Counters { calls: old.calls, ..Counters::default() }
}

#[migrate(from = 1)]
fn with_a_cell(old: CountersV1, counters: State<Counters>) -> Counters {
    Counters { calls: old.calls + counters.read().calls, ..Counters::default() }
}

#[migrate(from = 1)]
mod steps {}

#[migrate(auto, from = 1, down)]
#[state(version = 2)]
pub struct Down {
    pub calls: u64,
}

#[migrate(auto, from = 1, down = back)]
#[state(version = 2)]
pub struct DownByHand {
    pub calls: u64,
}

#[migrate(from = 1)]
#[state(version = 2)]
pub struct NotDerived {
    pub calls: u64,
}

#[state(version = 2)]
#[migrate(from = 1)]
pub struct NotDerivedEither {
    pub calls: u64,
}

#[migrate(auto, from = 1)]
pub struct NoState {
    pub calls: u64,
}

#[state(version = 2)]
#[migrate(auto, from = 2)]
pub struct NotUp {
    pub calls: u64,
}

#[state(version = 2)]
#[migrate(auto, from = 1)]
pub struct NoNames(pub u64);

#[state(version = 2)]
#[migrate(auto, from = 1)]
pub struct UnknownOption {
    #[migrate(was = "calls")]
    pub count: u64,
}

#[state(version = 2)]
#[migrate(auto, from = 1)]
pub struct SameName {
    #[migrate(renamed = "calls")]
    pub calls: u64,
}

#[state(version = 2)]
#[migrate(auto, from = 1)]
pub struct OneNameForTwo {
    #[migrate(renamed = "calls")]
    pub a: u64,
    #[migrate(renamed = "calls")]
    pub b: u64,
}

#[state(version = 2)]
pub struct NoStep {
    #[migrate(renamed = "calls")]
    pub count: u64,
}

#[state(part)]
#[migrate(auto, from = 1)]
pub struct OnPart {
    pub count: u64,
}

fn main() {}
