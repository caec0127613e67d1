//! `shapes.rs` with one difference per function.

use hotswap_module::{Abi, export};

hotswap_module::module!();

#[derive(Abi)]
pub struct Sized {
    pub a: u64,
    pub b: u64,
}

#[derive(Abi)]
#[repr(align(16))]
pub struct Aligned {
    pub a: u64,
}

#[derive(Abi)]
pub struct Renamed {
    pub height: u32,
}

#[derive(Abi)]
pub enum Variants {
    One,
    Two,
    Three,
}

#[derive(Abi)]
pub struct Deep {
    pub inner: Vec<Option<Sized>>,
}

#[export]
pub fn version() -> u64 {
    2
}

#[export]
pub fn count(a: u64, b: u64, c: u64) -> u64 {
    a + b + c
}

#[export]
pub fn kind(a: u64, b: u32) -> u64 {
    a + u64::from(b)
}

#[export]
pub fn result(a: u64) -> u32 {
    a as u32
}

#[export]
pub fn size(value: Sized) -> u64 {
    value.a + value.b
}

#[export]
pub fn alignment(value: Aligned) -> u64 {
    value.a
}

#[export]
pub fn field(value: Renamed) -> u64 {
    value.height.into()
}

#[export]
pub fn variants(value: Variants) -> u64 {
    match value {
        Variants::One => 1,
        Variants::Two => 2,
        Variants::Three => 3,
    }
}

#[export]
pub fn deep(value: &Deep) -> u64 {
    value.inner.len() as u64
}
