//! What `#[state]` cannot stand on, and what it cannot be told. Twin: pass/state_items.rs

use hotswap_module::{State, export, interface, state};

#[state]
pub struct NoVersion {
    calls: u64,
}

#[state(version = 0)]
pub struct Zero {
    calls: u64,
}

#[state(version = 65536)]
pub struct TooLarge {
    calls: u64,
}

#[state(versoin = 1)]
pub struct Unknown {
    calls: u64,
}

#[state(part, version = 1)]
pub struct Both {
    calls: u64,
}

#[state(version = 1, name = "My counters")]
pub struct NoName {
    calls: u64,
}

#[state(version = 1)]
#[abi(name = "Other")]
pub struct NamedTwice {
    calls: u64,
}

#[state(version = 1)]
pub struct Generic<T> {
    values: Vec<T>,
}

#[state(version = 1)]
pub struct Borrowing<'a> {
    name: &'a str,
}

#[state(version = 1)]
pub union Either {
    number: u64,
    bytes: [u8; 8],
}

#[state(version = 1)]
pub fn function() {}

#[state(version = 1)]
pub struct Skipping {
    #[serde(skip)]
    cache: Vec<u64>,
}

#[state(version = 1)]
#[derive(Default)]
pub struct Counters {
    calls: u64,
}

#[export]
pub fn by_reference(counters: &State<Counters>) -> u64 {
    counters.read().calls
}

#[interface]
pub trait Counting {
    fn count(counters: State<Counters>, n: u64) -> u64;
}

fn main() {}
