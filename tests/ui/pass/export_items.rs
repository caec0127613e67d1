//! Twin of ../export_items.rs: what the errors say to write instead.

use hotswap_module::{Abi, export, interface};

hotswap_module::module!();

#[derive(Abi)]
pub struct World;

#[export]
pub fn step(_world: &mut World) {}

#[export]
pub fn not_generic(values: Vec<u64>) -> usize {
    values.len()
}

#[export]
pub fn lengths(values: [u64; 4]) -> usize {
    values.len()
}

#[export]
pub fn fetch() {}

#[export(deadline = "2s")]
pub fn soon() {}

#[export(name = "at_once", deadline = "1ms")]
pub fn at_once_after_all() {}

#[export]
pub const LIMIT: u64 = 7;

#[export]
pub fn opaque(values: &[u64]) -> u64 {
    values.iter().sum()
}

#[derive(Abi)]
pub struct Nine {
    pub values: [u8; 9],
}

#[export]
pub fn nine(nine: Nine) -> u8 {
    nine.values.iter().sum()
}

#[export]
pub fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

#[export]
pub fn safe() {}

#[export]
pub fn kept(name: &str) -> usize {
    name.len()
}

#[export]
pub fn kept_inside(names: Option<&[u8]>) -> usize {
    names.map_or(0, <[u8]>::len)
}

#[export]
pub fn first(text: &str) -> String {
    text.to_owned()
}

#[export]
pub fn maybe(values: &[u64]) -> Option<Vec<u64>> {
    Some(values.to_vec())
}

#[export]
pub fn name() -> String {
    "name".to_owned()
}

#[export]
pub fn boxed() -> Box<u64> {
    Box::new(1)
}

#[export]
pub fn iterator() -> Vec<u64> {
    Vec::new()
}

#[export]
pub fn returns() {}

#[export]
pub const COUNT: u64 = 0;

mod inner {
    #[hotswap_module::export]
    fn in_a_module() {}
}

#[interface]
pub trait Other {
    fn other();
}

#[export]
impl Other for Exports {
    fn other() {}
}

#[export(name = "spelt")]
pub fn misspelt() {}

fn main() {
    assert_eq!(exports().names().len(), 23);
}
