//! One exported function.

use std::time::Duration;

use hotswap_module::__private::Shim;
use hotswap_module::Signature;

/// One function that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportInfo {
    /// The name to call it by.
    pub name: String,
    /// Its signature as people write it: `(u64, u64) -> u64`; `()` without arguments and result.
    pub signature: String,
    /// How long a call may take before that is told ([`docs::deadlines`](crate::docs::deadlines)); `None` when it has no deadline.
    pub deadline: Option<Duration>,
}

/// One function of a version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    pub(crate) shim: Shim,
    /// The hash of the signature: equal hashes, equal texts, equal layouts (unless `by_name`).
    pub(crate) hash: u64,
    pub(crate) signature: &'static Signature,
}
