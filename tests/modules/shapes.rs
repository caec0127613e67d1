//! Types and functions that `shapes_changed.rs` has otherwise: one difference per function.

use hotswap_module::{Abi, export};

hotswap_module::module!();

#[derive(Abi)]
pub struct Sized {
    pub a: u64,
}

#[derive(Abi)]
pub struct Aligned {
    pub a: u64,
}

#[derive(Abi)]
pub struct Renamed {
    pub width: u32,
}

#[derive(Abi)]
pub enum Variants {
    One,
    Two,
}

#[derive(Abi)]
pub struct Deep {
    pub inner: Vec<Option<Sized>>,
}

#[export]
pub fn version() -> u64 {
    1
}

#[export]
pub fn count(a: u64, b: u64) -> u64 {
    a + b
}

#[export]
pub fn kind(a: u64, b: u64) -> u64 {
    a + b
}

#[export]
pub fn result(a: u64) -> u64 {
    a
}

#[export]
pub fn size(value: Sized) -> u64 {
    value.a
}

#[export]
pub fn alignment(value: Aligned) -> u64 {
    value.a
}

#[export]
pub fn field(value: Renamed) -> u64 {
    value.width.into()
}

#[export]
pub fn variants(value: Variants) -> u64 {
    match value {
        Variants::One => 1,
        Variants::Two => 2,
    }
}

#[export]
pub fn deep(value: &Deep) -> u64 {
    value.inner.len() as u64
}

#[export]
pub fn removed() -> u64 {
    1
}
