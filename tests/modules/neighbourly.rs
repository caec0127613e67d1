//! A module that links a C library, `neighbour.c`.

use hotswap_module::export;

hotswap_module::module!();

unsafe extern "C" {
    fn neighbour_keep(count: usize);
}

#[export]
pub fn version() -> u64 {
    1
}

/// Leaves something of the library on the calling thread, which counts there when it ends.
#[export]
pub fn touches_neighbour(count: u64) {
    // SAFETY: the host gives the address of a number that stays.
    unsafe { neighbour_keep(count as usize) };
}
