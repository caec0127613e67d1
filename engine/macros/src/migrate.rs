//! `#[migrate]`: a step from one version of a state type to another.

use proc_macro2::TokenStream;

pub(crate) fn expand(_options: TokenStream, item: TokenStream) -> TokenStream {
    item
}
