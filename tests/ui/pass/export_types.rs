//! Twin of ../export_types.rs.

use std::collections::BTreeMap;

use hotswap_module::{Abi, export};

type Name = String;

#[derive(Abi)]
pub struct Plain;

#[export]
pub fn count(words: BTreeMap<String, u64>) -> u64 {
    words.values().sum()
}

#[export]
pub fn share(text: &String) -> usize {
    text.len()
}

#[export]
pub fn nested(texts: &[String]) -> usize {
    texts.len()
}

#[export]
pub fn plain(_: &Plain) {}

#[export]
pub fn name() -> Name {
    "name".to_owned()
}

#[export]
pub fn counted() -> BTreeMap<String, u64> {
    BTreeMap::new()
}

fn main() {}
