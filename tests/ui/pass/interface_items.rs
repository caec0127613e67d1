//! Twin of ../interface_items.rs.

use hotswap_module::{Interface, interface};

#[interface]
pub trait Sample {
    fn step(world: &mut Vec<u64>);
    fn f1();
    fn call_it(name: &str);
    fn f2(value: u64);
    fn limit() -> u64;
    fn first(text: &str) -> String;
}

fn main() {
    assert_eq!(<dyn Sample as Interface>::FUNCTIONS.len(), 6);
}
