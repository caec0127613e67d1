//! What `#[repr(..)]` and the numbers of variants add to a layout.
//!
//! Two enums of equal variants, size and alignment may still differ in it: `repr(C)`, `repr(u8)` and the
//! default place tag and fields differently, and `A(u8) = 3` is another valid value than `A(u8) = 4`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Attribute, DataEnum, Fields};

use crate::types::compact;

/// What `#[repr(..)]` says that is part of the layout.
pub(crate) struct Repr {
    /// Appended to the name: `:C`, `:u8`; nothing without the attribute.
    pub(crate) suffix: String,
    /// The type of an enum's number.
    integer: Option<Ident>,
}

impl Repr {
    /// Reads the attribute, and refuses what cannot be described.
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut words = Vec::new();
        let mut integer = None;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("repr")) {
            attribute.parse_nested_meta(|meta| {
                let mut word = compact(&meta.path);
                if meta.path.is_ident("packed") {
                    return Err(meta
                        .error("fields of a packed type cannot be borrowed: leave out `packed`"));
                }
                if meta.input.peek(syn::token::Paren) {
                    let inner;
                    syn::parenthesized!(inner in meta.input);
                    word = format!("{word}({})", compact(inner.parse::<TokenStream>()?));
                } else if let Some(ident) = meta.path.get_ident()
                    && ident != "C"
                    && ident != "transparent"
                {
                    integer = Some(ident.clone());
                }
                if word != "transparent" {
                    words.push(word);
                }
                Ok(())
            })?;
        }
        let suffix = if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) };
        Ok(Self { suffix, integer })
    }
}

/// Per variant, an expression of type `Option<i128>`.
///
/// Where all variants are fieldless the compiler says the number. With fields, numbers exist
/// only under `repr(u8)` and the like; then they are counted as the compiler counts them.
pub(crate) fn discriminants(data: &DataEnum, repr: &Repr) -> Vec<TokenStream> {
    let some = |number: TokenStream| quote!(__hotswap::core::option::Option::Some(#number));
    let is_fieldless = data.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit));
    let mut last = quote!(-1);
    let mut following = 0_i128;
    let mut number = |variant: &syn::Variant| {
        let ident = &variant.ident;
        match (is_fieldless, &repr.integer) {
            (true, _) => some(quote!(Self::#ident as __hotswap::core::primitive::i128)),
            (false, None) => quote!(__hotswap::core::option::Option::None),
            (false, Some(integer)) => {
                following += 1;
                if let Some((_, value)) = &variant.discriminant {
                    last = quote!({
                        const NUMBER: __hotswap::core::primitive::#integer = #value;
                        NUMBER as __hotswap::core::primitive::i128
                    });
                    following = 0;
                }
                let following = proc_macro2::Literal::i128_unsuffixed(following);
                some(quote!(#last + #following))
            }
        }
    };
    data.variants.iter().map(&mut number).collect()
}
