//! What `#[export]` cannot stand on, and functions that cannot cross. Twin: pass/export_items.rs

use hotswap_module::export;

hotswap_module::module!();

pub struct World;

impl World {
    #[export]
    pub fn step(&mut self) {}

    pub fn new() -> Self {
        Self
    }
}

#[export]
pub fn generic<T>(values: Vec<T>) -> usize {
    values.len()
}

#[export]
pub fn lengths<const N: usize>(values: [u64; N]) -> usize {
    values.len()
}

#[export]
pub async fn fetch() {}

#[export]
pub fn opaque(values: impl Iterator<Item = u64>) -> u64 {
    values.sum()
}

#[export]
pub fn nine(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> u8 {
    a + b + c + d + e + f + g + h + i
}

#[export]
pub unsafe fn dangerous() {}

#[export]
pub extern "C" fn c() {}

#[export]
pub fn kept(name: &'static str) -> usize {
    name.len()
}

#[export]
pub fn kept_inside(names: Option<&'static [u8]>) -> usize {
    names.map_or(0, <[u8]>::len)
}

#[export(deadline = "soon")]
pub fn when() {}

#[export(deadline = "0s")]
pub fn at_once() {}

#[export(deadline = "60d")]
pub fn some_day() {}

#[export(deadline = "2s")]
pub const LIMIT: u64 = 7;

#[export(patience = "2s")]
pub fn patient() {}

#[export]
pub fn first(text: &str) -> &str {
    text
}

#[export]
pub fn maybe(values: &[u64]) -> Option<&[u64]> {
    Some(values)
}

#[export]
pub fn name() -> &'static str {
    "name"
}

#[export]
pub const NAME: &str = "name";

#[export]
pub fn callback() -> fn() {
    callee
}

fn callee() {}

#[export]
pub fn boxed() -> Box<dyn Fn()> {
    Box::new(callee)
}

#[export]
pub fn iterator() -> impl Iterator<Item = u64> {
    std::iter::empty()
}

#[export]
pub fn never() -> ! {
    panic!()
}

#[export]
pub static COUNT: u64 = 0;

#[export]
pub struct Point;

#[export]
mod inner {}

#[export]
impl World {
    pub fn other() {}
}

#[export(nme = "typo")]
pub fn misspelt() {}

#[export(name = "")]
pub fn nameless() {}

fn main() {}
