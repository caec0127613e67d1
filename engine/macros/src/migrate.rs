//! `#[migrate]`: a step from one version of a state type to another.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Ident, Item, ItemFn, LitInt, LitStr, Meta, Path,
    Type, parse_quote, parse2,
};

use crate::attributes::shared;
use crate::export::ours;
use crate::function::{Function, Record};
use crate::state::{fields_of, version_of};
use crate::types::place_of;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let step = match parse2::<Item>(item.clone()) {
        Ok(Item::Fn(function)) => written(options, &function),
        Ok(Item::Struct(_) | Item::Enum(_)) => return derived(options, item),
        _ => Err(Error::new(
            Span::call_site(),
            "`#[migrate]` stands on a function, or as `#[migrate(auto, from = 1)]` on a state type",
        )),
    };
    let step = step.unwrap_or_else(Error::into_compile_error);
    quote!(#item #step)
}

/// What stands in the parentheses.
struct Options {
    span: Span,
    from: u16,
    auto: Option<Span>,
    down: Option<Path>,
}

impl Options {
    fn parse(options: TokenStream) -> syn::Result<Self> {
        let mut from = None;
        let mut auto = None;
        let mut down = None;
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("from") {
                let literal: LitInt = meta.value()?.parse()?;
                from = Some((literal.span(), version_of(&literal)?));
            } else if meta.path.is_ident("auto") {
                auto = Some(place_of(&meta.path));
            } else if meta.path.is_ident("down") {
                if !meta.input.peek(syn::Token![=]) {
                    return Err(meta.error(
                        "write `down = function`: the way back gives the old type, which no derived step knows",
                    ));
                }
                down = Some(meta.value()?.parse::<Path>()?);
            } else {
                return Err(meta.error(
                    "the options are `from = 1` and `down = function`, or `auto, from = 1`",
                ));
            }
            Ok(())
        });
        syn::parse::Parser::parse2(parser, options)?;
        let Some((span, from)) = from else {
            return Err(Error::new(
                Span::call_site(),
                "say from which version the step leads: `#[migrate(from = 1)]`",
            ));
        };
        match (auto, &down) {
            (Some(_), Some(down)) => Err(Error::new_spanned(
                down,
                "a derived step knows no old type to give back: write the step on a function, with its `down`",
            )),
            _ => Ok(Self { span, from, auto, down }),
        }
    }
}

