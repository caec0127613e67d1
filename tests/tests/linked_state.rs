//! A linked module whose types of state cannot be told apart.

use hotswap_engine::Engine;
use hotswap_module::state;

hotswap_module::module!();

/// One of them.
#[state(name = "Twin", version = 1)]
#[derive(Default)]
pub struct First {
    /// Its value.
    pub number: u64,
}

/// The other, whose values are others.
#[state(name = "Twin", version = 1)]
#[derive(Default)]
pub struct Second {
    /// Its value.
    pub text: String,
}

#[test]
fn two_types_of_one_version_are_refused_where_they_are_linked() {
    let refusal = Engine::builder(exports()).without_log().open().expect_err("which of them?");
    let text = refusal.to_string();
    assert!(text.contains("Twin: two types of the module are version 1 of it"), "{text}");
}
