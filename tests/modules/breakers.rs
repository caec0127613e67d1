//! A module that does what could keep it mapped, or be run after it is gone.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::mpsc;
use std::thread;

use hotswap_module::{engine, export, host};

hotswap_module::module!();

#[export]
pub fn version() -> u64 {
    1
}

fn tell(name: &str) {
    // At the end nobody could take an error.
    let _ = host().call_with::<()>("tell", (name.to_owned(),));
}

/// A thread waits for a message; another has the sender, and waits for the host.
#[export]
pub fn waits_for_a_message() {
    let (send, sent) = mpsc::channel::<()>();
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let waits = move || {
        tell("waits");
        let _gone = sent.recv();
        tell("the sender is gone");
    };
    named("waiter").spawn(waits).expect("a thread");
    let holds = move || {
        tell("wait");
        drop(send);
    };
    named("holder").spawn(holds).expect("a thread");
}

/// Threads of a scope, which returns before they have ended.
#[export]
pub fn scoped(threads: u64) -> u64 {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || number)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

/// Starts a thread when it is dropped.
struct Starter;

impl Drop for Starter {
    fn drop(&mut self) {
        thread::spawn(|| {
            tell("wait");
            tell("the thread of a destructor");
        });
    }
}

/// Panics when it is dropped.
struct Panicker;

impl Drop for Panicker {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

thread_local! {
    static STARTER: RefCell<Option<Starter>> = const { RefCell::new(None) };
    static PANICKER: RefCell<Option<Panicker>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        tell("what a handler left");
    }
}

/// Leaves a value whose destructor starts a thread.
#[export]
pub fn keeps_starter() {
    STARTER.with(|starter| *starter.borrow_mut() = Some(Starter));
}

/// Leaves a value whose destructor panics.
#[export]
pub fn keeps_panicker() {
    PANICKER.with(|panicker| *panicker.borrow_mut() = Some(Panicker));
}

unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> c_int;
}

extern "C" fn first() {
    tell("first");
}

extern "C" fn second() {
    tell("second");
    LAST.with(|last| *last.borrow_mut() = Some(Last));
}

/// Has two functions run at the end, the second before the first.
#[export]
pub fn registers_handlers() {
    for handler in [first, second] {
        // SAFETY: it takes nothing and may run at any time.
        assert_eq!(unsafe { atexit(handler) }, 0);
    }
}

extern "C" fn starts() {
    drop(Starter);
}

/// Has a thread started at the end.
#[export]
pub fn registers_starter() {
    // SAFETY: as above.
    assert_eq!(unsafe { atexit(starts) }, 0);
}

/// Knows whether it was destroyed while somebody looks at it.
struct Watched(Cell<bool>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.set(false);
        tell("destroyed");
    }
}

thread_local! {
    static WATCHED: Watched = const { Watched(Cell::new(true)) };
    static LOOKER: Cell<Option<Looker>> = const { Cell::new(None) };
}

/// Calls the engine while it looks at a value of the thread.
fn looks() {
    WATCHED.with(|watched| {
        let call = || engine().call_with::<u64>("version", ()).expect("the engine answers");
        call();
        tell("wait");
        call();
        tell(if watched.0.get() { "whole" } else { "destroyed under its user" });
    });
}

struct Looker;

impl Drop for Looker {
    fn drop(&mut self) {
        looks();
    }
}

/// Leaves a value whose destructor looks at another.
#[export]
pub fn keeps_looker() {
    LOOKER.set(Some(Looker));
}

/// Starts a thread that looks, when its version is gone: from a destructor.
struct StartsLooker;

impl Drop for StartsLooker {
    fn drop(&mut self) {
        thread::spawn(looks);
    }
}

thread_local! {
    static STARTS_LOOKER: Cell<Option<StartsLooker>> = const { Cell::new(None) };
}

/// Leaves a value whose destructor starts a thread that looks.
#[export]
pub fn keeps_starter_of_looker() {
    STARTS_LOOKER.set(Some(StartsLooker));
}
