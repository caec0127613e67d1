//! A function that can cross the boundary: checked once, for exports and interfaces alike.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericParam, Lifetime, Pat, ReturnType, Safety, Signature, Type, parse_quote,
};

use crate::types::{Place, check_owned, find_error, owned_form, place_of, with_lifetime};

/// More are better a struct: nobody reads nine arguments, and the tuples of callers end here.
const ARGUMENTS_MAX: usize = 8;

/// What is left of a signature once it is known that it can cross.
pub(crate) struct Function {
    /// The name to call it by.
    pub(crate) name: String,
    arguments: Vec<Type>,
    result: Type,
}

impl Function {
    /// Checks a function.
    pub(crate) fn parse(signature: &Signature, name: String) -> syn::Result<Self> {
        check_qualifiers(signature)?;
        check_generics(signature)?;
        let arguments = signature.inputs.iter().map(argument).collect::<syn::Result<Vec<_>>>()?;
        if let Some(ninth) = signature.inputs.iter().nth(ARGUMENTS_MAX) {
            return Err(Error::new_spanned(
                ninth,
                "an export takes at most 8 arguments: put them into a struct with `#[derive(Abi)]`",
            ));
        }
        Ok(Self { name, arguments, result: result(&signature.output)? })
    }

    /// A constant: to callers a function without arguments.
    pub(crate) fn constant(ty: &Type, name: String) -> syn::Result<Self> {
        check_owned(ty, Place::Result)?;
        Ok(Self { name, arguments: Vec::new(), result: ty.clone() })
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
        let arguments = self.arguments.iter().enumerate().map(|(index, ty)| {
            let span = place_of(ty);
            let mut index = syn::Index::from(index);
            index.span = span;
            quote_spanned!(span=> borrowed_for_this_call.#index)
        });
        let body = quote_spanned!(place_of(target)=> #target(#(#arguments),*));
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
            result: self.result.clone(),
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
        let Self { name, result, .. } = self;
        let name_length = name.len();
        let signature = self.signature();
        // SAFETY of the call of `run` that is quoted here:
        // 1. Arguments: the engine passes what the record's signature describes, and both sides of the
        //    comparison come from the same types as the parameter of `__hotswap_body`.
        // 2. Out: null, or room for the result that the signature describes.
        quote! {
            use ::hotswap_module::__private as __hotswap;

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
                #name_length,
                { __HOTSWAP_SIGNATURE.text_length() },
                { __HOTSWAP_OWNER.len() },
            > = __hotswap::Record::new(
                __hotswap::Kind::#kind,
                #name,
                &__HOTSWAP_SIGNATURE,
                __HOTSWAP_OWNER,
                __hotswap::core::option::Option::Some(__hotswap_shim),
            );
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
        Type::Reference(reference) if is_static(reference.lifetime.as_ref()) => {
            let mut borrow = reference.clone();
            borrow.lifetime = None;
            Some(Error::new_spanned(
                reference,
                format!(
                    "an argument is borrowed for the length of the call: write `{}`, or take an owned `{}`",
                    crate::types::compact(&borrow),
                    owned_form(reference),
                ),
            ))
        }
        other => self_type(other),
    })?;
    Ok((*argument.ty).clone())
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
