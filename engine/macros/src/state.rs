//! `#[state]`: a type whose values survive swaps.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, LitInt, LitStr, Path, Token, parse2,
};

use crate::attributes::shared;
use crate::derive_abi::type_name;
use crate::export::ours;
use crate::function::Record;
use crate::migrate::{self, Derived};
use crate::types::{Place, check_owned, place_of};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = parse2::<DeriveInput>(item.clone())
        .map_err(|_| Error::new(Span::call_site(), "`#[state]` stands on a struct or an enum"));
    let mut item = match parsed {
        Ok(item) => item,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    // Taken out of the item in any case: nothing else would know them.
    let steps = migrate::take_derived(&mut item);
    let state = check(&item).and_then(|()| match Options::parse(options)? {
        Options::Part => part(&item, steps?),
        Options::Whole(whole) => whole.write(&mut item, steps?),
    });
    let state = state.unwrap_or_else(|error| {
        forget_derives(&mut item);
        Written { attributes: TokenStream::new(), beside: error.into_compile_error() }
    });
    let Written { attributes, beside } = state;
    quote!(#attributes #item #beside)
}

/// What stands on the item and what beside it.
struct Written {
    attributes: TokenStream,
    beside: TokenStream,
}

/// What stands in the parentheses.
enum Options {
    /// A type inside of state types.
    Part,
    /// A state type.
    Whole(Whole),
}

#[derive(Default)]
struct Whole {
    version: u16,
    name: Option<LitStr>,
    init: Option<Path>,
    check: Option<Path>,
}

impl Options {
    fn parse(options: TokenStream) -> syn::Result<Self> {
        let mut part = None;
        let mut version = None;
        let mut whole = Whole::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("part") {
                part = Some(meta.path.clone());
            } else if meta.path.is_ident("version") {
                version = Some(version_of(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("name") {
                let name = meta.value()?.parse()?;
                type_name(&name)?;
                whole.name = Some(name);
            } else if meta.path.is_ident("init") {
                whole.init = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("check") {
                whole.check = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error(
                    "the options are `version = 1`, `name = \"Other\"`, `init = function`, `check = function`; or `part` alone",
                ));
            }
            Ok(())
        });
        syn::parse::Parser::parse2(parser, options)?;
        let is_bare = whole.name.is_none() && whole.init.is_none() && whole.check.is_none();
        match (part, version) {
            (Some(_), None) if is_bare => Ok(Self::Part),
            (Some(part), _) => Err(Error::new_spanned(
                part,
                "a part has no version or name of its own: it changes with the state that it is in",
            )),
            (None, Some(version)) => Ok(Self::Whole(Whole { version, ..whole })),
            (None, None) => Err(Error::new(
                Span::call_site(),
                "write `#[state(version = 1)]`, and raise the version when the fields change; \
                 for a type inside of state write `#[state(part)]`",
            )),
        }
    }
}

/// A version, of a type or of the value that a step takes.
pub(crate) fn version_of(literal: &LitInt) -> syn::Result<u16> {
    match literal.base10_parse::<u16>() {
        Ok(0) => Err(Error::new_spanned(literal, "versions of state count from 1")),
        Ok(version) => Ok(version),
        Err(_) => Err(Error::new_spanned(literal, "versions of state are numbers from 1 to 65535")),
    }
}

fn part(item: &DeriveInput, steps: Vec<Derived>) -> syn::Result<Written> {
    if let Some(step) = steps.first() {
        return Err(Error::new(
            step.span,
            "a step leads to a state type: write it on the one that this is a part of",
        ));
    }
    Ok(Written { attributes: derives(item), beside: TokenStream::new() })
}

impl Whole {
    fn write(self, item: &mut DeriveInput, steps: Vec<Derived>) -> syn::Result<Written> {
        if let Some(parameter) = item.generics.params.first() {
            return Err(Error::new_spanned(
                parameter,
                "a state type has no parameters, since all values of a schema are of one type: write the types out",
            ));
        }
        if let Some(named) = item.attrs.iter().find(|attribute| attribute.path().is_ident("abi")) {
            return Err(Error::new_spanned(
                named,
                "the name of a state type stands in `#[state(version = .., name = \"Other\")]`",
            ));
        }
        let mut attributes = derives(item);
        if let Some(name) = &self.name {
            attributes.extend(quote!(#[abi(name = #name)]));
        }
        let steps = steps
            .iter()
            .map(|step| step.record(item, self.version))
            .collect::<syn::Result<TokenStream>>()?;
        let (implementation, record) = (self.implementation(item), self.record(item));
        let shared = shared(&item.attrs);
        let beside = quote! {
            #shared
            const _: () = {
                #record
                #implementation
            };
            #steps
        };
        Ok(Written { attributes, beside })
    }

    fn implementation(&self, item: &DeriveInput) -> TokenStream {
        let ident = ours(&item.ident);
        let schema = match &self.name {
            Some(name) => name.value(),
            None => ident.unraw().to_string(),
        };
        let version = self.version;
        let initial = match &self.init {
            Some(path) => {
                quote_spanned!(place_of(path)=> __hotswap::core::option::Option::Some(#path()))
            }
            None => quote! {{
                use __hotswap::{DefaultInitial as _, NoInitial as _};
                (&&__hotswap::Initial::<Self>::new()).initial()
            }},
        };
        let check = self.check.as_ref().map(|path| {
            let checked = quote_spanned!(place_of(path)=> #path(self));
            quote! {
                fn check(&self) -> __hotswap::core::result::Result<(), __hotswap::std::string::String> {
                    #checked.map_err(|error| __hotswap::std::string::ToString::to_string(&error))
                }
            }
        });
        // SAFETY of the implementation that is quoted here: the engine refuses a module with two types of one schema and version
        // (`Kinds::check`); a type without parameters has its function, and so its static, to itself.
        quote! {
            #[automatically_derived]
            unsafe impl __hotswap::StateType for #ident {
                const SCHEMA: &'static __hotswap::core::primitive::str = #schema;
                const VERSION: __hotswap::core::primitive::u16 = #version;

                #[inline]
                fn links() -> &'static __hotswap::CellLinks {
                    static LINKS: __hotswap::CellLinks = __hotswap::CellLinks::new();
                    &LINKS
                }

                fn initial() -> __hotswap::core::option::Option<Self> {
                    #initial
                }

                #check
            }
        }
    }

    fn record(&self, item: &DeriveInput) -> TokenStream {
        let ident = ours(&item.ident);
        let version = u32::from(self.version);
        // SAFETY of the call of `serve` that is quoted here: the engine keeps to its contract for shims of this kind.
        let record = Record {
            kind: quote!(State),
            name: quote!(<#ident as __hotswap::StateType>::SCHEMA),
            extra: quote!(#version),
            signature: quote! {
                __hotswap::Signature { arguments: &[], result: <#ident as __hotswap::Abi>::DESC }
            },
            parameter: quote!(__hotswap::Packed1<__hotswap::StateRequest>),
            result: quote!(__hotswap::core::result::Result<(), __hotswap::std::string::String>),
            body: quote!(unsafe { __hotswap::serve::<#ident>(borrowed_for_this_call) }),
        };
        record.written()
    }
}

/// What must be derived, but for what its author derives.
fn derives(item: &DeriveInput) -> TokenStream {
    let mut there = Vec::new();
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let paths = attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated);
        // What cannot be read is the compiler's to tell.
        for path in paths.into_iter().flatten() {
            there.extend(path.segments.last().map(|segment| segment.ident.to_string()));
        }
    }
    let wanted = [
        ("Abi", quote!(::hotswap_module::Abi)),
        ("Serialize", quote!(::hotswap_module::__private::serde::Serialize)),
        ("Deserialize", quote!(::hotswap_module::__private::serde::Deserialize)),
    ];
    let missing = wanted.into_iter().filter(|(name, _)| !there.iter().any(|known| known == name));
    let missing = missing.map(|(_, path)| path);
    quote! {
        #[derive(#(#missing),*)]
        #[serde(crate = "::hotswap_module::__private::serde")]
    }
}

/// All fields of a type, those of its variants too.
pub(crate) fn fields_of(data: &mut Data) -> Vec<&mut Field> {
    match data {
        Data::Struct(data) => data.fields.iter_mut().collect(),
        Data::Enum(data) => {
            data.variants.iter_mut().flat_map(|variant| variant.fields.iter_mut()).collect()
        }
        Data::Union(_) => Vec::new(),
    }
}

/// Takes out what speaks to derives that are not written, so that one error brings no others with it.
fn forget_derives(item: &mut DeriveInput) {
    let speaks = |attribute: &Attribute| {
        attribute.path().is_ident("serde") || attribute.path().is_ident("abi")
    };
    item.attrs.retain(|attribute| !speaks(attribute));
    if let Data::Enum(data) = &mut item.data {
        for variant in &mut data.variants {
            variant.attrs.retain(|attribute| !speaks(attribute));
        }
    }
    for field in fields_of(&mut item.data) {
        field.attrs.retain(|attribute| !speaks(attribute));
    }
}

/// Refuses what cannot be state: each thing at its token, before three derives complain of it.
fn check(item: &DeriveInput) -> syn::Result<()> {
    if let Some(lifetime) = item.generics.lifetimes().next() {
        return Err(Error::new_spanned(
            lifetime,
            "state outlives what it could borrow from: write owned fields, such as `String` for `&str`",
        ));
    }
    check_serde(&item.attrs)?;
    match &item.data {
        Data::Struct(data) => check_fields(&data.fields),
        Data::Enum(data) => data.variants.iter().try_for_each(|variant| {
            check_serde(&variant.attrs)?;
            check_fields(&variant.fields)
        }),
        Data::Union(data) => Err(Error::new_spanned(
            data.union_token,
            "a union does not say which field is valid: write an enum",
        )),
    }
}

fn check_fields(fields: &Fields) -> syn::Result<()> {
    fields.iter().try_for_each(|field: &Field| {
        check_serde(&field.attrs)?;
        check_owned(&field.ty, Place::Field)
    })
}

/// What serde may be told of state: how a value is written, and what to do when one is missing.
const SERDE_OPTIONS: [&str; 5] =
    ["with", "serialize_with", "deserialize_with", "default", "deny_unknown_fields"];

/// Refuses what would lose part of a value, or would not read back, or hides the names that steps go by.
fn check_serde(attributes: &[Attribute]) -> syn::Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if !SERDE_OPTIONS.iter().any(|known| meta.path.is_ident(known)) {
                return Err(meta.error(format!(
                    "state is written whole, and by the names of its fields: serde may be told {}",
                    SERDE_OPTIONS.map(|known| format!("`{known}`")).join(", "),
                )));
            }
            if meta.input.peek(Token![=]) {
                let _: syn::Expr = meta.value()?.parse()?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
