//! The macros write nothing that the strictest crate refuses.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused_qualifications, unreachable_pub, missing_debug_implementations)]
#![deny(unused_results, single_use_lifetimes, trivial_casts, let_underscore_drop, elided_lifetimes_in_paths)]

use hotswap_module::{Abi, State, export, interface, migrate, state};
use sample_interface::Point;

hotswap_module::module!(needs = [dyn Drawing]);

/// What the host provides.
#[interface]
pub(crate) trait Drawing {
    /// Draws a point.
    fn draw(at: Point) -> Result<(), String>;
}

/// A type that contains itself.
#[derive(Debug, Abi)]
pub struct Tree<T> {
    /// What it holds.
    pub value: T,
    /// What is below.
    pub children: Vec<Tree<T>>,
}

/// One that is contained by name.
#[derive(Debug, Abi)]
pub enum Leaf {
    /// Nothing.
    None,
    /// A tree.
    Tree(#[abi(by_name)] Box<Tree<Leaf>>),
}

/// An old type.
#[deprecated = "write Tree"]
#[derive(Debug, Abi)]
pub struct Old {
    /// Its only field.
    #[deprecated]
    pub value: u8,
}

/// An export.
#[export]
pub fn depth(tree: &Tree<u64>) -> u64 {
    tree.children.iter().map(depth).max().map_or(1, |depth| depth + 1)
}

/// An export that is old.
#[deprecated]
#[export]
pub fn height(tree: &Tree<u64>) -> u64 {
    depth(tree)
}

/// An export with a path that is longer than it needs to be.
#[allow(unused_qualifications)]
#[export]
pub fn long(leaf: self::Leaf) -> crate::Leaf {
    leaf
}

/// A constant.
#[export]
pub const LIMIT: u64 = 7;

/// A value that survives.
#[derive(Debug, Default)]
#[state(version = 3, check = check)]
#[migrate(auto, from = 2)]
pub struct Counters {
    /// What is counted.
    pub calls: u64,
    /// What it is called.
    #[migrate(renamed = "name")]
    pub title: String,
    /// Inside.
    pub part: Part,
}

fn check(counters: &Counters) -> Result<(), String> {
    if counters.calls < 100 { Ok(()) } else { Err("too many".to_owned()) }
}

/// Inside of it.
#[derive(Debug, Default)]
#[state(part)]
pub enum Part {
    /// Nothing.
    #[default]
    None,
    /// Something.
    Some(u64),
}

#[state(version = 1, name = "Counters")]
#[deprecated]
struct CountersV1 {
    calls: u64,
}

#[migrate(from = 1, down = back)]
#[allow(deprecated)]
fn from_1(old: CountersV1) -> Result<Counters, String> {
    Ok(Counters { calls: old.calls, ..Counters::default() })
}

#[allow(deprecated)]
fn back(new: Counters) -> CountersV1 {
    CountersV1 { calls: new.calls }
}

/// An export with a cell.
#[export]
pub fn count(counters: State<Counters>, n: u64) {
    counters.lock().calls += n;
}

#[export]
fn private() -> Result<(), String> {
    Ok(())
}

fn main() {
    private().unwrap();
}
