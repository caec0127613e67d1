//! A module whose constructor starts a thread before the host was connected.

use hotswap_module::export;

hotswap_module::module!();

extern "C" fn construct() {
    let _ = std::thread::Builder::new().spawn(|| ());
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

#[export]
pub fn version() -> u64 {
    1
}
