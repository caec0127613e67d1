//! `#[interface]`: the trait as it is, its functions as methods of every caller, and its
//! signatures as constants.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{Attribute, Error, ItemTrait, ReturnType, TraitItem, TraitItemFn, parse_quote, parse2};

use crate::attributes::{cfgs, docs, shared};
use crate::function::{Function, named_arguments};
use crate::reserved::RESERVED;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = parse2::<ItemTrait>(item.clone())
        .map_err(|error| {
            Error::new(error.span(), format!("`#[interface]` stands on a trait: {error}"))
        })
        .and_then(|item| {
            if options.is_empty() {
                interface(item)
            } else {
                Err(Error::new_spanned(options, "`#[interface]` has no options"))
            }
        });
    expanded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#item #error)
    })
}

fn interface(mut item: ItemTrait) -> syn::Result<TokenStream> {
    check_trait(&item)?;
    let mut methods = Vec::new();
    let mut requirements = Vec::new();
    for item in &mut item.items {
        let function = function(item)?;
        check_function(function)?;
        let name = function.sig.ident.unraw().to_string();
        let parsed = Function::parse(&function.sig, name)?;
        parsed.refuse_cells("a function of an interface")?;
        methods.push(method(function, &parsed));
        requirements.push(requirement(function, &parsed));
        // Whoever calls the interface need not implement it.
        function.attrs.push(parse_quote!(#[allow(dead_code)]));
        // Without it `dyn Sample`, which names the interface, would be no type.
        function
            .sig
            .generics
            .make_where_clause()
            .predicates
            .push(parse_quote!(Self: ::core::marker::Sized));
    }
    let ItemTrait { ident, vis, attrs, .. } = &item;
    let calls = format_ident!("{}Calls", ident.unraw());
    let name = ident.unraw().to_string();
    let summary = format!(
        "The functions of [`{name}`], called by name through an engine, a guard or any other [`Caller`](::hotswap_module::Caller)."
    );
    let shared = shared(attrs);
    Ok(quote! {
        #item

        #shared
        #[doc = #summary]
        #vis trait #calls: ::hotswap_module::Caller {
            #(#methods)*
        }

        #shared
        #[automatically_derived]
        impl<__HotswapCaller: ::hotswap_module::Caller + ?::core::marker::Sized> #calls for __HotswapCaller {}

        #shared
        const _: () = {
            use ::hotswap_module::__private as __hotswap;

            #[automatically_derived]
            impl ::hotswap_module::Interface for dyn #ident {
                const NAME: &'static __hotswap::core::primitive::str = #name;
                const FUNCTIONS: &'static [::hotswap_module::Requirement] = &[#(#requirements),*];
            }
        };
    })
}

/// The method of the same name that every caller gets.
fn method(function: &TraitItemFn, parsed: &Function) -> TokenStream {
    let ident = &function.sig.ident;
    let name = &parsed.name;
    let (lifetimes, _, bounds) = function.sig.generics.split_for_impl();
    let (arguments, types): (Vec<Ident>, Vec<_>) =
        named_arguments(&function.sig).into_iter().unzip();
    let result = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, _) => parsed.result().to_token_stream(),
    };
    let docs = docs(&function.attrs);
    let cfgs = cfgs(&function.attrs);
    let summary = format!("Calls `{name}` and hands over its result.");
    let summary = if has_docs(&function.attrs) { quote!() } else { quote!(#[doc = #summary]) };
    quote! {
        #(#cfgs)*
        #(#docs)*
        #summary
        ///
        /// # Errors
        ///
        /// As [`call_with`](::hotswap_module::Caller::call_with): when the function is missing, has another
        /// signature, or panicked.
        #[allow(dead_code)]
        fn #ident #lifetimes (&self, #(#arguments: #types),*)
            -> ::core::result::Result<#result, ::hotswap_module::CallError>
        #bounds
        {
            <Self as ::hotswap_module::Caller>::call_with::<#result>(self, #name, (#(#arguments,)*))
        }
    }
}

/// An expression of type `Requirement`.
fn requirement(function: &TraitItemFn, parsed: &Function) -> TokenStream {
    let name = &parsed.name;
    let signature = parsed.signature();
    let cfgs = cfgs(&function.attrs);
    quote!(#(#cfgs)* ::hotswap_module::Requirement { name: #name, signature: &#signature })
}

fn has_docs(attributes: &[Attribute]) -> bool {
    docs(attributes).next().is_some()
}

fn check_trait(item: &ItemTrait) -> syn::Result<()> {
    if let Some(token) = &item.unsafety {
        return Err(Error::new_spanned(
            token,
            "an interface is safe to implement: leave out `unsafe`",
        ));
    }
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "an interface has no parameters: both sides compare its signatures, so write the types",
        ));
    }
    if let Some(supertrait) = item.supertraits.first() {
        return Err(Error::new_spanned(
            supertrait,
            "an interface stands for itself: write its functions here, or require both interfaces",
        ));
    }
    Ok(())
}

fn function(item: &mut TraitItem) -> syn::Result<&mut TraitItemFn> {
    match item {
        TraitItem::Fn(function) => Ok(function),
        TraitItem::Const(constant) => Err(Error::new_spanned(
            constant,
            "an interface has functions only: write `fn limit() -> u64;`, which an exported constant satisfies too",
        )),
        TraitItem::Type(ty) => Err(Error::new_spanned(
            ty,
            "an interface has functions only: write a type with `#[derive(Abi)]` beside it",
        )),
        other => Err(Error::new_spanned(other, "an interface has functions only, written out")),
    }
}

fn check_function(function: &TraitItemFn) -> syn::Result<()> {
    if let Some(body) = &function.default {
        return Err(Error::new_spanned(
            body,
            "an interface has no bodies: end the function with `;` and write the body in the module",
        ));
    }
    let ident = &function.sig.ident;
    let name = ident.unraw().to_string();
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::new_spanned(
            ident,
            format!("`{name}` is a method of Engine: rename the function, for example `{name}_it`"),
        ));
    }
    Ok(())
}
