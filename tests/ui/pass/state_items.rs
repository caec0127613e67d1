//! Twin of ../state_items.rs.

use hotswap_module::{State, export, interface, state};

hotswap_module::module!();

#[state(version = 1)]
pub struct First {
    pub calls: u64,
}

#[state(version = 65535)]
pub struct Last {
    pub calls: u64,
}

#[state(part)]
pub struct Part<T> {
    pub values: Vec<T>,
}

#[state(version = 1, name = "MyCounters")]
pub struct Named {
    pub name: String,
}

#[state(version = 1)]
pub enum Either {
    Number(u64),
    Bytes { bytes: [u8; 8] },
    Part(Part<u64>),
}

#[state(version = 1)]
pub struct Whole {
    #[serde(default)]
    pub cache: Vec<u64>,
}

#[state(version = 1)]
#[derive(Default)]
pub struct Counters {
    pub calls: u64,
}

#[export]
pub fn by_value(counters: State<Counters>) -> u64 {
    counters.read().calls
}

#[interface]
pub trait Counting {
    fn count(n: u64) -> u64;
}

#[export]
impl Counting for Exports {
    fn count(n: u64) -> u64 {
        let mut counters = State::<Counters>::get().lock();
        counters.calls += n;
        counters.calls
    }
}

/// A type of its own author, which is none of ours.
pub mod machine {
    use hotswap_module::{Abi, export};

    #[derive(Abi)]
    pub struct State(pub u64);

    #[export]
    pub fn step(state: &mut State, other: State) {
        state.0 += other.0;
    }
}

fn main() {}
