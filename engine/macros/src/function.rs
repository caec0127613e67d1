//! A function that can cross the boundary: checked once, for exports and interfaces alike.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    AngleBracketedGenericArguments, Error, FnArg, GenericParam, Lifetime, Pat, PathArguments,
    ReturnType, Safety, Signature, Type, TypePath, parse_quote,
};

use crate::types::{Place, check_owned, compact, find_error, owned_form, place_of, with_lifetime};

/// More are better a struct: nobody reads nine arguments, and the tuples of callers end here.
const ARGUMENTS_MAX: usize = 8;

/// What is left of a signature once it is known that it can cross.
pub(crate) struct Function {
    /// The name to call it by.
    pub(crate) name: String,
    arguments: Vec<Type>,
    /// Cells of state, which the shim passes and callers do not see; each with its place among the parameters.
    cells: Vec<(usize, Type)>,
    result: Type,
    /// How long a call may take before that is told; 0 when nothing is said.
    deadline_ms: u32,
}

impl Function {
    /// Checks a function.
    pub(crate) fn parse(signature: &Signature, name: String) -> syn::Result<Self> {
        check_qualifiers(signature)?;
        check_generics(signature)?;
        let mut arguments = Vec::new();
        let mut cells = Vec::new();
        for (place, input) in signature.inputs.iter().enumerate() {
            let ty = argument(input)?;
            if is_cell(&ty) {
                cells.push((place, ty));
            } else if arguments.len() == ARGUMENTS_MAX {
                return Err(Error::new_spanned(
                    input,
                    "an export takes at most 8 arguments: put them into a struct with `#[derive(Abi)]`",
                ));
            } else {
                arguments.push(ty);
            }
        }
        Ok(Self { name, arguments, cells, result: result(&signature.output)?, deadline_ms: 0 })
    }

    /// Refuses cells where nobody would pass them.
    pub(crate) fn refuse_cells(&self, place: &str) -> syn::Result<()> {
        let Some((_, ty)) = self.cells.first() else {
            return Ok(());
        };
        let cell = compact(ty).replacen('<', "::<", 1);
        let message =
            format!("{place} has no cells among its parameters: write `{cell}::get()` inside");
        Err(Error::new_spanned(ty, message))
    }

    /// A constant: to callers a function without arguments.
    pub(crate) fn constant(ty: &Type, name: String) -> syn::Result<Self> {
        check_owned(ty, Place::Result)?;
        Ok(Self {
            name,
            arguments: Vec::new(),
            cells: Vec::new(),
            result: ty.clone(),
            deadline_ms: 0,
        })
    }

    /// The same with a deadline for its calls.
    pub(crate) fn due_in(self, deadline_ms: Option<u32>) -> Self {
        Self { deadline_ms: deadline_ms.unwrap_or(0), ..self }
    }

    /// The types of the arguments, as written.
    pub(crate) fn arguments(&self) -> &[Type] {
        &self.arguments
    }

    /// The result's type.
    pub(crate) fn result(&self) -> &Type {
        &self.result
    }

