//! Cells that are locked in every way. The test has one library of it under several names.

use hotswap_module::{Shared, State, StateMut, StateRef, export, state};

hotswap_module::module!();

#[state(name = "Tally", version = 1)]
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub count: u64,
}

fn wait() {
    hotswap_module::host().call("wait").expect("provided");
}

#[export]
pub fn increment(tally: State<Tally>) -> u64 {
    let mut tally = tally.lock();
    tally.count += 1;
    tally.count
}

#[export]
pub fn increment_shared(tally: Shared<Tally>) -> u64 {
    let mut tally = tally.lock();
    tally.count += 1;
    tally.count
}

/// Adds one to the cell of a name, which is written anew each time, as text that is not equal by its place.
#[export]
pub fn increment_named(name: String) -> u64 {
    let mut tally = State::<Tally>::named(name.leak()).lock();
    tally.count += 1;
    tally.count
}

/// Whether a reader that comes now gets the cell.
#[export]
pub fn can_read(tally: State<Tally>) -> bool {
    tally.try_read().is_ok()
}

/// Reads, and while the host waits again.
#[export]
pub fn read_twice(tally: State<Tally>) -> u64 {
    let first = tally.read();
    wait();
    let second = tally.read();
    first.count + second.count
}

/// Locks it in two ways at once; what is said of the second.
#[export]
pub fn twice(tally: State<Tally>, first_writes: bool, second_writes: bool) -> String {
    let _first: (Option<StateMut<Tally>>, Option<StateRef<Tally>>) =
        if first_writes { (Some(tally.lock()), None) } else { (None, Some(tally.read())) };
    let second = if second_writes { tally.try_lock().map(drop) } else { tally.try_read().map(drop) };
    second.map_or_else(|error| error.to_string(), |()| String::new())
}

/// Has the cell locked while the host waits, and panics.
#[export]
pub fn wait_and_tear(tally: State<Tally>) {
    let mut tally = tally.lock();
    tally.count += 1;
    wait();
    panic!("torn on purpose");
}

/// Never lets go of it.
#[export]
pub fn forget(tally: State<Tally>) {
    std::mem::forget(tally.lock());
}

/// What is in the way of locking it.
#[export]
pub fn problem(tally: State<Tally>) -> String {
    tally.try_lock().map_or_else(|error| error.to_string(), |_| String::new())
}
