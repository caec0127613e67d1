//! `#[on_load]`: a function that runs before a version becomes current.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::{Error, ItemFn, parse2};

use crate::attributes::shared;
use crate::export::ours;
use crate::function::Function;
use crate::needs;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let hook = hook(options, &item).unwrap_or_else(Error::into_compile_error);
    quote!(#item #hook)
}

fn hook(options: TokenStream, item: &TokenStream) -> syn::Result<TokenStream> {
    if !options.is_empty() {
        return Err(Error::new_spanned(options, "`#[on_load]` has no options"));
    }
    let item: ItemFn = parse2(item.clone())
        .map_err(|error| Error::new(error.span(), "`#[on_load]` stands on a function"))?;
    if let Some(argument) = item.sig.inputs.first() {
        return Err(Error::new_spanned(
            argument,
            "a load hook takes no arguments: what it needs comes from the host, by `hotswap_module::host()`",
        ));
    }
    let ident = &item.sig.ident;
    let function = Function::parse(&item.sig, ident.unraw().to_string())?;
    let record = function.on_load(&ours(ident).to_token_stream());
    let needs = needs::records(&item.block);
    let shared = shared(&item.attrs);
    Ok(quote!(#shared const _: () = { #record #needs };))
}
