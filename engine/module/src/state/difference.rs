//! Two layouts of one schema, as a diff that people can read.

use super::source::{Writer, collect, explicit, in_shape, own_name, repr, text};
use crate::abi::{Body, Desc};
use crate::signature::Signature;

/// What differs between the results of two signatures: a line a field, `- ` before what was, `+ ` before what is,
/// and fields of types inside indented.
#[must_use]
pub fn difference(old: &'static Signature, new: &'static Signature) -> String {
    let mut lines = Lines { text: String::new(), is_changed: false, shown: Vec::new() };
    lines.types(old.result, new.result, 0);
    if !lines.is_changed {
        lines.text.push_str("  (the same fields; the compiler laid them out in another way)\n");
    }
    lines.text
}

struct Lines {
    text: String,
    is_changed: bool,
    /// The types inside that have been shown: each is, once.
    shown: Vec<&'static str>,
}

/// A field or a variant.
struct Member {
    name: &'static str,
    shown: String,
    types: Vec<&'static Desc>,
}

impl Lines {
    fn line(&mut self, sign: char, depth: usize, shown: &str) {
        self.is_changed |= sign != ' ';
        let indent = 4 * depth;
        self.text.push_str(&format!("{sign} {:indent$}{shown}\n", ""));
    }

    fn types(&mut self, old: &'static Desc, new: &'static Desc, depth: usize) {
        for (before, after) in [(kind(old), kind(new)), (layout(old), layout(new))] {
            if before != after {
                before.iter().for_each(|shown| self.line('-', depth, shown));
                after.iter().for_each(|shown| self.line('+', depth, shown));
            }
        }
        let (old, new) = (members(old), members(new));
        let (mut left, mut right) = (0, 0);
        for (in_old, in_new) in common(&old, &new) {
            old[left..in_old].iter().for_each(|gone| self.line('-', depth, &gone.shown));
            new[right..in_new].iter().for_each(|fresh| self.line('+', depth, &fresh.shown));
            self.member(&old[in_old], &new[in_new], depth);
            (left, right) = (in_old + 1, in_new + 1);
        }
        old[left..].iter().for_each(|gone| self.line('-', depth, &gone.shown));
        new[right..].iter().for_each(|fresh| self.line('+', depth, &fresh.shown));
    }

    fn member(&mut self, old: &Member, new: &Member, depth: usize) {
        if old.shown != new.shown {
            self.line('-', depth, &old.shown);
            return self.line('+', depth, &new.shown);
        }
        self.line(' ', depth, &old.shown);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        old.types.iter().for_each(|desc| collect(desc, &mut before));
        new.types.iter().for_each(|desc| collect(desc, &mut after));
        for inside in before {
            let same = |other: &&&'static Desc| own_name(other) == own_name(inside);
            let Some(now) = after.iter().find(same) else { continue };
            if text(inside) == text(now) || self.shown.contains(&own_name(inside)) {
                continue;
            }
            self.shown.push(own_name(inside));
            self.types(inside, now, depth + 1);
        }
    }
}

fn kind(desc: &'static Desc) -> Option<String> {
    match desc.body {
        Body::Struct(_) => Some(format!("struct {}", own_name(desc))),
        Body::Enum(_) => Some(format!("enum {}", own_name(desc))),
        _ => None,
    }
}

fn layout(desc: &'static Desc) -> Option<String> {
    repr(desc).map(|repr| format!("#[repr({repr})]"))
}

fn members(desc: &'static Desc) -> Vec<Member> {
    let writer = Writer { has_paths: false, name: &|desc| own_name(desc).to_owned() };
    match &desc.body {
        Body::Struct(fields) => fields
            .iter()
            .map(|field| Member {
                name: field.name,
                shown: format!("{}: {}", field.name, writer.ty(field.ty, desc)),
                types: vec![field.ty],
            })
            .collect(),
        Body::Enum(variants) => {
            let mut before = -1;
            let variants = variants.iter().map(|variant| {
                let mut shown = writer.variant(variant.name, &variant.shape, desc);
                if let Some(number) = explicit(variant.discriminant, &mut before) {
                    shown.push_str(&format!(" = {number}"));
                }
                Member { name: variant.name, shown, types: in_shape(&variant.shape) }
            });
            variants.collect()
        }
        _ => Vec::new(),
    }
}

/// The longest common run of names: where each stands on both sides. Order counts, since it does in a value's bytes.
fn common(old: &[Member], new: &[Member]) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for left in (0..old.len()).rev() {
        for right in (0..new.len()).rev() {
            lengths[left][right] = if old[left].name == new[right].name {
                lengths[left + 1][right + 1] + 1
            } else {
                lengths[left + 1][right].max(lengths[left][right + 1])
            };
        }
    }
    let (mut left, mut right, mut found) = (0, 0, Vec::new());
    while left < old.len() && right < new.len() {
        if old[left].name == new[right].name {
            found.push((left, right));
            (left, right) = (left + 1, right + 1);
        } else if lengths[left + 1][right] >= lengths[left][right + 1] {
            left += 1;
        } else {
            right += 1;
        }
    }
    found
}
