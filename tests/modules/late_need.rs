//! A module that asks the host for a function by a name that is not in its exports.

use hotswap_module::{CallError, export, host};

hotswap_module::module!();

#[export]
pub fn asks(name: &str) -> Result<u64, CallError> {
    host().call_with(name, (1_u64,))
}