/// A step that somebody wrote, and the way back where there is one.
fn written(options: TokenStream, item: &ItemFn) -> syn::Result<TokenStream> {
    let Options { span, from, auto, down } = Options::parse(options)?;
    if let Some(auto) = auto {
        return Err(Error::new(
            auto,
            "`auto` stands on the new type, beside its `#[state(version = ..)]`: it needs no function",
        ));
    }
    let function = Function::parse(&item.sig, item.sig.ident.unraw().to_string())?;
    function.refuse_cells("a step")?;
    let [old] = function.arguments() else {
        return Err(Error::new_spanned(
            &item.sig.ident,
            "a step takes the old value and gives the new one: `fn(old: CountersV1) -> Counters`, or a `Result` of it",
        ));
    };
    if let Type::Reference(reference) = old {
        return Err(Error::new_spanned(
            reference,
            "a step takes the old value itself, which is a copy: leave out the `&`",
        ));
    }
    let result = function.result();
    let new = quote_spanned!(place_of(result)=> <#result as __hotswap::Outcome>::New);
    let up = step(old, &new, &ours(&item.sig.ident).to_token_stream());
    let down = down.map(|path| {
        let down = step(&new, old, &path.to_token_stream());
        quote!(const _: () = { #down };)
    });
    let checked = quote_spanned!(span=> __hotswap::check_step::<#old, #new>(#from));
    let shared = shared(&item.attrs);
    Ok(quote! {
        #shared
        const _: () = {
            #up
            const _: () = #checked;
            #down
        };
    })
}

/// The record of one step and its shim.
fn step(old: &impl ToTokens, new: &impl ToTokens, target: &TokenStream) -> TokenStream {
    let outcome = quote_spanned!(place_of(target)=> __hotswap::Outcome::into_result(#target(old)));
    // SAFETY of the call of `step` that is quoted here: the engine keeps to its contract for shims of this kind.
    let record = Record {
        kind: quote!(Step),
        name: quote!(<#new as __hotswap::StateType>::SCHEMA),
        extra: quote! {
            __hotswap::step_extra(
                <#old as __hotswap::StateType>::VERSION,
                <#new as __hotswap::StateType>::VERSION,
            )
        },
        signature: quote! {
            __hotswap::Signature {
                arguments: &[<#old as __hotswap::Abi>::DESC],
                result: <#new as __hotswap::Abi>::DESC,
            }
        },
        parameter: quote!(__hotswap::Packed1<__hotswap::StepRequest>),
        result: quote!(__hotswap::core::result::Result<(), __hotswap::std::string::String>),
        body: quote! {
            unsafe {
                __hotswap::step::<#old, #new>(borrowed_for_this_call, |old| #outcome)
            }
        },
    };
    record.written()
}

/// `#[migrate(auto, ..)]` that comes before `#[state(..)]` goes behind it, which then writes the step.
fn derived(options: TokenStream, item: TokenStream) -> TokenStream {
    let moved = Options::parse(options.clone()).and_then(|parsed| {
        let mut item = parse2::<DeriveInput>(item.clone())?;
        if parsed.auto.is_none() {
            return Err(Error::new(
                parsed.span,
                "a step stands on a function, `fn(old: CountersV1) -> Counters`; one that is derived is written `#[migrate(auto, from = 1)]`",
            ));
        }
        if !item.attrs.iter().any(|attribute| is_named(attribute, "state")) {
            return Err(Error::new(
                parsed.span,
                "a derived step stands on a state type: write `#[state(version = 2)]` beside it",
            ));
        }
        item.attrs.push(parse_quote!(#[::hotswap_module::migrate(#options)]));
        Ok(item.into_token_stream())
    });
    moved.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#item #error)
    })
}

fn is_named(attribute: &Attribute, name: &str) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == name)
}

/// A step that is to be derived.
pub(crate) struct Derived {
    pub(crate) span: Span,
    from: u16,
    /// Old and new names of fields.
    renamed: Vec<(String, String)>,
}

/// Takes, out of a state type, what speaks of derived steps.
pub(crate) fn take_derived(item: &mut DeriveInput) -> syn::Result<Vec<Derived>> {
    let on_item = take(&mut item.attrs);
    let mut on_fields = Vec::new();
    for field in fields_of(&mut item.data) {
        let name = field.ident.as_ref().map(|ident| ident.unraw().to_string());
        on_fields
            .extend(take(&mut field.attrs).into_iter().map(|attribute| (name.clone(), attribute)));
    }
    let mut renamed = Vec::new();
    for (name, attribute) in &on_fields {
        renamed.push((old_name(attribute)?, name.clone().unwrap_or_default()));
    }
    if let (Some((_, attribute)), true) = (on_fields.first(), on_item.is_empty()) {
        return Err(Error::new_spanned(
            attribute,
            "a renamed field belongs to a derived step: write `#[migrate(auto, from = 1)]` on the type",
        ));
    }
    let mut steps = Vec::new();
    for attribute in on_item {
        let options = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => TokenStream::new(),
        };
        let Options { span, from, auto, .. } = Options::parse(options)?;
        if auto.is_none() {
            return Err(Error::new(
                span,
                "a step stands on a function, `fn(old: CountersV1) -> Counters`; one that is derived is written `#[migrate(auto, from = 1)]`",
            ));
        }
        check_renamed(item, &renamed, span)?;
        steps.push(Derived { span, from, renamed: renamed.clone() });
    }
    Ok(steps)
}

fn take(attributes: &mut Vec<Attribute>) -> Vec<Attribute> {
    let all = std::mem::take(attributes);
    let (ours, others) = all.into_iter().partition(|attribute| is_named(attribute, "migrate"));
    *attributes = others;
    ours
}

/// The name in `#[migrate(renamed = "name")]`.
fn old_name(attribute: &Attribute) -> syn::Result<String> {
    let mut name = None;
    attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("renamed") {
            return Err(meta.error("the only option of a field is `renamed = \"old_name\"`"));
        }
        name = Some(meta.value()?.parse::<LitStr>()?.value());
        Ok(())
    })?;
    name.ok_or_else(|| Error::new_spanned(attribute, "write `#[migrate(renamed = \"old_name\")]`"))
}

/// Fields are found by their names: so they must have some, and each old name goes to one field.
fn check_renamed(item: &DeriveInput, renamed: &[(String, String)], span: Span) -> syn::Result<()> {
    let fields = match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            Fields::Unnamed(_) | Fields::Unit => return Err(no_names(span)),
        },
        Data::Enum(_) | Data::Union(_) => return Err(no_names(span)),
    };
    for (index, (old, new)) in renamed.iter().enumerate() {
        let at =
            fields.iter().find(|field| field.ident.as_ref().is_some_and(|it| it.unraw() == new));
        let refuse = |message: String| Err(Error::new_spanned(at, message));
        if old == new {
            return refuse(format!(
                "the field has that name still: leave out `renamed = \"{old}\"`"
            ));
        }
        if renamed[..index].iter().any(|(other, _)| other == old) {
            return refuse(format!("two fields cannot both have been `{old}`"));
        }
    }
    Ok(())
}

fn no_names(span: Span) -> Error {
    Error::new(
        span,
        "a derived step finds fields by their names, which only a struct has: write the step on a function",
    )
}

impl Derived {
    /// The records of the step to `item`, whose version is `to`, and of its way back.
    pub(crate) fn record(&self, item: &DeriveInput, to: u16) -> syn::Result<TokenStream> {
        let from = self.from;
        if from >= to {
            return Err(Error::new(
                self.span,
                format!("a step leads from an earlier version, and the type's is {to}"),
            ));
        }
        let ident = ours(&item.ident);
        let up = self.step(&ident, to);
        let back = self.back(item, &ident, to);
        let shared = shared(&item.attrs);
        Ok(quote! {
            #shared const _: () = { #up };
            #shared const _: () = { #back };
        })
    }

    fn pairs(&self) -> TokenStream {
        let renamed = self.renamed.iter().map(|(old, new)| quote!((#old, #new)));
        quote!(&[#(#renamed),*])
    }

    fn step(&self, ident: &Ident, to: u16) -> TokenStream {
        let (from, renamed) = (self.from, self.pairs());
        // SAFETY of the call of `automatic` that is quoted here: the engine keeps to its contract for shims of this kind.
        let record = Record {
            kind: quote!(Step),
            name: quote!(<#ident as __hotswap::StateType>::SCHEMA),
            extra: quote!(__hotswap::step_extra(#from, #to)),
            signature: quote! {
                __hotswap::Signature { arguments: &[], result: <#ident as __hotswap::Abi>::DESC }
            },
            parameter: quote!(__hotswap::Packed1<__hotswap::StepRequest>),
            result: quote!(__hotswap::core::result::Result<(), __hotswap::std::string::String>),
            body: quote! {
                unsafe { __hotswap::automatic::<#ident>(borrowed_for_this_call, #renamed) }
            },
        };
        record.written()
    }

    /// The way back, which is taken where the old type had no other fields than these, under the names that they had.
    fn back(&self, item: &DeriveInput, ident: &Ident, to: u16) -> TokenStream {
        let (from, renamed) = (self.from, self.pairs());
        let fields = match &item.data {
            Data::Struct(data) => data.fields.iter().collect(),
            Data::Enum(_) | Data::Union(_) => Vec::new(),
        };
        let fields = fields.iter().enumerate().map(|(index, field)| {
            let name = field.ident.as_ref().map(|ident| ident.unraw().to_string());
            let name = name.unwrap_or_default();
            let had = match self.renamed.iter().find(|(_, new)| *new == name) {
                Some((old, _)) => old.clone(),
                // Another had that name, which this one is not to be taken for.
                None if self.renamed.iter().any(|(old, _)| *old == name) => format!("new {name}"),
                None => name,
            };
            quote!(__hotswap::renamed_field(<#ident as __hotswap::Abi>::DESC, #index, #had))
        });
        // SAFETY of the call of `automatic_back` that is quoted here: the engine keeps to its contract for shims of this kind.
        let record = Record {
            kind: quote!(StepBack),
            name: quote!(<#ident as __hotswap::StateType>::SCHEMA),
            extra: quote!(__hotswap::step_extra(#to, #from)),
            signature: quote! {{
                const FIELDS: &[__hotswap::Field] = &[#(#fields),*];
                const HAD: &__hotswap::Desc = &__hotswap::Desc {
                    body: __hotswap::Body::Struct(FIELDS),
                    ..*<#ident as __hotswap::Abi>::DESC
                };
                __hotswap::Signature { arguments: &[<#ident as __hotswap::Abi>::DESC], result: HAD }
            }},
            parameter: quote!(__hotswap::Packed1<__hotswap::StepRequest>),
            result: quote!(__hotswap::core::result::Result<(), __hotswap::std::string::String>),
            body: quote! {
                unsafe { __hotswap::automatic_back(borrowed_for_this_call, #renamed) }
            },
        };
        record.written()
    }
}
