//! A module with hooks at both ends; what they do stands where `AFTER` and `BEFORE` stand.

use std::sync::atomic::{AtomicBool, Ordering};

use hotswap_module::{VersionChange, after_swap, before_unload, export, host};
hotswap_module::module!();

const VERSION: u64 = 1;

static IS_STOPPED: AtomicBool = AtomicBool::new(false);

#[export]
pub fn version() -> u64 {
    VERSION
}

/// Starts a thread that runs until somebody stops it.
#[export]
pub fn starts_worker() {
    std::thread::spawn(|| {
        while !IS_STOPPED.load(Ordering::Acquire) {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
    });
}

/// Starts a thread that ends when the host function `name` returns.
#[export]
pub fn starts_thread(name: String) {
    std::thread::spawn(move || ask(&name));
}

#[after_swap]
fn after(change: VersionChange) -> Result<(), String> {
    tell("after", change);
    AFTER
}

#[before_unload]
fn before(change: VersionChange) -> Result<(), String> {
    tell("before", change);
    BEFORE
}

/// Also one that does not look at the versions.
#[before_unload]
fn last() {
    tell("last", VersionChange::new(None, None));
}

#[allow(dead_code, reason = "some bodies do")]
fn stop() {
    IS_STOPPED.store(true, Ordering::Release);
}

fn ask(name: &str) {
    host().call_with::<()>(name, ()).expect("the host answers");
}

fn tell(what: &str, change: VersionChange) {
    let text = format!("{what} {VERSION}: {:?} to {:?}", change.from, change.to);
    host().call_with::<()>("tell", (text,)).expect("the host listens");
}
