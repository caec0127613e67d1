//! Attributes that our code shares with the item it stands beside.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

/// The `#[cfg(..)]`s of an item: what belongs to it exists under the same conditions.
pub(crate) fn cfgs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}

/// What stands on the code beside an item: the item's own conditions, and leave to repeat what
/// its author wrote, of which the lints have spoken at its own place.
pub(crate) fn shared(attributes: &[Attribute]) -> TokenStream {
    let cfgs = cfgs(attributes);
    quote!(#(#cfgs)* #[allow(deprecated, unused_qualifications)])
}

/// The documentation of an item.
pub(crate) fn docs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("doc"))
}
