//! What may point into the image of the code that made it cannot be state: by type. Twin: pass/state_types.rs

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use hotswap_module::{State, export, state};

type Callback = fn(u64) -> u64;

#[state(version = 1)]
pub struct Words {
    pub words: HashMap<String, u64>,
}

#[state(version = 1)]
pub struct Counted {
    pub text: Rc<String>,
}

#[state(version = 1)]
pub struct Hidden {
    pub call: Callback,
}

#[state(version = 1)]
pub struct Unsynchronised {
    pub value: Cell<u64>,
}

pub struct Plain;

#[state(version = 1)]
pub struct Inside {
    pub plain: Plain,
}

#[state(part)]
pub struct Part {
    pub calls: u64,
}

#[export]
pub fn no_state_type(part: State<Part>) {
    let _ = part;
}

fn main() {}
