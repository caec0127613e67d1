//! What the macros need to know of types: which cannot cross, and where lifetimes stand.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Error, GenericArgument, Lifetime, PathArguments, Type, TypeFnPtr, TypeImplTrait, TypePath,
    TypePtr, TypeReference, TypeTraitObject,
};

const UNLOADED: &str = "may point into the module's image, which can be unloaded";

/// Refuses, at its token, what cannot be a field or a result.
///
/// Only what is visible: behind an alias the compiler refuses it, since it is not `Abi`.
pub(crate) fn check_owned(ty: &Type, place: Place) -> syn::Result<()> {
    let mut refusals = Refusals { place, error: None };
    refusals.visit_type_mut(&mut ty.clone());
    refusals.error.map_or(Ok(()), Err)
}

/// Where a type stands, as the advice names it.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// In a struct or a variant.
    Field,
    /// Behind the arrow of an export, or the type of an exported constant.
    Result,
}

struct Refusals {
    place: Place,
    error: Option<Error>,
}

impl Refusals {
    fn refuse(&mut self, at: impl ToTokens, message: &str) {
        let error = Error::new_spanned(at, message);
        match &mut self.error {
            Some(first) => first.combine(error),
            None => self.error = Some(error),
        }
    }
}

impl VisitMut for Refusals {
    fn visit_type_fn_ptr_mut(&mut self, pointer: &mut TypeFnPtr) {
        let message = format!(
            "a function pointer {UNLOADED}; hand over the name of an export, or an enum that says what to do"
        );
        self.refuse(pointer, &message);
    }

    fn visit_type_trait_object_mut(&mut self, object: &mut TypeTraitObject) {
        let message = format!(
            "a trait object carries a table of functions that {UNLOADED}; write an enum with `#[derive(Abi)]`"
        );
        self.refuse(object, &message);
    }

    fn visit_type_ptr_mut(&mut self, pointer: &mut TypePtr) {
        let message = format!("a raw pointer {UNLOADED}; hand over owned data or an index");
        self.refuse(pointer, &message);
    }

    fn visit_type_impl_trait_mut(&mut self, opaque: &mut TypeImplTrait) {
        self.refuse(opaque, "the type must be named: both sides compare its layout");
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        let owned = owned_form(reference);
        let message = match self.place {
            Place::Field => format!("a borrowed field {UNLOADED}: write `{owned}`"),
            Place::Result => format!("a borrowed result {UNLOADED}: return an owned `{owned}`"),
        };
        self.refuse(reference, &message);
    }
}

/// The owned type to write in place of a borrow.
pub(crate) fn owned_form(reference: &TypeReference) -> String {
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", compact(&slice.elem)),
        other => compact(other),
    }
}

/// A type with every lifetime set to `lifetime`; `'static` stays what it is.
pub(crate) fn with_lifetime(ty: &Type, lifetime: &Lifetime) -> Type {
    struct Rename<'a>(&'a Lifetime);

    impl VisitMut for Rename<'_> {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if lifetime.ident != "static" {
                *lifetime = self.0.clone();
            }
        }

        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            reference.lifetime.get_or_insert_with(|| self.0.clone());
            visit_mut::visit_type_reference_mut(self, reference);
        }

        // Their lifetimes are bound inside of them; neither can cross anyway.
        fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
        fn visit_type_trait_object_mut(&mut self, _: &mut TypeTraitObject) {}
    }

    let mut renamed = ty.clone();
    Rename(lifetime).visit_type_mut(&mut renamed);
    renamed
}

/// The first thing in a type for which `matches` answers with an error.
pub(crate) fn find_error(ty: &Type, matches: impl Fn(&Type) -> Option<Error>) -> syn::Result<()> {
    struct Find<F>(F, Option<Error>);

    impl<F: Fn(&Type) -> Option<Error>> VisitMut for Find<F> {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if self.1.is_none() {
                self.1 = (self.0)(ty);
            }
            visit_mut::visit_type_mut(self, ty);
        }
    }

    let mut find = Find(matches, None);
    find.visit_type_mut(&mut ty.clone());
    find.1.map_or(Ok(()), Err)
}

/// Replaces, inside a field's type, mentions of the type that is being described.
///
/// Only of exactly that type: `Pair<T>` inside `Pair<T>` is one, `Pair<u8>` inside it is
/// another type, whose layout has to enter the description.
pub(crate) struct Mentions<'a> {
    /// The name of the type.
    pub(crate) ident: &'a syn::Ident,
    /// Its own parameters, in order, as text.
    pub(crate) parameters: &'a [String],
    /// What stands for it.
    pub(crate) placeholder: &'a Type,
}