    /// An expression of type `Signature`.
    pub(crate) fn signature(&self) -> TokenStream {
        let forever: Lifetime = parse_quote!('static);
        let arguments = self.arguments.iter().map(|ty| with_lifetime(ty, &forever));
        let result = &self.result;
        quote! {
            __hotswap::Signature {
                arguments: &[#(<#arguments as __hotswap::Argument>::DESC),*],
                result: <#result as __hotswap::Abi>::DESC,
            }
        }
    }

    /// The record, the shim and the code between it and `target`.
    ///
    /// What `target` gets is `At<'call>` of each argument's type and never the type itself: so
    /// an export that asks for `&'static` does not compile, whatever alias hides it.
    pub(crate) fn export(&self, target: &TokenStream) -> TokenStream {
        let call: Lifetime = parse_quote!('call);
        let packed = format_ident!("Packed{}", self.arguments.len());
        // Errors stand at the argument's type, under a name that tells what is wrong.
        let parameters = self.arguments.iter().map(|ty| {
            let borrowed = with_lifetime(ty, &call);
            quote_spanned!(place_of(ty)=> <#borrowed as __hotswap::Argument>::At<'call>)
        });
        let mut arguments = self.arguments.iter().enumerate().map(|(index, ty)| {
            let span = place_of(ty);
            let mut index = syn::Index::from(index);
            index.span = span;
            quote_spanned!(span=> borrowed_for_this_call.#index)
        });
        let name = &self.name;
        let inputs = (0..self.arguments.len() + self.cells.len()).map(|place| {
            match self.cells.iter().find(|(cell, _)| *cell == place) {
                Some((_, ty)) => {
                    quote_spanned!(place_of(ty)=> <#ty as __hotswap::Injected>::injected(#name))
                }
                None => arguments.next().expect("what is no cell is an argument"),
            }
        });
        let body = quote_spanned!(place_of(target)=> #target(#(#inputs),*));
        let parameter = quote!(__hotswap::#packed<#(#parameters),*>);
        self.record(&quote!(Export), &parameter, &body)
    }

    /// The same for a function that the engine runs. It is always given the versions, and takes them or not: what the
    /// function asks for is checked by the compiler and not by the engine.
    pub(crate) fn hook(&self, kind: &TokenStream, target: &TokenStream) -> TokenStream {
        let body = match self.arguments.first() {
            None => quote!(#target()),
            Some(ty) => quote_spanned!(place_of(ty)=> #target(borrowed_for_this_call.0)),
        };
        let taken = Self {
            name: self.name.clone(),
            arguments: vec![parse_quote!(__hotswap::VersionChange)],
            cells: Vec::new(),
            result: self.result.clone(),
            deadline_ms: 0,
        };
        taken.record(kind, &quote!(__hotswap::Packed1<__hotswap::VersionChange>), &body)
    }

    /// The same for a constant.
    pub(crate) fn export_value(&self, value: &TokenStream) -> TokenStream {
        self.record(&quote!(Export), &quote!(__hotswap::Packed0), value)
    }

    fn record(
        &self,
        kind: &TokenStream,
        parameter: &TokenStream,
        body: &TokenStream,
    ) -> TokenStream {
        let Self { name, result, deadline_ms, .. } = self;
        let record = Record {
            kind: kind.clone(),
            name: quote!(#name),
            extra: quote!(#deadline_ms),
            signature: self.signature(),
            parameter: parameter.clone(),
            result: quote!(#result),
            body: body.clone(),
        };
        record.written()
    }
}

/// A record and its shim, about to be written. Its parts are expressions and types of our code.
pub(crate) struct Record {
    /// The variant of `Kind`.
    pub(crate) kind: TokenStream,
    /// A constant text.
    pub(crate) name: TokenStream,
    /// A constant number.
    pub(crate) extra: TokenStream,
    /// A constant `Signature`.
    pub(crate) signature: TokenStream,
    /// What the shim reads, packed.
    pub(crate) parameter: TokenStream,
    /// What it writes.
    pub(crate) result: TokenStream,
    /// What lies between, with `borrowed_for_this_call` as its parameter.
    pub(crate) body: TokenStream,
}

impl Record {
    /// The items.
    pub(crate) fn written(&self) -> TokenStream {
        let Self { kind, name, extra, signature, parameter, result, body } = self;
        // SAFETY of the call of `run` that is quoted here:
        // 1. Arguments: the engine passes what the record's signature describes, and both sides of the
        //    comparison come from the same types as the parameter of `__hotswap_body`. Where the kind says what is
        //    passed (state types, steps), the engine passes that.
        // 2. Out: null, or room for the result that the signature describes, or the kind.
        quote! {
            use ::hotswap_module::__private as __hotswap;

            const __HOTSWAP_NAME: &'static __hotswap::core::primitive::str = #name;
            const __HOTSWAP_OWNER: &'static __hotswap::core::primitive::str = __hotswap::core::module_path!();
            const __HOTSWAP_SIGNATURE: __hotswap::Signature = #signature;

            unsafe extern "C" fn __hotswap_shim(
                arguments: *mut __hotswap::core::primitive::u8,
                out: *mut __hotswap::core::primitive::u8,
            ) -> __hotswap::core::primitive::u32 {
                use __hotswap::{DiscardAny as _, DiscardDebug as _, DiscardDisplay as _};
                use __hotswap::{OwnsSome as _, OwnsUnknown as _};

                fn __hotswap_body<'call>(borrowed_for_this_call: #parameter) -> #result {
                    #body
                }
                unsafe {
                    __hotswap::run(
                        arguments,
                        out,
                        __hotswap_body,
                        __hotswap::About {
                            failure: (&&&__hotswap::Discard::<#result>::new()).failure(),
                            owned: |result| (&&__hotswap::Owner(result)).owned_bytes(),
                        },
                    )
                }
            }

            #[used]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = "hotswap_exports"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,hotswap_exports"))]
            static __HOTSWAP_RECORD: __hotswap::Record<
                { __HOTSWAP_NAME.len() },
                { __HOTSWAP_SIGNATURE.text_length() },
                { __HOTSWAP_OWNER.len() },
            > = __hotswap::Record::new(
                __hotswap::Kind::#kind,
                __HOTSWAP_NAME,
                &__HOTSWAP_SIGNATURE,
                __HOTSWAP_OWNER,
                __hotswap::core::option::Option::Some(__hotswap_shim),
            )
            .with_extra(#extra);
        }
    }
}

/// The name of each parameter, and its type as written: for a method that takes the same.
pub(crate) fn named_arguments(signature: &Signature) -> Vec<(Ident, &Type)> {
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    typed
        .enumerate()
        .map(|(index, argument)| match &*argument.pat {
            Pat::Ident(pattern) => (pattern.ident.clone(), &*argument.ty),
            _ => (format_ident!("argument_{}", index + 1), &*argument.ty),
        })
        .collect()
}

fn check_qualifiers(signature: &Signature) -> syn::Result<()> {
    let refuse = |at: &dyn quote::ToTokens, message| Err(Error::new_spanned(at, message));
    if let Some(token) = &signature.asyncness {
        return refuse(
            token,
            "an async function cannot be exported: write a plain `fn` that waits inside, \
             for example with the `block_on` of your runtime",
        );
    }
    if let Safety::Unsafe(token) = &signature.safety {
        return refuse(
            token,
            "an unsafe function cannot be exported: callers cannot see what it demands; \
             write a safe `fn` around it that checks",
        );
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi, "write a plain `fn`: the C side of the boundary is written for it");
    }
    if let Some(variadic) = &signature.variadic {
        return refuse(variadic, "write the arguments out, or take a `Vec`");
    }
    if let Some(receiver) = signature.receiver() {
        return refuse(
            receiver,
            "a method cannot cross the boundary: write a free function that takes the value, \
             for example `fn step(world: &mut World)`",
        );
    }
    Ok(())
}

fn check_generics(signature: &Signature) -> syn::Result<()> {
    for parameter in &signature.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            return Err(Error::new_spanned(
                parameter,
                "a generic function has no one address to call: write it for one type, or one export per type",
            ));
        }
    }
    Ok(())
}

fn argument(input: &FnArg) -> syn::Result<Type> {
    let FnArg::Typed(argument) = input else {
        unreachable!("receivers were refused with the qualifiers");
    };
    find_error(&argument.ty, |ty| match ty {
        Type::ImplTrait(opaque) => Some(Error::new_spanned(
            opaque,
            "`impl Trait` makes the function generic: name the type, for example `Vec<u64>` or `&[u64]`",
        )),
        Type::Reference(reference) if is_cell(&reference.elem) => Some(Error::new_spanned(
            reference,
            format!("a cell's handle is passed by value: write `{}`", compact(&reference.elem)),
        )),
        Type::Reference(reference) if is_static(reference.lifetime.as_ref()) => {
            let mut borrow = reference.clone();
            borrow.lifetime = None;
            Some(Error::new_spanned(
                reference,
                format!(
                    "an argument is borrowed for the length of the call: write `{}`, or take an owned `{}`",
                    compact(&borrow),
                    owned_form(reference),
                ),
            ))
        }
        other => self_type(other),
    })?;
    Ok((*argument.ty).clone())
}

/// Whether a parameter is a cell of state, by what it looks like: `State<T>` or `Shared<T>`.
fn is_cell(ty: &Type) -> bool {
    let Type::Path(TypePath { qself: None, path, .. }) = ty else {
        return false;
    };
    path.segments.last().is_some_and(|segment| {
        let is_named = segment.ident == "State" || segment.ident == "Shared";
        let has_one = |arguments: &AngleBracketedGenericArguments| arguments.args.len() == 1;
        is_named
            && matches!(&segment.arguments, PathArguments::AngleBracketed(given) if has_one(given))
    })
}

fn is_static(lifetime: Option<&Lifetime>) -> bool {
    lifetime.is_some_and(|lifetime| lifetime.ident == "static")
}

fn self_type(ty: &Type) -> Option<Error> {
    match ty {
        Type::Path(path)
            if path.path.segments.first().is_some_and(|segment| segment.ident == "Self") =>
        {
            Some(Error::new_spanned(
                path,
                "write the type's name: the function crosses the boundary by itself",
            ))
        }
        _ => None,
    }
}

fn result(output: &ReturnType) -> syn::Result<Type> {
    let ReturnType::Type(_, ty) = output else {
        return Ok(parse_quote!(()));
    };
    check_owned(ty, Place::Result)?;
    find_error(ty, |ty| match ty {
        Type::Never(never) => Some(Error::new_spanned(
            never,
            "a function that never returns keeps its version for ever: leave out the result and return",
        )),
        other => self_type(other),
    })?;
    Ok((**ty).clone())
}
