//! What a hook cannot be. Twin: pass/hook_items.rs

use hotswap_module::{VersionChange, after_swap, before_unload, on_load};

hotswap_module::module!();

#[on_load]
fn two(change: VersionChange, other: VersionChange) {
    let _ = (change, other);
}

#[after_swap]
fn another_type(number: u64) {
    let _ = number;
}

#[after_swap(late)]
fn with_option() {}

#[before_unload]
struct NoFunction;

#[before_unload]
async fn waits() {}

fn main() {}
