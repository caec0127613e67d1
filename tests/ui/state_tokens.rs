//! What may point into the image of the code that made it cannot be state: by what is written. Twin: pass/state_types.rs

use hotswap_module::state;

#[state(version = 1)]
pub struct Pointer {
    call: fn(u64) -> u64,
}

#[state(version = 1)]
pub struct Object {
    draw: Box<dyn Fn() + Send + Sync>,
}

#[state(version = 1)]
pub struct Static {
    name: &'static str,
}

#[state(part)]
pub struct Raw(*const u8);

#[state(version = 1)]
pub enum Variant {
    Idle,
    Call(fn()),
}

fn main() {}
