//! A module whose functions say how long they may take.

use hotswap_module::{CallError, engine, export, host, interface};

hotswap_module::module!();

const VERSION: u64 = 1;

/// Calls the host function `name`, which may block.
#[export(deadline = "200ms")]
pub fn waits(name: &str) -> u64 {
    tell(name);
    VERSION
}

#[export(deadline = "2s")]
pub fn waits_here() {
    tell("wait");
}

/// As `waits`, and takes as long as it takes.
#[export]
pub fn plain(name: &str) -> u64 {
    tell(name);
    VERSION
}

/// Calls itself through the engine.
#[export]
pub fn nested() -> Result<u64, CallError> {
    engine().call_with("waits", ("wait",))
}

#[interface]
pub trait Paced {
    fn paced() -> u64;
}

#[export(deadline = "3s")]
impl Paced for Exports {
    fn paced() -> u64 {
        tell("wait");
        VERSION
    }
}

// Not in exports: a literal name there would be asked of every host at load.
fn tell(name: &str) {
    host().call_with::<()>(name, ()).expect("the host answers");
}
