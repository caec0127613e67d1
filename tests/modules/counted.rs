//! One schema in five versions. The test leaves out what stands behind the version that it wants: see `tests/src/counted.rs`.

use std::collections::BTreeMap;

use hotswap_module::{State, StateErrorKind, export, migrate, state};

hotswap_module::module!();

// 1
#[state(name = "Counters", version = 1)]
#[derive(Debug, Clone, Default)]
pub struct Counters1 {
    pub calls: u64,
}

// 2
#[state(name = "Counters", version = 2)]
#[derive(Debug, Clone, Default)]
pub struct Counters2 {
    pub calls: u64,
    pub name: String,
}

#[migrate(from = 1, down = to_1)]
fn to_2(old: Counters1) -> Counters2 {
    Counters2 { calls: old.calls, name: String::from("unnamed") }
}

fn to_1(new: Counters2) -> Counters1 {
    Counters1 { calls: new.calls }
}

// 3
#[state(name = "Counters", version = 3)]
#[derive(Debug, Clone, Default)]
pub struct Counters3 {
    pub name: String,
    pub total: u64,
}

#[migrate(from = 2, down = back_to_2)]
fn to_3(old: Counters2) -> Result<Counters3, String> {
    Ok(Counters3 { name: old.name, total: old.calls })
}

fn back_to_2(new: Counters3) -> Result<Counters2, String> {
    Ok(Counters2 { calls: new.total, name: new.name })
}

// 4
#[state(name = "Counters", version = 4)]
#[derive(Debug, Clone, Default)]
pub struct Counters4 {
    pub total: u64,
    pub by_digit: Vec<u64>,
}

#[migrate(from = 3, down = back_to_3)]
fn to_4(old: Counters3) -> Counters4 {
    let digits = old.total.to_string();
    Counters4 { total: old.total, by_digit: digits.bytes().map(|digit| u64::from(digit - b'0')).collect() }
}

fn back_to_3(new: Counters4) -> Counters3 {
    Counters3 { name: String::from("unnamed"), total: new.total }
}

// 5
#[state(part)]
#[derive(Debug, Clone, Default)]
pub struct Sum {
    pub total: u64,
}

#[state(name = "Counters", version = 5, check = is_whole)]
#[derive(Debug, Clone, Default)]
pub struct Counters5 {
    pub sums: BTreeMap<u8, Sum>,
}

fn is_whole(value: &Counters5) -> Result<(), String> {
    if value.sums.len() <= 1 { Ok(()) } else { Err(String::from("more than one sum")) }
}

#[migrate(from = 4, down = back_to_4)]
fn to_5(old: Counters4) -> Counters5 {
    Counters5 { sums: BTreeMap::from([(0, Sum { total: old.total })]) }
}

fn back_to_4(new: Counters5) -> Counters4 {
    Counters4 { total: new.sums.values().map(|sum| sum.total).sum(), by_digit: Vec::new() }
}

// exports
#[export]
pub fn schema() -> u64 {
    SCHEMA
}

#[export]
pub fn total(counters: State<Counters>) -> u64 {
    *field(&mut (*counters.read()).clone())
}

#[export]
pub fn increment(counters: State<Counters>) -> u64 {
    let mut counters = counters.lock();
    let total = field(&mut counters);
    *total += 1;
    *total
}

/// Adds one to the total, unless a later version took the cell over: `None` then.
#[export]
pub fn try_increment() -> Option<u64> {
    match State::<Counters>::get().try_lock_for(std::time::Duration::MAX) {
        Ok(mut counters) => {
            let total = field(&mut counters);
            *total += 1;
            Some(*total)
        }
        Err(error) if error.kind == StateErrorKind::StateSuperseded => None,
        Err(error) => panic!("{error}"),
    }
}

/// Reads, asks the host to wait, reads again, and writes.
#[export]
pub fn read_wait_write(counters: State<Counters>) -> u64 {
    let before = *field(&mut (*counters.read()).clone());
    hotswap_module::host().call("wait").expect("provided");
    let after = *field(&mut (*counters.read()).clone());
    assert_eq!(before, after, "what this version reads stays what it was");
    let mut counters = counters.lock();
    *field(&mut counters) += 1;
    *field(&mut counters)
}

/// Has the cell locked while the host waits.
#[export]
pub fn hold(counters: State<Counters>) -> u64 {
    let mut counters = counters.lock();
    *field(&mut counters) += 1;
    hotswap_module::host().call("wait").expect("provided");
    *field(&mut counters)
}

/// Panics with the cell locked, after writing.
#[export]
pub fn tear(counters: State<Counters>) {
    let mut counters = counters.lock();
    *field(&mut counters) = 1_000_000;
    panic!("torn on purpose");
}

/// Calls `increment` through the engine, with the cell locked.
#[export]
pub fn nested(counters: State<Counters>) -> String {
    let _held = counters.lock();
    let inner = hotswap_module::engine().call_with::<u64>("increment", ());
    inner.expect_err("its own thread holds it").to_string()
}
