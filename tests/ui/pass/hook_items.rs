//! Hooks with and without the versions, with and without a result.

use hotswap_module::{VersionChange, after_swap, before_unload, on_load};

hotswap_module::module!();

#[on_load]
fn checks(change: VersionChange) -> Result<(), String> {
    if change.to == Some(13) { Err("not this one".to_owned()) } else { Ok(()) }
}

#[after_swap]
fn greets() {}

#[before_unload]
fn stops(VersionChange { from, .. }: VersionChange) -> Option<u64> {
    from
}

fn main() {}
