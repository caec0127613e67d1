//! What an export wants from its host, as far as its body says so in plain words.
//!
//! Best effort: `host().call_with("draw", ..)` is found by its tokens, a name that is computed is
//! not. `module!(needs = [dyn Trait])` is the complete way.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote};

/// One record per name that `body` asks the host for.
pub(crate) fn records(body: &impl ToTokens) -> TokenStream {
    let mut names = BTreeSet::new();
    find(body.to_token_stream(), &mut names);
    names.iter().map(|name| record(name)).collect()
}

fn record(name: &str) -> TokenStream {
    let length = name.len();
    quote! {
        const _: () = {
            #[used]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = "hotswap_exports"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,hotswap_exports"))]
            static __HOTSWAP_NEED: __hotswap::Record<#length, 0, { __HOTSWAP_OWNER.len() }> =
                __hotswap::Record::named(__hotswap::Kind::Need, #name, __HOTSWAP_OWNER);
        };
    }
}

fn find(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            find(group.stream(), names);
        }
        names.extend(name_at(&tokens[index..]));
    }
}

/// The literal of `host().call_with::<..>("literal", ..)`, if that is how the tokens begin.
fn name_at(tokens: &[TokenTree]) -> Option<String> {
    let [host, arguments, dot, method, rest @ ..] = tokens else {
        return None;
    };
    let is_call = is_ident(host, &["host"])
        && is_empty_group(arguments)
        && is_punct(dot, '.')
        && is_ident(method, &["call", "call_with"]);
    if !is_call {
        return None;
    }
    let rest = if rest.first().is_some_and(|token| is_punct(token, ':')) {
        after_turbofish(rest)?
    } else {
        rest
    };
    match rest.first()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            let first = group.stream().into_iter().next()?;
            syn::parse2::<syn::LitStr>(first.into()).ok().map(|literal| literal.value())
        }
        _ => None,
    }
}

fn after_turbofish(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        if is_punct(token, '<') {
            depth += 1;
        } else if is_punct(token, '>') {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(&tokens[index + 1..]);
            }
        }
    }
    None
}

fn is_ident(token: &TokenTree, names: &[&str]) -> bool {
    matches!(token, TokenTree::Ident(ident) if names.iter().any(|name| ident == name))
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_empty_group(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group)
        if group.delimiter() == Delimiter::Parenthesis && group.stream().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: TokenStream) -> Vec<String> {
        let mut names = BTreeSet::new();
        find(body, &mut names);
        names.into_iter().collect()
    }

    #[test]
    fn literal_names_are_found_wherever_they_stand() {
        let body = quote!({
            host().call("clear")?;
            if x {
                hotswap_module::host().call_with::<Vec<u8>>("draw", (1.0f32,))?;
            }
            let y: () = host().call_with("draw", ())?;
        });
        assert_eq!(names(body), ["clear", "draw"]);
    }

    #[test]
    fn other_calls_are_not_needs() {
        let body = quote!({
            engine().call("f1")?;
            host().call(name)?;
            host(1).call("x");
            "host().call(\"text\")";
        });
        assert!(names(body).is_empty());
    }
}
