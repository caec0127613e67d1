//! `#[derive(Abi)]`: a type's layout as constant data.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Data, DataEnum, DeriveInput, Error, Field, Fields, GenericParam, Generics, Ident,
    Index, LitStr, Token, Type, parse_quote, parse2,
};

use crate::attributes::shared;
use crate::representation::{Repr, discriminants};
use crate::types::{Mentions, Place, check_owned, compact, place_of};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    parse2(input).and_then(|input| derive(&input)).unwrap_or_else(Error::into_compile_error)
}

fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    refuse_lifetimes(&input.generics)?;
    let shown = name_of(input)?;
    let ident = &input.ident;
    let generics = with_bounds(&input.generics);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let parameters: Vec<String> = input.generics.params.iter().map(parameter_name).collect();
    let placeholder: Type = parse_quote!(__HotswapMention #type_generics);
    let describer = Describer {
        mentions: Mentions { ident, parameters: &parameters, placeholder: &placeholder },
    };
    let repr = Repr::parse(&input.attrs)?;
    let body = match &input.data {
        Data::Struct(data) => describer.structure(&data.fields)?,
        Data::Enum(data) => describer.enumeration(data, &repr)?,
        Data::Union(data) => {
            return Err(Error::new_spanned(
                data.union_token,
                "a union does not say which field is valid: write an enum",
            ));
        }
    };
    let name = format!("{shown}{}", repr.suffix);
    let mention = describer.placeholder(input, &generics, &shown);
    let heap_bytes = heap_bytes(&input.data, &repr);
    // SAFETY of the two implementations that are quoted here.
    // `Abi`:
    // 1. Description: size, alignment and offsets come from the compiler; names, variants, discriminants and
    //    `repr` from the item itself; the fields' from their own `Abi`, except for mentions, whose layout is this very
    //    description, and `by_name` fields, which are compared in full when a version is loaded.
    // 2. Addresses: every field's type is `Abi`, which the description or the function `is_abi` demands.
    // 3. Memory: as the fields'.
    // `Argument`:
    // 1. Description: the same.
    // 2. `At`: a type with lifetimes was refused above, so there is nothing to replace.
    let shared = shared(&[]); // conditions have been applied before a derive is asked
    Ok(quote! {
        #shared
        const _: () = {
            use ::hotswap_module::__private as __hotswap;

            #mention

            trait __HotswapLayout {
                const mutually_recursive_types_need_abi_by_name_on_one_field: &'static __hotswap::Desc;
            }

            #[automatically_derived]
            impl #impl_generics __HotswapLayout for #ident #type_generics #where_clause {
                const mutually_recursive_types_need_abi_by_name_on_one_field: &'static __hotswap::Desc =
                    &__hotswap::Desc {
                        name: #name,
                        size: __hotswap::core::mem::size_of::<Self>(),
                        align: __hotswap::core::mem::align_of::<Self>(),
                        body: #body,
                    };
            }

            #[automatically_derived]
            unsafe impl #impl_generics __hotswap::Abi for #ident #type_generics #where_clause {
                const DESC: &'static __hotswap::Desc =
                    <Self as __HotswapLayout>::mutually_recursive_types_need_abi_by_name_on_one_field;
            }

            #[automatically_derived]
            unsafe impl #impl_generics __hotswap::Argument for #ident #type_generics #where_clause {
                type At<'__hotswap_call> = Self;
                const DESC: &'static __hotswap::Desc = <Self as __hotswap::Abi>::DESC;
                #heap_bytes
            }
        };
    })
}

/// The method that adds up what the fields own. Of a packed type nothing can be borrowed: it stays without.
fn heap_bytes(data: &Data, repr: &Repr) -> Option<TokenStream> {
    if repr.suffix.contains("packed") {
        return None;
    }
    let arm = |path: TokenStream, fields: &Fields| {
        let names: Vec<_> =
            (0..fields.len()).map(|index| format_ident!("__field{index}")).collect();
        let members = fields.members();
        quote! {
            #path { #(#members: ref #names),* } => {
                #[allow(unused_mut)]
                let mut __bytes = 0;
                #(__bytes += (&&__hotswap::Owner(#names)).owned_bytes()?;)*
                __hotswap::core::option::Option::Some(__bytes)
            }
        }
    };
    let arms: Vec<_> = match data {
        Data::Struct(data) => vec![arm(quote!(Self), &data.fields)],
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| {
                let ident = &variant.ident;
                arm(quote!(Self::#ident), &variant.fields)
            });
            arms.collect()
        }
        Data::Union(_) => return None,
    };
    Some(quote! {
        fn heap_bytes(&self) -> __hotswap::core::option::Option<__hotswap::core::primitive::usize> {
            #[allow(unused_imports)]
            use __hotswap::{OwnsSome as _, OwnsUnknown as _};

            if !__hotswap::core::mem::needs_drop::<Self>() {
                return __hotswap::core::option::Option::Some(0);
            }
            match *self { #(#arms)* }
        }
    })
}

