//! Twin of ../state_tokens.rs and ../state_types.rs.

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use hotswap_module::{State, export, state};

#[state(version = 1)]
#[derive(Default)]
pub struct Words {
    pub words: BTreeMap<String, u64>,
}

#[state(part)]
pub enum Inside {
    Text(String),
    Pair((u8, [u64; 4])),
    Boxed { heap: Box<BinaryHeap<u64>>, queue: VecDeque<Inside> },
    Nothing,
}

#[state(version = 1)]
pub struct Whole {
    pub inside: Vec<Inside>,
    pub name: Option<Box<str>>,
    pub path: Result<PathBuf, Duration>,
    pub r#type: std::ops::Range<i32>,
}

#[export]
pub fn a_state_type(words: State<Words>) -> usize {
    words.read().words.len()
}

fn main() {}
