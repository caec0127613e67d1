//! The macros write nothing that the strictest crate refuses.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused_qualifications, unreachable_pub, missing_debug_implementations)]
#![deny(unused_results, single_use_lifetimes, trivial_casts, let_underscore_drop, elided_lifetimes_in_paths)]

use hotswap_module::{Abi, export, interface};
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

#[export]
fn private() -> Result<(), String> {
    Ok(())
}

fn main() {
    private().unwrap();
}
