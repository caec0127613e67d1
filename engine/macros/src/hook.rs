//! `#[on_load]`, `#[after_swap]`, `#[before_unload]`: functions that the engine runs in a version's life.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::{Error, ItemFn, parse2};

use crate::attributes::shared;
use crate::export::ours;
use crate::function::Function;
use crate::needs;

/// One of the attributes.
pub(crate) struct Hook {
    attribute: &'static str,
    /// The kind of its records.
    kind: &'static str,
}

pub(crate) const ON_LOAD: Hook = Hook { attribute: "on_load", kind: "OnLoad" };
pub(crate) const AFTER_SWAP: Hook = Hook { attribute: "after_swap", kind: "AfterSwap" };
pub(crate) const BEFORE_UNLOAD: Hook = Hook { attribute: "before_unload", kind: "BeforeUnload" };

pub(crate) fn expand(hook: &Hook, options: TokenStream, item: TokenStream) -> TokenStream {
    let record = record(hook, options, &item).unwrap_or_else(Error::into_compile_error);
    quote!(#item #record)
}

fn record(hook: &Hook, options: TokenStream, item: &TokenStream) -> syn::Result<TokenStream> {
    let Hook { attribute, kind } = hook;
    if !options.is_empty() {
        return Err(Error::new_spanned(options, format!("`#[{attribute}]` has no options")));
    }
    let item: ItemFn = parse2(item.clone()).map_err(|error| {
        Error::new(error.span(), format!("`#[{attribute}]` stands on a function"))
    })?;
    if let Some(second) = item.sig.inputs.iter().nth(1) {
        return Err(Error::new_spanned(
            second,
            "a hook takes the versions, `change: hotswap_module::VersionChange`, or nothing: what else it needs comes \
             from the host, by `hotswap_module::host()`",
        ));
    }
    let ident = &item.sig.ident;
    let function = Function::parse(&item.sig, ident.unraw().to_string())?;
    function.refuse_cells("a hook")?;
    let kind = Ident::new(kind, Span::call_site()).to_token_stream();
    let record = function.hook(&kind, &ours(ident).to_token_stream());
    let needs = needs::records(&item.block);
    let shared = shared(&item.attrs);
    Ok(quote!(#shared const _: () = { #record #needs };))
}
