//! Twin of ../interface_implementation.rs.

use hotswap_module::{export, interface};

hotswap_module::module!();

#[interface]
pub trait Sample {
    fn f1();
    fn add(a: u64, b: u64) -> u64;
}

#[export]
impl Sample for Exports {
    fn f1() {}

    fn add(a: u64, b: u64) -> u64 {
        a + b
    }
}

fn main() {
    assert_eq!(exports().names(), ["add", "f1"]);
}
