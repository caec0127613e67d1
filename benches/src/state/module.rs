//! A module with state, for benches. What stands behind a line of dashes is of version 2 alone.

use hotswap_module::{State, export, state};

hotswap_module::module!();

#[state(version = 1)]
#[derive(Default)]
pub struct Counter {
    pub count: u64,
}

#[state(version = 1)]
#[derive(Default)]
pub struct Memory {
    pub bytes: Vec<u8>,
}

#[state(name = "World", version = 1)]
#[derive(Default)]
pub struct World1 {
    pub entities: Vec<(f64, f64)>,
}

#[export]
pub fn add(left: u64, right: u64) -> u64 {
    left + right
}

/// Writes a cell.
#[export]
pub fn increment(counter: State<Counter>) -> u64 {
    let mut counter = counter.lock();
    counter.count += 1;
    counter.count
}

/// Reads a cell.
#[export]
pub fn peek(counter: State<Counter>) -> u64 {
    counter.read().count
}

/// Makes a cell hold so many bytes.
#[export]
pub fn fill(memory: State<Memory>, bytes: u64) {
    memory.lock().bytes = vec![1; bytes as usize];
}

/// Makes the world hold so many entities.
#[export]
pub fn populate(world: State<World>, entities: u64) {
    world.lock().entities = (0..entities).map(entity).collect();
}

/// Which version of the world it wants.
#[export]
pub fn version() -> u64 {
    WORLD
}

// ---- 1
const WORLD: u64 = 1;
type World = World1;

fn entity(number: u64) -> (f64, f64) {
    (number as f64, 0.5)
}
// ---- 2
const WORLD: u64 = 2;

#[state(version = 2)]
#[derive(Default)]
pub struct World {
    pub entities: Vec<(f64, f64, u32)>,
}

fn entity(number: u64) -> (f64, f64, u32) {
    (number as f64, 0.5, 100)
}

#[hotswap_module::migrate(from = 1, down = world_to_1)]
fn world_from_1(old: World1) -> World {
    World { entities: old.entities.into_iter().map(|(x, y)| (x, y, 100)).collect() }
}

fn world_to_1(new: World) -> World1 {
    World1 { entities: new.entities.into_iter().map(|(x, y, _)| (x, y)).collect() }
}
