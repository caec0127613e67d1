//! `#[export]`: the item as it is, and beside it a shim and a record.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::{Error, Ident, ImplItem, Item, ItemConst, ItemFn, ItemImpl, LitStr, parse2};

use crate::attributes::{cfgs, shared};
use crate::deadline::Deadline;
use crate::function::Function;
use crate::needs;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let exported = Options::parse(options).and_then(|options| {
        let parsed = parse2::<Item>(item.clone()).map_err(|_| {
            Error::new(
                Span::call_site(),
                "`#[export]` stands on a function, a constant or `impl Trait for Exports`",
            )
        })?;
        export(&parsed, options)
    });
    let exported = exported.unwrap_or_else(Error::into_compile_error);
    // The item stays in any case, so that an error here brings no others with it.
    quote!(#item #exported)
}

/// What stands in the parentheses.
struct Options {
    name: Option<LitStr>,
    deadline: Option<Deadline>,
}

impl Options {
    fn parse(options: TokenStream) -> syn::Result<Self> {
        let (mut name, mut deadline) = (None, None);
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("deadline") {
                deadline = Some(Deadline::parse(meta.value()?.parse()?)?);
                return Ok(());
            }
            if !meta.path.is_ident("name") {
                return Err(
                    meta.error("the options are `name = \"other\"` and `deadline = \"200ms\"`")
                );
            }
            let literal: LitStr = meta.value()?.parse()?;
            if literal.value().is_empty() {
                return Err(Error::new_spanned(literal, "the name to call it by cannot be empty"));
            }
            name = Some(literal);
            Ok(())
        });
        syn::parse::Parser::parse2(parser, options)?;
        Ok(Self { name, deadline })
    }

    fn deadline_ms(&self) -> Option<u32> {
        self.deadline.as_ref().map(|deadline| deadline.milliseconds)
    }

    fn name_or(self, ident: &Ident) -> String {
        self.name.map_or_else(|| ident.unraw().to_string(), |name| name.value())
    }
}

fn export(item: &Item, options: Options) -> syn::Result<TokenStream> {
    let refuse = |at: &dyn ToTokens, message| Err(Error::new_spanned(at, message));
    match item {
        Item::Fn(item) => function(item, options),
        Item::Const(item) => constant(item, options),
        Item::Impl(item) => implementation(item, &options),
        Item::Static(item) => refuse(
            &item.static_token,
            "a static cannot be exported, each version has its own: write a `const`, or a `fn` that returns the value",
        ),
        Item::Struct(item) => refuse(
            &item.struct_token,
            "types cross by `#[derive(Abi)]`; `#[export]` stands on functions and constants",
        ),
        Item::Enum(item) => refuse(
            &item.enum_token,
            "types cross by `#[derive(Abi)]`; `#[export]` stands on functions and constants",
        ),
        Item::Trait(item) => refuse(
            &item.trait_token,
            "a trait is shared by `#[interface]`; `#[export]` stands on its implementation for `Exports`",
        ),
        Item::Mod(item) => {
            refuse(&item.mod_token, "write `#[export]` on each function inside of the module")
        }
        other => refuse(
            other,
            "`#[export]` stands on a function, a constant or `impl Trait for Exports`",
        ),
    }
}

fn function(item: &ItemFn, options: Options) -> syn::Result<TokenStream> {
    let ident = &item.sig.ident;
    let deadline = options.deadline_ms();
    let function = Function::parse(&item.sig, options.name_or(ident))?.due_in(deadline);
    let record = function.export(&ours(ident).to_token_stream());
    let needs = needs::records(&item.block);
    let shared = shared(&item.attrs);
    Ok(quote!(#shared const _: () = { #record #needs };))
}

fn constant(item: &ItemConst, options: Options) -> syn::Result<TokenStream> {
    let ident = &item.ident;
    if ident == "_" {
        return Err(Error::new_spanned(ident, "give the constant a name to call it by"));
    }
    if let Some(Deadline { text, .. }) = &options.deadline {
        return Err(Error::new_spanned(text, "a constant takes no time: it has no deadline"));
    }
    let function = Function::constant(&item.ty, options.name_or(ident))?;
    let record = function.export_value(&ours(ident).to_token_stream());
    let shared = shared(&item.attrs);
    Ok(quote!(#shared const _: () = { #record };))
}

fn implementation(item: &ItemImpl, options: &Options) -> syn::Result<TokenStream> {
    let Some((path, _)) = &item.trait_ else {
        return Err(Error::new_spanned(
            &item.self_ty,
            "methods cannot be exported: write free functions, or implement an `#[interface]` trait for `Exports`",
        ));
    };
    if let Some(name) = &options.name {
        return Err(Error::new_spanned(
            name,
            "functions of an interface are called by their own names",
        ));
    }
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "implement the interface for `Exports`, without parameters",
        ));
    }
    let self_ty = &item.self_ty;
    let of_all: Vec<_> = cfgs(&item.attrs).collect();
    let mut exported = TokenStream::new();
    for item in &item.items {
        let ImplItem::Fn(item) = item else { continue };
        let ident = &item.sig.ident;
        let function = Function::parse(&item.sig, ident.unraw().to_string())?;
        function.refuse_cells("a function of an interface")?;
        let function = function.due_in(options.deadline_ms());
        let ident = ours(ident);
        let record = function.export(&quote!(<#self_ty as #path>::#ident));
        let needs = needs::records(&item.block);
        let shared = shared(&item.attrs);
        exported.extend(quote!(#(#of_all)* #shared const _: () = { #record #needs };));
    }
    Ok(exported)
}

/// The name in our code: what lints say of its use is not the author's concern.
pub(crate) fn ours(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(ident.span().resolved_at(Span::call_site()));
    ident
}
