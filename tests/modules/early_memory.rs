//! A module whose constructor allocates memory and keeps it before the host was connected.

use std::sync::Mutex;

use hotswap_module::export;

hotswap_module::module!();

static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

extern "C" fn construct() {
    *KEPT.lock().expect("nobody else runs") = vec![1; 100];
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

#[export]
pub fn version() -> u64 {
    KEPT.lock().expect("no panic").len() as u64
}
