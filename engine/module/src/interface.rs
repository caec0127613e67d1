//! A set of functions that host and module agree on, as a trait.

use crate::signature::Signature;

/// What `#[interface]` implements for `dyn Trait`: the functions of the trait.
///
/// Named in `require::<dyn Sample>()` and in `module!(needs = [dyn Drawing])`.
pub trait Interface {
    /// The trait's name.
    const NAME: &'static str;
    /// Its functions, in the order of the trait.
    const FUNCTIONS: &'static [Requirement];
}

/// One function that somebody relies on.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// The name it is called by.
    pub name: &'static str,
    /// What it takes and gives.
    pub signature: &'static Signature,
}
