//! A module with a load hook; what the hook does stands where `BODY` stands.

use hotswap_module::{export, on_load};
hotswap_module::module!();

#[export]
pub fn version() -> u64 {
    2
}

#[on_load]
fn check() -> Result<(), String> {
    BODY
}
