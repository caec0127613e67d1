//! A module that does what could keep it mapped, or be run after it is gone.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::mpsc;
use std::thread;

use hotswap_module::{export, host};

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
