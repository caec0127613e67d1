//! A module that lacks part of its interface, or has another signature. Twin: pass/interface_implementation.rs

use hotswap_module::{export, interface};

hotswap_module::module!();

#[interface]
pub trait Sample {
    fn f1();
    fn add(a: u64, b: u64) -> u64;
}

#[interface]
pub trait Other {
    fn half(number: u64) -> u64;
}

#[export]
impl Sample for Exports {
    fn f1() {}
}

#[export]
impl Other for Exports {
    fn half(number: u32) -> u64 {
        u64::from(number / 2)
    }
}

fn main() {}