impl Mentions<'_> {
    /// The type with its mentions replaced, if there are any.
    pub(crate) fn replaced(&self, ty: &Type) -> Option<Type> {
        struct Replace<'a, 'b>(&'a Mentions<'b>, bool);

        impl VisitMut for Replace<'_, '_> {
            fn visit_type_mut(&mut self, ty: &mut Type) {
                match ty {
                    Type::Path(path) if self.0.is_mention(path) => {
                        *ty = self.0.placeholder.clone();
                        self.1 = true;
                    }
                    other => visit_mut::visit_type_mut(self, other),
                }
            }
        }

        let mut replaced = ty.clone();
        let mut replace = Replace(self, false);
        replace.visit_type_mut(&mut replaced);
        replace.1.then_some(replaced)
    }

    fn is_mention(&self, ty: &TypePath) -> bool {
        let mut segments = ty.path.segments.iter();
        let (Some(mut segment), None, None) = (segments.next(), &ty.qself, ty.path.leading_colon)
        else {
            return false;
        };
        if segment.ident == "self" {
            let Some(next) = segments.next() else {
                return false;
            };
            segment = next;
        }
        if segments.next().is_some() {
            return false;
        }
        if segment.ident == "Self" {
            return true;
        }
        // A parameter may have the type's name, and then hides it.
        let is_hidden = self.parameters.iter().any(|parameter| segment.ident == parameter.as_str());
        segment.ident == *self.ident && !is_hidden && self.has_own_parameters(&segment.arguments)
    }

    fn has_own_parameters(&self, arguments: &PathArguments) -> bool {
        match arguments {
            PathArguments::None => self.parameters.is_empty(),
            PathArguments::AngleBracketed(given) => {
                let given = given.args.iter().map(|argument: &GenericArgument| compact(argument));
                given.eq(self.parameters.iter().cloned())
            }
            PathArguments::Parenthesized(_) => false,
        }
    }
}

/// Tokens as people write types: spaces only where words would run together.
pub(crate) fn compact(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    write_compact(quote!(#tokens), &mut text);
    text
}

fn write_compact(tokens: TokenStream, text: &mut String) {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                if !open.is_empty() && ends_in_lifetime(text) {
                    text.push(' ');
                }
                text.push_str(open);
                write_compact(group.stream(), text);
                text.push_str(close);
            }
            other => {
                let other = other.to_string();
                if text.ends_with(is_word) && other.starts_with(is_word) {
                    text.push(' ');
                }
                text.push_str(&other);
            }
        }
    }
}

fn ends_in_lifetime(text: &str) -> bool {
    let before =
        text.trim_end_matches(|character: char| character.is_alphanumeric() || character == '_');
    before.ends_with('\'') && before.len() < text.len()
}

/// The place of some tokens, with the names of our own code: what is quoted there is ours to the lints.
pub(crate) fn place_of(tokens: &impl syn::spanned::Spanned) -> Span {
    tokens.span().resolved_at(Span::call_site())
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn lifetimes_are_set_and_static_stays() {
        let call: Lifetime = parse_quote!('call);
        let set = |ty: Type| compact(with_lifetime(&ty, &call));
        assert_eq!(set(parse_quote!(&str)), "&'call str");
        assert_eq!(set(parse_quote!(Option<&'a mut Vec<u8>>)), "Option<&'call mut Vec<u8>>");
        assert_eq!(set(parse_quote!(View<'_>)), "View<'call>");
        assert_eq!(set(parse_quote!(&'static [u8])), "&'static [u8]");
    }

    #[test]
    fn only_the_very_same_type_is_a_mention() {
        let placeholder: Type = parse_quote!(M);
        let ident: syn::Ident = parse_quote!(Pair);
        let generic = ["T".to_owned()];
        let mentions =
            |parameters| Mentions { ident: &ident, parameters, placeholder: &placeholder };
        let text = |parameters, ty: Type| mentions(parameters).replaced(&ty).map(compact);
        assert_eq!(text(&generic, parse_quote!(Vec<Pair<T>>)).as_deref(), Some("Vec<M>"));
        assert_eq!(text(&generic, parse_quote!(Vec<Self>)).as_deref(), Some("Vec<M>"));
        assert_eq!(text(&generic, parse_quote!(Vec<Pair<u8>>)), None);
        assert_eq!(text(&generic, parse_quote!(Vec<Pair>)), None);
        assert_eq!(
            text(&[], parse_quote!(Option<Box<self::Pair>>)).as_deref(),
            Some("Option<Box<M>>")
        );
        assert_eq!(text(&[], parse_quote!(Vec<other::Pair>)), None);
        assert_eq!(text(&["Pair".to_owned()], parse_quote!(Vec<Pair>)), None);
    }

    #[test]
    fn compact_text_reads_like_source() {
        let ty: Type = parse_quote!(BTreeMap < String , Vec < (u8 , [ u8 ; 4 ]) > >);
        assert_eq!(compact(ty), "BTreeMap<String,Vec<(u8,[u8;4])>>");
    }
}