struct Describer<'a> {
    mentions: Mentions<'a>,
}

impl Describer<'_> {
    fn structure(&self, fields: &Fields) -> syn::Result<TokenStream> {
        let fields = fields.iter().enumerate().map(|(index, field)| {
            let (name, member) = match &field.ident {
                Some(ident) => (ident.unraw().to_string(), quote!(#ident)),
                None => {
                    let index = Index::from(index);
                    (index.index.to_string(), quote!(#index))
                }
            };
            let ty = self.field(field)?;
            Ok(quote! {
                __hotswap::Field {
                    name: #name,
                    offset: __hotswap::core::mem::offset_of!(Self, #member),
                    ty: #ty,
                }
            })
        });
        let fields = fields.collect::<syn::Result<Vec<_>>>()?;
        Ok(quote!(__hotswap::Body::Struct(&[#(#fields),*])))
    }

    fn enumeration(&self, data: &DataEnum, repr: &Repr) -> syn::Result<TokenStream> {
        let discriminants = discriminants(data, repr);
        let variants = data.variants.iter().zip(discriminants).map(|(variant, discriminant)| {
            refuse_attributes(&variant.attrs)?;
            let name = variant.ident.unraw().to_string();
            let shape = self.shape(&variant.fields)?;
            Ok(quote! {
                __hotswap::Variant { name: #name, discriminant: #discriminant, shape: #shape }
            })
        });
        let variants = variants.collect::<syn::Result<Vec<_>>>()?;
        Ok(quote!(__hotswap::Body::Enum(&[#(#variants),*])))
    }

    fn shape(&self, fields: &Fields) -> syn::Result<TokenStream> {
        let descs =
            fields.iter().map(|field| self.field(field)).collect::<syn::Result<Vec<_>>>()?;
        Ok(match fields {
            Fields::Unit => quote!(__hotswap::Shape::Unit),
            Fields::Unnamed(_) => quote!(__hotswap::Shape::Tuple(&[#(#descs),*])),
            Fields::Named(fields) => {
                let names = fields.named.iter().flat_map(|field| &field.ident);
                let names = names.map(|ident| ident.unraw().to_string());
                quote!(__hotswap::Shape::Struct(&[#((#names, #descs)),*]))
            }
        })
    }

    /// The description of one field, an expression of type `&'static Desc`.
    fn field(&self, field: &Field) -> syn::Result<TokenStream> {
        check_owned(&field.ty, Place::Field)?;
        let ty = &field.ty;
        if let Some(name) = by_name(field)? {
            return Ok(quote! {
                &__hotswap::Desc {
                    name: #name,
                    size: __hotswap::core::mem::size_of::<#ty>(),
                    align: __hotswap::core::mem::align_of::<#ty>(),
                    body: __hotswap::Body::ByName(|| <#ty as __hotswap::Abi>::DESC),
                }
            });
        }
        let Some(replaced) = self.mentions.replaced(ty) else {
            return Ok(quote!(<#ty as __hotswap::Abi>::DESC));
        };
        // The real type is demanded too, where that asks for no constant: inside a closure that is never called.
        let span = place_of(ty);
        let demand = quote_spanned!(span=> is_abi::<#ty>());
        Ok(quote! {{
            const fn is_abi<T: __hotswap::Abi>() {}
            let _ = || #demand;
            <#replaced as __hotswap::Abi>::DESC
        }})
    }

    /// The type that stands for a mention: the described type itself in a wrapper of the same layout,
    /// so that offsets around it are true, with a description that ends there.
    fn placeholder(
        &self,
        input: &DeriveInput,
        generics: &Generics,
        name: &str,
    ) -> Option<TokenStream> {
        let mut fields: Box<dyn Iterator<Item = &Field>> = match &input.data {
            Data::Struct(data) => Box::new(data.fields.iter()),
            Data::Enum(data) => {
                Box::new(data.variants.iter().flat_map(|variant| variant.fields.iter()))
            }
            Data::Union(_) => return None,
        };
        fields.find(|field| self.mentions.replaced(&field.ty).is_some())?;
        let ident = &input.ident;
        let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
        let implement = |path: TokenStream, items: TokenStream| quote!(impl #impl_generics #path for __HotswapMention #type_generics #where_clause { #items });
        // Nobody makes a value of it; containers demand some of these of their elements.
        let demanded = [
            implement(
                quote!(__hotswap::core::clone::Clone),
                quote!(
                    fn clone(&self) -> Self {
                        __hotswap::core::unreachable!()
                    }
                ),
            ),
            implement(
                quote!(__hotswap::core::cmp::PartialEq),
                quote! {
                    fn eq(&self, _: &Self) -> __hotswap::core::primitive::bool {
                        __hotswap::core::unreachable!()
                    }
                },
            ),
            implement(quote!(__hotswap::core::cmp::Eq), quote!()),
            implement(
                quote!(__hotswap::core::cmp::PartialOrd),
                quote! {
                    fn partial_cmp(&self, _: &Self) -> __hotswap::core::option::Option<__hotswap::core::cmp::Ordering> {
                        __hotswap::core::unreachable!()
                    }
                },
            ),
            implement(
                quote!(__hotswap::core::cmp::Ord),
                quote! {
                    fn cmp(&self, _: &Self) -> __hotswap::core::cmp::Ordering {
                        __hotswap::core::unreachable!()
                    }
                },
            ),
        ];
        // SAFETY of the two implementations that are quoted here: the wrapper has the layout of the type that is being described,
        // and the description that mentions it says what that is. It has no lifetimes.
        Some(quote! {
            #[repr(transparent)]
            struct __HotswapMention #generics (#ident #type_generics) #where_clause;

            #[automatically_derived]
            unsafe impl #impl_generics __hotswap::Abi for __HotswapMention #type_generics #where_clause {
                const DESC: &'static __hotswap::Desc =
                    &__hotswap::Desc { name: #name, size: 0, align: 1, body: __hotswap::Body::Mention };
            }

            #[automatically_derived]
            unsafe impl #impl_generics __hotswap::Argument for __HotswapMention #type_generics #where_clause {
                type At<'__hotswap_call> = Self;
                const DESC: &'static __hotswap::Desc = <Self as __hotswap::Abi>::DESC;
            }

            #(#demanded)*
        })
    }
}

/// The name by which a field is described, where it is described by name: that of its type, or another.
fn by_name(field: &Field) -> syn::Result<Option<String>> {
    let mut name = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("abi")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("by_name") {
                return Err(meta.error("the only option of a field is `by_name`"));
            }
            name = Some(match meta.input.peek(Token![=]) {
                true => meta.value()?.parse::<LitStr>()?.value(),
                false => compact(&field.ty),
            });
            Ok(())
        })?;
    }
    Ok(name)
}

/// The name by which a type is described: its own, or another.
fn name_of(input: &DeriveInput) -> syn::Result<String> {
    let mut name = input.ident.unraw().to_string();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("abi")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("by_name") {
                return Err(meta.error("write `#[abi(by_name)]` on a field of the type"));
            }
            if !meta.path.is_ident("name") {
                return Err(meta.error("the only option of a type is `name = \"Other\"`"));
            }
            name = type_name(&meta.value()?.parse()?)?;
            Ok(())
        })?;
    }
    Ok(name)
}

/// A literal that is a name such as types have.
pub(crate) fn type_name(literal: &LitStr) -> syn::Result<String> {
    match literal.parse::<Ident>() {
        Ok(ident) => Ok(ident.unraw().to_string()),
        Err(_) => Err(Error::new_spanned(literal, "write a name such as types have: \"Counters\"")),
    }
}

fn refuse_attributes(attributes: &[Attribute]) -> syn::Result<()> {
    match attributes.iter().find(|attribute| attribute.path().is_ident("abi")) {
        None => Ok(()),
        Some(attribute) => {
            Err(Error::new_spanned(attribute, "write `#[abi(by_name)]` on a field of the variant"))
        }
    }
}

fn refuse_lifetimes(generics: &Generics) -> syn::Result<()> {
    match generics.lifetimes().next() {
        None => Ok(()),
        Some(lifetime) => Err(Error::new_spanned(
            lifetime,
            "a type that borrows cannot cross the boundary: write owned fields, such as `String` for `&str`",
        )),
    }
}

fn parameter_name(parameter: &GenericParam) -> String {
    match parameter {
        GenericParam::Type(parameter) => parameter.ident.to_string(),
        GenericParam::Const(parameter) => parameter.ident.to_string(),
        GenericParam::Lifetime(parameter) => parameter.lifetime.to_string(),
    }
}

fn with_bounds(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    let bounds: Vec<syn::WherePredicate> = generics
        .type_params()
        .map(|parameter| {
            let ident = &parameter.ident;
            parse_quote!(#ident: ::hotswap_module::__private::Abi)
        })
        .collect();
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    generics
}
