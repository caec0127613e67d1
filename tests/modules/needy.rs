//! A module that needs a function of its host, and says so in one export by a literal name.

use hotswap_module::{export, host};

hotswap_module::module!();

#[export]
pub fn version() -> u64 {
    host().call_with("number_of_host", ()).expect("asked for at load")
}
